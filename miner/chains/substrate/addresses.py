"""SS58 addresses: the network's prefix, the checksum, and the key that they stand for."""

from __future__ import annotations

import bittensor_core

from miner.errors import Refused

PREFIX = 42
"""Prefix of this network's addresses (the generic one; Subtensor uses it)."""
SHORTEST, LONGEST = 32, 60
"""Characters that the SS58 text of a 32-byte key may have; leading zero bytes make it short."""


def public_key(address: str) -> bytes:
    """The 32-byte key behind an address of any network.

    Raises:
        Refused: `bad_address`: no SS58, a wrong checksum, or not a 32-byte key.
    """
    try:
        if not address.isascii() or not SHORTEST <= len(address) <= LONGEST:
            raise ValueError("not an SS58 address")
        key = bytes(bittensor_core.ss58_decode(address))
    except (ValueError, TypeError) as exc:
        raise Refused("address", "bad_address", f"{address[:64]!r}: {exc}") from exc
    if len(key) != 32:
        raise Refused("address", "bad_address", f"{address[:64]!r}: a key of {len(key)} bytes")
    return key


def address_of(key: bytes) -> str:
    """This network's address of a 32-byte key."""
    return str(bittensor_core.ss58_encode(key, PREFIX))


def check(address: str) -> bytes:
    """The key behind an address, which must be one of this network, in its one spelling.

    Raises:
        Refused: `bad_address`, or `recipient_of_another_network` when its prefix is another one.
    """
    key = public_key(address)
    if address_of(key) != address:
        raise Refused("address", "recipient_of_another_network", f"{address!r} is not of prefix {PREFIX}")
    return key


def same(one: str, other: str) -> bool:
    """Whether both are addresses, and of one account."""
    try:
        return public_key(one) == public_key(other)
    except Refused:
        return False
