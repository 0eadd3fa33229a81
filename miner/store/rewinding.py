"""Back to a common ancestor: what was concluded from blocks that are not canonical any more is forgotten."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection

from miner.model import Head, RecoveryEntry
from miner.saga import Event, State
from miner.store import money, notices, operator
from miner.store.statements import rewinding as sql
from miner.store.statements import upkeep as upkeep_sql

WHAT_TO_DO = (
    "finality was violated: the block that ended this swap is gone, and its saga does not open again; "
    "compare `swap-miner evidence` with the contract, and settle by hand what is open there"
)

FREED_WHAT_TO_DO = (
    "finality was violated: the block that freed this payout's lane is gone, and what was signed there first "
    "may land after all; nothing more is signed that pays; look in the account's history for what the user "
    "has received"
)


def hold_freed(conn: Connection, to: Head) -> list[tuple[int, int, int, State, dict[str, Any]]]:
    """Hold sagas whose payout's lane was freed above an ancestor: on this chain its bytes may pay (law 1).

    Called before the lanes are opened again. A later lane of the saga stays its payout: its bytes name a
    block after the one that is gone, so they are valid on no other branch. Without one, the freed lane is
    its payout again.

    Returns:
        Sagas that are held now: id, new version, time, state before, and the journal's payload.
    """
    chain = f"tao:{operator.bound_to(conn)[0]}"
    held: dict[int, tuple[int, int, int, State, dict[str, Any]]] = {}
    for row in conn.execute(sql.FREED_ABOVE, {"p_chain": chain, "p_height": to.height}).all():
        if row.id in held:
            continue
        state = State(row.state)
        lane = row.payout_lane_id if row.newer else row.lane
        at_ms = conn.execute(sql.HOLD, {"p_id": row.id, "p_lane": lane}).scalar_one()
        why = RecoveryEntry(sql.FREED_LANE_IS_BACK, FREED_WHAT_TO_DO, {"slot": row.slot, "was": state.value})
        is_new = operator.recover(conn, row.id, State.HELD, why)
        event, new = Event.HELD_FOR_OPERATOR, why if is_new else None
        notices.stepped(conn, row.swap_id, event, state, State.HELD, sql.FREED_LANE_IS_BACK, new)
        told = {"reason": sql.FREED_LANE_IS_BACK, "adopted": {"lane": lane}, "recovery": why.cause}
        held[row.id] = (row.id, row.version + 1, at_ms, state, {"freed_lane": row.slot, "store": told})
    return list(held.values())


def reopen(conn: Connection, to: Head) -> list[tuple[int, int, int, State, dict[str, Any]]]:
    """Forget ends and closed lanes of the contract's chain above an ancestor.

    A lane stays closed where its saga has another one open for the same purpose meanwhile. A saga that has
    ended by such a block gets a recovery entry; one that had ended after its lane was freed has it again, so
    that the slot is used up: it would block those after it.

    Returns:
        Sagas of which something is noted: id, new version, time, state, and what.
    """
    chain = f"tao:{operator.bound_to(conn)[0]}"
    conn.execute(sql.LOOK_AGAIN, {"p_chain": chain, "p_height": to.height})
    conn.execute(sql.REOPEN, {"p_chain": chain, "p_height": to.height})
    money.forget_nonces_above(conn, chain, to.height)
    conn.execute(upkeep_sql.SET_ASIDE_AGAIN)
    forgotten = []
    for freed in conn.execute(sql.NOBODYS).all():
        at_ms = conn.execute(sql.GIVE_BACK, {"p_id": freed.id, "p_lane": freed.lane}).scalar_one()
        told = {"lane_open_again": freed.slot, "store": {"adopted": {"lane": freed.lane}}}
        forgotten.append((freed.id, freed.version + 1, at_ms, State(freed.state), told))
    for row in conn.execute(sql.ENDINGS).all():
        ending = orjson.loads(row.ending)
        if ending["block"] <= to.height:
            continue
        state = State(row.state)
        if state.ended:
            why = RecoveryEntry("ended_by_a_replaced_block", WHAT_TO_DO, {"ending": ending})
            if operator.recover(conn, row.id, state, why):
                notices.entered(conn, row.swap_id, why)
            continue
        at_ms = conn.execute(sql.FORGET_ENDING, {"p_id": row.id}).scalar_one()
        forgotten.append((row.id, row.version + 1, at_ms, state, {"ending_forgotten": ending}))
    return forgotten
