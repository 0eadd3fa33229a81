"""A consistent copy of a SQLite store while a daemon works on it, and what such a copy holds."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from miner.durable import sync_file
from miner.errors import SchemaTooOld, StoreDamaged, StoreUnavailable
from miner.store.dialect import APPLICATION_ID, translated
from miner.store.schema import HEAD, REVISIONS


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy holds, as read from the copy itself.

    Attributes:
        schema: Its schema's version.
        genesis: Genesis hash of the chain that it is tied to; empty where it is tied to none.
        contract: The contract's address; likewise.
        sagas: How many swaps it knows.
        attempts: How many signed transactions it holds.
        height: The finalised block up to which it has taken everything in; 0 for none.
    """

    schema: str
    genesis: str
    contract: str
    sagas: int
    attempts: int
    height: int


def copy_online(source: Path, draft: Path) -> None:
    """Copy a store into a file of its own (0600), synced; its daemon may go on writing meanwhile.

    The copy is as of one moment: SQLite reads it in one transaction, and writers are not held up.

    Raises:
        StoreUnavailable: There is no store, or it could not be read or written.
        StoreDamaged: The source is damaged.
    """
    if not source.is_file():
        raise StoreUnavailable(f"there is no store at {source}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with translated(source), closing(_connect(source)) as one, closing(sqlite3.connect(draft)) as other:
        one.backup(other)
        other.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
    sync_file(draft)


def look_into(copy: Path) -> Copied:
    """Open a copy anew and read its every page.

    Raises:
        StoreDamaged: It is no whole store of this program.
        SchemaTooOld: A newer program wrote it.
    """
    with translated(copy), closing(_connect(copy)) as conn:
        if conn.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise StoreDamaged(f"{copy} is no store of this program")
        wrong = [row[0] for row in conn.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
        wrong += [f"{row[0]} refers to nothing" for row in conn.execute("PRAGMA foreign_key_check")][:3]
        if wrong:
            raise StoreDamaged(f"{copy} is damaged: {'; '.join(wrong)}")
        version = str(_one(conn, "SELECT version_num FROM alembic_version"))
        if version not in REVISIONS:
            raise SchemaTooOld(f"{copy} has schema {version}; this program knows up to {HEAD}")
        return Copied(
            schema=version,
            genesis=str(_one(conn, "SELECT value FROM meta WHERE name = 'genesis'") or ""),
            contract=str(_one(conn, "SELECT value FROM meta WHERE name = 'contract'") or ""),
            sagas=int(_one(conn, "SELECT count(*) FROM sagas") or 0),
            attempts=int(_one(conn, "SELECT count(*) FROM attempts") or 0),
            height=int(_one(conn, "SELECT height FROM watch_cursor") or 0),
        )


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=30)


def _one(conn: sqlite3.Connection, sql: str) -> str | int | None:
    row = conn.execute(sql).fetchone()
    return None if row is None else row[0]
