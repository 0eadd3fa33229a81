"""Who holds the store's leases, and when: read from the database while daemons are stopped and started."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage

RESTART_S = 0.2
_HOLDER = (
    "SELECT owner, epoch, acquired_at_ms, expires_at_ms FROM leases"
    " WHERE resource = 'watch' AND owner IS NOT NULL"
)


def file_of(stage: Stage) -> Path:
    """The SQLite store of a stage."""
    return stage.folder / "state" / "swap-miner.sqlite"


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    store = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)
    try:
        yield store
    finally:
        store.close()


def now_ms() -> int:
    """The machine's clock, which is both stores' too: the server of the tests runs here."""
    return time.time_ns() // 1_000_000


@dataclass
class Tenure:
    """One owner's time on the cursor's lease.

    Attributes:
        owner: Who.
        epoch: Under which epoch.
        acquired_ms: Since when.
        expires_ms: The latest expiry that was ever promised.
    """

    owner: str
    epoch: int
    acquired_ms: int
    expires_ms: int


@dataclass
class Holders:
    """Looks at the lease on the cursor many times a second, and keeps what it saw.

    Attributes:
        stage: Whose store.
        seen: Every tenure, oldest first.
    """

    stage: Stage
    seen: list[Tenure] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None
    _server: psycopg.Connection[Any] | None = None

    async def __aenter__(self) -> Holders:
        if self.stage.store_url is not None:
            self._server = psycopg.connect(self.stage.store_url, autocommit=True)
        self._task = asyncio.create_task(self._watch(), name="holders")
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._server is not None:
            self._server.close()

    async def _watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(0.02)

    def look(self) -> None:
        """Take down who holds the lease now."""
        row = self._on_server(self._server) if self._server is not None else self._in_file()
        if row is None:
            return
        if self.seen and (self.seen[-1].owner, self.seen[-1].epoch) == row[:2]:
            self.seen[-1].expires_ms = max(self.seen[-1].expires_ms, row[3])
        else:
            self.seen.append(Tenure(*row))

    def _in_file(self) -> Any:
        file = file_of(self.stage)
        if not file.exists():
            return None
        with _opened(file) as store:
            return store.execute(_HOLDER).fetchone()

    @staticmethod
    def _on_server(server: psycopg.Connection[Any]) -> Any:
        try:
            return server.execute(_HOLDER).fetchone()
        except psycopg.errors.UndefinedTable:
            return None

    @property
    def owner(self) -> str:
        """Who was seen last."""
        self.look()
        return self.seen[-1].owner

    def never_two(self) -> None:
        """Nobody took the lease before the one before had run out, by the database's clock.

        Raises:
            AssertionError: Somebody did, or an epoch did not rise.
        """
        for before, after in zip(self.seen, self.seen[1:], strict=False):
            assert after.epoch > before.epoch, self.seen
            assert after.acquired_ms >= before.expires_ms, self.seen


def freeze(daemon: Daemon) -> None:
    """SIGSTOP: it holds what it holds, and does nothing."""
    os.kill(daemon.process.pid, signal.SIGSTOP)


def thaw(daemon: Daemon) -> None:
    """SIGCONT."""
    os.kill(daemon.process.pid, signal.SIGCONT)


async def started_again_until_it_holds(config: Path, *, timeout_s: float = 90.0) -> Daemon:
    """A daemon as a service manager keeps it: whenever it gives up to a living holder, it is started again.

    Raises:
        AssertionError: It never came to hold the leases.
    """
    async with asyncio.timeout(timeout_s):
        while True:
            daemon = await Daemon.start(config)
            if await _holds(daemon):
                return daemon
            await daemon.kill()
            await asyncio.sleep(RESTART_S)


async def _holds(daemon: Daemon) -> bool:
    told = {"ready", "process_ended"}
    try:
        line = await daemon.until(lambda each: each.get("event") in told, timeout_s=60)
    except AssertionError:
        if daemon.process.returncode == 4:
            return False
        raise
    return bool(line["event"] == "ready")


def journal_is_fenced(stage: Stage) -> None:
    """In every saga's journal epochs only rise, and each epoch belongs to one writer.

    Raises:
        AssertionError: Two wrote under one epoch, or an older one wrote after a newer.
    """
    rows = stage.rows(
        "SELECT saga_id, lease_epoch, actor FROM journal WHERE actor LIKE 'daemon:%' ORDER BY saga_id, seq"
    )
    writers: dict[tuple[int, int], str] = {}
    last: dict[int, int] = {}
    for saga, epoch, actor in rows:
        assert epoch >= last.get(saga, 0), rows
        last[saga] = epoch
        assert writers.setdefault((saga, epoch), actor) == actor, rows
