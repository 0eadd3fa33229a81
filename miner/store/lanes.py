"""Lanes: allotted and signed in one transaction, and moved by what a look at the chain showed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from miner.errors import InvariantBroken, Refused, SlotTaken, StaleSaga
from miner.model import (
    Adopted,
    AttemptKind,
    Claim,
    Lane,
    LanePurpose,
    LaneState,
    Replacement,
    SightingKind,
    SignedTx,
)
from miner.store import journal, money
from miner.store.dialect import SIGNED
from miner.store.rows import dumps, load_lanes, with_attempts
from miner.store.statements import lanes as sql

_FIRST_KIND = {
    LanePurpose.PAYOUT: AttemptKind.PAYMENT,
    LanePurpose.MARK: AttemptKind.MARK,
    LanePurpose.AFFAIR: AttemptKind.CALL,
}


def claim(conn: Connection, saga_id: int | None, wish: Claim, now: int) -> tuple[int, dict[str, Any]]:
    """Allot a lane, have its bytes signed, and store both.

    Returns:
        The lane's id, and what the journal tells of it.

    Raises:
        InvariantBroken: The saga has a lane that may yet pay, or has; or the bytes do not use the slot.
        SlotTaken: The slot, or one that the bytes spend besides, belongs to another lane.
        StaleSaga: First sends on the account are stopped; or an imported send for this swap came meanwhile.
    """
    money.check_amounts(wish.amount)
    if (saga_id is None) != (wish.purpose is LanePurpose.AFFAIR):
        raise InvariantBroken(f"a {wish.purpose} lane of saga {saga_id}")
    if wish.purpose is LanePurpose.PAYOUT and saga_id is not None:
        check_unpaid(conn, saga_id)
        _check_not_imported(conn, saga_id)
    slot, nonce = money.next_slot(conn, wish)
    lane_id = _insert(conn, saga_id, wish, slot, nonce, now)
    money.take_slot(conn, wish.chain, wish.account, slot, lane_id)
    tx = wish.sign(slot)
    kind = _FIRST_KIND[wish.purpose]
    _write_attempt(conn, lane_id, wish.chain, wish.account, 0, kind, slot, tx, frozenset({slot}), now)
    return lane_id, journal.signed(lane_id, slot, kind.value, tx)


def check_unpaid(conn: Connection, saga_id: int) -> None:
    """Make sure that no lane of the saga pays its recipient, or may yet.

    Raises:
        InvariantBroken: One does.
    """
    row = conn.execute(sql.UNFREED_PAYOUT, {"p_saga": saga_id}).first()
    if row is not None:
        raise InvariantBroken(f"the payout is not free: lane {row.id} (slot {row.slot}) is {row.state}")


def _check_not_imported(conn: Connection, saga_id: int) -> None:
    if conn.execute(sql.IMPORTED_FOR, {"p_saga": saga_id}).first() is not None:
        raise StaleSaga(f"saga {saga_id}: another program says it paid this swap")


def _insert(
    conn: Connection, saga_id: int | None, wish: Claim, slot: str, nonce: int | None, now: int
) -> int:
    values = {
        "saga_id": saga_id,
        "chain": wish.chain,
        "account": wish.account,
        "slot": slot,
        "nonce": nonce,
        "purpose": wish.purpose.value,
        "recipient": wish.recipient,
        "amount": wish.amount,
        "state": LaneState.SIGNED.value,
        "closed": 0,
        "checked_height": 0,
        "allotted_at_ms": now,
    }
    try:
        return int(conn.execute(sql.ALLOT, values).scalar_one())
    except IntegrityError as exc:
        raise InvariantBroken(f"a second {wish.purpose} lane, while one is open") from exc


def _write_attempt(
    conn: Connection,
    lane_id: int,
    chain: str,
    account: str,
    seq: int,
    kind: AttemptKind,
    slot: str,
    tx: SignedTx,
    owned: frozenset[str],
    now: int,
) -> None:
    if not tx.spends or tx.spends[0] != slot:
        raise InvariantBroken(f"bytes for slot {slot} spend {', '.join(tx.spends) or 'nothing'} first")
    money.check_amounts(tx.fee)
    for further in dict.fromkeys(tx.spends):
        if further not in owned:
            money.take_slot(conn, chain, account, further, lane_id)
    values = {
        "lane_id": lane_id,
        "seq": seq,
        "chain": chain,
        "kind": kind.value,
        "txid": tx.txid,
        "raw": tx.raw,
        "fee": tx.fee,
        "birth": tx.birth,
        "death": tx.death,
        "spends": dumps(tx.spends),
        "signed_at_ms": now,
    }
    try:
        conn.execute(sql.WRITE_ATTEMPT, values)
    except IntegrityError as exc:
        raise SlotTaken(f"transaction {tx.txid} is stored already") from exc
    conn.info[SIGNED] = tx.txid


def replace(conn: Connection, saga_id: int | None, wish: Replacement, now: int) -> dict[str, Any]:
    """Store a further attempt in a lane; returns what the journal tells of it.

    Raises:
        StaleSaga: The lane has closed meanwhile.
        InvariantBroken: It is no lane of this saga, or the bytes do not use its slot.
        SlotTaken: The bytes spend, besides, what belongs to another lane.
    """
    lane = load_lanes(conn, [wish.lane_id]).get(wish.lane_id)
    if lane is None or lane.saga_id != saga_id:
        raise InvariantBroken(f"lane {wish.lane_id} is none of this saga's")
    if lane.state.closed:
        raise StaleSaga(f"lane {lane.id} is {lane.state} already")
    owned = frozenset(slot for attempt in lane.attempts for slot in attempt.tx.spends)
    seq = len(lane.attempts)
    _write_attempt(conn, lane.id, lane.chain, lane.account, seq, wish.kind, lane.slot, wish.tx, owned, now)
    conn.execute(sql.FORGET_LOOK, {"p_lane": lane.id})
    return journal.signed(lane.id, lane.slot, wish.kind.value, wish.tx)


def adopt(conn: Connection, saga_id: int, found: Adopted, now: int) -> int:
    """Credit a payout that was made outside our lanes; returns the id of the lane that stands for it.

    Raises:
        Refused: `payout_credited_elsewhere` when it pays for another saga.
        InvariantBroken: The saga has a lane that may yet pay.
    """
    money.check_amounts(found.amount)
    mine = _credited_to(conn, saga_id, found)
    if mine is None:
        check_unpaid(conn, saga_id)
        mine = _insert_adopted(conn, saga_id, found, now)
    money.capture(conn, saga_id, LanePurpose.IMPORTED)
    return mine


def _credited_to(conn: Connection, saga_id: int, found: Adopted) -> int | None:
    for row in credited(conn, found.chain, found.txid):
        if row.saga_id != saga_id:
            raise Refused("payout", "payout_credited_elsewhere", f"{found.txid} is lane {row.id}'s")
        if row.state == LaneState.LANDED and row.txid == found.txid:
            return int(row.id)
    return None


def credited(conn: Connection, chain: str, txid: str) -> list[Any]:
    """Lanes that a transaction has paid for, or was signed for."""
    return list(conn.execute(sql.CREDITED, {"p_chain": chain, "p_txid": txid}))


def _insert_adopted(conn: Connection, saga_id: int, found: Adopted, now: int) -> int:
    slot = f"adopted:{found.txid}"
    values = {
        "saga_id": saga_id,
        "chain": found.chain,
        "account": found.account,
        "slot": slot,
        "purpose": LanePurpose.IMPORTED.value,
        "recipient": found.recipient,
        "amount": found.amount,
        "state": LaneState.LANDED.value,
        "closed": 1,
        "txid": found.txid,
        "block_height": found.block.height,
        "block_hash": found.block.hash,
        "checked_height": found.block.height,
        "allotted_at_ms": now,
        "sighting": SightingKind.IN_BLOCK.value,
    }
    lane_id = int(conn.execute(sql.ALLOT, values).scalar_one())
    money.take_slot(conn, found.chain, found.account, slot, lane_id)
    return lane_id


def newest(conn: Connection, lane_id: int) -> Lane:
    """A lane as stored."""
    return load_lanes(conn, [lane_id])[lane_id]


def freed_by(conn: Connection, saga_id: int) -> str | None:
    """See `Store.freed_by`."""
    return conn.execute(sql.FREED_BY, {"p_saga": saga_id}).scalar_one_or_none()


def open_lanes(conn: Connection) -> list[Lane]:
    """See `Store.open_lanes`."""
    return with_attempts(conn, conn.execute(sql.OPEN).all())


def of_saga(conn: Connection, saga_id: int) -> list[Lane]:
    """See `Store.lanes_of`."""
    return with_attempts(conn, conn.execute(sql.OF_SAGA, {"p_saga": saga_id}).all())


def strangers(conn: Connection, chain: str, account: str) -> frozenset[str]:
    """See `Store.strangers`."""
    return frozenset(conn.execute(sql.STRANGERS, {"p_chain": chain, "p_account": account}).scalars())


def slots(conn: Connection, chain: str, account: str) -> frozenset[str]:
    """See `Store.slots`."""
    return frozenset(conn.execute(sql.SLOTS, {"p_chain": chain, "p_account": account}).scalars())
