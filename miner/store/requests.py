"""Operators' requests: the row that an operator's command writes, and the holder of the swap's lease answers.

A request is taken before it is carried out and answered after it, each in its own transaction, so that its
row never says *withdrawn* of what was done. One whose taker ended in between is an orphan.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Row

from miner.model import Asked, Came, OperatorRequest, Outcome, Standing, Verb
from miner.store import operator
from miner.store.rows import dumps
from miner.store.statements import lanes as lanes_sql
from miner.store.statements import requests as sql


def ask(conn: Connection, asked: Sequence[Asked], ttl_ms: int) -> list[int]:
    """See `Store.ask`."""
    return [_ask(conn, each, ttl_ms) for each in asked]


def _ask(conn: Connection, asked: Asked, ttl_ms: int) -> int:
    values = {
        "swap_id": asked.swap_id,
        "verb": asked.verb.value,
        "actor": asked.actor,
        "asked": dumps(
            {
                "reason": asked.reason,
                "txid": asked.txid,
                "block": asked.block,
                "hold_s": asked.hold_s,
                "account": asked.account,
                "amount": asked.amount,
                "text": asked.text,
            }
        ),
        "expires_at_ms": 0,
    }
    made = int(conn.execute(sql.ASK, values).scalar_one())
    conn.execute(sql.EXPIRES, {"p_id": made, "p_ttl_ms": ttl_ms})
    return made


def any_open(conn: Connection) -> bool:
    """Whether any request is not yet answered or withdrawn."""
    return conn.execute(sql.ANY_OPEN).first() is not None


def take(conn: Connection, owner_id: str) -> list[OperatorRequest]:
    """See `Store.take_requests`."""
    owner = {"p_owner": owner_id}
    orphans = set(conn.execute(sql.ORPHANS, owner).scalars())
    if orphans:
        conn.execute(sql.TAKE_ORPHANS, {**owner, "p_ids": sorted(orphans)})
    conn.execute(sql.TAKE, owner)
    return [_request(row, row.id in orphans) for row in conn.execute(sql.MINE, owner)]


def answer(conn: Connection, owner_id: str, request: OperatorRequest, outcome: Outcome) -> bool:
    """See `Store.answer`; what came of it goes into the operator's log in the same transaction."""
    told = _plain(outcome)
    params = {"p_id": request.id, "p_owner": owner_id, "p_outcome": dumps(told)}
    if conn.execute(sql.ANSWER, params).rowcount == 0:
        return False
    asked = request.asked
    detail = {"request": request.id, "reason": asked.reason, "txid": asked.txid, **told}
    if asked.account:
        detail |= {"account": asked.account, "amount": str(asked.amount)}
    if asked.text:
        detail["quote"] = asked.text
    operator.log(conn, asked.actor, asked.verb.value, detail)
    return True


def withdraw(conn: Connection, ids: Collection[int]) -> list[OperatorRequest]:
    """See `Store.withdraw`."""
    conn.execute(sql.WITHDRAW, {"p_ids": sorted(ids)})
    return by_id(conn, ids)


def by_id(conn: Connection, ids: Collection[int]) -> list[OperatorRequest]:
    """See `Store.requests`."""
    return [_request(row) for row in conn.execute(sql.BY_ID, {"p_ids": sorted(ids)})]


def credited(conn: Connection, chain: str, txid: str) -> list[int]:
    """See `Store.credited`."""
    return sorted(set(conn.execute(lanes_sql.CREDITED_SWAPS, {"p_chain": chain, "p_txid": txid}).scalars()))


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {
        "swap_id": outcome.swap_id,
        "came": outcome.came.value,
        "text": outcome.text,
        "remedy": outcome.remedy,
        "stake": outcome.stake,
        "detail": dict(outcome.detail),
    }


def _request(row: Row[Any], orphan: bool = False) -> OperatorRequest:
    asked = Asked(verb=Verb(row.verb), swap_id=row.swap_id, actor=row.actor, **orjson.loads(row.asked))
    return OperatorRequest(
        id=row.id,
        asked=asked,
        standing=Standing(row.standing),
        outcome=None if row.outcome is None else _outcome(orjson.loads(row.outcome)),
        orphan=orphan,
        at_ms=row.at_ms,
        expires_at_ms=row.expires_at_ms,
    )


def _outcome(data: dict[str, Any]) -> Outcome:
    return Outcome(**{**data, "came": Came(data["came"])})
