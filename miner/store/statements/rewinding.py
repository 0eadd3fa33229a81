"""What is undone when finalised blocks are replaced."""

from __future__ import annotations

from sqlalchemy import exists, null, select, update

from miner.model import LanePurpose, LaneState
from miner.store.schema import lanes, sagas
from miner.store.statements.params import NO, NOW, number, text

_other = lanes.alias("other")
_SEEN_ABOVE = (lanes.c.chain == text("chain"), lanes.c.checked_height > number("height"))

LOOK_AGAIN = (
    update(lanes)
    .where(*_SEEN_ABOVE, lanes.c.closed == NO)
    .values(checked_height=number("height"), sighting=null())
)
"""Open lanes: a look at the new chain counts, though it is lower."""

REOPEN = (
    update(lanes)
    .where(
        *_SEEN_ABOVE,
        lanes.c.closed != NO,
        lanes.c.block_height > number("height"),
        lanes.c.purpose != LanePurpose.IMPORTED.value,
        ~exists().where(
            _other.c.saga_id == lanes.c.saga_id,
            _other.c.purpose == lanes.c.purpose,
            _other.c.id > lanes.c.id,
        ),
    )
    .values(
        state=LaneState.SIGNED.value,
        closed=0,
        txid=null(),
        block_height=null(),
        block_hash=null(),
        checked_height=number("height"),
        sighting=null(),
        taker=null(),
    )
)
"""The newest lanes that a replaced block closed are open again."""

ENDINGS = select(sagas.c.id, sagas.c.version, sagas.c.state, sagas.c.ending).where(
    sagas.c.ending.is_not(None)
)
FORGET_ENDING = (
    update(sagas)
    .where(sagas.c.id == number("id"))
    .values(ending=null(), version=sagas.c.version + 1, updated_at_ms=NOW)
)
