"""Which server a store is on, and whether it keeps what it says it has committed (design.md §11).

A server that was copied, restored or promoted may lack what the one before it had committed last. It tells by
its system identifier (another cluster) or its timeline (a promotion, a recovery to a point in time).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from miner.errors import ConfigError, StoreUnavailable
from miner.store.postgresql import LOCKS, OLDEST

_STANDING = (
    "(SELECT system_identifier FROM pg_control_system()), "
    "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
)
_LOCK = f"pg_advisory_xact_lock({LOCKS}, hashtext(current_schema()))"
_SETTINGS = (
    "SELECT current_setting('fsync'), current_setting('synchronous_commit'), "
    "current_setting('server_encoding'), current_setting('server_version_num')::int, current_schema(), "
    "pg_is_in_recovery()"
)
_DURABLE = ("on", "remote_apply")


@dataclass(frozen=True, slots=True)
class Standing:
    """A server at a point of its history.

    Attributes:
        system: Its cluster's system identifier.
        timeline: Rises with each promotion and each recovery to a point in time.
    """

    system: str
    timeline: int

    def __str__(self) -> str:
        return f"{self.system}/{self.timeline}"


def standing(conn: Connection) -> Standing:
    """Where the transaction is. Raises as the driver does."""
    system, timeline = conn.exec_driver_sql(f"SELECT {_STANDING}").one()
    return Standing(str(system), int(timeline))


def begin_reading(conn: Connection) -> None:
    """The first words of a transaction that reads one moment. Raises as the driver does."""
    conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def begin_writing(conn: Connection) -> Standing:
    """The first words of a transaction that writes: no other one writes until its end.

    Returns:
        Where it is: what it commits is committed there.
    """
    system, timeline, _ = conn.exec_driver_sql(f"SELECT {_STANDING}, {_LOCK}").one()
    return Standing(str(system), int(timeline))


def check(conn: Connection, where: str) -> str:
    """Refuse a server that may forget what it has committed.

    Returns:
        Its version and these settings, in words.

    Raises:
        ConfigError: Names the setting, its value, and what to do.
        StoreUnavailable: It is a standby, or the schema is missing.
    """
    fsync, commit, encoding, version, schema, standby = conn.exec_driver_sql(_SETTINGS).one()
    if standby:
        raise StoreUnavailable(f"{where} is a standby, which takes no writes. Name the primary in store.url")
    if schema is None:
        raise StoreUnavailable(f"{where}: no schema of its search_path exists. Create it: CREATE SCHEMA …")
    if version < OLDEST:
        remedy = f"Use PostgreSQL {OLDEST // 10_000} or later"
        raise ConfigError(where, f"server_version is {version // 10_000}", remedy)
    for name, value, good, remedy in (
        ("fsync", fsync, fsync == "on", "ALTER SYSTEM SET fsync = on, then reload the server"),
        (
            "synchronous_commit",
            commit,
            commit in _DURABLE,
            "Set it to on: for the server, the database and the role (ALTER SYSTEM, DATABASE, ROLE)",
        ),
        ("server_encoding", encoding, encoding == "UTF8", "Create the database with ENCODING 'UTF8'"),
    ):
        if not good:
            why = "a committed payout could be forgotten" if name != "server_encoding" else "UTF8 is needed"
            raise ConfigError(where, f"{name} is {value}: {why}", remedy)
    return f"{version // 10_000}, fsync {fsync}, synchronous_commit {commit}"
