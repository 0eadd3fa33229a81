"""Deliver: committed notices are brought to their targets, each again until it arrives or is given up.

Every target has a task of its own, so that a slow or dead one delays nobody else, and the supervisor least of
all. A crash between sending and recording sends the same delivery, under the same id, again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from miner.errors import EffectError, NotYet, Refused, StoreError
from miner.model import Delivery, Route
from miner.ports import Clock, Messenger, Outbox

log = structlog.get_logger("alert")

KEPT_MS = 30 * 86_400_000
"""How long a notice is kept that waits for nothing."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard is tried.

    Attributes:
        attempts: After so many a delivery is given up.
        base_s: First pause after a failure; doubled each time, with jitter.
        cap_s: Longest pause of our own; a target may ask for a longer one.
        poll_s: Between two looks at what is due.
        rest_s: Longest time that a target is left alone after a failure, unless it asked for more.
        hold_s: How long a delivery that was taken is nobody else's.
    """

    attempts: int = 20
    base_s: float = 10.0
    cap_s: float = 1800.0
    poll_s: float = 2.0
    rest_s: float = 60.0
    hold_s: float = 300.0

    def pause_s(self, attempts: int, chance: float) -> float:
        """How long to wait after so many attempts; `chance` in [0, 1) takes up to half of it away."""
        return min(self.base_s * 2.0 ** min(attempts - 1, 30), self.cap_s) * (1 - chance / 2)


class Deliverer:
    """Delivers for as long as it runs.

    Args:
        outbox: What is to be told.
        messengers: The way to each target, by its name.
        routes: Which notices each target gets.
        clock: For pauses between looks; when a delivery is due is by the database's clock.
        chance: Random numbers in [0, 1), for jitter.
        effort: How hard is tried.
    """

    def __init__(
        self,
        outbox: Outbox,
        messengers: Mapping[str, Messenger],
        routes: Sequence[Route],
        clock: Clock,
        chance: Callable[[], float],
        effort: Effort | None = None,
    ) -> None:
        self._outbox = outbox
        self._messengers = messengers
        self._routes = tuple(routes)
        self._clock = clock
        self._chance = chance
        self._effort = effort or Effort()
        self._rests_until: dict[str, float] = {}
        self._adopted = asyncio.Event()
        self._at_work: dict[str, asyncio.Task[None]] = {}

    def adopt(self, messengers: Mapping[str, Messenger], routes: Sequence[Route], hold_s: float) -> None:
        """Deliver to these targets from now on; what is being sent ends by what it began with.

        A target that came is begun with at once, one that went is left alone, and one that is reached another
        way is tried that way at its next message. What waits for one that went dies in the next sweep.
        """
        kept = {name for name, way in messengers.items() if self._messengers.get(name) is way}
        self._rests_until = {name: until for name, until in self._rests_until.items() if name in kept}
        self._messengers = messengers
        self._routes = tuple(routes)
        self._effort = replace(self._effort, hold_s=hold_s)
        self._adopted.set()

    async def run(self) -> None:
        """Choose targets and deliver, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again(self.route, lambda: True), name="route-notices")
            while True:
                self._adopted.clear()
                self._begin(group)
                await self._adopted.wait()

    def _begin(self, group: asyncio.TaskGroup) -> None:
        """Give each target that has none a task of its own; that of a target that goes ends by itself."""
        for name in self._messengers:
            task = self._at_work.get(name)
            if task is None or task.done():
                work = self._again(partial(self.deliver, name), partial(self._is_named, name))
                self._at_work[name] = group.create_task(work, name=f"deliver-to-{name}")

    def _is_named(self, name: str) -> bool:
        return name in self._messengers

    async def _again(self, work: Callable[[], Awaitable[int]], wanted: Callable[[], bool]) -> None:
        """The last resort of this task: what goes wrong here must not end the daemon."""
        while wanted():
            try:
                await work()
            except StoreError as error:
                log.warning("notices_wait_for_the_store", error=str(error))
            except Exception:
                log.exception("delivering_broke")
            await self._clock.sleep(self._effort.poll_s)

    async def route(self) -> int:
        """Choose targets for what is new; returns for how many notices."""
        return await self._outbox.route(self._routes)

    async def deliver(self, name: str) -> int:
        """Send what is due for a target, oldest first, up to its first failure; returns how many arrived.

        After a failure the target is left alone for a while, whatever else is due there.

        Raises:
            StoreError: What was sent is not known to be recorded: it is sent again, under its id.
        """
        arrived = 0
        while self._is_named(name) and self._clock.monotonic() >= self._rests_until.get(name, 0.0):
            due = await self._outbox.take(name, round(self._effort.hold_s * 1000), 1)
            if not due:
                break
            if (messenger := self._messengers.get(name)) is None:
                break  # it went as this was taken; a sweep gives it up
            why = await _send(messenger, due[0])
            if why is None:
                arrived += await self._outbox.delivered(due[0])
            else:
                await self._put_off(due[0], why)
        return arrived

    async def _put_off(self, delivery: Delivery, why: EffectError) -> None:
        effort = self._effort
        pause_s = effort.pause_s(delivery.attempts, self._chance())
        if isinstance(why, NotYet):
            pause_s = max(pause_s, why.after_s)
        rest_s = pause_s if isinstance(why, NotYet) else min(pause_s, effort.rest_s)
        self._rests_until[delivery.target] = self._clock.monotonic() + rest_s
        give_up = delivery.attempts >= effort.attempts or isinstance(why, Refused)
        if not await self._outbox.failed(delivery, str(why), round(pause_s * 1000), give_up):
            return
        told = log.error if give_up else log.info
        told(
            "message_given_up" if give_up else "message_put_off",
            target=delivery.target,
            message=delivery.id,
            attempts=delivery.attempts,
            cause=str(why),
            **({"remedy": "`swap-miner notify dead`"} if give_up else {"pause_s": round(pause_s, 1)}),
        )


async def _send(messenger: Messenger, delivery: Delivery) -> EffectError | None:
    """None where it arrived; else why not."""
    try:
        await messenger.send(delivery)
    except EffectError as error:
        return error
    return None


async def tidy(outbox: Outbox, routes: Sequence[Route]) -> int:
    """The sweep: what has no target yet gets one; what lost its target is dead; what is old is forgotten.

    Returns:
        How many deliveries and notices were dead or forgotten; to choose targets is no repair.
    """
    while await outbox.route(routes):
        pass
    return await outbox.drop_targets([route.target for route in routes]) + await outbox.prune(KEPT_MS)
