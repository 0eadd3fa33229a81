"""The `Outbox` of `miner.ports`, over the store's own database and thread."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from miner.model import Alarm, Delivery, DeliveryStanding, NoticeKind, Route
from miner.store import notices, operator
from miner.store.worker import Worker

AT_ONCE = 200
"""Notices that one transaction chooses targets for."""


class SqlOutbox:
    """What is to be told, of an open store.

    Args:
        database: The store's.
        owner: The store's owner.
    """

    def __init__(self, database: Worker, owner: str) -> None:
        self._db = database
        self._owner = owner

    async def begin(self, alarm: Alarm) -> bool:
        """See `Outbox.begin`; only read while it is so."""
        if await self._db.read(notices.is_so, alarm.kind, alarm.subject):
            return False
        return await self._db.write(notices.raised, self._owner, alarm)

    async def end(self, alarm: Alarm) -> bool:
        """See `Outbox.end`; only read while there is nothing to end."""
        if not await self._db.read(notices.is_so, alarm.kind, alarm.subject):
            return False
        return await self._db.write(notices.cleared, self._owner, alarm)

    async def route(self, routes: Sequence[Route]) -> int:
        """See `Outbox.route`; only read where there is nothing to route."""
        if not await self._db.read(notices.unrouted, 1):
            return 0
        return await self._db.write(notices.route, self._owner, routes, AT_ONCE)

    async def drop_targets(self, named: Collection[str]) -> int:
        """See `Outbox.drop_targets`."""
        return await self._db.write(notices.drop_targets, self._owner, sorted(named))

    async def take(self, target: str, hold_ms: int, limit: int) -> Sequence[Delivery]:
        """See `Outbox.take`; only read where nothing is due."""
        if not await self._db.read(notices.any_due, target):
            return []
        return await self._db.write(notices.take, self._owner, target, hold_ms, limit)

    async def delivered(self, delivery: Delivery) -> bool:
        """See `Outbox.delivered`."""
        return await self._db.write(notices.delivered, self._owner, delivery)

    async def failed(self, delivery: Delivery, why: str, after_ms: int, give_up: bool) -> bool:
        """See `Outbox.failed`."""
        return await self._db.write(notices.failed, self._owner, delivery, why, after_ms, give_up)

    async def deliveries(
        self, standings: Collection[DeliveryStanding] = tuple(DeliveryStanding), limit: int = 50
    ) -> Sequence[Delivery]:
        """See `Outbox.deliveries`."""
        return await self._db.read(notices.deliveries, sorted(standings), limit)

    async def counts(self) -> Mapping[tuple[str, DeliveryStanding], int]:
        """See `Outbox.counts`."""
        return await self._db.read(notices.counts)

    async def conditions(self) -> Sequence[tuple[NoticeKind, str, int]]:
        """See `Outbox.conditions`."""
        return await self._db.read(notices.conditions)

    async def replay(self, actor: str, target: str = "", notice_id: int = 0) -> int:
        """See `Outbox.replay`."""
        return await self._db.write(_replay, actor, target, notice_id)

    async def prune(self, age_ms: int) -> int:
        """See `Outbox.prune`; only read where nothing is old."""
        if not await self._db.read(notices.any_old, age_ms):
            return 0
        return await self._db.write(notices.prune, age_ms)


def _replay(conn: Connection, actor: str, target: str, notice_id: int) -> int:
    count = notices.replay(conn, target, notice_id)
    if count:
        operator.log(conn, actor, "notify_replay", {"target": target, "notice": notice_id, "count": count})
    return count
