"""From a path to a checked file with the newest schema.

A new file is made under another name and linked to its own only when it is whole, so a file that stands
under the path and is empty was truncated, and is never taken for a first start.

`quick_check` reads the whole file, so it runs where it is cheap (up to `CHECK_ALWAYS_BYTES`) or needed and
bearable: after an unclean stop (a write-ahead log was left behind) up to `CHECK_UNCLEAN_BYTES`. Beyond that
damage shows when a page is read, as `StoreDamaged`.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, column, insert, inspect, select
from sqlalchemy import table as sql_table

from miner.durable import as_its_folder, publish
from miner.errors import ConfigError, SchemaTooOld, StoreDamaged, StoreUnavailable
from miner.store import dialect, folder
from miner.store.schema import HEAD, REVISIONS, metadata

CHECK_ALWAYS_BYTES = 4 * 1024 * 1024
CHECK_UNCLEAN_BYTES = 128 * 1024 * 1024

VERSION: Select[Any] = select(column("version_num")).select_from(sql_table("alembic_version"))
"""The schema's version, as Alembic keeps it."""


SERVERS = ("postgresql", "postgres")


def is_server(url: str | Path) -> bool:
    """Whether a URL is one of a PostgreSQL database."""
    scheme, found, _ = str(url).partition("://")
    return bool(found) and scheme in SERVERS


def path_of(url: str | Path) -> Path | None:
    """The file that a URL or path names; None for a store in memory.

    Raises:
        ConfigError: The URL is of a database this version does not speak.
    """
    text = str(url)
    if "://" not in text:
        return Path(text).absolute()
    scheme, _, rest = text.partition("://")
    if scheme != "sqlite":
        remedy = "Write a path, sqlite:////absolute/path, or postgresql://user@host/database"
        raise ConfigError("store.url", f"{scheme!r} is no database this version can use", remedy)
    name = rest.removeprefix("/")
    return Path(name).absolute() if name and name != ":memory:" else None


def ensure_file(path: Path) -> None:
    """Make sure of the folder, and create the file (0600) with its schema where there is none.

    Raises:
        StoreUnavailable: It cannot be made.
        StoreDamaged: A file of no length stands there.
    """
    folder.prepare(path.parent)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        _create(path)
        return
    except OSError as exc:
        raise StoreUnavailable(f"{path}: {exc.strerror}") from exc
    if size == 0:
        raise dialect.damaged(path, "it is empty")
    if not os.access(path, os.R_OK | os.W_OK):
        raise StoreUnavailable(f"{path} is not writable")


def check(conn: Connection, path: Path | None, read_whole: bool = True) -> None:
    """Check what was connected to, and bring its schema up to date.

    Args:
        conn: To it.
        path: The file; None for memory.
        read_whole: Whether it is read as a whole where that is called for; not where another connection
            has just done it.

    Raises:
        SchemaTooOld: A newer program wrote it.
        StoreDamaged: It is damaged, or no store of this program.
    """
    if path is None:
        with _writing(conn):
            _fill(conn)
        return
    unclean = _left_open(path)
    if dialect.application_id(conn) != dialect.APPLICATION_ID:
        _refuse_foreign(path)
    dialect.use_wal(conn, path)
    size = path.stat().st_size
    if read_whole and size <= (CHECK_UNCLEAN_BYTES if unclean else CHECK_ALWAYS_BYTES):
        dialect.quick_check(conn, path)
    bring_up_to_date(conn, path)


def bring_up_to_date(conn: Connection, path: Path) -> None:
    """Migrate where the schema is older than the program; Alembic is loaded only then."""
    if _version(conn, path) == HEAD:
        return
    from miner.store.migrate import upgrade

    with _writing(conn):
        if _version(conn, path) != HEAD:  # another process may have been faster
            upgrade(conn)


def ensure_schema(conn: Connection, where: str) -> None:
    """Within a transaction that writes, on a server: make the tables where there is none, or migrate.

    Raises:
        SchemaTooOld: A newer program wrote them.
        StoreDamaged: The schema holds tables of something else.
    """
    tables = inspect(conn).get_table_names(schema=conn.dialect.default_schema_name)
    if not tables:
        _fill(conn)
    elif "alembic_version" not in tables:
        raise StoreDamaged(
            f"{where} holds tables, but no store of this program. Name a database (or schema) of its own"
        )
    elif _version(conn, where) != HEAD:
        from miner.store.migrate import upgrade

        upgrade(conn)


def has_store(conn: Connection) -> bool:
    """Whether a server's schema holds a store."""
    return inspect(conn).has_table("alembic_version", schema=conn.dialect.default_schema_name)


def older(conn: Connection) -> str | None:
    """The schema's version, where an older program left it."""
    found = str(conn.execute(VERSION).scalar_one_or_none()) if has_store(conn) else HEAD
    return found if found in REVISIONS and found != HEAD else None


def _version(conn: Connection, path: Path | str) -> str:
    own = not conn.in_transaction()
    if not inspect(conn).has_table("alembic_version", schema=conn.dialect.default_schema_name):
        raise StoreDamaged(f"{path} holds no schema version: it is no store of this program")
    version = str(conn.execute(VERSION).scalar_one_or_none())
    if own:
        conn.rollback()
    if version not in REVISIONS:
        raise SchemaTooOld(
            f"{path} has schema {version}; this program knows up to {HEAD}. Install the newer program"
        )
    return version


def _left_open(path: Path) -> bool:
    with suppress(OSError):
        return path.with_name(path.name + "-wal").stat().st_size > 0
    return False


def _refuse_foreign(path: Path) -> None:
    raise StoreDamaged(
        f"{path} is a database, but no store of this program. Name another file in the configuration, "
        "or restore the store from its backup"
    )


def _create(path: Path) -> None:
    """Build the file aside and link it to its name; whoever loses the race uses the winner's."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        as_its_folder(draft)
        _build(draft)
        with suppress(FileExistsError):
            publish(draft, path)
    except OSError as exc:
        raise StoreUnavailable(f"{path} cannot be made: {exc.strerror}") from exc
    finally:
        with suppress(OSError):
            draft.unlink()


def _build(draft: Path) -> None:
    engine = dialect.sqlite_engine(draft, busy_timeout_s=5, clock=_wall_clock)
    with dialect.translated(draft), engine.connect() as conn, _writing(conn):
        _fill(conn)
        dialect.stamp(conn)


def _fill(conn: Connection) -> None:
    metadata.create_all(conn)
    conn.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    conn.execute(insert(sql_table("alembic_version", column("version_num"))).values(version_num=HEAD))


@contextmanager
def _writing(conn: Connection) -> Iterator[None]:
    """A transaction that takes the write lock as it begins."""
    conn.info[dialect.WRITES] = True
    try:
        with conn.begin():
            yield
    finally:
        conn.info[dialect.WRITES] = False


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000
