"""Leases. Held: ours and not expired, by the database's clock."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Exists,
    String,
    and_,
    case,
    cast,
    exists,
    insert,
    literal,
    null,
    or_,
    select,
    union,
    update,
)

from miner.store.schema import lanes, leases, sagas
from miner.store.statements.params import NO, NOW, many, number, text

_OWNER = text("owner")
_TTL = number("ttl_ms")
_UNTIL = NOW + _TTL
_HELD = and_(leases.c.owner == _OWNER, leases.c.expires_at_ms > NOW)
_TAKEABLE = or_(leases.c.owner == _OWNER, leases.c.owner.is_(None), leases.c.expires_at_ms <= NOW)
WORKED = union(
    select(sagas.c.id).where(sagas.c.ended == NO),
    select(lanes.c.saga_id).where(lanes.c.closed == NO),
)
"""Sagas to work on: open, or ended with a lane still open."""


def _later(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    return case((one > other, one), else_=other)


_TAKEN: dict[str, Any] = {
    "owner": _OWNER,
    "epoch": leases.c.epoch + case((_HELD, 0), else_=1),
    "acquired_at_ms": case((_HELD, leases.c.acquired_at_ms), else_=NOW),
    "heartbeat_at_ms": NOW,
    "expires_at_ms": case((_HELD, _later(leases.c.expires_at_ms, _UNTIL)), else_=_UNTIL),
    "ttl_ms": _TTL,
}
_FIRST: dict[str, Any] = {
    "owner": _OWNER,
    "epoch": 1,
    "acquired_at_ms": NOW,
    "heartbeat_at_ms": NOW,
    "expires_at_ms": _UNTIL,
    "ttl_ms": _TTL,
}

TAKE = (
    update(leases)
    .where(leases.c.resource == text("resource"), _TAKEABLE)
    .values(_TAKEN)
    .returning(leases.c.epoch, leases.c.expires_at_ms)
)
"""Take or renew a known lease: a fresh epoch unless it was held, never a shorter time. No row: another's."""

TAKE_NEW = (
    insert(leases)
    .values(resource=text("resource"), saga_id=number("saga"), **_FIRST)
    .returning(leases.c.epoch, leases.c.expires_at_ms)
)

GRANT = insert(leases).values(resource=text("resource"), saga_id=number("saga"), **_FIRST)
"""The first lease of a new saga; as `TAKE_NEW`, for many at once."""

TAKE_SAGAS = update(leases).where(leases.c.saga_id.in_(WORKED), _TAKEABLE).values(_TAKEN)
"""`TAKE` for every saga to work on that has had a lease."""

TAKE_NEW_SAGAS = insert(leases).from_select(
    ["resource", "saga_id", *_FIRST],
    select(
        literal("saga/", String()) + cast(sagas.c.id, String()),
        sagas.c.id,
        _OWNER,
        literal(1),
        NOW,
        NOW,
        _UNTIL,
        _TTL,
    ).where(sagas.c.id.in_(WORKED), ~exists().where(leases.c.saga_id == sagas.c.id)),
)
"""`TAKE_NEW` for every saga to work on that never had a lease."""

EXTEND = (
    update(leases)
    .where(_HELD)
    .values(heartbeat_at_ms=NOW, expires_at_ms=_later(leases.c.expires_at_ms, _UNTIL), ttl_ms=_TTL)
)
"""Extend what is held, where it would end sooner; and show a sign of life, wherever the clock was set."""

TOO_LATE = select(
    leases.c.owner, leases.c.epoch, leases.c.heartbeat_at_ms, leases.c.ttl_ms, NOW.label("now_ms")
).where(
    leases.c.resource == text("resource"),
    leases.c.owner.is_not(None),
    leases.c.ttl_ms > NO,
    leases.c.expires_at_ms > NOW + leases.c.ttl_ms,
)
"""A lease that ends later than one term from now: the clock was set back since it was given."""

END = update(leases).where(leases.c.owner == _OWNER, leases.c.expires_at_ms > NOW).values(expires_at_ms=NOW)
"""End whatever an owner holds."""

OWN = select(leases.c.resource, leases.c.saga_id, (leases.c.expires_at_ms > NOW).label("held")).where(
    leases.c.owner == _OWNER
)

OTHERS = select(leases.c.resource).where(
    leases.c.resource.in_(many("resources")), leases.c.owner.is_not(None), leases.c.owner != _OWNER
)

HOLDER = select(leases.c.owner, leases.c.epoch, leases.c.expires_at_ms, _HELD.label("held")).where(
    leases.c.resource == text("resource")
)

ALL_HELD = (
    select(
        leases.c.resource,
        leases.c.owner,
        leases.c.epoch,
        leases.c.expires_at_ms,
        leases.c.acquired_at_ms,
    )
    .where(leases.c.owner.is_not(None), leases.c.expires_at_ms > NOW)
    .order_by(leases.c.resource)
)

_RELEASED: dict[str, Any] = {"owner": null(), "expires_at_ms": 0}
RELEASE_ALL = update(leases).where(leases.c.owner == _OWNER).values(_RELEASED)
RELEASE_ENDED = (
    update(leases)
    .where(
        leases.c.saga_id == number("saga"),
        leases.c.owner.is_not(None),
        exists().where(sagas.c.id == number("saga"), sagas.c.ended != NO),
        ~exists().where(lanes.c.saga_id == number("saga"), lanes.c.closed == NO),
    )
    .values(_RELEASED)
)
"""Give back the lease of a saga that has ended with all its lanes; the row stays, its epoch rises on."""


def fence_saga() -> Exists:
    """The saga `p_id` is leased to `p_owner` at `p_epoch`, now."""
    return exists().where(leases.c.saga_id == number("id"), *_fence())


def fence_resource() -> Exists:
    """The resource `p_resource` is leased to `p_owner` at `p_epoch`, now."""
    return exists().where(leases.c.resource == text("resource"), *_fence())


def _fence() -> tuple[ColumnElement[bool], ...]:
    return (_HELD, leases.c.epoch == number("epoch"))
