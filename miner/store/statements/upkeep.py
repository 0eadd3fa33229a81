"""What the sweeps and `rebuild` look for in the store itself."""

from __future__ import annotations

from sqlalchemy import and_, exists, or_, select, update

from miner.model import LanePurpose, LaneState
from miner.saga import State
from miner.store.schema import lanes, leases, recovery, reservations, sagas
from miner.store.statements.lanes import reopened
from miner.store.statements.leases import WORKED
from miner.store.statements.money import CAPTURED, RESERVED
from miner.store.statements.params import NO, NOW, many, number, word

AUDITED = select(sagas).where(sagas.c.swap_id > number("after")).order_by(sagas.c.swap_id)
AUDITED_OPEN = AUDITED.where(sagas.c.ended == NO).limit(number("limit"))
AUDITED_ALL = AUDITED.limit(number("limit"))
AUDITED_SWAPS = select(sagas).where(sagas.c.swap_id.in_(many("swaps"))).order_by(sagas.c.swap_id)
REPROJECT = update(sagas).where(sagas.c.id == number("id"), sagas.c.version == number("version"))

STALE = (
    select(leases.c.resource, leases.c.owner, leases.c.epoch, leases.c.expires_at_ms)
    .where(leases.c.owner.is_not(None), leases.c.expires_at_ms <= NOW, leases.c.saga_id.in_(WORKED))
    .order_by(leases.c.resource)
)
"""Leases that ran out on sagas that are to be worked on."""

_SET_ASIDE = exists().where(reservations.c.saga_id == sagas.c.id, reservations.c.state == word(RESERVED))
_OPEN_PAYOUT = exists().where(
    lanes.c.saga_id == sagas.c.id,
    lanes.c.closed == NO,
    lanes.c.purpose == LanePurpose.PAYOUT.value,
)
UNRESERVED = (
    select(sagas.c.swap_id)
    .where(
        sagas.c.ended == NO,
        or_(sagas.c.state == State.RESERVED.value, _OPEN_PAYOUT),
        ~_SET_ASIDE,
    )
    .order_by(sagas.c.swap_id)
)
"""Open sagas that may still pay, and for which nothing is set aside."""

UNTOLD = (
    select(sagas.c.swap_id)
    .where(
        sagas.c.state == State.FAILED.value,
        ~exists().where(recovery.c.saga_id == sagas.c.id),
    )
    .order_by(sagas.c.swap_id)
)
"""Swaps that were paid and ended uncredited, of which the recovery log says nothing."""

_other = lanes.alias("other")
REOPEN = (
    update(lanes)
    .where(
        lanes.c.id == number("lane"),
        lanes.c.state == LaneState.LANDED.value,
        lanes.c.purpose != LanePurpose.IMPORTED.value,
        ~exists().where(
            _other.c.saga_id == lanes.c.saga_id,
            _other.c.purpose == lanes.c.purpose,
            _other.c.closed == NO,
        ),
    )
    .values(reopened(0))
    .returning(lanes.c.saga_id)
)
"""A lane whose final block is gone is open again, unless another took its place."""

SET_ASIDE_AGAIN = (
    update(reservations)
    .where(
        and_(
            reservations.c.saga_id.in_(
                select(lanes.c.saga_id).where(
                    lanes.c.closed == NO, lanes.c.purpose == LanePurpose.PAYOUT.value
                )
            ),
            reservations.c.state == word(CAPTURED),
        )
    )
    .values(state=RESERVED)
)
"""What was counted as gone with a payout is set aside again where its lane is open again."""
