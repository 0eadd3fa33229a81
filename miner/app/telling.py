"""Telling operators: the targets of the settings, the tasks that deliver, and a test message."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, cast

from miner.alert import Deliverer, Effort, Vigil
from miner.app import crash
from miner.app.tell import SystemClock
from miner.config import Settings
from miner.config.notify import NotifySettings
from miner.errors import EffectError
from miner.model import Alarm, Delivery, Notice, NoticeKind, Phase, Route
from miner.notify.targets import HttpMessenger, Target
from miner.ports import Messenger, Outbox, Store
from miner.store import SqlStore
from miner.store.outbox import SqlOutbox

PATIENCE_S = 60.0
"""How long readiness may be lost before it is told."""


def routes(settings: Settings) -> Sequence[Route]:
    """Which notices each target gets."""
    return tuple(target.route for target in settings.notify)


def make_outbox(settings: Settings, store: Store) -> Outbox:
    """What is to be told, of a store as `make_store` gives it."""
    database = cast("SqlStore", store).database
    return crash.asked_for(settings).around(SqlOutbox(database, store.owner), "outbox")


def make_messenger(settings: Settings, target: NotifySettings) -> Messenger:
    """The way to a target; addresses and keys are read when they are needed."""
    made = HttpMessenger(
        Target(
            name=target.name,
            kind=target.kind,
            url=target.address,
            secret=None if target.secret_file is None else target.secret_file.read,
            chat=target.chat or "",
            allow_loopback=target.allow_loopback,
            timeout_s=target.timeout_s,
        )
    )
    return crash.asked_for(settings).around(made, "messenger")


class Telling:
    """Delivers to the targets of the settings, as they are now, while it is open.

    Attributes:
        vigil: Watches over readiness.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._ways = _ways(settings)
        clock, outbox = SystemClock(), make_outbox(settings, store)
        self.vigil = Vigil(outbox, clock, PATIENCE_S)
        effort = Effort(hold_s=_hold_s(settings))
        self._deliverer = Deliverer(outbox, self._ways, self.routes(), clock, random.random, effort)
        self._delivering: asyncio.Task[None] | None = None

    def routes(self) -> Sequence[Route]:
        """Which notices each target gets."""
        return routes(self._settings)

    def adopt(self, settings: Settings) -> None:
        """Tell the targets of these settings from now on; what has not changed is left as it is."""
        before = {target.name: target for target in self._settings.notify}
        self._ways = {
            each.name: self._ways[each.name]
            if before.get(each.name) == each
            else make_messenger(settings, each)
            for each in settings.notify
        }
        self._settings = settings
        self._deliverer.adopt(self._ways, self.routes(), _hold_s(settings))
        self._begin()

    def _begin(self) -> None:
        """Deliver, once anybody is to be told anything."""
        if self._ways and self._delivering is None:
            self._delivering = asyncio.create_task(self._deliverer.run(), name="deliver")

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Self]:
        """Deliver, and watch over readiness, while the body runs."""
        watching = asyncio.create_task(self.vigil.run(), name="vigil")
        self._begin()
        try:
            yield self
        finally:
            tasks = [each for each in (watching, self._delivering) if each is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _ways(settings: Settings) -> dict[str, Messenger]:
    return {target.name: make_messenger(settings, target) for target in settings.notify}


def _hold_s(settings: Settings) -> float:
    """How long a delivery that was taken is nobody else's: longer than any attempt takes."""
    return max((target.timeout_s for target in settings.notify), default=0.0) + 30


async def send_test(settings: Settings, name: str | None) -> list[dict[str, Any]]:
    """Send a test message to a target, or to all of them, past the outbox; what came of each."""
    found = []
    for target in settings.notify:
        if name is not None and target.name != name:
            continue
        begun, problem = time.monotonic(), ""
        try:
            await make_messenger(settings, target).send(_test(target.name))
        except EffectError as error:
            problem = str(error)
        took_ms = round((time.monotonic() - begun) * 1000)
        found.append({"target": target.name, "kind": target.kind, "problem": problem, "took_ms": took_ms})
    return found


def _test(target: str) -> Delivery:
    text = "this is a test message: notices arrive here"
    alarm = Alarm(kind=NoticeKind.TEST, subject="test", text=text)
    notice = Notice(id=0, at_ms=time.time_ns() // 1_000_000, phase=Phase.TOLD, alarm=alarm)
    return Delivery(notice=notice, target=target)


async def overview(settings: Settings, store: Store) -> dict[str, Any]:
    """Targets with what waits, arrived and is dead; and what is wrong now."""
    outbox = make_outbox(settings, store)
    counts = await outbox.counts()
    return {
        "targets": [_target(target, counts) for target in settings.notify],
        "conditions": [
            {"event": kind.value, "subject": subject, "since_ms": since}
            for kind, subject, since in await outbox.conditions()
        ],
    }


def _target(target: NotifySettings, counts: Any) -> dict[str, Any]:
    told = {standing.value: n for (name, standing), n in counts.items() if name == target.name}
    route = target.route
    return {
        "target": target.name,
        "kind": target.kind,
        "events": sorted(target.events) or ["all"],
        "least_severity": route.least.value,
        "waiting": told.get("waiting", 0),
        "delivered": told.get("delivered", 0),
        "dead": told.get("dead", 0),
    }
