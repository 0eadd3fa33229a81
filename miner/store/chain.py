"""The watcher's share: cursor, finalised heads, new sagas and what was seen of known ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
from sqlalchemy import Connection

from miner.errors import InvariantBroken, StaleSaga
from miner.model import Discovery, Head, Ingest, Lease, Observation, RecoveryEntry, Swap
from miner.saga import INITIAL, Event, State
from miner.store import journal, leases, notices, operator, rewinding, rows
from miner.store.leases import Owner
from miner.store.statements import chain as sql
from miner.store.statements import leases as leases_sql
from miner.store.statements import sagas as sagas_sql
from miner.store.steps import swap_columns

KEPT_HEADS = 256
ACTOR = "watch"


def cursor(conn: Connection) -> Head | None:
    """See `Store.cursor`."""
    row = conn.execute(sql.CURSOR).one_or_none()
    return None if row is None else Head(row.height, row.hash)


def recent_heads(conn: Connection, limit: int) -> list[Head]:
    """See `Store.recent_heads`."""
    return [Head(row.height, row.hash) for row in conn.execute(sql.RECENT, {"p_limit": limit})]


def reserved_at(conn: Connection, miner: str) -> tuple[int, int] | None:
    """See `Store.reserved_at`."""
    row = conn.execute(sql.RESERVED_AT, {"p_miner": miner}).one_or_none()
    return None if row is None else (row.height, row.at_ms)


def ingest(conn: Connection, owner: Owner, batch: Ingest, lease: Lease) -> tuple[list[int], set[str]]:
    """See `Store.ingest`.

    An observation that says what is stored already moves nothing. Of an ended saga its facts are kept and
    noted; its state never changes.

    Returns:
        Swap ids of new sagas, and the resources now leased for them.
    """
    _move(conn, batch, lease)
    _keep_heads(conn, batch.heads)
    for miner, (height, at_ms) in batch.reserved.items():
        _keep_reserved(conn, miner, height, at_ms)
    found = _discover(conn, owner, batch.discoveries, lease)
    _observe(conn, owner, batch.observations, lease)
    return [swap for swap, _ in found], {f"{leases.SAGA}{saga}" for _, saga in found}


def rewind(conn: Connection, owner: Owner, to: Head, lease: Lease) -> None:
    """See `Store.rewind`.

    Raises:
        InvariantBroken: `to` is no ancestor: above the cursor, or not the block stored at its height.
    """
    check_lease(conn, lease)
    at = cursor(conn)
    if at is None or to.height > at.height:
        raise InvariantBroken(f"block {to.height} is above the cursor")
    stored = conn.execute(sql.HEAD_AT, {"p_height": to.height}).scalar_one_or_none()
    if stored not in (None, to.hash):
        raise InvariantBroken(f"block {to.height} was taken in as {stored}, not as {to.hash}")
    _set_cursor(conn, at, to, lease)
    conn.execute(sql.DROP_ABOVE, {"p_height": to.height})
    if stored is None:
        conn.execute(sql.ADD_HEADS, {"height": to.height, "hash": to.hash})
    who = f"{ACTOR}:{owner.id}"
    for saga_id, version, at_ms, state, payload in rewinding.hold_freed(conn, to):
        event, after = Event.HELD_FOR_OPERATOR, State.HELD
        journal.write(conn, saga_id, version, at_ms, who, lease.epoch, event, state, after, payload)
    for saga_id, version, at_ms, state, payload in rewinding.reopen(conn, to):
        _note(conn, owner, lease, saga_id, version, at_ms, state, payload)


def _move(conn: Connection, batch: Ingest, lease: Lease) -> None:
    chain = [*([batch.previous] if batch.previous else []), *batch.heads]
    if any(one.height >= next_one.height for one, next_one in pairwise(chain)):
        raise InvariantBroken("heads to take in do not rise from the cursor")
    if not chain:
        check_lease(conn, lease)
        _check_cursor(conn, None)
    elif batch.previous is None:
        check_lease(conn, lease)
        _check_cursor(conn, None)
        conn.execute(sql.START, {"p_height": chain[-1].height, "p_hash": chain[-1].hash})
    else:
        _set_cursor(conn, batch.previous, chain[-1], lease)


def _set_cursor(conn: Connection, previous: Head, to: Head, lease: Lease) -> None:
    places = {
        "p_from_height": previous.height,
        "p_from_hash": previous.hash,
        "p_height": to.height,
        "p_hash": to.hash,
    }
    if conn.execute(sql.MOVE, {**_fence(lease), **places}).rowcount == 0:
        check_lease(conn, lease)
        _check_cursor(conn, previous)


def _fence(lease: Lease) -> dict[str, object]:
    return {"p_resource": lease.resource, "p_owner": lease.owner, "p_epoch": lease.epoch}


def check_lease(conn: Connection, lease: Lease) -> None:
    """Make sure that a lease is held still.

    Raises:
        LeaseLost: It is not; says who holds it.
    """
    if not conn.execute(sql.FENCE, _fence(lease)).scalar_one():
        leases.refuse(conn, lease.owner, lease.resource)


def _check_cursor(conn: Connection, expected: Head | None) -> None:
    at = cursor(conn)
    if at != expected:
        raise StaleSaga(f"the cursor is at {at}, not at {expected}")


def _keep_heads(conn: Connection, heads: Sequence[Head]) -> None:
    if heads:
        conn.execute(sql.ADD_HEADS, [{"height": head.height, "hash": head.hash} for head in heads])
        conn.execute(sql.DROP_UP_TO, {"p_height": heads[-1].height - KEPT_HEADS})


def _keep_reserved(conn: Connection, miner: str, height: int, at_ms: int) -> None:
    if reserved_at(conn, miner) is None:
        conn.execute(sql.ADD_RESERVED, {"miner": miner, "height": height, "at_ms": at_ms})
    else:
        conn.execute(sql.RAISE_RESERVED, {"p_miner": miner, "p_height": height, "p_at_ms": at_ms})


def _discover(
    conn: Connection, owner: Owner, discoveries: Sequence[Discovery], lease: Lease
) -> list[tuple[int, int]]:
    found = {discovery.swap.id: discovery for discovery in reversed(discoveries)}
    seen = {id_ for chunk in rows.chunks(found) for id_ in _known(conn, chunk)}
    fresh = {id_: found[id_] for id_ in sorted(found) if id_ not in seen}
    if not fresh:
        return []
    operator.bound_to(conn)
    now = operator.now_ms(conn)
    conn.execute(sagas_sql.INSERT, [_first_row(each, now) for each in fresh.values()])
    made: list[tuple[int, int]] = []
    for chunk in rows.chunks(fresh):
        for row in conn.execute(sagas_sql.IDS, {"p_swaps": chunk}).all():
            note = journal.assigned(fresh[row.swap_id])
            _note(conn, owner, lease, row.id, 1, row.created_at_ms, INITIAL, note)
            notices.assigned(conn, row.swap_id, fresh[row.swap_id].swap.timeout_block)
            made.append((row.swap_id, row.id))
    grants = [{**owner.taking(), "p_resource": f"{leases.SAGA}{saga}", "p_saga": saga} for _, saga in made]
    conn.execute(leases_sql.GRANT, grants)
    return sorted(made)


def _known(conn: Connection, swap_ids: Sequence[int]) -> list[int]:
    return [row.swap_id for row in conn.execute(sagas_sql.KNOWN, {"p_swaps": swap_ids})]


def _first_row(found: Discovery, now: int) -> dict[str, Any]:
    return {
        "swap_id": found.swap.id,
        "version": 1,
        "state": INITIAL.value,
        "ended": 0,
        **swap_columns(found.swap),
        "reason": "",
        "ending": None if found.ending is None else rows.dumps(rows.ending_json(found.ending)),
        "mark_retries": 0,
        "next_attempt_ms": 0,
        "reserved_block": found.reserved_block,
        "reserved_at_ms": found.reserved_at_ms,
        "created_at_ms": now,
        "updated_at_ms": now,
    }


def _observe(conn: Connection, owner: Owner, observations: Sequence[Observation], lease: Lease) -> None:
    for seen in observations:
        for row in conn.execute(sagas_sql.OBSERVED, {"p_swaps": [seen.swap_id]}).all():
            _observe_one(conn, owner, seen, row, lease)


def _observe_one(conn: Connection, owner: Owner, seen: Observation, row: Any, lease: Lease) -> None:
    seen = _with_the_same_terms(conn, seen, row)
    values: dict[str, Any] = {} if seen.swap is None else swap_columns(seen.swap)
    if seen.ending is not None:
        values["ending"] = rows.dumps(rows.ending_json(seen.ending))
    state = State(row.state)
    is_new = False
    if state.ended and seen.recovery_if_ended is not None:
        is_new = operator.recover(conn, row.id, state, seen.recovery_if_ended)
        if is_new:
            notices.entered(conn, seen.swap_id, seen.recovery_if_ended)
    stored = row._mapping
    if not is_new and all(stored[name] == values[name] for name in ("swap", "ending") if name in values):
        return
    places = {"p_id": row.id, "p_version": row.version}
    now = conn.execute(sagas_sql.OBSERVE, {**places, **values}).scalar_one()
    _note(conn, owner, lease, row.id, row.version + 1, now, state, journal.observed(seen))


def _with_the_same_terms(conn: Connection, seen: Observation, row: Any) -> Observation:
    """An observation without its swap where its terms are others: those stored are what was verified."""
    stored = Swap.from_json(orjson.loads(row.swap))
    if seen.swap is None or seen.swap.terms() == stored.terms():
        return seen
    why = RecoveryEntry(
        "terms_changed",
        "the contract tells other terms for this swap than it had; nothing is paid by the new ones; "
        "compare them with `swap-miner show`",
        {"now": seen.swap.to_json(), "were": stored.to_json()},
    )
    if operator.recover(conn, row.id, State(row.state), why):
        notices.entered(conn, seen.swap_id, why)
    return replace(seen, swap=None)


def _note(
    conn: Connection,
    owner: Owner,
    lease: Lease,
    saga_id: int,
    seq: int,
    at_ms: int,
    state: State,
    payload: dict[str, Any],
) -> None:
    actor = f"{ACTOR}:{owner.id}"
    journal.write(conn, saga_id, seq, at_ms, actor, lease.epoch, Event.NOTED, state, state, payload)
