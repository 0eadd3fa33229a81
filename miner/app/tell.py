"""Telling systemd: ready, alive, what is going on; and real time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from sdnotify import SystemdNotifier

from miner.ops.board import Board

log = structlog.get_logger("app")


class SystemClock:
    """The machine's monotonic clock. See `ports.Clock`."""

    def monotonic(self) -> float:
        """Seconds since some start."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class SystemdTell:
    """Readiness and watchdog over `$NOTIFY_SOCKET`; without one, only the log. See `ports.Tell`.

    The watchdog is fed by new heads that were worked on, and by nothing else: a process that is alive but
    has stopped following its chain is restarted.
    """

    def __init__(self, board: Board | None = None) -> None:
        self._board = board
        self._notifier = SystemdNotifier()
        self._ready: bool | None = None
        self._hearers: list[Callable[[bool, str], None]] = []

    def heard_by(self, hearer: Callable[[bool, str], None]) -> None:
        """Also tell this one of readiness, each time."""
        self._hearers.append(hearer)

    def ready(self, is_ready: bool, why: str) -> None:
        """Say so once at each change."""
        if self._board is not None:
            self._board.ready(is_ready, why)
        for hearer in self._hearers:
            hearer(is_ready, why)
        if is_ready == self._ready:
            return
        first = is_ready and self._ready is None
        self._ready = is_ready
        self._notifier.notify(f"STATUS={'following' if is_ready else 'not ready: ' + why}")
        if is_ready:
            self._notifier.notify("READY=1")
            log.info("ready" if first else "ready_again")
        else:
            log.warning("not_ready", why=why)

    def progress(self) -> None:
        """Feed the watchdog."""
        if self._board is not None:
            self._board.progress()
        self._notifier.notify("WATCHDOG=1")

    def starting(self, seconds: float) -> None:
        """The start takes longer, for a reason that is being worked on: ask for so many seconds more."""
        self._notifier.notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def reloading(self) -> None:
        """Settings are read anew; nothing where the start is not over yet."""
        if self._ready is not None:
            self._notifier.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """They are read, or refused; ready or not is told by STATUS."""
        if self._ready is not None:
            self._notifier.notify("READY=1")

    def stopping(self) -> None:
        """The end has begun."""
        if self._board is not None:
            self._board.ready(False, "stopping")
        self._notifier.notify("STOPPING=1")
