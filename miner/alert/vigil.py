"""Vigil: whether this daemon serves swaps, told when it has not for a while, and when it does again."""

from __future__ import annotations

import structlog

from miner.errors import StoreError
from miner.model import Alarm, NoticeKind
from miner.ports import Clock, Outbox

log = structlog.get_logger("alert")

LOOK_S = 5.0
"""Between two looks."""
SUBJECT = "daemon"


class Vigil:
    """Hears of readiness, and tells what lasts.

    Args:
        outbox: Where it is told.
        clock: For how long readiness was lost.
        patience_s: How long it may be lost before it is told: a node that hiccups wakes nobody.
    """

    def __init__(self, outbox: Outbox, clock: Clock, patience_s: float) -> None:
        self._outbox = outbox
        self._clock = clock
        self._patience_s = patience_s
        self._ready: bool | None = None
        self._why = "starting"
        self._since = clock.monotonic()

    def heard(self, is_ready: bool, why: str) -> None:
        """Take note of what the supervisor says; see `Tell.ready`."""
        if is_ready != self._ready and self._ready is not None:
            self._since = self._clock.monotonic()
        self._ready, self._why = is_ready, why

    async def look(self) -> bool:
        """Tell what has changed for long enough; whether anything was told."""
        if self._ready:
            text = "the daemon is ready again: swaps are paid and followed"
            return await self._outbox.end(Alarm(kind=NoticeKind.NOT_READY, subject=SUBJECT, text=text))
        if self._clock.monotonic() - self._since < self._patience_s:
            return False
        text = f"the daemon is not ready for {self._patience_s:g} s: {self._why}"
        todo = "`swap-miner status`, `swap-miner check`, and the log"
        alarm = Alarm(kind=NoticeKind.NOT_READY, subject=SUBJECT, text=text, what_to_do=todo)
        return await self._outbox.begin(alarm)

    async def run(self) -> None:
        """Look for ever. A store that refuses is asked again: it is then what has to be told, later."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                log.debug("vigil_waits_for_the_store", error=str(error))
            await self._clock.sleep(LOOK_S)
