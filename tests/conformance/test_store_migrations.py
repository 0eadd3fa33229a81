"""Migrations lead to the same schema as the tables do, and run when a store is older than the program."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from miner.store import SqlStore, migrate, opening
from miner.store.schema import HEAD, REVISIONS, metadata
from tests.conformance.store_builders import CONTRACT, GENESIS, discover


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return create_engine(f"sqlite:///{tmp_path}/migrated.sqlite", poolclass=NullPool)


def body(sql: str) -> str:
    """A CREATE statement with what stands between its outer brackets sorted."""
    head, _, rest = " ".join(sql.split()).partition("(")
    return head + str(sorted(part.strip(" ()") for part in rest.split(",")))


def tables(engine: Engine) -> list[tuple[str, str, str]]:
    """Every table and index with its text; spaces and the order of columns and constraints aside."""
    with engine.connect() as conn:
        rows = conn.execute(text("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return sorted((kind, name, body(sql)) for kind, name, sql in rows)


def test_upgrading_gives_the_tables(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as conn:
        migrate.upgrade(conn)
    with engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
    fresh = create_engine(f"sqlite:///{tmp_path}/fresh.sqlite", poolclass=NullPool)
    with fresh.begin() as conn:
        metadata.create_all(conn)
    migrated = [row for row in tables(engine) if "alembic" not in row[1]]
    assert migrated == tables(fresh)


def test_a_store_is_never_downgraded(engine: Engine) -> None:
    with engine.begin() as conn:
        migrate.upgrade(conn)
        with pytest.raises(RuntimeError, match="backup"):
            command.downgrade(migrate.config(conn), "base")


def test_the_revisions_are_those_of_the_scripts() -> None:
    scripts = ScriptDirectory.from_config(migrate.config())
    assert [s.revision for s in reversed(list(scripts.walk_revisions()))] == list(REVISIONS)
    assert scripts.get_current_head() == HEAD


async def test_an_older_store_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the next program will find this one's store: a revision that it knows, and has left behind."""
    path = tmp_path / "store.sqlite"
    store = SqlStore(path)
    await store.open()
    await store.bind(GENESIS, CONTRACT)
    await discover(store, 1)
    await store.close()
    conn = sqlite3.connect(path)
    conn.execute("UPDATE alembic_version SET version_num = '0000'")
    conn.commit()
    conn.close()
    monkeypatch.setattr(opening, "REVISIONS", ("0000", *REVISIONS))

    def upgrade(conn: object) -> None:
        conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))  # type: ignore[attr-defined]
        ran.append(True)

    ran: list[bool] = []
    monkeypatch.setattr(migrate, "upgrade", upgrade)
    store = SqlStore(path)
    await store.open()
    assert ran == [True]
    assert await store.saga(1)
    await store.close()


def test_alembic_is_not_loaded_without_need(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from miner.store import SqlStore\n"
        "async def main():\n"
        "    for _ in range(2):\n"
        "        store = SqlStore(sys.argv[1])\n"
        "        await store.open()\n"
        "        await store.close()\n"
        "asyncio.run(main())\n"
        "assert 'alembic' not in sys.modules\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "store.sqlite")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
