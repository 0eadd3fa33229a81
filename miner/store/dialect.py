"""What differs between databases: the clock, how a connection is made, and what its errors mean.

SQLite in WAL mode with `synchronous = FULL`. A transaction that writes takes the write lock as it begins
(`BEGIN IMMEDIATE`), so that nothing it has read can change before it commits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from sqlalchemy import BigInteger, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.functions import FunctionElement

from miner.errors import InvariantBroken, StoreDamaged, StoreUnavailable

APPLICATION_ID = 0x53574D31
"""Marks a SQLite file as this program's (`SWM1`)."""

WRITES = "store_writes"
"""Key in a connection's `info`: whether the transaction that begins now writes."""

SIGNED = "store_signed"
"""Key in a connection's `info`: id of the newest attempt that the running transaction stores."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REMEDY = (
    "Stop the daemon, keep the file for inspection, and restore the newest backup; "
    "what was signed since then is found again on the chain before anything is sent"
)


class clock_ms(FunctionElement[int]):  # noqa: N801 - reads like the SQL function it stands for
    """The database's clock, ms since 1970 UTC."""

    type = BigInteger()
    inherit_cache = True
    name = "clock_ms"


@compiles(clock_ms, "sqlite")
def _clock_sqlite(element: clock_ms, compiler: Any, **kw: Any) -> str:
    return "store_clock_ms()"


@compiles(clock_ms, "postgresql")
def _clock_postgresql(element: clock_ms, compiler: Any, **kw: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


def sqlite_engine(path: Path | None, busy_timeout_s: float, clock: Callable[[], int]) -> Engine:
    """An engine over an existing file, or over memory. It never creates a file.

    Args:
        path: The file; None for a store in memory.
        busy_timeout_s: How long a transaction waits for another process's.
        clock: What the database takes for the time, ms since 1970 UTC.
    """

    def connect() -> sqlite3.Connection:
        where = ":memory:" if path is None else f"file:{quote(str(path))}?mode=rw"
        raw = sqlite3.connect(
            where, timeout=busy_timeout_s, isolation_level=None, uri=True, check_same_thread=False
        )
        raw.create_function("store_clock_ms", 0, clock)
        return raw

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _prepare(raw: sqlite3.Connection, record: object) -> None:
        raw.execute("PRAGMA foreign_keys = ON")
        raw.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.info.get(WRITES) else "BEGIN")

    return engine


def use_wal(conn: Connection, path: Path) -> None:
    """Switch the file to write-ahead logging, outside any transaction.

    Raises:
        StoreUnavailable: The file system cannot do it.
    """
    mode = driver(conn).execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreUnavailable(f"{path}: this file system cannot hold a write-ahead log (it offers {mode})")


def driver(conn: Connection) -> sqlite3.Connection:
    """The SQLite connection beneath, for pragmas outside a transaction."""
    raw: Any = conn.connection.dbapi_connection
    return cast(sqlite3.Connection, raw)


def quick_check(conn: Connection, path: Path) -> None:
    """Read the file's every page.

    Raises:
        StoreDamaged: One of them is not as it should be.
    """
    found = [row[0] for row in driver(conn).execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise damaged(path, "; ".join(found))


def application_id(conn: Connection) -> int:
    """The mark in the file's header; 0 where nobody set one."""
    return int(driver(conn).execute("PRAGMA application_id").fetchone()[0])


def stamp(conn: Connection) -> None:
    """Mark the file as this program's; part of the running transaction."""
    conn.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def damaged(where: object, why: str) -> StoreDamaged:
    """What to raise for a file that cannot be trusted."""
    return StoreDamaged(f"{where} is damaged: {why}. {_REMEDY}")


@contextmanager
def reading_only(path: Path) -> Iterator[Connection]:
    """A connection to a file that cannot change it."""
    where = f"file:{quote(str(path))}?mode=ro"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(where, uri=True), poolclass=NullPool)
    with engine.connect() as conn:
        yield conn


@contextmanager
def translated(where: object) -> Iterator[None]:
    """Turn the library's errors into ours, once.

    Args:
        where: The file, for the message.
    """
    try:
        yield
    except DBAPIError as exc:
        raise meaning(exc.orig, where) from exc
    except sqlite3.Error as exc:
        raise meaning(exc, where) from exc
    except OverflowError as exc:
        raise InvariantBroken(f"{where}: a number is larger than a column holds") from exc


def meaning(error: BaseException | None, where: object) -> StoreUnavailable | StoreDamaged | InvariantBroken:
    """What a driver's error says: damaged, against the schema's rules, or (all else) not known to be done."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _DAMAGED:
        return damaged(where, str(error))
    if isinstance(error, sqlite3.IntegrityError | IntegrityError):
        return InvariantBroken(f"{where}: {error}")
    return StoreUnavailable(f"{where}: {error}")
