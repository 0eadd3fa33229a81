"""The little SCALE that is needed without metadata: compact integers, block headers, hashes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]{1,16}", re.ASCII)


_LEAST: Final = (0, 1 << 6, 1 << 14, 1 << 30)
"""Smallest value of each form of a compact integer."""


def compact(value: int) -> bytes:
    """A compact integer; `value` is 0 or more, below 2⁵³⁶."""
    if value < 1 << 6:
        return bytes([value << 2])
    if value < 1 << 14:
        return (value << 2 | 1).to_bytes(2, "little")
    if value < 1 << 30:
        return (value << 2 | 2).to_bytes(4, "little")
    width = max(4, (value.bit_length() + 7) // 8)
    return bytes([(width - 4) << 2 | 3]) + value.to_bytes(width, "little")


def read_compact(data: bytes, pos: int) -> tuple[int, int]:
    """The compact integer at `pos`, and the position after it.

    Raises:
        IndexError: The data ends before it does.
        ValueError: It is written longer than it needs to be, which no chain does.
    """
    first = data[pos]
    mode = first & 3
    if mode == 0:
        return first >> 2, pos + 1
    start, end = (pos, pos + (2 if mode == 1 else 4)) if mode < 3 else (pos + 1, pos + 5 + (first >> 2))
    if end > len(data):
        raise IndexError("a compact integer is cut off")
    value = int.from_bytes(data[start:end], "little")
    value = value if mode == 3 else value >> 2
    if value < _LEAST[mode] or (mode == 3 and end - start > 4 and not data[end - 1]):
        raise ValueError("a compact integer is longer than it needs to be")
    return value, end


def blake2_256(data: bytes) -> bytes:
    """The chain's hash of blocks and extrinsics."""
    return blake2b(data, digest_size=32).digest()


def to_hex(data: bytes) -> str:
    """`0x` and lower-case hex."""
    return "0x" + data.hex()


def from_hex(text: str) -> bytes:
    """Inverse of `to_hex`, with or without `0x`.

    Raises:
        ValueError: It is no hex, or no text.
    """
    if not isinstance(text, str):
        raise ValueError(f"{str(text)[:80]!r} is no hex")
    return bytes.fromhex(text.removeprefix("0x"))


def hash_from(told: object) -> str:
    """A hash of 32 bytes as a node tells it, `0x` and lower-case hex.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(told, str) or not told.startswith("0x") or len(told) != 66:
        raise ValueError(f"{str(told)[:80]!r} is no hash")
    return to_hex(from_hex(told))


def number_from(told: object) -> int:
    """A whole number as a node tells it in hex.

    Raises:
        ValueError: It is none, or no block's number.
    """
    if not isinstance(told, str) or _NUMBER.fullmatch(told) is None:
        raise ValueError(f"{str(told)[:80]!r} is no number")
    return int(told, 16)


def encode_header(header: Mapping[str, Any]) -> bytes:
    """SCALE bytes of a header as JSON-RPC tells it; their hash is the block's.

    Raises:
        KeyError, ValueError, TypeError: It is no header.
    """
    logs = [from_hex(log) for log in header["digest"]["logs"]]
    return b"".join(
        (
            from_hex(hash_from(header["parentHash"])),
            compact(number_from(header["number"])),
            from_hex(hash_from(header["stateRoot"])),
            from_hex(hash_from(header["extrinsicsRoot"])),
            compact(len(logs)),
            *logs,
        )
    )
