"""Lease: hold what this process works on, and let go of what it lost."""

from __future__ import annotations

import structlog

from miner.errors import LeaseLost, StoreError
from miner.model import Lease
from miner.ports import Clock, Store

log = structlog.get_logger("lease")

WATCH = "watch"
"""The lease on the cursor: one process takes blocks in."""


class LeaseKeeper:
    """Keeps the leases of one process alive by heartbeats on the database's clock."""

    def __init__(self, store: Store, clock: Clock, heartbeat_s: float) -> None:
        self._store = store
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._lost_any = False

    async def take_watch(self) -> Lease:
        """Take (or renew) the lease on the cursor.

        Raises:
            LeaseLost: Another process holds it; says who and until when.
        """
        return await self._store.acquire(WATCH)

    def lost_any(self) -> bool:
        """Whether a lease has expired since this was last asked: it has to be taken again, if it can be."""
        lost, self._lost_any = self._lost_any, False
        return lost

    async def run(self) -> None:
        """Beat for ever. A store that refuses is told once and tried again; leases then simply end."""
        failing = False
        while True:
            await self._clock.sleep(self._heartbeat_s)
            try:
                expired = await self._store.heartbeat()
                failing = False
            except LeaseLost as lost:
                log.warning("lease_lost", resource=lost.resource, holder=lost.holder)
                continue
            except StoreError as error:
                if not failing:
                    log.error("heartbeat_failed", error=str(error))
                failing = True
                continue
            self._lost_any = self._lost_any or bool(expired)
            for resource in expired:
                log.warning("lease_expired", resource=resource)
