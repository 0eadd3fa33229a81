"""Reservations, outflow, and the accounts that spend."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from miner.model import LanePurpose, LaneState
from miner.store.schema import accounts, attempts, lanes, reservations, slots
from miner.store.statements.lanes import MARK_LANDED, PAYOUT_LANDED
from miner.store.statements.params import NO, number, text, word

RESERVED, CAPTURED, RELEASED = "reserved", "captured", "released"
_WITHDRAWN = tuple(s.value for s in LaneState if s.closed and s is not LaneState.LANDED)

_OF_SAGA = reservations.c.saga_id == number("saga")
_PAYOUT_HELD = reservations.c.state == word(RESERVED)
_MARK_HELD = reservations.c.mark_state == word(RESERVED)

RESERVE = insert(reservations)
RESERVE_AGAIN = update(reservations).where(_OF_SAGA)
CAPTURE_PAYOUT = update(reservations).where(_OF_SAGA, _PAYOUT_HELD).values(state=CAPTURED)
CAPTURE_MARK = update(reservations).where(_OF_SAGA, _MARK_HELD).values(mark_state=CAPTURED)
RELEASE = (
    update(reservations)
    .where(_OF_SAGA)
    .values(
        state=case((_PAYOUT_HELD, RELEASED), else_=reservations.c.state),
        mark_state=case((_MARK_HELD, RELEASED), else_=reservations.c.mark_state),
    )
)
SETTLE = (
    update(reservations)
    .where(_OF_SAGA, or_(_PAYOUT_HELD, _MARK_HELD))
    .values(
        state=case(
            (and_(_PAYOUT_HELD, PAYOUT_LANDED), CAPTURED),
            (_PAYOUT_HELD, RELEASED),
            else_=reservations.c.state,
        ),
        mark_state=case(
            (and_(_MARK_HELD, MARK_LANDED), CAPTURED),
            (_MARK_HELD, RELEASED),
            else_=reservations.c.mark_state,
        ),
    )
)
"""What an ended saga still holds: captured where its lane landed, else released."""


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(column), 0), BigInteger)


_UNSIGNED = ~exists().where(
    lanes.c.saga_id == reservations.c.saga_id,
    lanes.c.purpose == LanePurpose.PAYOUT.value,
    lanes.c.closed == NO,
)


def _held(*which: ColumnElement[bool]) -> Select[Any]:
    payouts = (
        select(_sum(reservations.c.amount + reservations.c.fee))
        .where(
            reservations.c.chain == text("chain"),
            reservations.c.account == text("account"),
            reservations.c.state == word(RESERVED),
            *which,
        )
        .scalar_subquery()
    )
    marks = (
        select(_sum(reservations.c.mark_fee))
        .where(
            reservations.c.mark_chain == text("chain"),
            reservations.c.mark_account == text("account"),
            reservations.c.mark_state == word(RESERVED),
        )
        .scalar_subquery()
    )
    affairs = (
        select(_sum(lanes.c.amount))
        .where(
            # Not by the index over all lanes of a chain: only open ones are looked at.
            func.coalesce(lanes.c.chain, "") == text("chain"),
            lanes.c.account == text("account"),
            lanes.c.purpose == word(LanePurpose.AFFAIR),
            lanes.c.closed == NO,
        )
        .scalar_subquery()
    )
    return select(payouts + marks + affairs)


HELD = _held()
HELD_UNSIGNED = _held(_UNSIGNED)
"""Without what is signed: a wallet does not tell the coins of a payout in its pool as spendable."""
OUTFLOW = select(
    select(_sum(lanes.c.amount))
    .where(
        lanes.c.chain == text("chain"),
        lanes.c.allotted_at_ms >= number("since"),
        lanes.c.purpose == LanePurpose.PAYOUT.value,
        lanes.c.state.not_in(_WITHDRAWN),
    )
    .scalar_subquery()
    + select(_sum(reservations.c.amount))
    .where(reservations.c.chain == text("chain"), reservations.c.state == word(RESERVED), _UNSIGNED)
    .scalar_subquery()
)
"""What was signed, and what is set aside to be signed next."""

_ACCOUNT = and_(accounts.c.chain == text("chain"), accounts.c.account == text("account"))
ACCOUNT = select(accounts).where(_ACCOUNT)
ACCOUNTS = select(accounts).order_by(accounts.c.chain, accounts.c.account)
ADD_ACCOUNT = insert(accounts)
RAISE_HIGH_WATER = (
    update(accounts).where(_ACCOUNT, accounts.c.high_water < number("next")).values(high_water=number("next"))
)
STOP = update(accounts).where(_ACCOUNT, accounts.c.stopped == "").values(stopped=text("why"))
RAISE_SEEN = (
    update(accounts)
    .where(_ACCOUNT, accounts.c.seen_nonce < number("nonce"))
    .values(seen_nonce=number("nonce"), seen_at=number("height"))
)
CLEAR = (
    update(accounts)
    .where(_ACCOUNT)
    .values(
        stopped="", base=number("base"), high_water=number("high_water"), seen_nonce=number("seen"), seen_at=0
    )
)

_OF_ACCOUNT = and_(lanes.c.chain == text("chain"), lanes.c.account == text("account"))
AWAITED = select(lanes.c.id).where(_OF_ACCOUNT, lanes.c.closed == NO).limit(1)
"""A lane of the account that is open."""
LAST_DEATH = (
    select(func.coalesce(func.max(attempts.c.death), 0))
    .join_from(attempts, lanes, attempts.c.lane_id == lanes.c.id)
    .where(_OF_ACCOUNT)
)
"""Height from which nothing signed for the account is valid any more, by its eras."""
FORGET_SLOTS = delete(slots).where(
    slots.c.chain == text("chain"),
    slots.c.account == text("account"),
    exists().where(
        lanes.c.id == slots.c.lane_id,
        lanes.c.nonce >= number("base"),
        lanes.c.closed != NO,
    ),
)
"""Slots that an account's earlier life used, after its nonce began again below them."""

_used = (
    select(func.coalesce(func.max(lanes.c.nonce) + 1, 0))
    .join(slots, slots.c.lane_id == lanes.c.id)
    .where(
        lanes.c.chain == accounts.c.chain,
        lanes.c.account == accounts.c.account,
        lanes.c.closed != NO,
        lanes.c.state != LaneState.DEAD.value,
    )
    .scalar_subquery()
)
SEEN_BELOW = (
    update(accounts)
    .where(accounts.c.chain == text("chain"), accounts.c.seen_at > number("height"))
    .values(
        seen_nonce=case((_used > accounts.c.base, _used), else_=accounts.c.base), seen_at=number("height")
    )
)
"""The highest nonce of an account is what is known of it at that height, once its lanes are open again.

A lane that stays closed, since its saga has another one, counts all the same: nobody uses its nonce any more,
so those after it wait for ever. The account went back then, and is stopped."""
