"""SCALE, strictly: what a canonical encoder would not have written does not decode.

Source: the SCALE codec as `parity-scale-codec` 3 implements it.
"""

from __future__ import annotations

from functools import lru_cache

import bittensor_core

SS58_PREFIX = 42
"""Prefix of every address in this program."""

ACCOUNT_BYTES = 32
SHORTEST, LONGEST = 32, 60
"""Characters that the SS58 text of an account may have; leading zero bytes make it short."""


class CodecError(ValueError):
    """Bytes that do not decode as their type, or a value that does not fit it."""


class BadText(bytes):
    """A text's bytes that are no UTF-8, as `Reader.text` gives them where it is told to keep them."""


class Reader:
    """Reads from the front of bytes; every method raises `CodecError` when they do not fit.

    Attributes:
        keep_bad_text: Whether a text that is no UTF-8 is given as `BadText` instead of an error, so that
            what follows it can be read.
    """

    __slots__ = ("_at", "_data", "keep_bad_text")

    def __init__(self, data: bytes, *, keep_bad_text: bool = False) -> None:
        self._data = data
        self._at = 0
        self.keep_bad_text = keep_bad_text

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > self.left:
            raise CodecError(f"{size} bytes expected, {self.left} left")
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def finish(self) -> None:
        """Refuse trailing bytes."""
        if self.left:
            raise CodecError(f"{self.left} bytes too many")

    def uint(self, size: int) -> int:
        """An unsigned integer of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def sint(self, size: int) -> int:
        """A signed integer of `size` bytes."""
        return int.from_bytes(self.take(size), "little", signed=True)

    def boolean(self) -> bool:
        """A bool; 0 or 1 only."""
        byte = self.uint(1)
        if byte > 1:
            raise CodecError(f"{byte} is no bool")
        return byte == 1

    def compact(self) -> int:
        """A compact integer, in its shortest form."""
        first = self.uint(1)
        mode = first & 3
        if mode < 3:
            value = ((self.uint((1 << mode) - 1) << 8) | first) >> 2
            lowest = (0, 1 << 6, 1 << 14)[mode]
        else:
            size = (first >> 2) + 4
            value = self.uint(size)
            lowest = max(1 << 30, 1 << 8 * (size - 1))
        if value < lowest:
            raise CodecError("compact integer not in its shortest form")
        return value

    def length(self) -> int:
        """An element count; no larger than the bytes that are left, since an element takes at least one."""
        count = self.compact()
        if count > self.left:
            raise CodecError(f"{count} elements in {self.left} bytes")
        return count

    def text(self) -> str | BadText:
        """A text, see `keep_bad_text`."""
        raw = self.take(self.length())
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as exc:
            if self.keep_bad_text:
                return BadText(raw)
            raise CodecError("text is no UTF-8") from exc


def uint(value: int, size: int) -> bytes:
    """An unsigned integer of `size` bytes.

    Raises:
        CodecError: It does not fit.
    """
    try:
        return value.to_bytes(size, "little")
    except OverflowError as exc:
        raise CodecError(f"{value} does not fit in {size} bytes") from exc


def compact(value: int) -> bytes:
    """A compact integer.

    Raises:
        CodecError: It is negative or takes more than 67 bytes.
    """
    if 0 <= value < 1 << 30:
        mode = (value >= 1 << 6) + (value >= 1 << 14)
        return uint(value << 2 | mode, 1 << mode)
    size = max(4, (value.bit_length() + 7) // 8)
    if size > 67:
        raise CodecError("compact integer too large")
    return uint((size - 4) << 2 | 3, 1) + uint(value, size)


def blob(data: bytes) -> bytes:
    """Bytes with their length in front."""
    return compact(len(data)) + data


@lru_cache(maxsize=4096)
def address_of(account: bytes) -> str:
    """SS58 (prefix 42) of 32 bytes."""
    return str(bittensor_core.ss58_encode(account, SS58_PREFIX))


@lru_cache(maxsize=4096)
def account_of(address: str) -> bytes:
    """The 32 bytes of an SS58 address, whatever its prefix.

    Raises:
        CodecError: It is no address of an account.
    """
    try:
        if not address.isascii() or not SHORTEST <= len(address) <= LONGEST:
            raise ValueError("not of that form")
        account = bytes(bittensor_core.ss58_decode(address))
    except (ValueError, TypeError) as exc:
        raise CodecError(f"{address[:60]!r} is no SS58 address: {exc}") from exc
    if len(account) != ACCOUNT_BYTES:
        raise CodecError(f"{address[:60]!r} is no SS58 address of an account")
    return account
