"""Migrations lead to the same schema as the tables do, and run when a store is older than the program."""

from __future__ import annotations

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

from miner.store import SqlStore, migrate, opening, postgresql
from miner.store.dialect import APPLICATION_ID
from miner.store.schema import HEAD, REVISIONS, metadata
from tests.conformance import store_fixtures
from tests.conformance.store_builders import CONTRACT, GENESIS, discover


@pytest.fixture(params=store_fixtures.IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def empty(implementation: str, folder: Path) -> Engine:
    """An engine over an empty database."""
    url = store_fixtures.real_url(implementation, folder)
    if implementation == "sqlite":
        folder.mkdir(exist_ok=True)
        return create_engine(f"sqlite:///{folder}/store.sqlite", poolclass=NullPool)
    return postgresql.engine(postgresql.place_of(url), 5, None)


@pytest.fixture
def engine(implementation: str, tmp_path: Path) -> Engine:
    return empty(implementation, tmp_path / "migrated")


def body(sql: str) -> str:
    """A CREATE statement with what stands between its outer brackets sorted."""
    head, _, rest = " ".join(sql.split()).partition("(")
    return head + str(sorted(part.strip(" ()") for part in rest.split(",")))


def tables(engine: Engine) -> list[tuple[str, str, str]]:
    """Every table and index with its text; spaces and the order of columns and constraints aside."""
    if engine.dialect.name == "postgresql":
        return described(engine)
    with engine.connect() as conn:
        rows = conn.execute(text("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return sorted((kind, name, body(sql)) for kind, name, sql in rows)


DESCRIBED = """
SELECT 'column', table_name || '.' || column_name,
    data_type || ' ' || is_nullable || ' ' || coalesce(split_part(column_default, '(', 1), '')
FROM information_schema.columns WHERE table_schema = current_schema()
UNION ALL SELECT 'index', indexname, replace(indexdef, current_schema() || '.', '')
FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
"""


def described(engine: Engine) -> list[tuple[str, str, str]]:
    """The same of a server's schema: columns, indexes and constraints."""
    with engine.connect() as conn:
        return sorted((str(a), str(b), str(c)) for a, b, c in conn.execute(text(DESCRIBED)))


def test_upgrading_gives_the_tables(engine: Engine, implementation: str, tmp_path: Path) -> None:
    with engine.begin() as conn:
        migrate.upgrade(conn)
    with engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
    fresh = empty(implementation, tmp_path / "fresh")
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


async def test_an_older_store_is_upgraded(
    implementation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the next program will find this one's store: a revision that it knows, and has left behind."""
    url = store_fixtures.real_url(implementation, tmp_path)
    store = SqlStore(url)
    await store.open()
    await store.bind(GENESIS, CONTRACT)
    await discover(store, 1)
    await store.database.write(
        lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    )
    await store.close()
    monkeypatch.setattr(opening, "REVISIONS", ("0000", *REVISIONS))

    def upgrade(conn: object) -> None:
        conn.execute(text(f"UPDATE alembic_version SET version_num = '{HEAD}'"))  # type: ignore[attr-defined]
        ran.append(True)

    ran: list[bool] = []
    monkeypatch.setattr(migrate, "upgrade", upgrade)
    store = SqlStore(url)
    await store.open()
    assert ran == [True]
    assert await store.saga(1)
    await store.close()


async def test_the_first_schema_of_a_store_is_migrated_in_place(implementation: str, tmp_path: Path) -> None:
    """What 0001 made, by the migrations of today, while a daemon opens it."""
    url = store_fixtures.real_url(implementation, tmp_path)
    if implementation == "sqlite":
        (tmp_path / "state").mkdir()
        first = create_engine(f"sqlite:///{url}", poolclass=NullPool)
    else:
        first = postgresql.engine(postgresql.place_of(url), 5, None)
    with first.begin() as conn:
        migrate.upgrade(conn, "0001")
        if implementation == "sqlite":
            conn.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    store = SqlStore(url)
    await store.open()
    await store.bind(GENESIS, CONTRACT)
    assert await discover(store, 1)
    await store.close()
    fresh = empty(implementation, tmp_path / "fresh")
    with fresh.begin() as conn:
        metadata.create_all(conn)
    assert [row for row in tables(first) if "alembic" not in row[1]] == tables(fresh)


def test_alembic_and_psycopg_are_not_loaded_without_need(tmp_path: Path) -> None:
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
        "assert 'psycopg' not in sys.modules\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "store.sqlite")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
