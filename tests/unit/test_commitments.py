"""Commitments as storage readers give them: the text that users read, or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.chains.substrate.commitments import decode
from miner.errors import ReadFailed


def registration(*fields: Any, block: int = 7) -> dict[str, Any]:
    return {"deposit": 0, "block": block, "info": {"fields": list(fields)}}


SHAPES = st.sampled_from(
    [
        lambda raw: "0x" + raw.hex(),
        lambda raw: raw,
        lambda raw: list(raw),
        lambda raw: (tuple(raw),),
        lambda raw: ["0x" + raw.hex()],
    ]
)


@given(
    st.text(max_size=40).filter(lambda text: len(text.encode("utf-8", "ignore")) <= 128),
    SHAPES,
    st.booleans(),
)
def test_raw_bytes_are_read_however_they_are_given(text: str, shape: Any, nested: bool) -> None:
    raw = text.encode("utf-8", "ignore")
    field = {f"Raw{len(raw)}": shape(raw)}
    found = decode(registration((field,) if nested else field))
    assert found is not None
    assert (found.block, found.text) == (7, raw.decode())


def test_no_commitment_and_no_text() -> None:
    assert decode(None) is None
    for fields in ([], ["None"], [{"BlakeTwo256": "0x" + "11" * 32}], [{"a": 1, "b": 2}]):
        found = decode(registration(*fields))
        assert found is not None
        assert found.text is None


def test_several_raw_fields_are_one_text() -> None:
    found = decode(registration({"Raw2": "0x7631"}, "None", {"Raw1": "0x3a"}))
    assert found is not None
    assert found.text == "v1:"


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    found = decode(registration({"Raw1": "0xff"}))
    assert found is not None
    assert found.text == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "told",
    [
        7,
        {},
        {"block": 1},
        {"block": "x", "info": {"fields": []}},
        registration({"Raw3": "0x00"}),
        registration({"Raw3": 7}),
        registration({"Raw1": [300]}),
    ],
)
def test_another_shape_teaches_nothing(told: object) -> None:
    with pytest.raises(ReadFailed):
        decode(told)
