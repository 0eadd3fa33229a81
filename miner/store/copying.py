"""From one database to another, whole: SQLite to PostgreSQL and back.

The source is locked and marked as moved before the target is committed: at no moment can two daemons work on
two stores with the same lanes. Where the target's commit fails after that, the copy is made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select

from miner.errors import ConfigError, InvariantBroken, LeaseLost
from miner.store import doubts, leases, operator
from miner.store.moving import MOVED_TO
from miner.store.schema import metadata
from miner.store.worker import Worker

Progress = Callable[[str, int, int], None]
"""Told a table, how many of its rows are copied, and how many there are."""

AT_ONCE = 500
_OWN = frozenset({doubts.SERVER, MOVED_TO})
"""Names in `meta` that tell of one database, not of the store."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a table holds.

    Attributes:
        rows: How many.
        digest: Of all of them, in whatever order; 64 hex digits.
    """

    rows: int
    digest: str


Contents = dict[str, Content]


def contents(conn: Connection, progress: Progress | None = None) -> Contents:
    """What every table holds."""
    return {table.name: _content(conn, table, progress) for table in metadata.sorted_tables}


def check_free(conn: Connection) -> None:
    """Refuse while anybody works on a store.

    Raises:
        LeaseLost: Who does, and until when.
    """
    for held in leases.all_held(conn):
        raise LeaseLost(held.resource, held.owner, held.expires_at_ms)


def check_source(conn: Connection, source: str, target: str) -> None:
    """Refuse a store that is worked on, or was moved to somewhere else already.

    Raises:
        LeaseLost: Somebody works on it.
        ConfigError: It was moved.
    """
    check_free(conn)
    before = doubts.named(conn, MOVED_TO)
    if before not in (None, target):
        raise ConfigError(source, f"this store was moved to {before} already", "Copy from there")


def check_empty(conn: Connection, where: str) -> None:
    """Refuse a target that holds anything.

    Raises:
        LeaseLost: Somebody works on it.
        ConfigError: It is not empty; says what is in it.
    """
    check_free(conn)
    found = {table.name: _count(conn, table) for table in metadata.sorted_tables}
    found = {name: rows for name, rows in found.items() if rows and name != "operator_log"}
    if found:
        told = ", ".join(f"{name} {rows}" for name, rows in found.items())
        raise ConfigError("--to", f"{where} is not empty ({told})", "Name an empty database")


def move(source: Worker, target: Worker, actor: str, progress: Progress) -> Contents:
    """Copy everything, check it, mark the source, and commit; blocking.

    Returns:
        What was copied, by table.

    Raises:
        LeaseLost: Somebody works on one of them.
        ConfigError: The target is not empty, or the source was moved elsewhere.
        InvariantBroken: What arrived is not what was sent; nothing is changed.
        StoreUnavailable: One of them refused. Where the source is marked by then: copy again.
    """

    def copy(into: Connection) -> Contents:
        def from_(out: Connection) -> Contents:
            check_source(out, source.where, target.where)
            check_empty(into, target.where)
            sent = _copy_all(out, into, progress)
            arrived = contents(into)
            if sent != arrived:
                wrong = ", ".join(name for name in sent if sent[name] != arrived[name])
                raise InvariantBroken(f"what arrived in {target.where} is not what was sent: {wrong}")
            doubts.name(out, MOVED_TO, target.where)
            operator.log(out, actor, "moved", {"to": target.where})
            return sent

        return source.transact(True, from_)

    done = target.transact(True, copy)
    if target.transact(False, contents) != done:
        raise InvariantBroken(f"{target.where} does not hold what was committed to it")
    return done


def _copy_all(out: Connection, into: Connection, progress: Progress) -> Contents:
    done: Contents = {}
    for table in metadata.sorted_tables:
        into.execute(table.delete())  # the lines that making the target wrote
        total, digest, rows = _count(out, table), 0, 0
        progress(table.name, 0, total)
        for chunk in _chunks(out, table):
            into.execute(insert(table), [dict(row) for row in chunk])
            rows += len(chunk)
            digest = _added(digest, chunk)
            progress(table.name, rows, total)
        _set_counter(into, table)
        done[table.name] = Content(rows, f"{digest:064x}")
    return done


def _content(conn: Connection, table: Table, progress: Progress | None) -> Content:
    rows = digest = 0
    for chunk in _chunks(conn, table):
        rows += len(chunk)
        digest = _added(digest, chunk)
        if progress is not None:
            progress(table.name, rows, rows)
    return Content(rows, f"{digest:064x}")


def _chunks(conn: Connection, table: Table) -> Iterator[list[Any]]:
    """A table's rows, by their primary key, without those that tell of the database alone."""
    statement = select(table).order_by(*table.primary_key.columns)
    if table.name == "meta":
        statement = statement.where(table.c.name.not_in(sorted(_OWN)))
    yield from (list(part) for part in conn.execute(statement).mappings().partitions(AT_ONCE))


def _count(conn: Connection, table: Table) -> int:
    statement = select(func.count()).select_from(table)
    if table.name == "meta":
        statement = statement.where(table.c.name.not_in(sorted(_OWN)))
    return int(conn.execute(statement).scalar_one())


def _added(digest: int, rows: Collection[Any]) -> int:
    """A sum of the rows' digests: databases sort text in different ways."""
    for row in rows:
        plain = "\x1f".join(f"{name}={_plain(row[name])}" for name in sorted(row))
        digest += int.from_bytes(hashlib.sha256(plain.encode("utf-8", "surrogatepass")).digest(), "big")
    return digest % 2**256


def _plain(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        return f"x{bytes(value).hex()}"
    return repr(value)


def _set_counter(conn: Connection, table: Table) -> None:
    """On PostgreSQL, a sequence goes on above what was copied."""
    column = table.autoincrement_column
    if conn.dialect.name != "postgresql" or column is None:
        return
    name = {"table": f"{conn.dialect.default_schema_name}.{table.name}", "column": column.name}
    conn.execute(
        select(
            func.setval(
                func.pg_get_serial_sequence(name["table"], name["column"]),
                select(func.coalesce(func.max(column), 1)).scalar_subquery(),
                select(func.count() > 0).select_from(table).scalar_subquery(),
            )
        )
    )
