"""What a store remembers of the database it is in."""

from __future__ import annotations

from sqlalchemy import delete, select

from miner.store.schema import attempts, meta
from miner.store.statements.params import text

FORGET = delete(meta).where(meta.c.name == text("name"))
NEWEST_ATTEMPT = (
    select(attempts.c.txid)
    .order_by(attempts.c.signed_at_ms.desc(), attempts.c.lane_id.desc(), attempts.c.seq.desc())
    .limit(1)
)
HAS_ATTEMPT = select(attempts.c.seq).where(attempts.c.txid == text("txid")).limit(1)
