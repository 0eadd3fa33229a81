"""The SQLite file: one connection in one thread of its own; each call is one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from miner.errors import MinerError, StoreUnavailable
from miner.store import opening
from miner.store.dialect import WRITES, driver, reading_only, sqlite_engine, translated
from miner.store.folder import identity
from miner.store.worker import Survey, Worker

T = TypeVar("T")


class Database(Worker):
    """A worker over one SQLite file, or over memory."""

    def __init__(
        self,
        path: Path | None,
        busy_timeout_s: float,
        clock: Callable[[], int],
        bystander: bool = False,
    ) -> None:
        super().__init__()
        self._bystander = bystander
        self.path = path
        self._engine: Engine = sqlite_engine(path, busy_timeout_s, clock)
        self._conn: Connection | None = None
        self._file: tuple[int, int] | None = None

    @property
    def where(self) -> str:
        """The file, for messages."""
        return str(self.path or "the store in memory")

    async def others_wrote(self) -> int:
        """A number that changes when another process has written; this one's own writes leave it."""
        return await self._submit(self._data_version)

    async def survey(self) -> Survey:
        """See `Worker.survey`."""
        return await self._submit(self._survey)

    def _survey(self) -> Survey:
        """What cannot be read is told by opening it, whose errors say more."""
        if self.path is None or not self.path.exists():
            return Survey(False)
        try:
            with reading_only(self.path) as conn:
                return Survey(True, older=opening.older(conn))
        except (DBAPIError, sqlite3.Error):
            return Survey(True)

    def _data_version(self) -> int:
        with translated(self.where):
            return int(driver(self._connected()).execute("PRAGMA data_version").fetchone()[0])

    def _open(self) -> None:
        if self._is_open:
            return
        if self.path is not None:
            opening.ensure_file(self.path)
        with translated(self.where):
            self._conn = conn = self._engine.connect()
            try:
                opening.check(conn, self.path, read_whole=not self._bystander)
            except BaseException:
                self._drop()
                raise
        self._file = None if self.path is None else identity(self.path)
        self._is_open = True

    def _close(self) -> None:
        self._is_open = False
        with translated(self.where):
            self._drop()

    def transact(self, writes: bool, work: Callable[[Connection], T]) -> T:
        """See `Worker.transact`."""
        if not self._is_open:
            raise StoreUnavailable(f"{self.where}: the store is not open")
        with translated(self.where):
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
