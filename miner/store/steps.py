"""The compare-and-set of a saga, with everything that must be written with it, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from miner.errors import InvariantBroken, Refused, StaleSaga
from miner.model import LanePurpose, Saga, SagaPatch, Step, Swap
from miner.saga import Event, State, advance
from miner.store import journal, lanes, leases, money, notices, operator, rows
from miner.store.leases import Owner
from miner.store.statements import sagas as sql

_CLAIMED_BY = {LanePurpose.PAYOUT: Event.PAYOUT_SIGNED, LanePurpose.MARK: Event.MARK_SIGNED}
_REPLACES = frozenset({Event.PAYOUT_RESIGNED, Event.CANCEL_SIGNED})


def check_shape(saga: Saga, step: Step) -> State:
    """The state after a step, before anything is written.

    Raises:
        InvariantBroken: The table knows no such move, or the step lacks or adds what its event stands for.
    """
    after = advance(saga.state, step.event)
    if step.event is Event.PAYOUT_SIGNED and step.claim is None:
        raise InvariantBroken("PAYOUT_SIGNED without a claim")
    if step.claim is not None and _CLAIMED_BY.get(step.claim.purpose) is not step.event:
        raise InvariantBroken(f"{step.event} with a claim for a {step.claim.purpose} lane")
    if step.event in _REPLACES and step.replacement is None:
        raise InvariantBroken(f"{step.event} without bytes")
    if step.adopt is not None and step.event is Event.PAYOUT_SIGNED:
        raise InvariantBroken("one step both adopts and signs a payout")
    return after


def take(conn: Connection, owner: Owner, saga: Saga, step: Step, actor: str) -> Saga:
    """See `Store.step`."""
    after = check_shape(saga, step)
    row = _compare_and_set(conn, owner, saga, step.patch, after)
    now = int(row.updated_at_ms)
    pointers, effects = _act(conn, saga, step, now, actor)
    enters = after is State.COMPENSATED and saga.state is not after  # a lane of it may be open again later
    if enters or step.event is Event.PAYOUT_FREED:
        lanes.check_unpaid(conn, saga.id)
    if pointers:
        conn.execute(sql.POINT, {"p_id": saga.id, **pointers})
    recovery = step.recovery
    if recovery is not None and not operator.recover(conn, saga.id, after, recovery):
        recovery = None
    notices.stepped(conn, saga.key.swap_id, step.event, saga.state, after, str(row.reason), recovery)
    if after.ended:
        _end(conn, saga.id, after)
    payload = journal.stepped(step, effects)
    who = f"{actor}:{owner.id}"
    journal.write(
        conn, saga.id, row.version, now, who, saga.lease_epoch, step.event, saga.state, after, payload
    )
    return _result(conn, saga, row, pointers)


def _compare_and_set(conn: Connection, owner: Owner, saga: Saga, patch: SagaPatch, after: State) -> Row[Any]:
    fence = {"p_id": saga.id, "p_owner": owner.id, "p_epoch": saga.lease_epoch}
    seen = {"p_version": saga.version, "p_state": saga.state.value}
    values = {"state": after.value, "ended": int(after.ended), **columns_of(patch)}
    try:
        row = conn.execute(sql.STEP, {**fence, **seen, **values}).one_or_none()
    except IntegrityError as exc:
        txid = patch.payment.txid if patch.payment else ""
        raise Refused("source payment", "source_tx_used", f"{txid} backs another swap") from exc
    if row is not None:
        return row
    if conn.execute(sql.FENCED, fence).first() is None:
        leases.refuse(conn, owner.id, f"{leases.SAGA}{saga.id}")
    raise StaleSaga(f"saga {saga.id} has moved on from version {saga.version}")


def columns_of(patch: SagaPatch) -> dict[str, Any]:
    """Values of the columns that a patch changes."""
    values: dict[str, Any] = {
        "reason": patch.reason,
        "mark_retries": patch.mark_retries,
        "next_attempt_ms": patch.next_attempt_ms,
    }
    if patch.swap is not None:
        values |= swap_columns(patch.swap)
    if patch.ending is not None:
        values["ending"] = rows.dumps(rows.ending_json(patch.ending))
    if patch.payment is not None:
        values["payment"] = rows.dumps(rows.payment_json(patch.payment))
        values["payment_chain"] = patch.payment.chain.value
        values["payment_txid"] = patch.payment.txid
    return {name: value for name, value in values.items() if value is not None}


def swap_columns(swap: Swap) -> dict[str, Any]:
    """Values of the columns that a swap fills."""
    return {
        "swap": rows.dumps(swap.to_json()),
        "miner": swap.miner,
        "timeout_block": swap.timeout_block,
    }


def _act(
    conn: Connection, saga: Saga, step: Step, now: int, actor: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything beside the row itself; returns the lane pointers that change, and the journal's share."""
    pointers: dict[str, Any] = {}
    effects: dict[str, Any] = {}
    if step.event is Event.PAYOUT_FREED:
        pointers["payout_lane_id"] = None
    if step.claim is not None:
        column = "mark_lane_id" if step.claim.purpose is LanePurpose.MARK else "payout_lane_id"
        pointers[column], effects["signed"] = lanes.claim(conn, saga.id, step.claim, now)
    if step.replacement is not None:
        effects["signed_again"] = lanes.replace(conn, saga.id, step.replacement, now)
    if step.adopt is not None:
        pointers["payout_lane_id"] = lanes.adopt(conn, saga.id, step.adopt, now)
        effects["adopted"] = {"lane": pointers["payout_lane_id"], "txid": step.adopt.txid}
    if step.approve is not None:
        operator.approve(conn, saga.key.swap_id, step.approve, actor)
        effects["approved"] = str(step.approve)
    if step.reserve is not None:
        money.reserve(conn, saga.id, step.reserve, f"tao:{saga.key.genesis}")
    if step.release:
        money.release(conn, saga.id)
    return pointers, effects


def _end(conn: Connection, saga_id: int, after: State) -> None:
    if after is State.FAILED and not operator.has_recovery(conn, saga_id):
        raise InvariantBroken("FAILED without a recovery entry")
    money.settle(conn, saga_id)
    leases.release_ended(conn, saga_id)


def _result(conn: Connection, saga: Saga, row: Row[Any], pointers: Mapping[str, int | None]) -> Saga:
    key = saga.key.genesis, saga.key.contract
    ids = {**rows.pointers_of(row), **pointers}
    found = rows.load_lanes(conn, [lane for lane in ids.values() if lane is not None])
    return rows.saga_of(row, key, found, saga.lease_epoch, ids)
