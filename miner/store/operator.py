"""Named values, the operator's decisions and their log, imported sends, the recovery outbox."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Row

from miner.errors import InvariantBroken, StoreDamaged
from miner.model import Alarm, ImportedSend, NoticeKind, PendingRecovery, RecoveryEntry, SagaKey
from miner.saga import State
from miner.store import notices
from miner.store.rows import chunks, dumps
from miner.store.statements import records as sql

GENESIS, CONTRACT, FIRST_UNSEEN = "genesis", "contract", "first_unseen_id"
BY_FINALITY = "finality_violated"
"""End of the actor's name where a changed finalised block paused everything."""
_PIN = "pin:"


def now_ms(conn: Connection) -> int:
    """The database's clock."""
    return int(conn.execute(sql.CLOCK).scalar_one())


def pin(conn: Connection, name: str, value: str) -> str:
    """See `Store.pin`."""
    return _first(conn, _PIN + name, value)


def pinned(conn: Connection, name: str) -> str | None:
    """What is pinned under a name; None while nothing is."""
    return _named(conn, _PIN + name)


def repin(conn: Connection, name: str, value: str, actor: str) -> str:
    """See `Store.repin`."""
    before = _first(conn, _PIN + name, value)
    if before != value:
        conn.execute(sql.RENAME, {"p_name": _PIN + name, "p_value": value})
        log(conn, actor, "repin", {"name": name, "before": before, "after": value})
    return before


def bind(conn: Connection, genesis: str, contract: str, where: object) -> tuple[str, str]:
    """See `Store.bind`; returns what the store is tied to."""
    bound = _first(conn, GENESIS, genesis), _first(conn, CONTRACT, contract)
    if bound != (genesis, contract):
        raise StoreDamaged(
            f"{where} belongs to contract {bound[1]} on the chain {bound[0]}, and was opened for contract "
            f"{contract} on the chain {genesis}. Name that contract's own file in the configuration"
        )
    return bound


def bound_to(conn: Connection) -> tuple[str, str]:
    """Genesis and contract that the store is tied to.

    Raises:
        InvariantBroken: `bind` was never called.
    """
    genesis, contract = _named(conn, GENESIS), _named(conn, CONTRACT)
    if genesis is None or contract is None:
        raise InvariantBroken("the store is not tied to a contract yet: call bind first")
    return genesis, contract


def first_unseen_id(conn: Connection) -> int:
    """See `Store.first_unseen_id`."""
    return int(_named(conn, FIRST_UNSEEN) or 0)


def set_first_unseen_id(conn: Connection, swap_id: int) -> None:
    """See `Store.set_first_unseen_id`; it never goes back."""
    if int(_first(conn, FIRST_UNSEEN, str(swap_id))) < swap_id:
        conn.execute(sql.RENAME, {"p_name": FIRST_UNSEEN, "p_value": str(swap_id)})


def _named(conn: Connection, name: str) -> str | None:
    return conn.execute(sql.NAMED, {"p_name": name}).scalar_one_or_none()


def _first(conn: Connection, name: str, value: str) -> str:
    found = _named(conn, name)
    if found is not None:
        return found
    conn.execute(sql.NAME, {"p_name": name, "p_value": value})
    return value


def log(conn: Connection, actor: str, action: str, detail: Mapping[str, object]) -> None:
    """Append to the operator's log."""
    conn.execute(sql.LOG, {"p_actor": actor, "p_action": action, "p_detail": dumps(detail)})


def paused(conn: Connection) -> frozenset[str]:
    """See `Store.paused`."""
    return frozenset(conn.execute(sql.PAUSED).scalars())


def set_paused(conn: Connection, what: str, pause: bool, actor: str) -> bool:
    """See `Store.set_paused`."""
    if (what in paused(conn)) == pause:
        return False
    conn.execute(sql.PAUSE if pause else sql.RESUME, {"p_what": what, "p_actor": actor})
    log(conn, actor, "pause" if pause else "resume", {"what": what})
    _tell_paused(conn, what, pause, actor)
    return True


NO_PAUSE = "drain"
"""Kept beside what is paused, and pauses nothing: see `miner.affairs.drain`."""


def _tell_paused(conn: Connection, what: str, pause: bool, actor: str) -> None:
    if what == NO_PAUSE:
        return
    if not pause:
        text = f"{what}: payouts go on; {actor} said so"
        for kind in (NoticeKind.PAUSED, NoticeKind.FINALITY_VIOLATED):
            notices.end(conn, Alarm(kind=kind, subject=what, text=text))
        return
    violated = actor.endswith(BY_FINALITY)
    kind = NoticeKind.FINALITY_VIOLATED if violated else NoticeKind.PAUSED
    text = f"{what}: no payout is begun until somebody says so; paused by {actor}"
    if violated:
        text = f"a finalised block changed; {what}: no payout is begun until somebody says so"
    todo = "compare your nodes, then `swap-miner resume`" if violated else "`swap-miner resume`"
    notices.begin(conn, Alarm(kind=kind, subject=what, text=text, what_to_do=todo))


