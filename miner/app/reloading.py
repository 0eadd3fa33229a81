"""SIGHUP: the settings are read anew; what can be taken over is, and the rest is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from miner.app.tell import SystemdTell
from miner.app.wiring import pace_of
from miner.config import Settings, reload, to_policy
from miner.errors import ConfigError
from miner.notify.log import configure
from miner.supervise import Supervisor

log = structlog.get_logger("app")

Reread = Callable[[], Settings]
"""Reads the settings anew; raises `ConfigError`."""


class Reloading:
    """Takes over changed settings while the daemon runs.

    Args:
        settings: What it runs by.
        reread: Reads them anew.
        tell: Told that a reload began and ended.
        asked: Set by SIGHUP.
        adopters: Told what holds from now on, beside the services.
    """

    def __init__(
        self,
        settings: Settings,
        reread: Reread,
        tell: SystemdTell,
        asked: asyncio.Event,
        adopters: Sequence[Callable[[Settings], None]] = (),
    ) -> None:
        self._settings = settings
        self._reread = reread
        self._tell = tell
        self._asked = asked
        self._adopters = adopters

    @asynccontextmanager
    async def of(self, services: Supervisor) -> AsyncIterator[None]:
        """Reload for these services whenever it is asked for, as long as the block runs."""
        task = asyncio.create_task(self._serve(services), name="reload-settings")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _serve(self, services: Supervisor) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._tell.reloading()
            try:
                await self._once(services)
            except Exception:
                log.exception("settings_not_reloaded", remedy="the daemon goes on by the old ones")
            finally:
                self._tell.reloaded()

    async def _once(self, services: Supervisor) -> None:
        try:
            found = reload(self._settings, await asyncio.to_thread(self._reread))
        except ConfigError as wrong:
            log.error(
                "settings_not_reloaded",
                cause=str(wrong),
                remedy="the daemon goes on by the old ones; mend the file, then reload again",
            )
            return
        self._settings = found.settings
        services.adopt(to_policy(found.settings), pace_of(found.settings))
        for adopt in self._adopters:
            adopt(found.settings)
        logged = found.settings.log
        configure(logged.level, logged.format, repeat_s=logged.repeat_s)
        tell = log.warning if found.restart else log.info
        tell("settings_reloaded", changed=list(found.live), needs_restart=list(found.restart))
