"""Events are read by the metadata's types, whatever other events lie between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.chains.substrate.events import BadEvents, EventReader, Transfer
from miner.chains.substrate.scale import compact

U8, U32, U64, ACCOUNT, BYTES, HASH, TEXT = 1, 2, 3, 4, 5, 6, 7
NESTED, OPTION, TUPLE, COMPACT, BITS, UNIT, LIST, PAIRS = 8, 9, 10, 11, 12, 13, 14, 15
SYSTEM, BALANCES, CONTRACTS, NOISE, RUNTIME, PHASE, RECORD, RECORDS, TOPICS = range(20, 29)


def composite(*fields: int) -> Mapping[str, Any]:
    return {"def": {"composite": {"fields": [{"type": each} for each in fields]}}}


def variants(*each: tuple[str, int, list[int]]) -> Mapping[str, Any]:
    made = [
        {
            "name": name,
            "index": index,
            **({"fields": [{"type": field} for field in fields]} if fields else {}),
        }
        for name, index, fields in each
    ]
    return {"def": {"variant": {"variants": made}}}


def types(balance: int = U64) -> dict[int, Mapping[str, Any]]:
    fields = [
        {"name": "phase", "type": PHASE},
        {"name": "event", "type": RUNTIME},
        {"name": "topics", "type": TOPICS},
    ]
    noise = [(f"N{each}", each, [each]) for each in (BYTES, TEXT, NESTED, OPTION, COMPACT, BITS, LIST, PAIRS)]
    return {
        U8: {"def": {"primitive": "u8"}},
        U32: {"def": {"primitive": "u32"}},
        U64: {"def": {"primitive": "u64"}},
        TEXT: {"def": {"primitive": "str"}},
        HASH: {"def": {"array": {"len": 32, "type": U8}}},
        ACCOUNT: composite(HASH),
        BYTES: {"def": {"sequence": {"type": U8}}},
        OPTION: variants(("None", 0, []), ("Some", 1, [BYTES])),
        NESTED: variants(("Leaf", 0, []), ("Node", 1, [NESTED, NESTED])),
        TUPLE: {"def": {"tuple": [U32, U8]}},
        COMPACT: {"def": {"compact": {"type": U64}}},
        BITS: {"def": {"bitSequence": {}}},
        UNIT: variants(("A", 0, []), ("B", 5, [])),
        LIST: {"def": {"sequence": {"type": TUPLE}}},
        PAIRS: {"def": {"array": {"len": 2, "type": BYTES}}},
        SYSTEM: variants(("ExtrinsicSuccess", 0, [U64, UNIT]), ("ExtrinsicFailed", 1, [OPTION, U64])),
        BALANCES: variants(("Endowed", 0, [ACCOUNT, U64]), ("Transfer", 2, [ACCOUNT, ACCOUNT, balance])),
        CONTRACTS: variants(("ContractEmitted", 3, [ACCOUNT, BYTES])),
        NOISE: variants(*noise),
        PHASE: variants(("ApplyExtrinsic", 0, [U32]), ("Finalization", 1, []), ("Initialization", 2, [])),
        RUNTIME: variants(
            ("System", 0, [SYSTEM]),
            ("Balances", 5, [BALANCES]),
            ("Contracts", 7, [CONTRACTS]),
            ("Noise", 9, [NOISE]),
        ),
        TOPICS: {"def": {"sequence": {"type": HASH}}},
        RECORD: {"def": {"composite": {"fields": fields}}},
        RECORDS: {"def": {"sequence": {"type": RECORD}}},
    }


READER = EventReader(types(), RECORDS)
A, B = b"a" * 32, b"b" * 32


def record(event: bytes, extrinsic: int | None = 1, topics: tuple[bytes, ...] = ()) -> bytes:
    phase = b"\x01" if extrinsic is None else b"\x00" + extrinsic.to_bytes(4, "little")
    return phase + event + compact(len(topics)) + b"".join(topics)


def block(*records: bytes) -> bytes:
    return compact(len(records)) + b"".join(records)


def as_bytes(data: bytes) -> bytes:
    return compact(len(data)) + data


SUCCESS = b"\x00\x00" + bytes(8) + b"\x05"
FAILED = b"\x00\x01" + b"\x01" + as_bytes(b"why") + bytes(8)
TRANSFER = b"\x05\x02" + A + B + (77).to_bytes(8, "little")
nested = st.recursive(
    st.just(b"\x00"), lambda each: st.tuples(each, each).map(lambda two: b"\x01" + b"".join(two))
)
noise = st.one_of(
    st.binary(max_size=80).map(lambda data: bytes([9, BYTES]) + as_bytes(data)),
    st.text(max_size=30).map(lambda text: bytes([9, TEXT]) + as_bytes(text.encode())),
    nested.map(lambda data: bytes([9, NESTED]) + data),
    st.binary(max_size=9).map(lambda data: bytes([9, OPTION, 1]) + as_bytes(data)),
    st.just(bytes([9, OPTION, 0])),
    st.integers(0, 2**64 - 1).map(lambda value: bytes([9, COMPACT]) + compact(value)),
    st.integers(0, 90).map(lambda bits: bytes([9, BITS]) + compact(bits) + bytes((bits + 7) // 8)),
    st.integers(0, 70).map(lambda count: bytes([9, LIST]) + compact(count) + bytes(5 * count)),
    st.binary(max_size=70).map(lambda data: bytes([9, PAIRS]) + as_bytes(data) + as_bytes(b"")),
    st.just(b"\x05\x00" + A + bytes(8)),
)


@given(st.lists(noise, max_size=8), st.binary(max_size=300), st.lists(st.just(B), max_size=3))
def test_what_matters_is_found_among_the_rest(others: list[bytes], data: bytes, topics: list[bytes]) -> None:
    emitted = b"\x07\x03" + A + as_bytes(data)
    strange = [record(each, None if index % 2 else 3) for index, each in enumerate(others)]
    read = READER.read(
        block(
            *strange, record(TRANSFER), record(emitted, 2, tuple(topics)), *strange,
            record(SUCCESS, 0), record(SUCCESS), record(FAILED, 2),
        )
    )  # fmt: skip
    assert read.transfers == (Transfer(1, A, B, 77),)
    assert read.succeeded == {0: True, 1: True, 2: False}
    (found,) = read.emitted
    assert (found.contract, found.data, found.topics, found.index) == (
        A,
        data,
        tuple(topics),
        len(strange) + 1,
    )


def test_a_block_without_events_is_empty() -> None:
    assert READER.read(b"") == READER.read(b"\x00")
    assert READER.read(b"").transfers == ()


def test_bytes_that_look_like_events_are_no_events() -> None:
    forged = b"\x07\x03" + A + as_bytes(record(TRANSFER) + record(SUCCESS))
    read = READER.read(block(record(forged)))
    assert (read.transfers, read.succeeded, len(read.emitted)) == ((), {}, 1)


def test_cut_or_strange_bytes_teach_nothing() -> None:
    whole = block(record(TRANSFER), record(b"\x07\x03" + A + as_bytes(b"text"), topics=(A,)), record(SUCCESS))
    READER.read(whole)
    for length in range(1, len(whole)):
        with pytest.raises(BadEvents):
            READER.read(whole[:length])
    for strange in (whole + b"\x00", block(record(b"\x63\x00")), block(b"\x03" + SUCCESS + b"\x00")):
        with pytest.raises(BadEvents):
            READER.read(strange)


def test_a_wider_balance_is_read() -> None:
    reader = EventReader({**types(U64 + 100), U64 + 100: {"def": {"primitive": "u128"}}}, RECORDS)
    event = b"\x05\x02" + A + B + (2**100).to_bytes(16, "little")
    assert reader.read(block(record(event))).transfers[0].amount == 2**100


def test_metadata_without_transfers_is_refused() -> None:
    lacking = types()
    lacking[BALANCES] = variants(("Endowed", 0, [ACCOUNT, U64]))
    with pytest.raises(BadEvents):
        EventReader(lacking, RECORDS)
    with pytest.raises(BadEvents):
        EventReader(types(TEXT), RECORDS)
    with pytest.raises(BadEvents):
        EventReader({}, RECORDS)
