"""What was signed, and where it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from miner.boundary import acts, reads
from miner.model import Lane, Sighting


class LaneRecord(Protocol):
    """What was signed, and where it is."""

    @reads
    async def open_lanes(self) -> Sequence[Lane]:
        """Lanes that are not closed, of open and ended sagas alike."""

    @acts
    async def sight(self, lane: Lane, sighting: Sighting) -> Lane:
        """Store what a look showed; a look older than the stored one changes nothing."""

    @reads
    async def slots(self, chain: str, account: str) -> Collection[str]:
        """Every slot of the account that belongs to a lane."""

    @reads
    async def freed_by(self, saga_id: int) -> str | None:
        """Id of the transaction that took the newest payout lane the saga lost; None where it lost none."""
