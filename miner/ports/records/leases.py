"""Who works on what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from miner.boundary import acts
from miner.model import Lease


class Leases(Protocol):
    """Who works on what."""

    @acts
    async def acquire(self, resource: str) -> Lease:
        """Take or renew a lease.

        Raises:
            LeaseLost: Another owner holds it; says who and until when.
        """

    @acts
    async def heartbeat(self) -> Sequence[str]:
        """Extend every unexpired lease of this owner; returns resources whose lease had expired."""

    @acts
    async def lease_sagas(self) -> int:
        """Take every saga that no other owner holds and that is open or has a lane still open.

        Returns:
            How many this owner now holds.
        """
