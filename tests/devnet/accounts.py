"""Deterministic accounts, every one a Substrate key derived from the well-known development phrase."""

from __future__ import annotations

from functools import cache

from substrateinterface import Keypair

RAO = 10**9
"""Rao in one TAO."""


@cache
def account(uri: str) -> Keypair:
    """The account of a secret URI such as `//Alice`: the same in each run."""
    return Keypair.create_from_uri(uri, ss58_format=42)


def owner() -> Keypair:
    """Alice: owner of the contract, and the chain's sudo key."""
    return account("//Alice")


def miner(index: int) -> Keypair:
    """A miner: `//miner/INDEX`."""
    return account(f"//miner/{index}")


def user(index: int) -> Keypair:
    """A user of the swaps: `//user/INDEX`."""
    return account(f"//user/{index}")


def validator(index: int) -> Keypair:
    """A validator: `//validator/INDEX`."""
    return account(f"//validator/{index}")


DEVELOPMENT = ("//Alice", "//Bob", "//Charlie", "//Dave", "//Eve", "//Ferdie")


def default_balances(miners: int, users: int, validators: int) -> dict[str, int]:
    """Genesis balances in rao by SS58 address: 1,000,000 TAO for Alice, 10,000 for all others."""
    funded = [account(uri) for uri in DEVELOPMENT]
    funded += [miner(index) for index in range(miners)]
    funded += [user(index) for index in range(users)]
    funded += [validator(index) for index in range(validators)]
    return {key.ss58_address: 10_000 * RAO for key in funded} | {owner().ss58_address: 1_000_000 * RAO}
