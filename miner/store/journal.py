"""A saga's journal: what an entry holds. `projection` tells what follows from all of them.

An entry's payload is what the service gave, and under `store` what the store did in the same transaction:
columns that changed, the lane and the ids of what was signed (never the bytes), inventory, recovery.
"""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection

from miner.model import Discovery, FeedEntry, JournalEntry, Observation, SagaPatch, SignedTx, Step
from miner.saga import Event, State
from miner.store import rows
from miner.store.schema import JOURNAL_VERSION
from miner.store.statements import sagas as sql


def write(
    conn: Connection,
    saga_id: int,
    seq: int,
    at_ms: int,
    actor: str,
    epoch: int,
    event: Event,
    before: State,
    after: State,
    payload: dict[str, Any],
) -> None:
    """Append an entry; `seq` is the saga's version after it."""
    values = {
        "p_saga": saga_id,
        "p_seq": seq,
        "p_schema_version": JOURNAL_VERSION,
        "p_at_ms": at_ms,
        "p_actor": actor,
        "p_epoch": epoch,
        "p_event": event.value,
        "p_before": before.value,
        "p_after": after.value,
        "p_payload": rows.dumps(payload),
    }
    conn.execute(sql.WRITE, values)


def read(conn: Connection, saga_id: int) -> list[JournalEntry]:
    """A saga's journal, oldest first."""
    return [rows.entry_of(row) for row in conn.execute(sql.JOURNAL, {"p_saga": saga_id})]


def last_position(conn: Connection) -> int:
    """See `Store.last_position`."""
    return int(conn.execute(sql.LAST).scalar_one())


def since(conn: Connection, position: int, limit: int) -> list[FeedEntry]:
    """See `Store.journal_since`."""
    return [_feed_entry(row) for row in conn.execute(sql.SINCE, {"p_position": position, "p_limit": limit})]


def _feed_entry(row: Any) -> FeedEntry:
    return FeedEntry(
        position=row.position,
        swap_id=row.swap_id,
        assigned_at_ms=row.created_at_ms,
        dest_chain=str(orjson.loads(row.swap)["dest_chain"]),
        entry=rows.entry_of(row),
    )


def assigned(found: Discovery) -> dict[str, Any]:
    """Payload of a saga's first entry."""
    payload: dict[str, Any] = {"assigned": True, "swap": found.swap.to_json()}
    if found.reserved_block is not None:
        payload["reserved"] = {"block": found.reserved_block, "at_ms": found.reserved_at_ms}
    if found.ending is not None:
        payload["ending"] = rows.ending_json(found.ending)
    return payload


def observed(seen: Observation) -> dict[str, Any]:
    """Payload of a note of what a finalised block showed."""
    payload: dict[str, Any] = {"observed": True}
    if seen.swap is not None:
        payload["swap"] = seen.swap.to_json()
    if seen.ending is not None:
        payload["ending"] = rows.ending_json(seen.ending)
    if seen.recovery_if_ended is not None:
        payload["recovery_if_ended"] = seen.recovery_if_ended.cause
    return payload


def stepped(step: Step, effects: dict[str, Any]) -> dict[str, Any]:
    """Payload of a step.

    Args:
        step: What was asked.
        effects: What the store allotted and signed for it.
    """
    store = {**patched(step.patch), **effects}
    if step.reserve is not None:
        kept = step.reserve
        store["reserve"] = {
            "chain": kept.chain,
            "account": kept.account,
            "amount": str(kept.amount),
            "fee": str(kept.fee),
            "mark_account": kept.mark_account,
            "mark_fee": str(kept.mark_fee),
        }
    if step.release:
        store["release"] = True
    if step.recovery is not None:
        store["recovery"] = step.recovery.cause
    return {**step.payload, "store": store} if store else dict(step.payload)


def patched(patch: SagaPatch) -> dict[str, Any]:
    """The columns that a patch changes, as plain values."""
    found: dict[str, Any] = {
        "swap": patch.swap and patch.swap.to_json(),
        "reason": patch.reason,
        "ending": patch.ending and rows.ending_json(patch.ending),
        "payment": patch.payment and rows.payment_json(patch.payment),
        "mark_retries": patch.mark_retries,
        "next_attempt_ms": patch.next_attempt_ms,
    }
    return {name: value for name, value in found.items() if value is not None}


def signed(lane_id: int, slot: str, kind: str, tx: SignedTx) -> dict[str, Any]:
    """What the journal tells of signed bytes: everything but the bytes."""
    return {
        "lane": lane_id,
        "slot": slot,
        "kind": kind,
        "txid": tx.txid,
        "fee": str(tx.fee),
        "birth": tx.birth,
        "death": tx.death,
    }
