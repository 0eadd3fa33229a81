"""Sagas and their journal."""

from __future__ import annotations

from sqlalchemy import case, func, insert, select, update

from miner.store.schema import journal, leases, sagas
from miner.store.statements.leases import WORKED, fence_saga
from miner.store.statements.params import NO, NOW, many, number, text

_EPOCH = case((leases.c.owner == text("owner"), leases.c.epoch), else_=0).label("lease_epoch")
_SEEN = select(*sagas.c, _EPOCH).select_from(sagas.outerjoin(leases, leases.c.saga_id == sagas.c.id))

OPEN = (
    select(*sagas.c, leases.c.epoch.label("lease_epoch"))
    .select_from(sagas.join(leases, leases.c.saga_id == sagas.c.id))
    .where(sagas.c.id.in_(WORKED), leases.c.owner == text("owner"), leases.c.expires_at_ms > NOW)
    .order_by(sagas.c.timeout_block, sagas.c.swap_id)
)
BY_SWAP = _SEEN.where(sagas.c.swap_id == number("swap"))
NEWEST = _SEEN.order_by(sagas.c.swap_id.desc()).limit(number("limit"))
KNOWN = select(sagas.c.swap_id, sagas.c.state).where(sagas.c.swap_id.in_(many("swaps")))
IDS = select(sagas.c.swap_id, sagas.c.id, sagas.c.created_at_ms).where(sagas.c.swap_id.in_(many("swaps")))
COUNT = select(sagas.c.state, func.count()).group_by(sagas.c.state)
FENCED = select(sagas.c.version).where(sagas.c.id == number("id"), fence_saga())

INSERT = insert(sagas)

STEP = (
    update(sagas)
    .where(
        sagas.c.id == number("id"),
        sagas.c.version == number("version"),
        sagas.c.state == text("state"),
        fence_saga(),
    )
    .values(version=sagas.c.version + 1, updated_at_ms=NOW)
    .returning(*sagas.c)
)
"""The compare-and-set, fenced by the lease. No row: lost."""

POINT = update(sagas).where(sagas.c.id == number("id"))
"""Set the lane pointers, after a `STEP` in the same transaction."""

OBSERVED = select(
    sagas.c.id,
    sagas.c.swap_id,
    sagas.c.version,
    sagas.c.state,
    sagas.c.swap,
    sagas.c.ending,
).where(sagas.c.swap_id.in_(many("swaps")))
OBSERVE = (
    update(sagas)
    .where(sagas.c.id == number("id"), sagas.c.version == number("version"))
    .values(version=sagas.c.version + 1, updated_at_ms=NOW)
    .returning(sagas.c.updated_at_ms)
)
"""Store what a finalised block showed, whoever holds the saga; a step on the older version then loses."""

WRITE = insert(journal).values(
    saga_id=number("saga"),
    seq=number("seq"),
    schema_version=number("schema_version"),
    at_ms=number("at_ms"),
    actor=text("actor"),
    lease_epoch=number("epoch"),
    event=text("event"),
    state_before=text("before"),
    state_after=text("after"),
    payload=text("payload"),
    position=select(func.coalesce(func.max(journal.c.position), 0) + 1).scalar_subquery(),
)
"""The position is that of the commit: there is one writer at a time."""
JOURNAL = select(journal).where(journal.c.saga_id == number("saga")).order_by(journal.c.seq)

LAST = select(func.coalesce(func.max(journal.c.position), 0))
SINCE = (
    select(*journal.c, sagas.c.swap_id, sagas.c.created_at_ms, sagas.c.swap)
    .join(sagas, sagas.c.id == journal.c.saga_id)
    .where(journal.c.position > number("position"))
    .order_by(journal.c.position)
    .limit(number("limit"))
)
"""Entries of all sagas, in the order in which they were committed."""
DEADLINES = (
    select(sagas.c.state, func.min(sagas.c.timeout_block)).where(sagas.c.ended == 0).group_by(sagas.c.state)
)

END = select(sagas.c.state, sagas.c.swap_id).where(sagas.c.id == number("id"), sagas.c.ended != NO)
"""The end of a saga; no row while it is open."""
