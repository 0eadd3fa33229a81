"""Sagas and their journal."""

from __future__ import annotations

from sqlalchemy import case, func, insert, select, update

from miner.store.schema import journal, leases, sagas
from miner.store.statements.leases import WORKED, fence_saga
from miner.store.statements.params import NOW, many, number, text

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

WRITE = insert(journal)
JOURNAL = select(journal).where(journal.c.saga_id == number("saga")).order_by(journal.c.seq)
