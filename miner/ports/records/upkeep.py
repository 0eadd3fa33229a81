"""What sweeps look at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from miner.boundary import acts, reads
from miner.model import Audit, Lane, Lease, RecoveryEntry
from miner.saga import State


class Upkeep(Protocol):
    """What sweeps look at."""

    @reads
    async def audit(
        self, after: int = -1, limit: int = 50, only: Collection[int] = (), ended: bool = False
    ) -> Sequence[Audit]:
        """Rows of sagas beside what their journals lead to, by swap id.

        Args:
            after: Only swaps above this id.
            limit: Most to look at.
            only: These swaps alone, however many; without regard to the others.
            ended: Whether sagas that have ended are looked at, too.
        """

    @acts
    async def reproject(self, swap_id: int, lease: Lease, actor: str) -> Audit:
        """Write a saga's row anew from its journal, with a note of what differed; returns what did.

        Raises:
            LeaseLost: The `watch` lease is not ours.
            InvariantBroken: There is no such saga, or no row follows from its journal.
        """

    @reads
    async def stale_leases(self) -> Sequence[Lease]:
        """Leases that ran out, of sagas that are open or have a lane still open."""

    @reads
    async def unreserved(self) -> Sequence[int]:
        """Open swaps that may still pay, and for which nothing is set aside."""

    @reads
    async def untold(self) -> Sequence[int]:
        """Swaps that were paid and ended uncredited, of which the recovery log was told nothing."""

    @acts
    async def reopen(self, lane: Lane, state: State, why: RecoveryEntry) -> bool:
        """A landed lane whose block is canonical no more is open again, and looked at; whether it is.

        Args:
            lane: Which.
            state: Of its saga, for the entry.
            why: For the recovery log, written with it: nobody finds out later that the lane had landed.
        """
