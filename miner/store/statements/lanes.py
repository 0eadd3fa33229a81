"""Lanes, their slots and their attempts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, exists, func, insert, null, or_, select, union, update

from miner.model import LanePurpose, LaneState
from miner.store.schema import accounts, attempts, imported, lanes, sagas, slots
from miner.store.statements.params import NO, many, number, text, word

PAYING = (LanePurpose.PAYOUT.value, LanePurpose.IMPORTED.value)
"""Purposes of lanes that pay, or have paid."""


def reopened(checked_height: Any) -> dict[str, Any]:
    """What a lane is whose block is gone: its bytes are out, and nothing seen above a height counts.

    Args:
        checked_height: That height, or a parameter for it.
    """
    return {
        "state": LaneState.SIGNED.value,
        "closed": 0,
        "txid": null(),
        "block_height": null(),
        "block_hash": null(),
        "checked_height": checked_height,
        "sighting": null(),
        "taker": null(),
    }


BY_ID = select(lanes).where(lanes.c.id.in_(many("ids")))
OPEN = select(lanes).where(lanes.c.closed == NO).order_by(lanes.c.id)
ATTEMPTS = (
    select(attempts).where(attempts.c.lane_id.in_(many("ids"))).order_by(attempts.c.lane_id, attempts.c.seq)
)

ALLOT = insert(lanes).returning(lanes.c.id)
TAKE_SLOT = insert(slots)
SLOTS = select(slots.c.slot).where(slots.c.chain == text("chain"), slots.c.account == text("account"))
STRANGERS = (
    select(slots.c.slot)
    .join_from(slots, lanes, lanes.c.id == slots.c.lane_id)
    .join(accounts, and_(accounts.c.chain == lanes.c.chain, accounts.c.account == lanes.c.account))
    .where(
        slots.c.chain == text("chain"),
        slots.c.account == text("account"),
        lanes.c.taker.is_not(None),
        or_(
            lanes.c.nonce >= accounts.c.base,
            and_(
                lanes.c.nonce.is_(None),
                func.coalesce(lanes.c.block_height, accounts.c.base) >= accounts.c.base,
            ),
        ),
    )
)
"""Slots of lanes that a transaction took which is none of their attempts, since accounting began."""
WRITE_ATTEMPT = insert(attempts)
FORGET_LOOK = update(lanes).where(lanes.c.id == number("lane")).values(sighting=null())
"""The newest look did not know the newest attempt."""

UNFREED_PAYOUT = (
    select(lanes.c.id, lanes.c.slot, lanes.c.state)
    .where(
        lanes.c.saga_id == number("saga"),
        lanes.c.purpose.in_(PAYING),
        or_(lanes.c.closed == NO, lanes.c.state == LaneState.LANDED.value),
    )
    .limit(1)
)
"""A lane that may yet pay the saga's recipient, or has."""

IMPORTED_FOR = (
    select(sagas.c.id)
    .join(imported, imported.c.swap_id == sagas.c.swap_id)
    .where(sagas.c.id == number("saga"))
)
"""The saga, where an imported sent cache names its swap."""

FREED_BY = (
    select(lanes.c.txid)
    .where(
        lanes.c.saga_id == number("saga"),
        lanes.c.purpose == LanePurpose.PAYOUT.value,
        lanes.c.state.in_([LaneState.TAKEN.value, LaneState.CANCELLED.value]),
    )
    .order_by(lanes.c.id.desc())
    .limit(1)
)
"""What took the newest payout lane that the saga lost."""

CREDITED = union(
    select(lanes.c.saga_id, lanes.c.id, lanes.c.state, lanes.c.txid).where(
        lanes.c.chain == text("chain"),
        lanes.c.txid == text("txid"),
        lanes.c.state == word(LaneState.LANDED),
        lanes.c.purpose != word(LanePurpose.MARK),
    ),
    select(lanes.c.saga_id, lanes.c.id, lanes.c.state, lanes.c.txid)
    .join(attempts, attempts.c.lane_id == lanes.c.id)
    .where(
        attempts.c.chain == text("chain"),
        attempts.c.txid == text("txid"),
        lanes.c.purpose.in_(PAYING),
    ),
)
"""Lanes that a transaction has paid for, or was signed for."""

CREDITED_SWAPS = select(sagas.c.swap_id).where(sagas.c.id.in_(select(CREDITED.subquery().c.saga_id)))
"""Swaps that a transaction has paid, or was signed for."""
AFFAIRS = (
    select(lanes)
    .where(lanes.c.purpose == word(LanePurpose.AFFAIR))
    .order_by(lanes.c.id.desc())
    .limit(number("limit"))
)
"""Lanes that no swap owns, newest first."""
OF_SAGA = select(lanes).where(lanes.c.saga_id == number("saga")).order_by(lanes.c.id)
"""Every lane that a saga ever had."""

SIGHT = (
    update(lanes)
    .where(
        lanes.c.id == number("id"),
        lanes.c.closed == NO,
        lanes.c.checked_height <= number("at"),
    )
    .returning(*lanes.c)
)
"""Store a sighting. No row: the lane is closed, or has been looked at higher up."""

PAYOUT_LANDED = exists().where(
    lanes.c.saga_id == number("saga"), lanes.c.purpose.in_(PAYING), lanes.c.state == LaneState.LANDED.value
)
MARK_LANDED = exists().where(
    lanes.c.saga_id == number("saga"),
    lanes.c.purpose == LanePurpose.MARK.value,
    lanes.c.state == LaneState.LANDED.value,
)
