"""The cursor, finalised heads, and what the watcher brings in."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from miner.store.schema import heads, miner_reserved, watch_cursor
from miner.store.statements.leases import fence_resource
from miner.store.statements.params import number, text

CURSOR = select(watch_cursor.c.height, watch_cursor.c.hash)
FENCE = select(fence_resource())
START = insert(watch_cursor).values(id=1, height=number("height"), hash=text("hash"))
MOVE = (
    update(watch_cursor)
    .where(
        watch_cursor.c.height == number("from_height"),
        watch_cursor.c.hash == text("from_hash"),
        fence_resource(),
    )
    .values(height=number("height"), hash=text("hash"))
)
"""The cursor's compare-and-set, fenced by the watcher's lease."""

ADD_HEADS = insert(heads)
DROP_ABOVE = delete(heads).where(heads.c.height > number("height"))
DROP_UP_TO = delete(heads).where(heads.c.height <= number("height"))
RECENT = (
    select(heads.c.height, heads.c.hash)
    .where(heads.c.height <= select(watch_cursor.c.height).scalar_subquery())
    .order_by(heads.c.height.desc())
    .limit(number("limit"))
)
HEAD_AT = select(heads.c.hash).where(heads.c.height == number("height"))

RESERVED_AT = select(miner_reserved.c.height, miner_reserved.c.at_ms).where(
    miner_reserved.c.miner == text("miner")
)
ADD_RESERVED = insert(miner_reserved)
RAISE_RESERVED = (
    update(miner_reserved)
    .where(miner_reserved.c.miner == text("miner"), miner_reserved.c.height < number("height"))
    .values(height=number("height"), at_ms=number("at_ms"))
)
