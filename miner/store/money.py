"""Inventory set aside, and accounts that spend."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from miner.errors import InvariantBroken, Refused, SlotTaken, StaleSaga
from miner.model import AccountRow, Alarm, Claim, LanePurpose, NoticeKind, Reservation
from miner.store import notices, operator
from miner.store.schema import MAX_INT
from miner.store.statements import lanes as lanes_sql
from miner.store.statements import money as sql

LANES_ARE_OPEN = (
    "its nonce went back, and a lane that it began before is still open: the daemon closes it at its next "
    "look; run this again in a minute, with the daemon running"
)


def uses_nonces(chain: str) -> bool:
    """Whether slots of a chain (by chain id) are nonces, not outpoints."""
    return not chain.startswith("btc:")


def check_amounts(*amounts: int) -> None:
    """Refuse what no honest amount is.

    Raises:
        InvariantBroken: One is negative, or larger than a column holds.
    """
    for amount in amounts:
        if not 0 <= amount <= MAX_INT:
            raise InvariantBroken(f"{amount} is no amount")


def reserve(conn: Connection, saga_id: int, kept: Reservation, mark_chain: str) -> None:
    """Set inventory aside, in place of what the saga had before."""
    check_amounts(kept.amount, kept.fee, kept.mark_fee)
    values = {
        "chain": kept.chain,
        "account": kept.account,
        "amount": kept.amount,
        "fee": kept.fee,
        "mark_chain": mark_chain,
        "mark_account": kept.mark_account,
        "mark_fee": kept.mark_fee,
        "state": sql.RESERVED,
        "mark_state": sql.RESERVED,
    }
    if conn.execute(sql.RESERVE_AGAIN, {"p_saga": saga_id, **values}).rowcount == 0:
        conn.execute(sql.RESERVE, {"saga_id": saga_id, **values})


def release(conn: Connection, saga_id: int) -> None:
    """Give back what is set aside and has not landed."""
    conn.execute(sql.RELEASE, {"p_saga": saga_id})


def settle(conn: Connection, saga_id: int) -> None:
    """Close the reservation of a saga that ends."""
    conn.execute(sql.SETTLE, {"p_saga": saga_id})


def capture(conn: Connection, saga_id: int, purpose: LanePurpose) -> None:
    """A lane landed: what was set aside for it has left."""
    statement = sql.CAPTURE_MARK if purpose is LanePurpose.MARK else sql.CAPTURE_PAYOUT
    conn.execute(statement, {"p_saga": saga_id})


def reserved(conn: Connection, chain: str, account: str) -> int:
    """See `Store.reserved`; on a hotkey, the mark fees too."""
    held = sql.HELD if uses_nonces(chain) else sql.HELD_UNSIGNED
    return int(conn.execute(held, {"p_chain": chain, "p_account": account}).scalar_one())


def outflow(conn: Connection, chain: str, since_ms: int) -> int:
    """See `Store.outflow`."""
    return int(conn.execute(sql.OUTFLOW, {"p_chain": chain, "p_since": since_ms}).scalar_one())


def find_account(conn: Connection, chain: str, account: str) -> AccountRow | None:
    """The account's row, if it has one."""
    row = conn.execute(sql.ACCOUNT, {"p_chain": chain, "p_account": account}).one_or_none()
    return None if row is None else _account(row)


def all_accounts(conn: Connection) -> list[AccountRow]:
    """See `Store.accounts`."""
    return [_account(row) for row in conn.execute(sql.ACCOUNTS)]


def _account(row: Row[Any]) -> AccountRow:
    return AccountRow(
        row.chain, row.account, row.high_water, row.base, row.stopped, row.seen_nonce, row.seen_at
    )


def account(conn: Connection, chain: str, name: str, base: int) -> AccountRow:
    """See `Store.account`."""
    return find_account(conn, chain, name) or _add(conn, chain, name, base)


def _add(conn: Connection, chain: str, name: str, base: int, stopped: str = "") -> AccountRow:
    nonce = base if uses_nonces(chain) else 0
    row = AccountRow(chain, name, nonce, base, stopped, nonce)
    values = {"chain": chain, "account": name, "high_water": nonce, "base": base, "stopped": stopped}
    conn.execute(sql.ADD_ACCOUNT, {**values, "seen_nonce": nonce})
    return row


def saw_nonce(conn: Connection, chain: str, name: str, nonce: int, height: int) -> None:
    """See `Store.saw_nonce`."""
    where = {"p_chain": chain, "p_account": name}
    conn.execute(sql.RAISE_SEEN, {**where, "p_nonce": nonce, "p_height": height})


