"""Leases: who may work on what, until when, by the database's clock."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from miner.errors import InvariantBroken, LeaseLost
from miner.model import Lease
from miner.store.moving import refuse_moved
from miner.store.statements import leases as sql

SAGA = "saga/"
WATCH = "watch"
"""Resource of the cursor: its holder allots the lanes."""


@dataclass(slots=True)
class Owner:
    """This process as a holder.

    Attributes:
        id: Random per process.
        ttl_ms: How long a lease lasts from its newest heartbeat.
        held: Resources whose lease this process was last known to hold; for telling what was lost.
        asked: Whether it ever asked for one.
        silent: By resource: a holder with its epoch and newest heartbeat, and since when it has been silent.
    """

    id: str
    ttl_ms: int
    held: set[str] = field(default_factory=set)
    asked: bool = False
    silent: dict[str, tuple[tuple[str, int, int], int]] = field(default_factory=dict)

    def taking(self) -> dict[str, object]:
        """Parameters of the statements that take or extend."""
        self.asked = True
        return {"p_owner": self.id, "p_ttl_ms": self.ttl_ms}


def acquire(conn: Connection, owner: Owner, resource: str) -> Lease:
    """Take or renew a lease; see `Store.acquire`."""
    if resource == WATCH:
        refuse_moved(conn, "the store")
    params = {**owner.taking(), "p_resource": resource}
    row = conn.execute(sql.TAKE, params).one_or_none()
    if row is None and _is_outlived(conn, owner, resource):
        row = conn.execute(sql.TAKE, params).one_or_none()
    if row is None:
        refuse(conn, owner.id, resource, unless_unknown=True)
        try:
            row = conn.execute(sql.TAKE_NEW, {**params, "p_saga": saga_id(resource)}).one()
        except IntegrityError as exc:
            raise InvariantBroken(f"a lease on {resource}, which does not exist") from exc
    return Lease(resource, owner.id, row.epoch, row.expires_at_ms)


def _is_outlived(conn: Connection, owner: Owner, resource: str) -> bool:
    """End the leases of a holder that is dead, where the clock was set back and they would last for hours.

    A lease that ends later than one term from now was given before the clock was set back. Its holder shows a
    sign of life every third of a term; one that showed none for a whole term since we first saw it is dead.

    Raises:
        LeaseLost: It is not known yet; says until when it will be.
    """
    found = conn.execute(sql.TOO_LATE, {"p_resource": resource}).one_or_none()
    if found is None:
        owner.silent.pop(resource, None)
        return False
    sign = (found.owner, found.epoch, found.heartbeat_at_ms)
    seen, since = owner.silent.get(resource, (None, 0))
    if seen != sign or found.now_ms < since:
        since = found.now_ms
        owner.silent[resource] = (sign, since)
    if found.now_ms - since < found.ttl_ms:
        raise LeaseLost(resource, found.owner, since + found.ttl_ms)
    conn.execute(sql.END, {"p_owner": found.owner})
    return True


def saga_id(resource: str) -> int | None:
    """The saga that a resource is, if it is one."""
    rest = resource.removeprefix(SAGA)
    return int(rest) if rest != resource and rest.isdecimal() else None


def refuse(conn: Connection, owner_id: str, resource: str, unless_unknown: bool = False) -> None:
    """Raise with who holds a resource, and until when.

    Args:
        conn: Within the transaction that found it is not ours.
        owner_id: Who asked.
        resource: For what.
        unless_unknown: Return where nobody ever had it.
    """
    row = conn.execute(sql.HOLDER, {"p_owner": owner_id, "p_resource": resource}).one_or_none()
    if row is None and unless_unknown:
        return
    if row is None or row.owner is None:
        raise LeaseLost(resource)
    raise LeaseLost(resource, row.owner, row.expires_at_ms)


def heartbeat(conn: Connection, owner: Owner) -> tuple[set[str], set[str]]:
    """Extend what is held.

    Returns:
        What is held now, and what was held and is not: expired, or taken by another since.
    """
    conn.execute(sql.EXTEND, owner.taking())
    rows = conn.execute(sql.OWN, {"p_owner": owner.id}).all()
    held = {row.resource for row in rows if row.held}
    expired = {row.resource for row in rows if not row.held}
    gone = sorted(owner.held - held - expired)
    if gone:
        expired |= set(conn.execute(sql.OTHERS, {"p_owner": owner.id, "p_resources": gone}).scalars())
    return held, expired


def take_sagas(conn: Connection, owner: Owner) -> set[str]:
    """Take every saga to work on that nobody else holds.

    Returns:
        Resources of all sagas now held.
    """
    conn.execute(sql.TAKE_SAGAS, owner.taking())
    conn.execute(sql.TAKE_NEW_SAGAS, owner.taking())
    rows = conn.execute(sql.OWN, {"p_owner": owner.id})
    return {row.resource for row in rows if row.held and row.saga_id is not None}


def all_held(conn: Connection) -> list[Lease]:
    """See `Store.leases`."""
    return [Lease(*row) for row in conn.execute(sql.ALL_HELD)]


def release_ended(conn: Connection, saga_id: int) -> None:
    """Give back the lease of a saga, if it has ended with all its lanes."""
    conn.execute(sql.RELEASE_ENDED, {"p_saga": saga_id})


def release_all(conn: Connection, owner: Owner) -> None:
    """Give everything back."""
    conn.execute(sql.RELEASE_ALL, {"p_owner": owner.id})