def approve(conn: Connection, swap_id: int, amount: int, actor: str) -> None:
    """Keep that a person let a swap's payout go, in place of what was let go for it before."""
    conn.execute(sql.UNAPPROVE, {"p_swap": swap_id})
    conn.execute(sql.APPROVE, {"p_swap": swap_id, "p_amount": amount, "p_actor": actor})


def approved(conn: Connection, swap_ids: Collection[int]) -> dict[int, int]:
    """See `Store.approved`."""
    found: dict[int, int] = {}
    for chunk in chunks(sorted(swap_ids)):
        found |= {row.swap_id: row.amount for row in conn.execute(sql.APPROVED, {"p_swaps": chunk})}
    return found


def imported(conn: Connection, swap_id: int) -> ImportedSend | None:
    """See `Store.imported`."""
    return _imported(conn, [swap_id]).get(swap_id)


def imports(conn: Connection, swap_ids: Collection[int]) -> dict[int, ImportedSend]:
    """See `Store.imports`."""
    return _imported(conn, sorted(swap_ids))


def _imported(conn: Connection, swap_ids: Sequence[int]) -> dict[int, ImportedSend]:
    found = {}
    for chunk in chunks(swap_ids):
        for row in conn.execute(sql.IMPORTED, {"p_swaps": chunk}):
            send = ImportedSend(row.swap_id, row.txid, row.block, bool(row.marked), row.timeout_block)
            found[row.swap_id] = send
    return found


def import_sent(conn: Connection, sends: Sequence[ImportedSend], owner_id: str) -> int:
    """See `Store.import_sent`. A line that says otherwise than before takes its place; the log keeps both."""
    actor = f"import:{owner_id}"
    before = _imported(conn, [send.swap_id for send in sends])
    fresh = [send for send in sends if before.get(send.swap_id) != send]
    for send in fresh:
        row: dict[str, object] = {
            "txid": send.txid,
            "block": send.block,
            "marked": int(send.marked),
            "timeout_block": send.timeout_block,
        }
        old = before.get(send.swap_id)
        if old is None:
            conn.execute(sql.IMPORT, {"swap_id": send.swap_id, **row})
            continue
        conn.execute(sql.IMPORT_AGAIN, {"p_swap": send.swap_id, **row})
        log(
            conn,
            actor,
            "import_sent_again",
            {"swap_id": send.swap_id, "was": _plain(old), "is": _plain(send)},
        )
    if fresh:
        log(conn, actor, "import_sent", {"lines": len(sends), "new": len(fresh)})
    return len(fresh)


def _plain(send: ImportedSend) -> dict[str, object]:
    return {
        "txid": send.txid,
        "block": send.block,
        "marked": send.marked,
        "timeout_block": send.timeout_block,
    }


def recover(conn: Connection, saga_id: int, state: State, entry: RecoveryEntry) -> bool:
    """Put an entry into the outbox, once for each saga and cause; whether it is new."""
    params = {
        "p_saga": saga_id,
        "p_cause": entry.cause,
        "p_what_to_do": entry.what_to_do,
        "p_detail": dumps(entry.detail),
        "p_state": state.value,
    }
    return conn.execute(sql.RECOVER, params).first() is not None


def has_recovery(conn: Connection, saga_id: int) -> bool:
    """Whether the saga ever had a recovery entry."""
    return conn.execute(sql.HAS_RECOVERY, {"p_saga": saga_id}).first() is not None


def pending_recovery(conn: Connection) -> list[PendingRecovery]:
    """See `Store.pending_recovery`."""
    rows = conn.execute(sql.PENDING).all()
    key = bound_to(conn) if rows else ("", "")
    return [_pending(row, key) for row in rows]


def every_recovery(conn: Connection) -> list[PendingRecovery]:
    """See `Store.every_recovery`."""
    rows = conn.execute(sql.EVERY_ENTRY).all()
    key = bound_to(conn) if rows else ("", "")
    return [_pending(row, key) for row in rows]


def _pending(row: Row[Any], key: tuple[str, str]) -> PendingRecovery:
    entry = RecoveryEntry(row.cause, row.what_to_do, orjson.loads(row.detail))
    return PendingRecovery(row.id, SagaKey(*key, swap_id=row.swap_id), State(row.state), row.at_ms, entry)


def recovery_written(conn: Connection, entry_id: int) -> None:
    """See `Store.recovery_written`."""
    conn.execute(sql.WRITTEN, {"p_id": entry_id})
