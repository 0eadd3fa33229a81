"""Reading sagas: rows, lanes and attempts in bulk."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from miner.model import Saga
from miner.saga import State
from miner.store import operator, rows
from miner.store.schema import sagas
from miner.store.statements import sagas as sql


def open_sagas(conn: Connection, owner_id: str) -> list[Saga]:
    """See `Store.open_sagas`."""
    return _sagas(conn, conn.execute(sql.OPEN, {"p_owner": owner_id}).all())


def saga(conn: Connection, owner_id: str, swap_id: int) -> Saga | None:
    """See `Store.saga`. The lease epoch is 0 in a copy of another holder's saga."""
    found = _sagas(conn, conn.execute(sql.BY_SWAP, {"p_owner": owner_id, "p_swap": swap_id}).all())
    return found[0] if found else None


def list_sagas(
    conn: Connection,
    owner_id: str,
    states: Collection[State],
    miner: str | None,
    limit: int,
    before: int | None,
) -> list[Saga]:
    """See `Store.list_sagas`."""
    statement = sql.NEWEST
    if states:
        statement = statement.where(sagas.c.state.in_([state.value for state in states]))
    if miner is not None:
        statement = statement.where(sagas.c.miner == miner)
    if before is not None:
        statement = statement.where(sagas.c.swap_id < before)
    return _sagas(conn, conn.execute(statement, {"p_owner": owner_id, "p_limit": limit}).all())


def known(conn: Connection, swap_ids: Collection[int]) -> Mapping[int, State]:
    """See `Store.known`."""
    found: dict[int, State] = {}
    for chunk in rows.chunks(swap_ids):
        found.update((row.swap_id, State(row.state)) for row in conn.execute(sql.KNOWN, {"p_swaps": chunk}))
    return found


def count_by_state(conn: Connection) -> Mapping[State, int]:
    """See `Store.count_by_state`."""
    return {State(name): count for name, count in conn.execute(sql.COUNT)}


def next_deadlines(conn: Connection) -> Mapping[State, int]:
    """See `Store.next_deadlines`."""
    return {State(name): block for name, block in conn.execute(sql.DEADLINES)}


def _sagas(conn: Connection, found: Sequence[Any]) -> list[Saga]:
    if not found:
        return []
    key = operator.bound_to(conn)
    ids = [lane for row in found for lane in (row.payout_lane_id, row.mark_lane_id) if lane is not None]
    lanes = rows.load_lanes(conn, ids)
    return [rows.saga_of(row, key, lanes, row.lease_epoch, rows.pointers_of(row)) for row in found]
