"""The real store, in the caller's own thread, with its refusals made to order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from miner.errors import StoreUnavailable
from miner.store import SqlStore
from miner.store.database import Database
from miner.store.news import Poll

P = ParamSpec("P")
T = TypeVar("T")

Watch = Callable[[str], None]
"""Told the name of a transaction; may raise."""


class InlineDatabase(Database):
    """Runs each transaction where it is called, so that a run is the same every time.

    Attributes:
        before: Told of each write before it begins.
        after: Told of each write after its commit: what it raises is a lost answer.
        change: What is told, once, of the database having become another one.
    """

    def __init__(self, path: Path | None, busy_timeout_s: float, clock: Callable[[], int]) -> None:
        super().__init__(path, busy_timeout_s, clock)
        self.before: Watch | None = None
        self.after: Watch | None = None
        self.change: str | None = None
        self._is_shut = False

    async def what_changed(self) -> str | None:
        """See `Store.what_changed`."""
        told, self.change = self.change, None
        return told

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """See `Database.write`."""
        if self.before is not None:
            self.before(work.__name__)
        done = await super().write(work, *args, **kw)
        if self.after is not None:
            self.after(work.__name__)
        return done

    async def close(self) -> None:
        """See `Database.close`."""
        await super().close()
        self._is_shut = True

    async def _submit(self, job: Callable[[], T]) -> T:
        if self._is_shut:
            raise StoreUnavailable(f"{self.where}: the store is closed")
        await asyncio.sleep(0)  # others get their turn, as with a thread
        return job()


class SimStore(SqlStore):
    """`SqlStore` over an inline database."""

    def __init__(self, url: str | Path, **options: Any) -> None:
        super().__init__(url, **options)
        clock = options.get("clock_ms")
        if clock is None:
            raise TypeError("a simulated store needs the virtual clock")
        self._db = self.inline = InlineDatabase(self.path, options.get("busy_timeout_s", 5.0), clock)
        self._news = Poll(self.inline.others_wrote)

    def refuse(self, *names: str) -> None:
        """Every write of these names (all, where none is named) fails until `allow`."""

        def fail(name: str) -> None:
            if not names or name in names:
                raise StoreUnavailable(f"{name}: database or disk is full")

        self.inline.before = fail

    def allow(self) -> None:
        """End `refuse`."""
        self.inline.before = None
        self.inline.after = None

    async def drop(self) -> None:
        """The process dies: nothing is given back."""
        await self._db.close()
