"""What the chain said, with the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from miner.boundary import acts, reads
from miner.model import Head, Ingest, Lease


class ChainRecord(Protocol):
    """What the chain said, with the cursor."""

    @reads
    async def cursor(self) -> Head | None:
        """The finalised head up to which everything was taken in."""

    @reads
    async def recent_heads(self, limit: int = 64) -> Sequence[Head]:
        """Stored finalised heads at or below the cursor, newest first."""

    @acts
    async def rewind(self, to: Head, lease: Lease) -> None:
        """After a finality violation: put the cursor back to a common ancestor.

        Ends of open sagas above it are forgotten, and lanes that a block above it closed are open again;
        a saga that had ended by such a block gets a recovery entry, since its state never changes.
        """

    @acts
    async def ingest(self, batch: Ingest, lease: Lease) -> Sequence[int]:
        """Store what finalised blocks brought together with the cursor; new sagas are leased to us.

        Returns:
            Swap ids of new sagas.

        Raises:
            LeaseLost: The `watch` lease is not ours any more.
            StaleSaga: The cursor is not `batch.previous`.
        """

    @reads
    async def reserved_at(self, miner: str) -> tuple[int, int] | None:
        """Newest `MinerReserved` of a miner: (height, time in ms)."""
