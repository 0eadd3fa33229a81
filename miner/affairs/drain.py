"""Draining: what is open is finished, and the daemon ends once nothing of it is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from miner.errors import ReadFailed
from miner.model import Head, MinerStanding
from miner.ports import Affairs, Heads, Store
from miner.saga import State

log = structlog.get_logger("affairs")

DRAIN = "drain"
"""Under which the store keeps that an operator asked for it, beside what is paused."""
_OPEN = tuple(state for state in State if not state.ended)
_MOST_OPEN = 10_000


class Drain:
    """Asks after each round whether the daemon has anything left to do.

    A swap that a user was given is always served: letting it time out costs collateral. So a miner that is
    active, or reserved for a user, is something that is left.
    """

    def __init__(self, store: Store, affairs: Affairs, hotkeys: Mapping[str, str]) -> None:
        """Nothing is asked yet.

        Args:
            store: Has the swaps and lanes, and whether to drain.
            affairs: How miners stand with the contract.
            hotkeys: Name by hotkey.
        """
        self._store = store
        self._affairs = affairs
        self._hotkeys = hotkeys
        self._told: tuple[str, ...] = ()
        self._asked_at: Head | None = None

    async def is_over(self, heads: Heads) -> bool:
        """Whether an operator asked to drain and nothing is left; what is left is told when it changes.

        Raises:
            StoreError: The store refuses.
        """
        if DRAIN not in await self._store.paused():
            self._told = ()
            return False
        if heads.finalised == self._asked_at:
            return False
        self._asked_at = heads.finalised
        found = tuple(await self.left(heads.finalised))
        if found and found != self._told:
            log.info("draining", left=list(found))
        self._told = found
        if not found:
            log.info("drained", remedy="go on with: swap-miner resume")
        return not found

    async def left(self, at: Head) -> list[str]:
        """What is left to do, in words; empty where nothing is."""
        found = await left_in_store(self._store)
        if found:
            return found
        try:
            standings = [await self._affairs.standing(hotkey, at) for hotkey in self._hotkeys]
        except ReadFailed as failed:
            return [f"how the miners stand could not be read: {failed}"]
        return left_on_contract(standings, self._hotkeys)


@dataclass(frozen=True, slots=True)
class Drained:
    """What came of asking to drain, or would.

    Attributes:
        changed: Whether it was not asked for already.
        left: What is left to do before the daemon ends, in words.
        deactivated: What came of deactivating each active miner, in words.
    """

    changed: bool
    left: Sequence[str]
    deactivated: Sequence[str]


async def ask_to_drain(
    store: Store,
    standings: Callable[[], Awaitable[Sequence[tuple[str, MinerStanding]]]],
    deactivate: Callable[[str], Awaitable[str]] | None,
    actor: str,
    *,
    do: bool,
) -> Drained:
    """Have the daemon finish what is open and end; first of all it is written down that this is wanted.

    Args:
        store: Keeps it across restarts.
        standings: Reads how the miners stand: name and standing.
        deactivate: Asks for the deactivation of a hotkey, and gives what came of it; None: not wanted.
        actor: Who asks.
        do: Without it nothing is changed, and only what is left is told.

    Raises:
        StoreError: The store refuses.
    """
    changed = do and await store.set_paused(DRAIN, True, actor)
    left = await left_in_store(store)
    try:
        found = await standings()
    except ReadFailed as failed:
        return Drained(changed, [*left, f"how the miners stand could not be read: {failed}"], ())
    wanted = [standing.miner for _, standing in found if do and standing.active and deactivate]
    told = [await deactivate(hotkey) for hotkey in wanted if deactivate]
    names = {standing.miner: name for name, standing in found}
    return Drained(changed, [*left, *left_on_contract([each for _, each in found], names)], told)


async def left_in_store(store: Store) -> list[str]:
    """Open swaps, lanes that are not final, and recovery entries that are not written."""
    found = []
    if sagas := await store.list_sagas(_OPEN, limit=_MOST_OPEN):
        ids = ", ".join(str(saga.key.swap_id) for saga in sagas[:10])
        more = f" and {len(sagas) - 10} more" if len(sagas) > 10 else ""
        found.append(f"{_count(len(sagas), 'open swap')}: {ids}{more}")
    if lanes := await store.open_lanes():
        found.append(f"{_count(len(lanes), 'transaction')} not final yet")
    if entries := await store.pending_recovery():
        found.append(f"{_count(len(entries), 'recovery entry', 'recovery entries')} not in the log file yet")
    return found


def left_on_contract(standings: Iterable[MinerStanding], names: Mapping[str, str]) -> list[str]:
    """Miners that users may still be given to, or are."""
    found = []
    for standing in standings:
        name = names.get(standing.miner, standing.miner)
        if standing.active:
            found.append(f"{name} is active: swap-miner deactivate --miner {name} --yes")
        elif standing.reserved:
            found.append(f"{name} is reserved for a user until block {standing.reserved_until}")
        elif standing.has_swap:
            found.append(f"{name} has an open swap on the contract")
    return found


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
