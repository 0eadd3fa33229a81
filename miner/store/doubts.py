"""Whether the database is the one it was, and may lack what had been committed.

A store that was restored, copied or promoted may lack lanes whose bytes have left. Until every transaction
that such a lane can hold is on its chain or dead, law 9's audit cannot see all of them: this is a *doubt*. It
stands in the store, so that a restart does not end it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection

from miner.model import Alarm, NoticeKind
from miner.store import notices, operator
from miner.store.statements import doubts as sql
from miner.store.statements import records

if TYPE_CHECKING:
    from miner.store.standing import Standing

SERVER, DOUBT = "server", "doubt"
"""Names in `meta`: the server's standing, and the height up to which a doubt lasts (empty: not yet told)."""
ACTOR = "store"


def compare(conn: Connection, found: Standing, where: str, signed: str = "") -> str | None:
    """At the opening: keep the server's standing; a doubt where it is not the one that was kept, or has less.

    Args:
        conn: Within a transaction that writes.
        found: The standing now.
        where: Server and database, for the words.
        signed: The newest attempt that a witness knows to have been committed; empty: it knows of none.

    Returns:
        What changed, in words; None where nothing did.
    """
    before = named(conn, SERVER)
    lost = is_missing(conn, signed)
    if before in (None, str(found)) and not lost:
        name(conn, SERVER, str(found))
        return None
    _note(conn, found, doubted=True)
    return words(where, before or found, found, lost)


def words(where: str, before: object, found: Standing, lost: bool) -> str:
    """What changed, in words."""
    told = []
    if str(before) != str(found):
        told.append(f"is on server {found} (system identifier/timeline), and was on {before}")
    if lost:
        told.append("lacks a signed transaction that it had committed")
    return f"{where} {' and '.join(told)}"


def newest(conn: Connection) -> str:
    """Id of the newest attempt; empty where there is none."""
    return conn.execute(sql.NEWEST_ATTEMPT).scalar_one_or_none() or ""


def is_missing(conn: Connection, txid: str | None) -> bool:
    """Whether an attempt that is known to have been committed is not there."""
    return bool(txid) and conn.execute(sql.HAS_ATTEMPT, {"p_txid": txid}).first() is None


def settle(conn: Connection, found: Standing, txid: str | None) -> str | None:
    """After a change: keep the new standing, and a doubt unless the newest attempt is there.

    What was committed before an attempt that is there, is there as well.

    Args:
        conn: Within a transaction that writes.
        found: The standing now.
        txid: The newest attempt known to have been committed; None: not known.

    Returns:
        The newest attempt as it is known now.
    """
    doubted = txid is None or is_missing(conn, txid)
    _note(conn, found, doubted)
    return None if doubted else txid


def _note(conn: Connection, found: Standing, doubted: bool) -> None:
    before = named(conn, SERVER)
    name(conn, SERVER, str(found))
    if doubted:
        name(conn, DOUBT, "")
        _told(conn, f"the database is another than it was: {before} before, {found} now")
    else:
        conn.execute(sql.FORGET, {"p_name": DOUBT})
        _untold(conn)
    operator.log(conn, ACTOR, "server_changed", {"was": before, "is": str(found), "doubted": doubted})


def begin(conn: Connection, actor: str, why: str) -> None:
    """See `Store.begin_doubt`. One that nobody was told of yet is the same one."""
    if named(conn, DOUBT) == "":
        return
    name(conn, DOUBT, "")
    operator.log(conn, actor, "doubt_begun", {"why": why})
    _told(conn, why)


def doubted_until(conn: Connection, otherwise: int) -> int | None:
    """See `Store.doubted_until`."""
    found = named(conn, DOUBT)
    if found == "":
        name(conn, DOUBT, str(otherwise))
        return otherwise
    return None if found is None else int(found)


def dispel(conn: Connection) -> None:
    """See `Store.dispel_doubt`. One that nobody was told of yet stays."""
    if named(conn, DOUBT):
        conn.execute(sql.FORGET, {"p_name": DOUBT})
        operator.log(conn, ACTOR, "doubt_dispelled", {})
        _untold(conn)


def _told(conn: Connection, why: str) -> None:
    text = f"the store may lack payouts that have left: {why}; every account is audited before it pays"
    todo = "look whether pauses and imports are kept: `swap-miner status`"
    notices.begin(conn, Alarm(kind=NoticeKind.STORE_DOUBTED, subject="store", text=text, what_to_do=todo))


def _untold(conn: Connection) -> None:
    text = "everything that the store could lack was looked at, or cannot land any more"
    notices.end(conn, Alarm(kind=NoticeKind.STORE_DOUBTED, subject="store", text=text))


def named(conn: Connection, what: str) -> str | None:
    """A value of `meta`."""
    return conn.execute(records.NAMED, {"p_name": what}).scalar_one_or_none()


def name(conn: Connection, what: str, value: str) -> None:
    """Set a value of `meta`."""
    values = {"p_name": what, "p_value": value}
    if conn.execute(records.RENAME, values).rowcount == 0:
        conn.execute(records.NAME, values)
