"""Lanes of a miner's own business with the contract: no saga owns them, the `watch` lease fences them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from miner.errors import InvariantBroken
from miner.model import Claim, Json, Lane, LanePurpose, Lease, Replacement
from miner.store import chain, lanes, operator
from miner.store.rows import with_attempts
from miner.store.statements import lanes as sql


def begin(conn: Connection, claim: Claim, lease: Lease, actor: str, detail: Mapping[str, Json]) -> Lane:
    """See `Store.begin_affair`; lane, bytes and the operator's log in one transaction."""
    if claim.purpose is not LanePurpose.AFFAIR:
        raise InvariantBroken(f"a {claim.purpose} lane without a swap")
    chain.check_lease(conn, lease)
    lane_id, told = lanes.claim(conn, None, claim, operator.now_ms(conn))
    operator.log(conn, actor, "affair_signed", {**detail, **told, "account": claim.account})
    return lanes.newest(conn, lane_id)


def fill(conn: Connection, wish: Replacement, lease: Lease) -> Lane:
    """See `Store.fill_affair`."""
    chain.check_lease(conn, lease)
    told = lanes.replace(conn, None, wish, operator.now_ms(conn))
    operator.log(conn, f"daemon:{lease.owner}", "affair_filled", told)
    return lanes.newest(conn, wish.lane_id)


def settled(conn: Connection, lane: Lane) -> None:
    """Note that nothing of an affair can land any more, and what became of it."""
    detail = {
        "lane": lane.id,
        "account": lane.account,
        "slot": lane.slot,
        "came": lane.state.value,
        "txid": lane.txid,
        "block": lane.block.height if lane.block else None,
    }
    operator.log(conn, "daemon", "affair_settled", detail)


def newest(conn: Connection, limit: int) -> list[Lane]:
    """See `Store.affairs`."""
    return with_attempts(conn, conn.execute(sql.AFFAIRS, {"p_limit": limit}).all())
