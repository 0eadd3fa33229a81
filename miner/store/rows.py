"""Between rows and the model. JSON columns hold amounts as decimal strings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import Connection, Row

from miner.amounts import Chain
from miner.errors import InvariantBroken
from miner.model import (
    Attempt,
    AttemptKind,
    Ending,
    EndingKind,
    Head,
    JournalEntry,
    Lane,
    LanePurpose,
    LaneState,
    Payment,
    Saga,
    SagaKey,
    SightingKind,
    SignedTx,
    Swap,
    TakerEffect,
)
from miner.saga import Event, State
from miner.store.statements import lanes as sql

CHUNK = 1000
"""Most values in one `IN`."""


def chunks(values: Iterable[int]) -> Iterator[list[int]]:
    """The values in lists that fit one statement."""
    rest = iter(values)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def dumps(value: object) -> str:
    """JSON text.

    Raises:
        InvariantBroken: It holds what JSON cannot (bytes, an integer above 64 bits).
    """
    try:
        return orjson.dumps(value, default=_plain).decode()
    except TypeError as exc:
        raise InvariantBroken(f"cannot be stored as JSON: {exc}") from exc


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def ending_json(ending: Ending) -> dict[str, str | int | None]:
    """Plain values of an ending."""
    return {
        "kind": ending.kind.value,
        "block": ending.block,
        "slash_amount": str(ending.slash_amount),
        "fee_amount": str(ending.fee_amount),
        "dest_tx_hash": ending.dest_tx_hash,
    }


def payment_json(payment: Payment) -> dict[str, str | int]:
    """Plain values of a payment."""
    return {
        "chain": payment.chain.value,
        "txid": payment.txid,
        "height": payment.height,
        "block_hash": payment.block_hash,
        "amount": str(payment.amount),
        "tip_hash": payment.tip_hash,
    }


def dest_of(swap: Swap) -> Chain | None:
    """The chain paid on, if it is one we know."""
    return Chain(swap.dest_chain) if swap.dest_chain in set(Chain) else None


def saga_of(
    row: Row[Any],
    key: tuple[str, str],
    lanes: Mapping[int, Lane],
    epoch: int,
    pointers: Mapping[str, int | None],
) -> Saga:
    """A saga from its row, the lanes that it may point to, and the ids of those that it does."""
    swap = Swap.from_json(orjson.loads(row.swap))
    return Saga(
        id=row.id,
        key=SagaKey(*key, swap_id=row.swap_id),
        version=row.version,
        state=State(row.state),
        swap=swap,
        dest=dest_of(swap),
        reason=row.reason,
        ending=None if row.ending is None else _ending(orjson.loads(row.ending)),
        payment=None if row.payment is None else _payment(orjson.loads(row.payment)),
        payout=_pointed(pointers["payout_lane_id"], lanes),
        mark=_pointed(pointers["mark_lane_id"], lanes),
        mark_retries=row.mark_retries,
        next_attempt_ms=row.next_attempt_ms,
        reserved_block=row.reserved_block,
        reserved_at_ms=row.reserved_at_ms,
        lease_epoch=epoch,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
    )


def pointers_of(row: Row[Any]) -> dict[str, int | None]:
    """The ids of the lanes that a saga's row points to."""
    return {"payout_lane_id": row.payout_lane_id, "mark_lane_id": row.mark_lane_id}


def _pointed(lane_id: int | None, lanes: Mapping[int, Lane]) -> Lane | None:
    return None if lane_id is None else lanes[lane_id]


def entry_of(row: Row[Any]) -> JournalEntry:
    """A journal entry from its row."""
    return JournalEntry(
        seq=row.seq,
        schema_version=row.schema_version,
        at_ms=row.at_ms,
        actor=row.actor,
        lease_epoch=row.lease_epoch,
        event=Event(row.event),
        before=State(row.state_before),
        after=State(row.state_after),
        payload=orjson.loads(row.payload),
    )


def load_lanes(conn: Connection, ids: Iterable[int]) -> dict[int, Lane]:
    """Lanes by id with their attempts; two statements for each thousand."""
    found: dict[int, Lane] = {}
    for chunk in chunks(ids):
        rows = conn.execute(sql.BY_ID, {"p_ids": chunk}).all()
        found.update((lane.id, lane) for lane in with_attempts(conn, rows))
    return found


def with_attempts(conn: Connection, rows: Iterable[Row[Any]]) -> list[Lane]:
    """Lanes from their rows; their attempts are read in bulk."""
    rows = list(rows)
    attempts: dict[int, list[Attempt]] = {}
    for chunk in chunks(row.id for row in rows):
        for row in conn.execute(sql.ATTEMPTS, {"p_ids": chunk}):
            attempts.setdefault(row.lane_id, []).append(_attempt(row))
    return [lane_of(row, tuple(attempts.get(row.id, ()))) for row in rows]


def lane_of(row: Row[Any], attempts: tuple[Attempt, ...]) -> Lane:
    """A lane from its row and its attempts."""
    return Lane(
        id=row.id,
        chain=row.chain,
        account=row.account,
        slot=row.slot,
        purpose=LanePurpose(row.purpose),
        saga_id=row.saga_id,
        recipient=row.recipient,
        amount=row.amount,
        state=LaneState(row.state),
        attempts=attempts,
        txid=row.txid,
        block=None if row.block_hash is None else Head(row.block_height, row.block_hash),
        checked_height=row.checked_height,
        earliest_birth=min((a.tx.birth or 0 for a in attempts), default=0),
        allotted_at_ms=row.allotted_at_ms,
        sighting=None if row.sighting is None else SightingKind(row.sighting),
        taker=None if row.taker is None else TakerEffect(row.taker),
    )


def _attempt(row: Row[Any]) -> Attempt:
    tx = SignedTx(row.txid, row.raw, row.fee, row.birth, row.death, tuple(orjson.loads(row.spends)))
    return Attempt(row.seq, AttemptKind(row.kind), tx, row.signed_at_ms)


def _ending(data: dict[str, Any]) -> Ending:
    return Ending(
        EndingKind(data["kind"]),
        data["block"],
        int(data["slash_amount"]),
        int(data["fee_amount"]),
        data["dest_tx_hash"],
    )


def _payment(data: dict[str, Any]) -> Payment:
    return Payment(
        Chain(data["chain"]),
        data["txid"],
        data["height"],
        data["block_hash"],
        int(data["amount"]),
        data["tip_hash"],
    )
