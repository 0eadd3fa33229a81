"""Operators' requests: asked, taken by whoever holds the swap's lease, answered or withdrawn."""

from __future__ import annotations

from sqlalchemy import and_, exists, insert, select, update

from miner.model import Standing
from miner.store.schema import leases, operator_requests, sagas
from miner.store.statements.params import NOW, many, number, text, word

_R = operator_requests.c

ASK = insert(operator_requests).values(standing=Standing.WAITING.value, at_ms=NOW).returning(_R.id)
"""`EXPIRES` follows in the same transaction."""
EXPIRES = (
    update(operator_requests)
    .where(_R.id == number("id"))
    .values(expires_at_ms=operator_requests.c.at_ms + number("ttl_ms"))
)

ANY_OPEN = select(_R.id).where(_R.standing.in_([word(Standing.WAITING), word(Standing.TAKEN)])).limit(1)
BY_ID = select(operator_requests).where(_R.id.in_(many("ids"))).order_by(_R.id)

_WORKED_BY_ANOTHER = exists().where(
    sagas.c.swap_id == _R.swap_id,
    leases.c.saga_id == sagas.c.id,
    leases.c.owner.is_not(None),
    leases.c.owner != text("owner"),
    leases.c.expires_at_ms > NOW,
)
_TAKER_LIVES = exists().where(leases.c.owner == _R.taken_by, leases.c.expires_at_ms > NOW)
ORPHANS = select(_R.id).where(
    _R.standing == word(Standing.TAKEN), _R.taken_by != text("owner"), ~_TAKER_LIVES, ~_WORKED_BY_ANOTHER
)
"""Taken by somebody who holds no lease any more."""
TAKE = (
    update(operator_requests)
    .where(
        _R.id.in_(
            select(_R.id)
            .where(_R.standing == word(Standing.WAITING), _R.expires_at_ms > NOW, ~_WORKED_BY_ANOTHER)
            .order_by(_R.id)
        ),
        _R.standing == word(Standing.WAITING),
    )
    .values(standing=Standing.TAKEN.value, taken_by=text("owner"))
)
TAKE_ORPHANS = (
    update(operator_requests)
    .where(_R.id.in_(many("ids")), _R.standing == word(Standing.TAKEN))
    .values(taken_by=text("owner"))
)
MINE = (
    select(operator_requests)
    .where(_R.standing == word(Standing.TAKEN), _R.taken_by == text("owner"))
    .order_by(_R.id)
)

ANSWER = (
    update(operator_requests)
    .where(
        and_(_R.id == number("id"), _R.standing == word(Standing.TAKEN), _R.taken_by == text("owner")),
    )
    .values(standing=Standing.ANSWERED.value, outcome=text("outcome"))
)
WITHDRAW = (
    update(operator_requests)
    .where(_R.id.in_(many("ids")), _R.standing == word(Standing.WAITING))
    .values(standing=Standing.WITHDRAWN.value)
)
