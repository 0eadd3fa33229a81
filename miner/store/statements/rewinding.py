"""What is undone when finalised blocks are replaced."""

from __future__ import annotations

from sqlalchemy import exists, null, select, update

from miner.model import LanePurpose, LaneState
from miner.saga import State
from miner.store.schema import lanes, sagas
from miner.store.statements.lanes import reopened
from miner.store.statements.params import NO, NOW, number, text

FREED_LANE_IS_BACK = "freed_lane_is_back"
"""Reason of a saga held since a replaced block had freed its payout's lane, whose bytes may land now."""
FREED = (LaneState.TAKEN, LaneState.REVERTED, LaneState.CANCELLED, LaneState.DEAD)
"""States of lanes that were closed without paying."""

_other = lanes.alias("other")
_SEEN_ABOVE = (lanes.c.chain == text("chain"), lanes.c.checked_height > number("height"))

LOOK_AGAIN = (
    update(lanes)
    .where(*_SEEN_ABOVE, lanes.c.closed == NO)
    .values(checked_height=number("height"), sighting=null())
)
"""Open lanes: a look at the new chain counts, though it is lower."""

REOPEN = (
    update(lanes)
    .where(
        *_SEEN_ABOVE,
        lanes.c.closed != NO,
        lanes.c.block_height > number("height"),
        lanes.c.purpose != LanePurpose.IMPORTED.value,
        ~exists().where(
            _other.c.saga_id == lanes.c.saga_id,
            _other.c.purpose == lanes.c.purpose,
            _other.c.id > lanes.c.id,
        ),
    )
    .values(reopened(number("height")))
)
"""The newest lanes that a replaced block closed are open again."""

_newer = sagas.c.payout_lane_id.is_not(None) & (sagas.c.payout_lane_id != lanes.c.id)
FREED_ABOVE = (
    select(
        sagas.c.id,
        sagas.c.swap_id,
        sagas.c.version,
        sagas.c.state,
        sagas.c.payout_lane_id,
        lanes.c.id.label("lane"),
        lanes.c.slot,
        _newer.label("newer"),
    )
    .join(lanes, lanes.c.saga_id == sagas.c.id)
    .where(
        lanes.c.chain == text("chain"),
        lanes.c.purpose == LanePurpose.PAYOUT.value,
        lanes.c.state.in_([each.value for each in FREED]),
        lanes.c.block_height > number("height"),
        sagas.c.ended == NO,
        sagas.c.payout_lane_id.is_(None) | _newer,
    )
    .order_by(sagas.c.id, lanes.c.id)
)
"""Open sagas that lost a payout lane by a replaced block, and have gone on without it or with another."""
HOLD = (
    update(sagas)
    .where(sagas.c.id == number("id"))
    .values(
        state=State.HELD.value,
        reason=FREED_LANE_IS_BACK,
        payout_lane_id=number("lane"),
        version=sagas.c.version + 1,
        updated_at_ms=NOW,
    )
    .returning(sagas.c.updated_at_ms)
)
"""Held, its payout the lane that is told."""

ENDINGS = select(sagas.c.id, sagas.c.swap_id, sagas.c.version, sagas.c.state, sagas.c.ending).where(
    sagas.c.ending.is_not(None)
)
FORGET_ENDING = (
    update(sagas)
    .where(sagas.c.id == number("id"))
    .values(ending=null(), version=sagas.c.version + 1, updated_at_ms=NOW)
    .returning(sagas.c.updated_at_ms)
)

NOBODYS = (
    select(sagas.c.id, sagas.c.version, sagas.c.state, lanes.c.id.label("lane"), lanes.c.slot)
    .join(lanes, lanes.c.saga_id == sagas.c.id)
    .where(
        lanes.c.purpose == LanePurpose.PAYOUT.value,
        lanes.c.closed == NO,
        sagas.c.ended != NO,
        sagas.c.payout_lane_id.is_(None),
    )
    .order_by(sagas.c.id, lanes.c.id)
)
"""Sagas that had ended without a payout, whose lane had been freed and is open again."""
GIVE_BACK = (
    update(sagas)
    .where(sagas.c.id == number("id"))
    .values(payout_lane_id=number("lane"), version=sagas.c.version + 1, updated_at_ms=NOW)
    .returning(sagas.c.updated_at_ms)
)
