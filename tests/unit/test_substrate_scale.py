"""Compact integers, headers and hashes, with another implementation as witness."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scalecodec.base import ScaleBytes
from scalecodec.types import Compact

from miner.chains.substrate.blocks import signer_of
from miner.chains.substrate.scale import blake2_256, compact, encode_header, from_hex, read_compact, to_hex

HEADER = {
    "parentHash": "0x" + "11" * 32,
    "number": "0x2a",
    "stateRoot": "0x" + "22" * 32,
    "extrinsicsRoot": "0x" + "33" * 32,
    "digest": {"logs": ["0x0661757261", "0x05ff"]},
}


@given(st.integers(min_value=0, max_value=2**128))
@example(63)
@example(64)
@example(2**14 - 1)
@example(2**14)
@example(2**30 - 1)
@example(2**30)
@example(2**64)
def test_compact_is_the_codecs_and_reads_back(value: int) -> None:
    data = compact(value)
    assert data == bytes(Compact(ScaleBytes("0x")).encode(value).data)
    assert read_compact(b"\xff" + data + b"\xff", 1) == (value, 1 + len(data))


@given(st.integers(min_value=0, max_value=2**128))
def test_a_cut_compact_is_an_error(value: int) -> None:
    data = compact(value)
    with pytest.raises(IndexError):
        read_compact(data[:-1], 0)


def test_a_header_is_encoded_in_order() -> None:
    wanted = b"\x11" * 32 + b"\xa8" + b"\x22" * 32 + b"\x33" * 32 + b"\x08" + b"\x06aura" + b"\x05\xff"
    assert encode_header(HEADER) == wanted
    assert blake2_256(wanted) == blake2b(wanted, digest_size=32).digest()


def test_no_header_is_an_error() -> None:
    for broken in ({}, {**HEADER, "number": None}, {**HEADER, "digest": {"logs": ["0xzz"]}}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            encode_header(broken)


@given(st.binary())
def test_hex_reads_back(data: bytes) -> None:
    assert from_hex(to_hex(data)) == from_hex(to_hex(data)[2:]) == data


def test_signers_are_those_of_the_usual_form() -> None:
    key = bytes(range(32))
    signed = b"\x84\x00" + key + b"\x01" + bytes(64) + b"\x00\x00\x00"
    assert signer_of(compact(len(signed)) + signed) == key
    for other in (b"\x04" + signed[1:], b"\x84\x01" + signed[2:], signed[:20], b""):
        assert signer_of(compact(len(other)) + other) is None
    assert signer_of(b"") is None


@pytest.mark.parametrize("data", ["0100", "02000000", "0300000000", "03ffffff3f", "070000004000"])
def test_a_compact_that_is_longer_than_it_needs_to_be_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="longer"):
        read_compact(bytes.fromhex(data), 0)
