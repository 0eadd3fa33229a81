"""Every kind of type, where the contract's own do not use it."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.contract.codec import event_of
from miner.contract.metadata import EventSpec, Metadata, parse
from miner.contract.needs import INTEGER, NOTHING, TEXT, Option, Plain, Result, problem_of
from miner.contract.registry import (
    Array,
    Choice,
    Compact,
    Composite,
    Fields,
    Primitive,
    Registry,
    Sequence,
    Tuple,
    TypeDef,
    Variant,
)
from miner.contract.scale import CodecError
from miner.errors import ConfigError
from miner.model import Head
from miner.ports import RawContractEvent

NONE = Fields((), ())
ID = ("Id", Fields((None,), (5,)))
TYPES: dict[int, TypeDef] = {
    0: Primitive("u8"),
    1: Primitive("u32"),
    2: Primitive("i16"),
    3: Primitive("bool"),
    4: Primitive("str"),
    5: Array(0, 4),
    6: Array(1, 2),
    7: Sequence(0),
    8: Sequence(1),
    9: Tuple((1, 4)),
    10: Tuple(()),
    11: Compact(1),
    12: Composite(("Point",), Fields(("x", "y"), (1, 1))),
    13: Composite(("Wrapper",), Fields((None,), (1,))),
    14: Composite(("Pair",), Fields((None, None), (1, 3))),
    15: Variant(("Option",), {0: ("None", NONE), 1: ("Some", Fields((None,), (1,)))}),
    16: Variant(("Shape",), {0: ("Empty", NONE), 5: ("Dot", Fields(("x",), (1,))), 6: ID}),
    17: Variant(("Result",), {0: ("Ok", NONE)}),
    18: Variant(("Result",), {0: ("Ok", Fields((None,), (10,))), 1: ("Err", Fields((None,), (4,)))}),
    19: Composite(("AccountId",), Fields((None,), (5,))),
    20: Sequence(10),
}  # fmt: skip
REGISTRY = Registry(TYPES)


@pytest.mark.parametrize(
    ("of", "encoded", "value"),
    [
        (2, "feff", -2),
        (3, "01", True),
        (5, "01020304", b"\x01\x02\x03\x04"),
        (6, "0100000002000000", [1, 2]),
        (7, "080102", b"\x01\x02"),
        (8, "0407000000", [7]),
        (9, "070000000868c3", None),
        (9, "07000000086869", (7, "hi")),
        (10, "", ()),
        (11, "0101", 64),
        (12, "0100000002000000", {"x": 1, "y": 2}),
        (13, "01000000", 1),
        (14, "0100000001", (1, True)),
        (15, "00", None),
        (15, "0101000000", 1),
        (16, "00", Choice("Empty")),
        (16, "0501000000", Choice("Dot", {"x": 1})),
        (16, "0601020304", Choice("Id", b"\x01\x02\x03\x04")),
        (19, "01020304", b"\x01\x02\x03\x04"),
    ],
)
def test_vectors(of: int, encoded: str, value: object) -> None:
    data = bytes.fromhex(encoded)
    if value is None and of != 15:
        with pytest.raises(CodecError):
            REGISTRY.decode(of, data)
    else:
        assert REGISTRY.decode(of, data) == value


@pytest.mark.parametrize(
    ("of", "value"),
    [
        (0, 255),
        (3, False),
        (4, "é"),
        (5, b"abcd"),
        (7, b""),
        (8, [1, 2]),
        (9, (1, "a")),
        (10, ()),
        (11, 99),
        (13, 5),
    ],
)
def test_what_a_message_takes_is_written_as_it_is_read(of: int, value: object) -> None:
    assert REGISTRY.decode(of, REGISTRY.encode(of, value)) == value


@pytest.mark.parametrize(
    ("of", "value"),
    [
        (2, 1),
        (3, 1),
        (0, True),
        (4, b"a"),
        (5, b"abc"),
        (5, "abcd"),
        (9, (1,)),
        (9, [1, "a"]),
        (11, "1"),
        (12, {}),
        (16, "Empty"),
    ],
)
def test_what_does_not_fit_is_refused(of: int, value: object) -> None:
    with pytest.raises(CodecError):
        REGISTRY.encode(of, value)


def test_a_list_of_nothing_is_as_long_as_its_bytes_at_most() -> None:
    with pytest.raises(CodecError, match="elements"):
        REGISTRY.decode(20, b"\xfe\xff\xff\xff")
    assert REGISTRY.decode(20, b"\x00") == []


def test_an_array_that_is_longer_than_its_bytes() -> None:
    with pytest.raises(CodecError):
        Registry({0: Primitive("u32"), 1: Array(0, 1 << 40)}).decode(1, b"\x00" * 8)


@given(st.sampled_from(sorted(TYPES)), st.binary(max_size=40))
def test_any_bytes_decode_or_are_refused(of: int, data: bytes) -> None:
    with contextlib.suppress(CodecError):
        REGISTRY.decode(of, data)


def test_an_event_of_every_kind_is_plain() -> None:
    labels = ("bytes", "list", "pair", "point", "dot", "id", "none")
    spec = EventSpec("Odd", bytes(32), tuple(zip(labels, (5, 6, 9, 12, 16, 16, 15), strict=True)))
    metadata = Metadata("odd.json", REGISTRY, {}, {bytes(32): spec})
    data = "0102030401000000020000000700000008686901000000020000000501000000060102030400"
    raw = RawContractEvent("5C", bytes.fromhex(data), (bytes(32),), 0)
    assert event_of(metadata, raw, Head(1, "0x")).args == {
        "bytes": "0x01020304",
        "list": [1, 2],
        "pair": [7, "hi"],
        "point": {"x": 1, "y": 2},
        "dot": {"Dot": {"x": 1}},
        "id": {"Id": "0x01020304"},
        "none": None,
    }


@pytest.mark.parametrize(
    ("of", "shape", "problem"),
    [
        (1, INTEGER, ""),
        (2, INTEGER, "is no integer"),
        (8, INTEGER, "is no integer"),
        (19, Plain("account"), "is no account"),
        (15, Option(INTEGER), ""),
        (15, Option(TEXT), "is no text"),
        (18, Option(INTEGER), "is no option"),
        (17, Result(NOTHING), "is no Result"),
        (18, Result(NOTHING), "has an error that is no enum"),
        (99, INTEGER, "does not read: the metadata has no type 99"),
    ],
)
def test_what_is_wrong_with_a_type(of: int, shape: Plain | Option | Result, problem: str) -> None:
    assert problem_of(REGISTRY, of, shape) == problem


def document(definition: object) -> str:
    types = [{"id": 0, "type": {"def": definition}}]
    return json.dumps({"spec": {"messages": [], "events": []}, "version": 5, "types": types})


@pytest.mark.parametrize(
    ("definition", "read"),
    [
        ({"compact": {"type": 1}}, Compact(1)),
        ({"tuple": [1, 2]}, Tuple((1, 2))),
        ({"bitsequence": {}}, Primitive("bitsequence")),
        ({"composite": {}}, Composite((), NONE)),
        ({"variant": {}}, Variant((), {})),
    ],
)
def test_types_of_the_metadata(definition: object, read: object) -> None:
    assert parse(document(definition), "m.json").types[0] == read


HALF_NAMED = {"composite": {"fields": [{"type": 1}, {"name": "x", "type": 1}]}}


@pytest.mark.parametrize("definition", [{}, {"array": {"type": 1}}, HALF_NAMED])
def test_types_that_make_no_sense(definition: object) -> None:
    with pytest.raises(ConfigError, match="`types` does not read"):
        parse(document(definition), "m.json")
