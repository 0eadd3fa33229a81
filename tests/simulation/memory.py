"""One database in memory for all histories of a process: a migrated template, loaded anew for each.

The statements, the transactions and the schema are the store's own. What is spared is making the schema and
compiling the statements again for every history.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from miner.errors import StoreUnavailable
from miner.store import SqlStore
from tests.simulation.sim_store import SimStore
from tests.simulation.thin import ThinConnection

P = ParamSpec("P")
T = TypeVar("T")


class Killed(BaseException):
    """The process is dead: nothing of it runs any further."""


@dataclass
class Life:
    """What can befall a running process at a boundary between it and the world.

    Attributes:
        is_dead: Nothing of it runs any more.
        stopped: Set while it runs; cleared while it is stopped (SIGSTOP).
        away: Blocks until it comes back, once it is dead or stopped.
        stood: Whether it was stopped since its turn began: what it read before is as old as that.
        at_boundary: Told of each boundary by kind and name; may raise, kill or stop.
    """

    at_boundary: Callable[[Life, str, str], None]
    is_dead: bool = False
    stopped: bool = False
    away: int = 0
    stood: bool = False
    _going: asyncio.Event = field(default_factory=asyncio.Event)

    def cross(self, kind: str, name: str) -> None:
        """Pass a boundary.

        Raises:
            Killed: Not alive.
        """
        if self.is_dead:
            raise Killed(kind, name)
        self.at_boundary(self, kind, name)
        if self.is_dead:
            raise Killed(kind, name)

    def stop(self) -> None:
        """Stop it at its next boundary."""
        self.stopped = True
        self._going.clear()

    def go_on(self) -> None:
        """End a stop."""
        self.stopped = False
        self._going.set()

    async def wait(self) -> None:
        """Wait while it is stopped.

        Raises:
            Killed: It was killed meanwhile.
        """
        while self.stopped and not self.is_dead:
            self.stood = True
            await self._going.wait()
        if self.is_dead:
            raise Killed("stopped", "")

    def kill(self) -> None:
        """End it, stopped or not."""
        self.is_dead = True
        self._going.set()


class Memory:
    """The database that every store of a history opens.

    A new history empties the tables of the last: a database that is loaded anew has a new schema for SQLite,
    which then compiles every statement again (a sixth of a history's time).
    """

    def __init__(self) -> None:
        self._now: Callable[[], int] = lambda: 0
        self._anew: list[tuple[str, list[tuple[Any, ...]]]] = []
        self.raw = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
        self.raw.create_function("store_clock_ms", 0, lambda: self._now())
        self.connection = ThinConnection(self.raw)

    async def begin(self, clock: Callable[[], int]) -> None:
        """Begin anew with an empty, migrated store."""
        self._now = clock
        if not self._anew:
            self.raw.deserialize(await _template())
            self.raw.execute("PRAGMA foreign_keys = ON")
            self._anew = self._to_begin_anew()
        self.raw.execute("BEGIN IMMEDIATE")
        for statement, rows in self._anew:
            self.raw.executemany(statement, rows)
        self.raw.execute("COMMIT")

    def _to_begin_anew(self) -> list[tuple[str, list[tuple[Any, ...]]]]:
        """What empties every table, those that point at others first, and fills in what is there at first."""
        tables = [name for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        empty: list[tuple[str, list[tuple[Any, ...]]]] = [
            (f"DELETE FROM {each}", [()]) for each in reversed(tables)
        ]
        first = [(each, list(self.rows(f"SELECT * FROM {each}"))) for each in tables]
        fill = [
            (f"INSERT INTO {each} VALUES ({', '.join('?' * len(rows[0]))})", rows)
            for each, rows in first
            if rows
        ]
        return empty + fill

    def backup(self) -> bytes:
        """The whole of it."""
        return self.raw.serialize()

    def restore(self, backup: bytes) -> None:
        """Be as it was."""
        self.raw.deserialize(backup)

    def rows(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Look into it from outside."""
        return iter(self.raw.execute(sql, values).fetchall())


class Seat:
    """One process's way into the database: what `SqlStore` asks of a `Database`."""

    def __init__(self, memory: Memory, life: Life) -> None:
        self._memory = memory
        self._life = life
        self.is_open = False
        self.refuses: Callable[[str], bool] = lambda _name: False

    where = "the store in memory"

    async def open(self) -> None:
        """See `Database.open`."""
        self.is_open = True

    async def what_changed(self) -> str | None:
        """See `Store.what_changed`."""
        return None

    async def took_over(self) -> None:
        """Nothing is kept beside the database."""

    async def alone(self, what: str) -> bool:
        """See `Store.alone`."""
        return True

    async def give_up(self, what: str) -> None:
        """See `Store.give_up`."""

    async def close(self) -> None:
        """See `Database.close`."""
        self.is_open = False

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """See `Database.read`."""
        await self._pass("read", work.__name__)
        return self._memory.connection.transact(False, work, *args, **kw)

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """See `Database.write`."""
        await self._pass("write", work.__name__)
        if self.refuses(work.__name__):
            raise StoreUnavailable(f"{work.__name__}: database or disk is full")
        done = self._memory.connection.transact(True, work, *args, **kw)
        await self._pass("written", work.__name__)
        return done

    async def _pass(self, kind: str, name: str) -> None:
        if not self.is_open:
            raise StoreUnavailable("the store is closed")
        self._life.cross(kind, name)
        if kind == "write":
            await asyncio.sleep(0)  # others get their turn, as with a thread
        if self._life.stopped:
            await self._life.wait()


async def _template() -> bytes:
    """An empty store, as the real one makes it."""
    store = SimStore("sqlite://", owner="template", clock_ms=lambda: 0)
    await store.open()
    conn: Any = store.inline._conn
    raw: sqlite3.Connection = conn.connection.dbapi_connection
    try:
        return raw.serialize()
    finally:
        await store.close()


class HistoryStore(SqlStore):
    """`SqlStore` over a seat at the shared database."""

    def __init__(
        self, memory: Memory, life: Life, owner: str, clock: Callable[[], int], ttl_s: float
    ) -> None:
        super().__init__("sqlite://", owner=owner, lease_ttl_s=ttl_s, clock_ms=clock)
        self.seat = Seat(memory, life)
        self._db = self.seat  # type: ignore[assignment]
