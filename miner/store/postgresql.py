"""PostgreSQL: where it is, how a connection is made, how a transaction begins, and what its errors mean.

Every transaction that writes first takes one advisory lock of the store. So one process writes at a time, as
on SQLite, and nothing that it has read can change before it commits. It runs READ COMMITTED, so that all it
reads was read after the lock was granted. One that only reads sees one moment (REPEATABLE READ, READ ONLY).
Constraints and compare-and-set hold without the lock as well.

A connection must be one session throughout (no pool that changes it between transactions).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import psycopg
from psycopg import conninfo, errors
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from miner.errors import ConfigError, InvariantBroken, StoreDamaged, StoreUnavailable

LOCKS = 0x53574D31
"""First half of the key of every advisory lock of this program (`SWM1`)."""
OLDEST = 130_000
"""First version of the server (`server_version_num`) that is used."""

_SECRETS = ("password", "sslpassword")
_SETTINGS = (
    "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS wanted (name, value)"
)
_FREE_TO_TRY_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)
_DAMAGED = (errors.DataCorrupted, errors.IndexCorrupted)


@dataclass(frozen=True, slots=True)
class Place:
    """A database on a server, without its password.

    Attributes:
        parameters: As libpq takes them.
    """

    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        told = self.parameters
        host = quote(str(told.get("host", "")), safe=",.:[]-_")
        port = f":{told['port']}" if "port" in told else ""
        user = f"{told['user']}@" if "user" in told else ""
        return f"postgresql://{user}{host}{port}/{told.get('dbname', '')}"


def place_of(url: str) -> Place:
    """The place that a URL names.

    Raises:
        ConfigError: It is no URL of PostgreSQL, or holds a password. It is not repeated then.
    """
    remedy = "Write postgresql://user@host:5432/database, and the password into store.password_file"
    try:
        told = conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        raise ConfigError("store.url", "is no URL of a PostgreSQL database", remedy) from None
    if any(name in told for name in _SECRETS):
        raise ConfigError("store.url", "holds a password", remedy)
    return Place(told)


def engine(place: Place, busy_timeout_s: float, password: Callable[[], str] | None) -> Engine:
    """An engine whose connections end in bounded time, whatever becomes of the network or of this process.

    Args:
        place: Where to.
        busy_timeout_s: How long a transaction waits for another process's.
        password: Asked for anew at each connection; None: libpq finds it (`passfile`), or none is needed.
    """
    return create_engine(
        "postgresql+psycopg://", creator=lambda: connect(place, busy_timeout_s, password), poolclass=NullPool
    )


def parameters(place: Place, busy_timeout_s: float, password: Callable[[], str] | None) -> dict[str, Any]:
    """What a connection is made with; what the operator's URL says goes first."""
    wait_s = max(2, round(busy_timeout_s))
    told: dict[str, Any] = {
        "application_name": "swap-miner",
        "target_session_attrs": "read-write",
        "connect_timeout": wait_s,
        "keepalives_idle": wait_s,
        "keepalives_interval": wait_s,
        "keepalives_count": 3,
        "tcp_user_timeout": 3000 * wait_s,
        **place.parameters,
    }
    if password is not None:
        told["password"] = password()
    return told


def connect(
    place: Place, busy_timeout_s: float, password: Callable[[], str] | None
) -> psycopg.Connection[Any]:
    """A connection with its time limits set; the server ends a transaction that its client left hanging."""
    raw = psycopg.connect(**parameters(place, busy_timeout_s, password), autocommit=True)
    try:
        limits = {
            "lock_timeout": f"{round(1000 * busy_timeout_s)}ms",
            "statement_timeout": f"{round(1000 * statement_s(busy_timeout_s))}ms",
            "idle_in_transaction_session_timeout": f"{round(2000 * busy_timeout_s)}ms",
        }
        raw.execute(_SETTINGS, (list(limits), list(limits.values())))
        raw.autocommit = False
    except BaseException:
        raw.close()
        raise
    return raw


def statement_s(busy_timeout_s: float) -> float:
    """How long one statement may take, waiting for locks included."""
    return busy_timeout_s + 15


def raw(conn: Connection) -> psycopg.Connection[Any]:
    """The driver's connection beneath."""
    found: Any = conn.connection.dbapi_connection
    return cast("psycopg.Connection[Any]", found)


def may_be_tried_again(error: BaseException | None) -> bool:
    """Whether an error before COMMIT says: rolled back, for what other sessions did meanwhile."""
    return isinstance(error, _FREE_TO_TRY_AGAIN)


def meaning(error: BaseException | None, where: object) -> StoreUnavailable | StoreDamaged | InvariantBroken:
    """What a driver's error says: damaged, against the schema's rules, or (all else) not known to be done."""
    if isinstance(error, _DAMAGED):
        remedy = "Stop the daemon, keep the server's files for inspection, and restore the newest backup"
        return StoreDamaged(f"{where} is damaged: {_words(error)}. {remedy}")
    if isinstance(error, psycopg.IntegrityError | psycopg.DataError):
        return InvariantBroken(f"{where}: {_words(error)}")
    return StoreUnavailable(f"{where}: {_words(error)}")


def _words(error: BaseException | None) -> str:
    """The first line: what follows it may hold values of ours (`DETAIL: Key (…)=(…)`)."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
