"""Swaps and their journals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from miner.boundary import acts, reads
from miner.model import FeedEntry, JournalEntry, Saga, Step
from miner.saga import State


class Sagas(Protocol):
    """Swaps and their journals."""

    @reads
    async def open_sagas(self) -> Sequence[Saga]:
        """Every saga of this owner's leases that is open, or has ended with a lane still open.

        Earliest deadline first.
        """

    @reads
    async def saga(self, swap_id: int) -> Saga | None:
        """One saga, whoever holds it."""

    @reads
    async def known(self, swap_ids: Collection[int]) -> Mapping[int, State]:
        """States of those of the swaps that have a saga."""

    @reads
    async def first_unseen_id(self) -> int:
        """One above the highest swap id ever looked at by a scan; 0 at first."""

    @acts
    async def set_first_unseen_id(self, swap_id: int) -> None:
        """Remember how far a scan has looked."""

    @reads
    async def list_sagas(
        self,
        states: Collection[State] = (),
        miner: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[Saga]:
        """Sagas by swap id, newest first, for people."""

    @reads
    async def count_by_state(self) -> Mapping[State, int]:
        """How many sagas stand in each state."""

    @reads
    async def journal(self, saga_id: int) -> Sequence[JournalEntry]:
        """A saga's journal, oldest first."""

    @reads
    async def journal_since(self, position: int, limit: int = 200) -> Sequence[FeedEntry]:
        """Journal entries of all sagas after a position, in the order in which they were committed.

        Whoever reads on from the last position it has seen misses none, whichever process wrote them.
        """

    @reads
    async def last_position(self) -> int:
        """Position of the newest journal entry; 0 where there is none."""

    @reads
    async def next_deadlines(self) -> Mapping[State, int]:
        """The earliest `timeout_block` of the open sagas in each state."""

    @acts
    async def step(self, saga: Saga, step: Step, actor: str = "daemon") -> Saga:
        """The compare-and-set: everything in `step`, or nothing.

        Raises:
            InvariantBroken: The table knows no such move.
            StaleSaga: Somebody moved the saga first; or, with a claim for a payout, its account was stopped
                or its swap named by an imported sent cache meanwhile.
            LeaseLost: We do not hold its lease at its epoch.
            SlotTaken: The claim's slot belongs to another lane.
            Refused: `source_tx_used` when the payment backs another saga; `per_hour_cap` is not judged here.
        """
