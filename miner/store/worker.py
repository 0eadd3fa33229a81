"""One thread in which a store's transactions run, one after the other."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from miner.errors import StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Survey:
    """What is found at a place.

    Attributes:
        exists: Whether there is a store.
        server: What serves it, in words; None for a file.
        older: The schema that an older program left, which opening brings up to date; None where it is the
            newest, or could not be told.
    """

    exists: bool
    server: str | None = None
    older: str | None = None


class Worker(ABC):
    """Runs functions over a connection, each in a transaction, one after the other.

    A caller that is cancelled while its transaction runs learns nothing of it: it may yet commit.
    """

    _engine: Engine

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._is_open = False

    @property
    @abstractmethod
    def where(self) -> str:
        """What it is the store of, for messages; without secrets."""

    @property
    def is_open(self) -> bool:
        """Whether transactions can be run."""
        return self._is_open

    async def open(self) -> None:
        """Make the database ready and connect; raises as `Store.open`."""
        await self._submit(self._open)

    async def close(self) -> None:
        """Disconnect; idempotent."""
        if self._is_open:
            await self._submit(self._close)
        self._thread.shutdown(wait=True)

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """Run `work` in a transaction that writes nothing."""
        return await self._submit(lambda: self.transact(False, lambda conn: work(conn, *args, **kw)))

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """Run `work` in a transaction that may write: all of it is committed, or nothing."""
        return await self._submit(lambda: self.transact(True, lambda conn: work(conn, *args, **kw)))

    async def what_changed(self) -> str | None:
        """See `Store.what_changed`."""
        return None

    async def took_over(self) -> None:
        """This process allots the lanes from now on."""
        return

    async def alone(self, what: str) -> bool:
        """See `Store.alone`."""
        return True

    async def give_up(self, what: str) -> None:
        """See `Store.give_up`."""
        return

    async def _submit(self, job: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, job)
        except RuntimeError as exc:
            if self._is_open:
                raise
            raise StoreUnavailable(f"{self.where}: the store is closed") from exc

    @abstractmethod
    async def survey(self) -> Survey:
        """What is there, without making anything. Raises as `Store.open`."""

    @abstractmethod
    def _open(self) -> None:
        """In the thread: connect and check."""

    @abstractmethod
    def _close(self) -> None:
        """In the thread: disconnect."""

    @abstractmethod
    def _connected(self) -> Connection:
        """In the thread: the connection, made anew where it was lost."""

    @abstractmethod
    def transact(self, writes: bool, work: Callable[[Connection], T]) -> T:
        """One transaction, here and now: in the worker's thread, or where nothing else uses the worker."""
