"""Notices, the lasting conditions that they tell of, and their deliveries."""

from __future__ import annotations

from sqlalchemy import and_, delete, exists, func, insert, literal, or_, select, update

from miner.model import DeliveryStanding
from miner.store.schema import conditions, deliveries, leases, notices
from miner.store.statements.params import NO, NOW, many, number, text, word

_N, _D, _C = notices.c, deliveries.c, conditions.c
_WAITING = _D.standing == word(DeliveryStanding.WAITING)

TELL = insert(notices).values(at_ms=NOW, routed=0)

IS_SO = select(_C.since_ms).where(_C.kind == text("kind"), _C.subject == text("subject"))
BEGIN = insert(conditions).values(kind=text("kind"), subject=text("subject"), since_ms=NOW)
END = delete(conditions).where(_C.kind == text("kind"), _C.subject == text("subject"))
CONDITIONS = select(conditions).order_by(_C.since_ms, _C.kind, _C.subject)

WATCHED_BY_ANOTHER = select(literal(1)).where(
    exists().where(
        leases.c.resource == text("watch"),
        leases.c.owner.is_not(None),
        leases.c.owner != text("owner"),
        leases.c.expires_at_ms > NOW,
    )
)
"""Another node does the work, and delivers what is to be told."""

UNROUTED = select(_N.id, _N.kind).where(_N.routed == NO).order_by(_N.id).limit(number("limit"))
ROUTED = update(notices).where(_N.id.in_(many("ids"))).values(routed=1)
ADD = insert(deliveries).values(
    standing=DeliveryStanding.WAITING.value, attempts=0, next_at_ms=NOW, last_error="", taken_until_ms=0
)
NO_TARGET = (
    update(deliveries)
    .where(_WAITING, _D.target.not_in(many("targets")))
    .values(standing=DeliveryStanding.DEAD.value, last_error="the settings name no such target any more")
)

_DUE = and_(_WAITING, _D.target == text("target"), _D.next_at_ms <= NOW, _D.taken_until_ms <= NOW)
ANY_DUE = select(_D.notice_id).where(_DUE).limit(1)
DUE = select(_D.notice_id).where(_DUE).order_by(_D.notice_id).limit(number("limit"))
TAKE = (
    update(deliveries)
    .where(_DUE, _D.notice_id.in_(many("ids")))
    .values(taken_by=text("owner"), taken_until_ms=NOW + number("hold_ms"), attempts=_D.attempts + 1)
)
_BOTH = select(notices, _D.target, _D.standing, _D.attempts, _D.next_at_ms, _D.last_error).join(
    deliveries, _D.notice_id == _N.id
)
TAKEN = _BOTH.where(_D.target == text("target"), _N.id.in_(many("ids"))).order_by(_N.id)

_MINE = and_(
    _WAITING, _D.notice_id == number("notice"), _D.target == text("target"), _D.taken_by == text("owner")
)
DELIVERED = (
    update(deliveries)
    .where(_MINE)
    .values(standing=DeliveryStanding.DELIVERED.value, taken_by=None, taken_until_ms=0, last_error="")
)
FAILED = (
    update(deliveries)
    .where(_MINE)
    .values(
        standing=text("standing"),
        next_at_ms=NOW + number("after_ms"),
        last_error=text("error"),
        taken_by=None,
        taken_until_ms=0,
    )
)

RECENT = (
    _BOTH.where(_D.standing.in_(many("standings"))).order_by(_N.id.desc(), _D.target).limit(number("limit"))
)
COUNTS = select(_D.target, _D.standing, func.count()).group_by(_D.target, _D.standing)
REPLAY = (
    update(deliveries)
    .where(
        _D.standing == word(DeliveryStanding.DEAD),
        or_(text("target") == literal(""), _D.target == text("target")),
        or_(number("notice") == 0, _D.notice_id == number("notice")),
    )
    .values(standing=DeliveryStanding.WAITING.value, attempts=0, next_at_ms=NOW, taken_until_ms=0)
)

_OLD = select(_N.id).where(
    _N.routed != NO,
    _N.at_ms < NOW - number("age_ms"),
    ~exists().where(_D.notice_id == _N.id, _WAITING),
)
ANY_OLD = _OLD.limit(1)
FORGET_DELIVERIES = delete(deliveries).where(_D.notice_id.in_(_OLD))
FORGET = delete(notices).where(
    _N.routed != NO, _N.at_ms < NOW - number("age_ms"), ~exists().where(_D.notice_id == _N.id)
)
