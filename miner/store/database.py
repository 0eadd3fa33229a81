"""One connection in one thread of its own; each call is one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from miner.errors import MinerError, StoreUnavailable
from miner.store import opening
from miner.store.dialect import WRITES, sqlite_engine, translated
from miner.store.folder import identity

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """Runs functions over a connection, each in a transaction, one after the other.

    A caller that is cancelled while its transaction runs learns nothing of it: it may yet commit.
    """

    def __init__(self, path: Path | None, busy_timeout_s: float, clock: Callable[[], int]) -> None:
        self.path = path
        self._engine: Engine = sqlite_engine(path, busy_timeout_s, clock)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._conn: Connection | None = None
        self._file: tuple[int, int] | None = None
        self._is_open = False

    async def open(self) -> None:
        """Make the file ready and connect; raises as `Store.open`."""
        await self._submit(self._open)

    async def close(self) -> None:
        """Disconnect; idempotent."""
        if self._is_open:
            await self._submit(self._close)
        self._thread.shutdown(wait=True)

    @property
    def is_open(self) -> bool:
        """Whether transactions can be run."""
        return self._is_open

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """Run `work` in a transaction that writes nothing."""
        return await self._submit(lambda: self._transact(False, lambda conn: work(conn, *args, **kw)))

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """Run `work` in a transaction that may write: all of it is committed, or nothing."""
        return await self._submit(lambda: self._transact(True, lambda conn: work(conn, *args, **kw)))

    async def _submit(self, job: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, job)
        except RuntimeError as exc:
            if self._is_open:
                raise
            raise StoreUnavailable(f"{self._where}: the store is closed") from exc

    def _open(self) -> None:
        if self._is_open:
            return
        if self.path is not None:
            opening.ensure_file(self.path)
        with translated(self._where):
            self._conn = conn = self._engine.connect()
            try:
                opening.check(conn, self.path)
            except BaseException:
                self._drop()
                raise
        self._file = None if self.path is None else identity(self.path)
        self._is_open = True

    def _close(self) -> None:
        self._is_open = False
        with translated(self._where):
            self._drop()

    def _transact(self, writes: bool, work: Callable[[Connection], T]) -> T:
        if not self._is_open:
            raise StoreUnavailable(f"{self._where}: the store is not open")
        with translated(self._where):
            try:
                conn = self._connected()
                conn.info[WRITES] = writes
                with conn.begin():
                    return work(conn)
            except MinerError:
                raise  # rolled back
            except BaseException:
                self._drop()  # whatever state it is in; the next call connects anew
                raise

    def _connected(self) -> Connection:
        if self.path is not None and identity(self.path) != self._file:
            raise StoreUnavailable(
                f"{self.path} was replaced while the store was open: nothing is written. Restart the daemon"
            )
        if self._conn is None:
            self._conn = self._engine.connect()
        return self._conn

    def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    @property
    def _where(self) -> object:
        return self.path or "the store in memory"
