"""Pausing and resuming, by a command or over the API: first sends stop, of one chain or of all."""

from __future__ import annotations

from dataclasses import dataclass

from miner.affairs.drain import DRAIN
from miner.amounts import Chain
from miner.ports import Store

ALL = "all"
"""Under which the store keeps that every chain is paused."""


@dataclass(frozen=True, slots=True)
class Paused:
    """What came of pausing or resuming.

    Attributes:
        what: `all`, or a chain.
        paused: Whether it is paused now.
        changed: Whether it was not before.
        now_paused: All that is paused now, and `drain` where the daemon is to end.
    """

    what: str
    paused: bool
    changed: bool
    now_paused: tuple[str, ...]


async def set_paused(store: Store, chain: Chain | None, paused: bool, actor: str) -> Paused:
    """Pause or resume a chain, or all; resuming all also takes back that the daemon is to drain.

    Raises:
        StoreError: The store refuses.
    """
    what = ALL if chain is None else chain.value
    changed = await store.set_paused(what, paused, actor)
    if chain is None and not paused:
        changed |= await store.set_paused(DRAIN, False, actor)
    return Paused(what, paused, changed, tuple(sorted(await store.paused())))
