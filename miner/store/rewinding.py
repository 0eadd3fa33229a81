"""Back to a common ancestor: what was concluded from blocks that are not canonical any more is forgotten."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection

from miner.model import Head, RecoveryEntry
from miner.saga import State
from miner.store import operator
from miner.store.statements import rewinding as sql

WHAT_TO_DO = (
    "finality was violated: the block that ended this swap is gone, and its saga does not open again; "
    "compare `swap-miner evidence` with the contract, and settle by hand what is open there"
)


def reopen(conn: Connection, to: Head) -> list[tuple[int, int, State, dict[str, Any]]]:
    """Forget ends and closed lanes of the contract's chain above an ancestor.

    A lane stays closed where its saga has another one open for the same purpose meanwhile. A saga that has
    ended by such a block gets a recovery entry.

    Returns:
        Open sagas whose end was forgotten: id, new version, state, and what is noted of it.
    """
    chain = f"tao:{operator.bound_to(conn)[0]}"
    conn.execute(sql.LOOK_AGAIN, {"p_chain": chain, "p_height": to.height})
    conn.execute(sql.REOPEN, {"p_chain": chain, "p_height": to.height})
    forgotten = []
    for row in conn.execute(sql.ENDINGS).all():
        ending = orjson.loads(row.ending)
        if ending["block"] <= to.height:
            continue
        state = State(row.state)
        if state.ended:
            why = RecoveryEntry("ended_by_a_replaced_block", WHAT_TO_DO, {"ending": ending})
            operator.recover(conn, row.id, state, why)
            continue
        conn.execute(sql.FORGET_ENDING, {"p_id": row.id})
        forgotten.append((row.id, row.version + 1, state, {"ending_forgotten": ending}))
    return forgotten
