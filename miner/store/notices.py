"""What operators are told is committed with what it tells of; nothing here leaves the store.

A kind of alarm that lasts has a row in `conditions` while it is so: raised on the edge, told again when it
clears, and silent in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row

from miner.model import (
    Alarm,
    Delivery,
    DeliveryStanding,
    Notice,
    NoticeKind,
    Phase,
    RecoveryEntry,
    Route,
    told_of,
)
from miner.saga import Event, State
from miner.store.rows import dumps
from miner.store.statements import notices as sql
from miner.store.statements import records

WATCH: Final = "watch"
_TEXTS: Final = {
    NoticeKind.SWAP_PAID: "the payout is in a block",
    NoticeKind.SWAP_FULFILLED: "it is paid, and marked as fulfilled",
    NoticeKind.SWAP_COMPLETED: "it is completed",
    NoticeKind.SWAP_NOT_PAID: "it ended, and nothing was paid",
    NoticeKind.SWAP_WITHDRAWING: "it ended while its payout may be out: the payout is being cancelled",
    NoticeKind.SWAP_HELD: "it waits for you",
    NoticeKind.SWAP_FAILED: "it was paid, and ended uncredited",
}


def tell(conn: Connection, alarm: Alarm, phase: Phase = Phase.TOLD) -> None:
    """Commit a notice with the running transaction."""
    values = {
        "kind": alarm.kind.value,
        "phase": phase.value,
        "subject": alarm.subject,
        "swap_id": alarm.swap_id,
        "text": alarm.text,
        "what_to_do": alarm.what_to_do,
        "detail": dumps(alarm.detail),
    }
    conn.execute(sql.TELL, values)


def begin(conn: Connection, alarm: Alarm) -> bool:
    """Something is wrong from now on: told where it was not so before; whether it was told."""
    about = {"p_kind": alarm.kind.value, "p_subject": alarm.subject}
    if conn.execute(sql.IS_SO, about).first() is not None:
        return False
    conn.execute(sql.BEGIN, about)
    tell(conn, alarm, Phase.RAISED)
    return True


def end(conn: Connection, alarm: Alarm) -> bool:
    """It is well again: told where it was told that it was not; whether it was told."""
    if not forget(conn, alarm.kind, alarm.subject):
        return False
    tell(conn, alarm, Phase.CLEARED)
    return True


def forget(conn: Connection, kind: NoticeKind, subject: str) -> bool:
    """A condition is over, and something else tells so; whether it was there."""
    return conn.execute(sql.END, {"p_kind": kind.value, "p_subject": subject}).rowcount == 1


# what the store itself tells


def stepped(
    conn: Connection,
    swap_id: int,
    event: Event,
    before: State,
    after: State,
    reason: str,
    recovery: RecoveryEntry | None,
) -> None:
    """Tell of a saga's step, in its own transaction.

    Args:
        conn: Of the step.
        swap_id: The contract's id.
        event: What happened.
        before: State before it.
        after: State after it.
        reason: The saga's reason after it.
        recovery: The entry for the recovery log that is new with it, if one is.
    """
    kind, subject = told_of(event, before, after), f"swap/{swap_id}"
    if before is State.HELD and after is not State.HELD:
        freed = f"swap {swap_id} is held no more: it is {after}"
        over = Alarm(kind=NoticeKind.SWAP_HELD, subject=subject, text=freed, swap_id=swap_id)
        if after is State.FAILED:
            forget(conn, over.kind, subject)
        else:
            end(conn, over)
    if kind is not None:
        _told(conn, kind, swap_id, reason, recovery)
    elif recovery is not None:
        entered(conn, swap_id, recovery)


def _told(
    conn: Connection, kind: NoticeKind, swap_id: int, reason: str, recovery: RecoveryEntry | None
) -> None:
    alarm = Alarm(
        kind=kind,
        subject=f"swap/{swap_id}",
        text=f"swap {swap_id}: {_TEXTS[kind]}" + (f" ({reason})" if reason else ""),
        what_to_do=recovery.what_to_do if recovery else "",
        swap_id=swap_id,
        detail={} if recovery is None else {"cause": recovery.cause},
    )
    if kind is NoticeKind.SWAP_HELD:
        begin(conn, alarm)
    else:
        tell(conn, alarm)


def entered(conn: Connection, swap_id: int, entry: RecoveryEntry) -> None:
    """Tell of a new entry of the recovery log that no other notice tells of."""
    alarm = Alarm(
        kind=NoticeKind.RECOVERY_ENTRY,
        subject=f"swap/{swap_id}",
        text=f"swap {swap_id}: money may be at risk: {entry.cause}",
        what_to_do=entry.what_to_do,
        swap_id=swap_id,
        detail={"cause": entry.cause},
    )
    tell(conn, alarm)


def assigned(conn: Connection, swap_id: int, timeout_block: int) -> None:
    """Tell of a new swap."""
    text = f"swap {swap_id}: it is ours; deadline block {timeout_block}"
    kind = NoticeKind.SWAP_ASSIGNED
    tell(conn, Alarm(kind=kind, subject=f"swap/{swap_id}", text=text, swap_id=swap_id))


# delivering


def is_ours(conn: Connection, owner: str) -> bool:
    """Whether no other node works on this store."""
    params = {"p_watch": WATCH, "p_owner": owner}
    return conn.execute(sql.WATCHED_BY_ANOTHER, params).first() is None


def raised(conn: Connection, owner: str, alarm: Alarm) -> bool:
    """See `Outbox.begin`."""
    return is_ours(conn, owner) and begin(conn, alarm)


def cleared(conn: Connection, owner: str, alarm: Alarm) -> bool:
    """See `Outbox.end`."""
    return is_ours(conn, owner) and end(conn, alarm)


def is_so(conn: Connection, kind: NoticeKind, subject: str) -> bool:
    """Whether a condition was raised and not cleared."""
    return conn.execute(sql.IS_SO, {"p_kind": kind.value, "p_subject": subject}).first() is not None


def unrouted(conn: Connection, limit: int) -> list[Row[Any]]:
    """Notices that no target was chosen for yet."""
    return list(conn.execute(sql.UNROUTED, {"p_limit": limit}))


def route(conn: Connection, owner: str, routes: Sequence[Route], limit: int) -> int:
    """See `Outbox.route`."""
    if not is_ours(conn, owner):
        return 0
    found = unrouted(conn, limit)
    due = [
        {"notice_id": row.id, "target": route.target}
        for row in found
        for route in routes
        if route.takes(NoticeKind(row.kind))
    ]
    if due:
        conn.execute(sql.ADD, due)
    if found:
        conn.execute(sql.ROUTED, {"p_ids": [row.id for row in found]})
    return len(found)


def drop_targets(conn: Connection, owner: str, targets: Sequence[str]) -> int:
    """What waits for a target that the settings do not name any more is dead; how much that is."""
    if not is_ours(conn, owner):
        return 0
    return conn.execute(sql.NO_TARGET, {"p_targets": [*targets, ""]}).rowcount


def any_due(conn: Connection, target: str) -> bool:
    """Whether anything is due for a target."""
    return conn.execute(sql.ANY_DUE, {"p_target": target}).first() is not None


def take(conn: Connection, owner: str, target: str, hold_ms: int, limit: int) -> list[Delivery]:
    """See `Outbox.take`."""
    if not is_ours(conn, owner):
        return []
    ids = list(conn.execute(sql.DUE, {"p_target": target, "p_limit": limit}).scalars())
    if not ids:
        return []
    params = {"p_target": target, "p_ids": ids, "p_owner": owner, "p_hold_ms": hold_ms}
    conn.execute(sql.TAKE, params)
    return _deliveries(conn, conn.execute(sql.TAKEN, {"p_target": target, "p_ids": ids}).all())


def delivered(conn: Connection, owner: str, delivery: Delivery) -> bool:
    """See `Outbox.delivered`."""
    if conn.execute(sql.DELIVERED, _mine(owner, delivery)).rowcount == 0:
        return False
    text = f"messages reach {delivery.target} again"
    end(conn, Alarm(kind=NoticeKind.TARGET_FAILING, subject=delivery.target, text=text))
    return True


def failed(conn: Connection, owner: str, delivery: Delivery, why: str, after_ms: int, give_up: bool) -> bool:
    """See `Outbox.failed`."""
    standing = DeliveryStanding.DEAD if give_up else DeliveryStanding.WAITING
    told = {"p_standing": standing.value, "p_error": why[:300], "p_after_ms": after_ms}
    if conn.execute(sql.FAILED, {**_mine(owner, delivery), **told}).rowcount == 0:
        return False
    if give_up:
        text = f"a message to {delivery.target} was given up: {why[:300]}"
        todo = "correct its [[notify]] table, `swap-miner notify test`, then `swap-miner notify replay`"
        kind = NoticeKind.TARGET_FAILING
        begin(conn, Alarm(kind=kind, subject=delivery.target, text=text, what_to_do=todo))
    return True


def _mine(owner: str, delivery: Delivery) -> dict[str, Any]:
    return {"p_notice": delivery.notice.id, "p_target": delivery.target, "p_owner": owner}


# for people, and keeping house


def deliveries(conn: Connection, standings: Sequence[DeliveryStanding], limit: int) -> list[Delivery]:
    """See `Outbox.deliveries`."""
    params = {"p_standings": [each.value for each in standings], "p_limit": limit}
    return _deliveries(conn, conn.execute(sql.RECENT, params).all())


def counts(conn: Connection) -> dict[tuple[str, DeliveryStanding], int]:
    """See `Outbox.counts`."""
    return {(target, DeliveryStanding(standing)): n for target, standing, n in conn.execute(sql.COUNTS)}


def conditions(conn: Connection) -> list[tuple[NoticeKind, str, int]]:
    """See `Outbox.conditions`."""
    found = conn.execute(sql.CONDITIONS)
    return [(NoticeKind(row.kind), row.subject, row.since_ms) for row in found]


def replay(conn: Connection, target: str, notice_id: int) -> int:
    """See `Outbox.replay`."""
    return conn.execute(sql.REPLAY, {"p_target": target, "p_notice": notice_id}).rowcount


def any_old(conn: Connection, age_ms: int) -> bool:
    """Whether there is anything to prune."""
    return conn.execute(sql.ANY_OLD, {"p_age_ms": age_ms}).first() is not None


def prune(conn: Connection, age_ms: int) -> int:
    """See `Outbox.prune`."""
    conn.execute(sql.FORGET_DELIVERIES, {"p_age_ms": age_ms})
    return conn.execute(sql.FORGET, {"p_age_ms": age_ms}).rowcount


def _deliveries(conn: Connection, rows: Sequence[Row[Any]]) -> list[Delivery]:
    named = {name: _named(conn, name) for name in ("genesis", "contract")} if rows else {}
    return [_delivery(row, named) for row in rows]


def _named(conn: Connection, name: str) -> str:
    return str(conn.execute(records.NAMED, {"p_name": name}).scalar_one_or_none() or "")


def _delivery(row: Row[Any], named: dict[str, str]) -> Delivery:
    alarm = Alarm(
        kind=NoticeKind(row.kind),
        subject=row.subject,
        text=row.text,
        what_to_do=row.what_to_do,
        swap_id=row.swap_id,
        detail=orjson.loads(row.detail),
    )
    notice = Notice(id=row.id, at_ms=row.at_ms, phase=Phase(row.phase), alarm=alarm, **named)
    return Delivery(
        notice=notice,
        target=row.target,
        attempts=row.attempts,
        standing=DeliveryStanding(row.standing),
        next_at_ms=row.next_at_ms,
        last_error=row.last_error,
    )
