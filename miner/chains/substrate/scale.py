"""The little SCALE that is needed without metadata: compact integers, block headers, hashes."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any


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
    """
    first = data[pos]
    mode = first & 3
    if mode == 0:
        return first >> 2, pos + 1
    start, end = (pos, pos + (2 if mode == 1 else 4)) if mode < 3 else (pos + 1, pos + 5 + (first >> 2))
    if end > len(data):
        raise IndexError("a compact integer is cut off")
    value = int.from_bytes(data[start:end], "little")
    return (value if mode == 3 else value >> 2), end


def blake2_256(data: bytes) -> bytes:
    """The chain's hash of blocks and extrinsics."""
    return blake2b(data, digest_size=32).digest()


def to_hex(data: bytes) -> str:
    """`0x` and lower-case hex."""
    return "0x" + data.hex()


def from_hex(text: str) -> bytes:
    """Inverse of `to_hex`, with or without `0x`.

    Raises:
        ValueError: It is no hex.
    """
    return bytes.fromhex(text.removeprefix("0x"))


def encode_header(header: Mapping[str, Any]) -> bytes:
    """SCALE bytes of a header as JSON-RPC tells it; their hash is the block's.

    Raises:
        KeyError, ValueError, TypeError: It is no header.
    """
    logs = [from_hex(log) for log in header["digest"]["logs"]]
    return b"".join(
        (
            from_hex(header["parentHash"]),
            compact(int(header["number"], 16)),
            from_hex(header["stateRoot"]),
            from_hex(header["extrinsicsRoot"]),
            compact(len(logs)),
            *logs,
        )
    )
