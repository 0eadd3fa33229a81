"""Lease: hold what this process works on, and let go of what it lost."""

from __future__ import annotations

import asyncio

import structlog

from miner.errors import LeaseLost, ReadFailed, StoreError
from miner.model import Lease
from miner.ports import Clock, Heads, Node, Store
from miner.tally import tally

log = structlog.get_logger("lease")

WATCH = "watch"
"""The lease on the cursor: one process takes blocks in."""
SILENCES = 2
"""Signs of life that the chain may owe in a row; from then on leases are left to end."""


def saga_resource(saga_id: int) -> str:
    """What the lease on a saga is called."""
    return f"saga/{saga_id}"


class LeaseKeeper:
    """Keeps the leases of one process alive by heartbeats on the database's clock.

    A holder that its chain has fallen silent to serves nobody, so its leases are left to end: another one,
    which the chain answers, can take over. Where there is no other, it takes them again itself.

    Args:
        store: Holds the leases.
        clock: For the time between two beats.
        heartbeat_s: That time; a third of what a lease lasts.
        node: Asked for a sign of life where no head came since the last beat; None asks nothing.
    """

    def __init__(self, store: Store, clock: Clock, heartbeat_s: float, node: Node | None = None) -> None:
        self._node = node
        self._heard = True
        self._silences = 0
        self._watch: Lease | None = None
        self._renewed_by: Heads | None = None
        self._standing_by = ""
        self._idle = False
        self._store = store
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._lost_any = False
        self._failing = False

    async def take_watch(self) -> Lease:
        """Take (or renew) the lease on the cursor.

        Raises:
            LeaseLost: Another process holds it; says who and until when.
        """
        return await self._store.acquire(WATCH)

    async def take_sagas(self) -> bool:
        """Take every saga to work on that nobody else holds.

        Returns:
            Whether another one still holds any: a dead one's lease on a saga may outlast that on the cursor.
        """
        await self._store.lease_sagas()
        held = await self._store.leases()
        return any(each.resource != WATCH and each.owner != self._store.owner for each in held)

    def lost_any(self) -> bool:
        """Whether a lease has expired since this was last asked: it has to be taken again, if it can be."""
        lost, self._lost_any = self._lost_any, False
        if lost:
            self._watch = None
        return lost

    async def watch(self, heads: Heads) -> Lease:
        """The lease on the cursor, for a round on these heads; taken again by new heads alone.

        Raises:
            LeaseLost: Another process holds it; says who and until when.
        """
        if self._watch is None or heads != self._renewed_by:
            self._watch = await self.take_watch()
            self._renewed_by = heads
            if self._standing_by:
                log.warning("lease_taken_over", resource=WATCH, after=self._standing_by)
            self._standing_by, self._idle = "", False
        return self._watch

    def stand_by(self, lost: LeaseLost) -> None:
        """A lease is lost: nothing is done until it can be taken again. Says once who has it now.

        Without the one on the cursor no saga is worked on, so those that are held are left to end: whoever
        has the cursor takes them, as each ends.
        """
        self._watch = None
        self._idle = self._idle or lost.resource == WATCH
        holder = lost.holder or ""
        if holder and holder != self._standing_by:
            log.error(
                "lease_lost",
                resource=lost.resource,
                holder=holder,
                until_ms=lost.expires_at_ms,
                remedy="another daemon has taken this store over and goes on; this one stands by, and takes "
                "over when that lease ends; stop one of them unless both are meant to run",
            )
        self._standing_by = holder or self._standing_by

    def heard(self) -> None:
        """The chain has spoken."""
        self._heard = True

    async def run(self) -> None:
        """Beat for ever. A store that refuses is told once and tried again; leases then simply end."""
        while True:
            await self._clock.sleep(self._heartbeat_s)
            await self.beat()

    async def beat(self) -> None:
        """One heartbeat: every lease that is still held lasts longer. A store that refuses is told."""
        tally.beat("heartbeat")
        if self._idle or not await self._chain_answers():
            return
        try:
            expired = await self._store.heartbeat()
        except LeaseLost as lost:
            log.warning("lease_lost", resource=lost.resource, holder=lost.holder)
            return
        except StoreError as error:
            if not self._failing:
                log.error("heartbeat_failed", error=str(error))
            self._failing = True
            return
        self._failing = False
        self._lost_any = self._lost_any or bool(expired)
        for resource in expired:
            log.warning("lease_expired", resource=resource)

    async def _chain_answers(self) -> bool:
        """Whether the chain has spoken since the last beat, or answers now; one slow answer is let pass."""
        heard, self._heard = self._heard, False
        if self._node is None or heard or await self._answers(self._node):
            self._silences = 0
            return True
        self._silences += 1
        if self._silences == SILENCES:
            log.error(
                "leases_left_to_end",
                cause="the contract's chain does not answer",
                remedy="look at the endpoints; another daemon on this store may take over meanwhile",
            )
        return self._silences < SILENCES

    async def _answers(self, node: Node) -> bool:
        try:
            async with asyncio.timeout(self._heartbeat_s):
                return await node.hash_at(0) is not None
        except (ReadFailed, TimeoutError):
            return False
