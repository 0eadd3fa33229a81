"""The store looks at its own records: rows beside journals, and what the sweeps repair."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, Row

from miner.errors import InvariantBroken
from miner.model import Audit, Difference, Lane, Lease, RecoveryEntry
from miner.saga import Event, State
from miner.store import chain, journal, money, operator, rows
from miner.store.leases import Owner
from miner.store.projection import JSON_COLUMNS, Projection, project
from miner.store.statements import upkeep as sql


def audit(conn: Connection, after: int, limit: int, only: Collection[int], ended: bool) -> list[Audit]:
    """See `Store.audit`."""
    return [_compare(conn, row)[0] for row in _audited(conn, after, limit, only, ended)]


def _audited(conn: Connection, after: int, limit: int, only: Collection[int], ended: bool) -> list[Row[Any]]:
    if only:
        return [
            row
            for chunk in rows.chunks(sorted(only))
            for row in conn.execute(sql.AUDITED_SWAPS, {"p_swaps": chunk})
        ]
    statement = sql.AUDITED_ALL if ended else sql.AUDITED_OPEN
    return list(conn.execute(statement, {"p_after": after, "p_limit": limit}).all())


def _compare(conn: Connection, row: Row[Any]) -> tuple[Audit, Projection | None]:
    state = State(row.state)
    try:
        found = project(journal.read(conn, row.id))
    except (InvariantBroken, KeyError, ValueError, TypeError) as broken:
        return Audit(row.swap_id, state, (), str(broken) or type(broken).__name__), None
    return Audit(row.swap_id, state, _differences(row, found.row)), found


def _differences(row: Row[Any], journal_row: Mapping[str, Any]) -> tuple[Difference, ...]:
    found = []
    for column, due in sorted(journal_row.items()):
        held = _plain(column, row._mapping[column])
        if held != due:
            found.append(Difference(column, held, due))
    return tuple(found)


def _plain(column: str, value: Any) -> Any:
    """A column's value as the journal tells it; text that is no JSON stays text."""
    if column not in JSON_COLUMNS or value is None:
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        return value


def reproject(conn: Connection, owner: Owner, swap_id: int, lease: Lease, actor: str) -> Audit:
    """See `Store.reproject`."""
    chain.check_lease(conn, lease)
    found = _audited(conn, -1, 1, [swap_id], ended=True)
    if not found:
        raise InvariantBroken(f"swap {swap_id} has no saga")
    row = found[0]
    told, projection = _compare(conn, row)
    if projection is None:
        raise InvariantBroken(f"no row follows from the journal of swap {swap_id}: {told.broken}")
    if told.differences:
        _write(conn, owner, row, projection, told, lease, actor)
    return told


def _write(
    conn: Connection,
    owner: Owner,
    row: Row[Any],
    found: Projection,
    told: Audit,
    lease: Lease,
    actor: str,
) -> None:
    now, seq, state = operator.now_ms(conn), found.row["version"] + 1, found.state
    columns = {**found.row, "version": seq, "updated_at_ms": now}
    values = {
        name: rows.dumps(value) if name in JSON_COLUMNS and value is not None else value
        for name, value in columns.items()
    }
    conn.execute(sql.REPROJECT, {"p_id": row.id, "p_version": row.version, **values})
    changes = {each.column: {"was": each.row, "is": each.journal} for each in told.differences}
    payload = {"rebuilt": changes}
    who = f"{actor}:{owner.id}"
    journal.write(conn, row.id, seq, now, who, lease.epoch, Event.NOTED, state, state, payload)
    operator.log(conn, actor, "rebuild", {"swap_id": told.swap_id, "columns": sorted(changes)})


def stale_leases(conn: Connection) -> list[Lease]:
    """See `Store.stale_leases`."""
    return [Lease(*row) for row in conn.execute(sql.STALE)]


def unreserved(conn: Connection) -> list[int]:
    """See `Store.unreserved`."""
    return list(conn.execute(sql.UNRESERVED).scalars())


def untold(conn: Connection) -> list[int]:
    """See `Store.untold`."""
    return list(conn.execute(sql.UNTOLD).scalars())


def reopen(conn: Connection, lane: Lane, state: State, why: RecoveryEntry) -> bool:
    """See `Store.reopen`."""
    if conn.execute(sql.REOPEN, {"p_lane": lane.id}).first() is None:
        return False
    conn.execute(sql.SET_ASIDE_AGAIN)
    if lane.block is not None:
        money.forget_nonces_above(conn, lane.chain, lane.block.height - 1)
    if lane.saga_id is not None:
        operator.recover(conn, lane.saga_id, state, why)
    return True