def forget_nonces_above(conn: Connection, chain: str, height: int) -> None:
    """Lower the highest nonce of each account to what is known of a height: what came after it is gone."""
    conn.execute(sql.SEEN_BELOW, {"p_chain": chain, "p_height": height})


def bytes_live_until(conn: Connection, chain: str, name: str) -> int:
    """See `Store.bytes_live_until`."""
    return int(conn.execute(sql.LAST_DEATH, {"p_chain": chain, "p_account": name}).scalar_one())


def next_slot(conn: Connection, claim: Claim) -> tuple[str, int | None]:
    """The slot of a new lane: the claim's anchor, or the account's next nonce, which is thereby used up.

    Returns:
        The slot, and the nonce that it is; None for an outpoint.

    Raises:
        StaleSaga: First sends on the account are stopped.
        Refused: `account_began_again`: it is a mark, which goes on from a stopped account, but the account
            was emptied, and nobody uses the nonces before its next one.
        InvariantBroken: The claim names neither a floor nor an anchor, or both.
    """
    row = find_account(conn, claim.chain, claim.account)
    if row and row.stopped:
        if claim.purpose is not LanePurpose.MARK:
            raise StaleSaga(f"first sends on {claim.account} are stopped: {row.stopped}")
        if (claim.nonce_floor or 0) < row.seen:
            raise Refused(claim.account, "account_began_again", row.stopped)
    if (claim.nonce_floor is None) == (claim.anchor is None):
        raise InvariantBroken("a claim is for a nonce or for an anchor")
    if claim.nonce_floor is None:
        return str(claim.anchor), None
    row = row or _add(conn, claim.chain, claim.account, claim.nonce_floor)
    nonce = max(claim.nonce_floor, row.high_water)
    of = {"p_chain": claim.chain, "p_account": claim.account}
    conn.execute(sql.RAISE_HIGH_WATER, {**of, "p_next": nonce + 1})
    return str(nonce), nonce


def take_slot(conn: Connection, chain: str, account_name: str, slot: str, lane_id: int) -> None:
    """Give a slot to a lane.

    Raises:
        SlotTaken: It belongs to another.
    """
    try:
        values = {"chain": chain, "account": account_name, "slot": slot, "lane_id": lane_id}
        conn.execute(lanes_sql.TAKE_SLOT, values)
    except IntegrityError as exc:
        raise SlotTaken(f"{slot} of {account_name} belongs to another lane") from exc


def stop_account(conn: Connection, chain: str, name: str, why: str) -> bool:
    """See `Store.stop_account`."""
    where = {"p_chain": chain, "p_account": name}
    if find_account(conn, chain, name) is None:
        _add(conn, chain, name, 0, stopped=why)
    elif conn.execute(sql.STOP, {**where, "p_why": why}).rowcount != 1:
        return False
    todo = f"find out who else signs for it, then `swap-miner resume --account {name}`"
    notices.begin(conn, _stopped(name, f"nothing is begun from {name}: {why}", todo))
    return True


def _stopped(name: str, text: str, todo: str = "") -> Alarm:
    return Alarm(kind=NoticeKind.ACCOUNT_STOPPED, subject=name, text=text, what_to_do=todo)


def clear_account(conn: Connection, chain: str, name: str, base: int, actor: str) -> bool:
    """See `Store.clear_account`.

    An account that was reaped begins again at a low nonce. Once none of its lanes is open, so that none of
    the old bytes can land, allotting goes on from `base`, and what its earlier life used is forgotten.

    Raises:
        Refused: `lanes_are_open`: it began again, and a lane of its earlier life is still looked at.
    """
    before = account(conn, chain, name, base)
    where = {"p_chain": chain, "p_account": name}
    high_water = max(before.high_water, base) if uses_nonces(chain) else 0
    is_awaited = conn.execute(sql.AWAITED, where).first() is not None
    if is_awaited and uses_nonces(chain) and base < before.seen:
        raise Refused(name, "lanes_are_open", LANES_ARE_OPEN)
    if uses_nonces(chain) and not is_awaited:
        high_water = base
        conn.execute(sql.FORGET_SLOTS, {**where, "p_base": base})
    seen = base if uses_nonces(chain) else 0
    conn.execute(sql.CLEAR, {**where, "p_base": base, "p_high_water": high_water, "p_seen": seen})
    detail = {"chain": chain, "account": name, "was": before.stopped, "base": base, "from": before.base}
    operator.log(conn, actor, "clear_account", detail)
    notices.end(conn, _stopped(name, f"{name} may pay again; {actor} said so"))
    return bool(before.stopped)
