"""The sent cache of the miner in the field: all of it is read, or nothing."""

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.errors import ConfigError
from miner.model import ImportedSend
from miner.store import parse_sent_cache

HASH = "0x" + "ab" * 32


def test_every_form_a_line_has() -> None:
    text = json.dumps(
        {
            "7": [HASH, 12, True, 90],
            "3": ["tao_transfer", 0],
            "5": [HASH, 1, False],
            "9": [HASH, 1, True, None],
        }
    )
    assert parse_sent_cache(text, "cache.json") == [
        ImportedSend(3, "tao_transfer", 0),
        ImportedSend(5, HASH, 1),
        ImportedSend(7, HASH, 12, True, 90),
        ImportedSend(9, HASH, 1, True),
    ]


def test_an_empty_object_holds_nothing() -> None:
    assert parse_sent_cache(" {} ", "cache.json") == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('"x": ["a", 1]', "no swap id"),
        ('"-1": ["a", 1]', "no swap id"),
        ('"1.0": ["a", 1]', "no swap id"),
        ('"٣": ["a", 1]', "no swap id"),
        ('"": ["a", 1]', "no swap id"),
        ('"9223372036854775808": ["a", 1]', "no swap id"),
        ('"1": "a"', "expected"),
        ('"1": {"a": 1, "b": 2}', "expected"),
        ('"1": ["a"]', "expected"),
        ('"1": ["a", 1, true, 2, 3]', "expected"),
        ('"1": [1, 1]', "no transaction hash"),
        ('"1": [1.5, 1]', "no transaction hash"),
        ('"1": ["  ", 1]', "no transaction hash"),
        ('"1": ["a", "1"]', "no block number"),
        ('"1": ["a", 1.0]', "no block number"),
        ('"1": ["a", NaN]', "no block number"),
        ('"1": ["a", true]', "no block number"),
        ('"1": ["a", -1]', "no block number"),
        ('"1": ["a", 1, 1]', "neither true nor false"),
        ('"1": ["a", 1, true, "2"]', "fourth element"),
        ('"1": ["a", 1], "1": ["b", 2]', "named twice"),
        ('"1": ["a", 1], "01": ["b", 2]', "named twice"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_taken(line: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_sent_cache(f'{{"2": ["{HASH}", 1], {line}}}', "cache.json")
    assert caught.value.where.startswith("cache.json: ")
    assert why in caught.value.problem
    assert "Nothing was imported" in caught.value.remedy
    if line.isascii():
        assert any(f'"{key}"' in caught.value.where for key in re.findall(r'"([^"]*)":', line))


@pytest.mark.parametrize("text", ["", " ", "{", '{"1": ["a", 1]', "[1]", "null", '"x"', "1.5", "[" * 100_000])
def test_what_is_no_object(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_sent_cache(text, "cache.json")
    assert caught.value.where == "cache.json"


LINES = st.dictionaries(
    st.integers(0, 2**63 - 1),
    st.tuples(
        st.text(min_size=1).filter(lambda text: text == text.strip()),
        st.integers(0, 2**63 - 1),
        st.booleans(),
        st.none() | st.integers(0, 2**63 - 1),
    ),
)


@given(lines=LINES)
def test_what_is_written_is_read(lines: dict[int, tuple[str, int, bool, int | None]]) -> None:
    text = json.dumps({str(key): list(value) for key, value in lines.items()})
    assert parse_sent_cache(text, "x") == [ImportedSend(key, *lines[key]) for key in sorted(lines)]


@given(text=st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(parse_sent_cache(text, "x"), list)
