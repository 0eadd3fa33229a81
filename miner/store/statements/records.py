"""Named values, the operator's decisions, imported sends, and the recovery outbox."""

from __future__ import annotations

from sqlalchemy import delete, exists, insert, literal, select, update

from miner.store.schema import approvals, imported, meta, operator_log, paused, recovery, sagas
from miner.store.statements.params import NOW, many, number, text

CLOCK = select(NOW)

NAMED = select(meta.c.value).where(meta.c.name == text("name"))
NAME = insert(meta).values(name=text("name"), value=text("value"))
RENAME = update(meta).where(meta.c.name == text("name")).values(value=text("value"))

LOG = insert(operator_log).values(
    at_ms=NOW, actor=text("actor"), action=text("action"), detail=text("detail")
)

PAUSED = select(paused.c.what)
PAUSE = insert(paused).values(what=text("what"), actor=text("actor"), at_ms=NOW)
RESUME = delete(paused).where(paused.c.what == text("what"))

APPROVED = select(approvals.c.swap_id, approvals.c.amount).where(approvals.c.swap_id.in_(many("swaps")))
APPROVE = insert(approvals).values(
    swap_id=number("swap"), amount=number("amount"), actor=text("actor"), at_ms=NOW
)
UNAPPROVE = delete(approvals).where(approvals.c.swap_id == number("swap"))

IMPORTED = select(imported).where(imported.c.swap_id.in_(many("swaps")))
IMPORT = insert(imported).values(at_ms=NOW)
IMPORT_AGAIN = update(imported).where(imported.c.swap_id == number("swap")).values(at_ms=NOW)

_OF_SAGA = recovery.c.saga_id == number("saga")
HAS_RECOVERY = select(recovery.c.id).where(_OF_SAGA).limit(1)
RECOVER = (
    insert(recovery)
    .from_select(
        ["saga_id", "cause", "what_to_do", "detail", "state", "at_ms"],
        select(number("saga"), text("cause"), text("what_to_do"), text("detail"), text("state"), NOW).where(
            ~exists(
                select(literal(1)).select_from(recovery).where(_OF_SAGA, recovery.c.cause == text("cause"))
            )
        ),
    )
    .returning(recovery.c.id)
)
"""An entry for the recovery log, unless the saga has one for this cause."""
_ENTRIES = select(recovery, sagas.c.swap_id).join(sagas, sagas.c.id == recovery.c.saga_id)
EVERY_ENTRY = _ENTRIES.order_by(recovery.c.id)
PENDING = (
    select(recovery, sagas.c.swap_id)
    .join(sagas, sagas.c.id == recovery.c.saga_id)
    .where(recovery.c.written_at_ms.is_(None))
    .order_by(recovery.c.id)
)
WRITTEN = (
    update(recovery)
    .where(recovery.c.id == number("id"), recovery.c.written_at_ms.is_(None))
    .values(written_at_ms=NOW)
)
