"""Lanes that no swap owns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from miner.boundary import acts, reads
from miner.model import Claim, Json, Lane, Lease, Replacement


class AffairRecord(Protocol):
    """Lanes that no swap owns."""

    @acts
    async def begin_affair(self, claim: Claim, lease: Lease, actor: str, detail: Mapping[str, Json]) -> Lane:
        """Allot a lane for a miner's own business, have it signed, store both, with a line in the log.

        Raises:
            LeaseLost: The `watch` lease is not ours any more.
            StaleSaga: First sends on the account are stopped.
        """

    @acts
    async def fill_affair(self, wish: Replacement, lease: Lease) -> Lane:
        """Store a filler in an affair's lane, whose bytes have died unused. Errors as for `begin_affair`."""

    @reads
    async def affairs(self, limit: int = 20) -> Sequence[Lane]:
        """Lanes that no swap owns, newest first, for people."""
