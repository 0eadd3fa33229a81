"""The store on PostgreSQL: one session in one thread of its own; each call is one transaction.

The outcome of a COMMIT whose answer did not come is not known: `StoreUnavailable`, as on SQLite, and whoever
asked reads back by key. Only what certainly was not committed is tried again here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from miner.errors import ConfigError, MinerError, StoreUnavailable
from miner.store import doubts, postgresql
from miner.store.dialect import SIGNED
from miner.store.opening import ensure_schema, has_store, older
from miner.store.postgresql import LOCKS, Place
from miner.store.standing import Standing, begin_reading, begin_writing, check, standing
from miner.store.witness import Witness
from miner.store.worker import Survey, Worker

T = TypeVar("T")

TRIES = 5
"""How often a transaction that certainly was not committed is begun."""


class Server(Worker):
    """A worker over one database of a PostgreSQL server.

    Args:
        place: Where it is.
        busy_timeout_s: How long a transaction waits for another process's.
        password: Asked for anew at each connection.
        witness: Remembers across restarts what was committed here.
        bystander: Whether it signs nothing and judges nothing: it takes the database as it is, also when it
            has become another one, and leaves it to the daemon to note that and to doubt.
    """

    def __init__(
        self,
        place: Place,
        busy_timeout_s: float,
        password: Callable[[], str] | None,
        witness: Witness | None = None,
        bystander: bool = False,
    ) -> None:
        super().__init__()
        self._bystander = bystander
        self.place = place
        self.busy_timeout_s = busy_timeout_s
        self.password = password
        self.witness = witness or Witness(None)
        self._engine: Engine = postgresql.engine(place, busy_timeout_s, password)
        self._answer_s = postgresql.statement_s(busy_timeout_s) + busy_timeout_s
        self._conn: Connection | None = None
        self._standing: Standing | None = None
        self._changed: str | None = None
        self._began: float | None = None
        self.newest: str | None = None
        """Id of the newest attempt that is known to have been committed; empty: there is none; None where
        another process may have stored a newer one."""
        self.told: str | None = None

    @property
    def where(self) -> str:
        """Server and database, for messages."""
        return str(self.place)

    async def what_changed(self) -> str | None:
        """See `Store.what_changed`."""
        if self._changed is None and self.told is None:
            return None
        return await self._submit(self._settle_change)

    async def took_over(self) -> None:
        """This process allots the lanes from now on: it knows the newest attempt."""
        self.newest = await self.read(doubts.newest)

    async def alone(self, what: str) -> bool:
        """See `Store.alone`: a lock of the session, which ends with it."""
        return bool(await self.read(_session_lock, "pg_try_advisory_lock", what))

    async def give_up(self, what: str) -> None:
        """See `Store.give_up`."""
        await self.read(_session_lock, "pg_advisory_unlock", what)

    async def _submit(self, job: Callable[[], T]) -> T:
        """Run a job; where no answer comes at all, cut the connection rather than wait for ever."""
        running = asyncio.ensure_future(super()._submit(lambda: self._timed(job)))
        try:
            while not (await asyncio.wait({running}, timeout=self._answer_s))[0]:
                if self._began is not None and time.monotonic() - self._began > self._answer_s:
                    self._cut()
        except asyncio.CancelledError:
            running.cancel()
            raise
        return running.result()

    async def survey(self) -> Survey:
        """See `Worker.survey`."""
        return await self._submit(self._survey)

    def _survey(self) -> Survey:
        with self._translated(), self._engine.connect() as conn, conn.begin():
            begin_reading(conn)
            settings = check(conn, self.where)
            told = f"PostgreSQL {settings}, server {standing(conn)}"
            return Survey(has_store(conn), told, older(conn))

    def _timed(self, job: Callable[[], T]) -> T:
        self._began = time.monotonic()
        try:
            return job()
        finally:
            self._began = None

    def _cut(self) -> None:
        """From another thread: the one that waits for the server is told that the connection is gone."""
        conn = self._conn
        with suppress(OSError, psycopg.Error, AttributeError, ValueError):
            if conn is not None:
                with socket.socket(fileno=os.dup(postgresql.raw(conn).fileno())) as found:
                    found.shutdown(socket.SHUT_RDWR)

    def _open(self) -> None:
        if self._is_open:
            return
        with self._translated():
            try:
                self._conn = conn = self._engine.connect()
                with conn.begin():
                    check(conn, self.where)
                with conn.begin():
                    self._standing = begin_writing(conn)
                    ensure_schema(conn, self.where)
                    if not self._bystander:
                        self.told = doubts.compare(conn, self._standing, self.where, self.witness.told())
                    latest = doubts.newest(conn)
                if self.told is not None:
                    self.witness.write(latest)
            except BaseException:
                self._drop()
                raise
        self._is_open = True

    def _close(self) -> None:
        self._is_open = False
        with self._translated(), suppress(DBAPIError):
            if self._conn is not None:
                self._conn.close()
        self._conn = None

    def transact(self, writes: bool, work: Callable[[Connection], T]) -> T:
        """See `Worker.transact`."""
        if not self._is_open:
            raise StoreUnavailable(f"{self.where}: the store is not open")
        with self._translated():
            for _ in range(TRIES - 1):
                with suppress(_Again):
                    return self._once(writes, work)
            try:
                return self._once(writes, work)
            except _Again as again:
                raise again.cause from again

    def _once(self, writes: bool, work: Callable[[Connection], T]) -> T:
        conn = self._connected()
        try:
            transaction = conn.begin()
            self._begin(conn, writes)
            done = work(conn)
        except StoreUnavailable:
            self._drop()
            raise
        except MinerError:
            self._roll_back(conn)
            raise
        except BaseException as exc:
            self._drop()  # whatever state it is in; the next call connects anew
            if isinstance(exc, DBAPIError) and postgresql.may_be_tried_again(exc.orig):
                raise _Again(exc) from exc
            raise
        try:
            transaction.commit()
        except BaseException:
            self._drop()  # not known to be committed
            raise
        self._remember(conn.info.pop(SIGNED, None))
        return done

    def _remember(self, signed: str | None) -> None:
        if signed is not None:
            self.newest = signed
            self.witness.write(signed)

    def _begin(self, conn: Connection, writes: bool) -> None:
        if not writes:
            begin_reading(conn)
        elif begin_writing(conn) != self._standing:
            raise StoreUnavailable(f"{self.where} is another server than it was: nothing is written")

    def _roll_back(self, conn: Connection) -> None:
        conn.info.pop(SIGNED, None)
        try:
            conn.rollback()
        except DBAPIError:
            self._drop()

    def _connected(self) -> Connection:
        if self._conn is None and self._changed is None:
            self._conn = self._connect_anew()
        if self._conn is None or self._changed is not None:
            raise StoreUnavailable(f"{self._changed}. Nothing is written before the daemon has taken note")
        return self._conn

    def _connect_anew(self) -> Connection | None:
        """Connect; is it the server that it was, and has it what was committed? None where it is not.

        It waits for whoever writes: that may be a lost connection's COMMIT, which the server has yet to do.
        What is read back after this is final.
        """
        conn = self._engine.connect()
        try:
            with conn.begin():
                found = begin_writing(conn)
                check(conn, self.where)
                lost = doubts.is_missing(conn, self.newest)
        except BaseException as exc:
            _discard(conn)
            if isinstance(exc, ConfigError):
                raise StoreUnavailable(str(exc)) from exc
            raise
        if self._bystander:
            self._standing = found
        if found == self._standing and not lost:
            return conn
        self._changed = doubts.words(self.where, self._standing, found, lost)
        _discard(conn)
        return None

    def _settle_change(self) -> str | None:
        told = self._changed
        if told is None:
            told, self.told = self.told, None
            return told
        with self._translated():
            try:
                self._conn = conn = self._engine.connect()
                with conn.begin():
                    self._standing = begin_writing(conn)
                    self.newest = doubts.settle(conn, self._standing, self.newest)
                    latest = doubts.newest(conn)
                self.witness.write(latest)
            except BaseException:
                self._drop()
                raise
        self._changed = None
        return told

    def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            _discard(conn)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the library's errors into ours, once."""
        try:
            yield
        except DBAPIError as exc:
            raise postgresql.meaning(exc.orig, self.where) from exc
        except psycopg.Error as exc:
            raise postgresql.meaning(exc, self.where) from exc


class _Again(Exception):
    """Rolled back before COMMIT was sent, for what another session did."""

    def __init__(self, cause: DBAPIError) -> None:
        super().__init__(cause)
        self.cause = cause


def _session_lock(conn: Connection, function: str, what: str) -> bool:
    statement = f"SELECT {function}({LOCKS}, hashtext(current_schema() || '/' || %s))"
    return bool(conn.exec_driver_sql(statement, (what,)).scalar_one())


def _discard(conn: Connection) -> None:
    """Close the session beneath without a word to the server, which may not answer."""
    with suppress(DBAPIError, psycopg.Error):
        conn.invalidate()
    with suppress(DBAPIError, psycopg.Error):
        conn.close()
