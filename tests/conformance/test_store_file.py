"""The SQLite file: where it lies, what is found in it, and what a crash or a full disk leaves of it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from miner.errors import ConfigError, SchemaTooOld, StoreDamaged, StoreUnavailable
from miner.model import Step
from miner.saga import Event
from miner.store import SqlStore, opening
from tests.conformance.store_builders import (
    CONTRACT,
    GENESIS,
    TAO,
    VirtualClock,
    discover,
    get,
    marking,
    payout_claim,
    reserved,
)

NOTED = Step(event=Event.NOTED)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "store.sqlite"


@pytest.fixture
async def opened() -> AsyncIterator[Callable[[Path], Any]]:
    made: list[SqlStore] = []

    async def open_one(path: Path, owner: str = "one", busy_timeout_s: float = 5) -> SqlStore:
        store = SqlStore(path, owner=owner, busy_timeout_s=busy_timeout_s, clock_ms=VirtualClock())
        made.append(store)
        await store.open()
        await store.bind(GENESIS, CONTRACT)
        return store

    yield open_one
    for store in made:
        await store.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def size(path: Path) -> int:
    return path.stat().st_size


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def move(path: Path, to: Path) -> None:
    path.rename(to)


def raw(path: Path, *statements: str) -> None:
    conn = sqlite3.connect(path)
    for statement in statements:
        conn.execute(statement)
    conn.commit()
    conn.close()


async def fails(path: Path, error: type[Exception]) -> str:
    """Opening fails with this error, which names the file; gives its text."""
    store = SqlStore(path)
    with pytest.raises(error) as caught:
        await store.open()
    await store.close()
    assert str(path) in str(caught.value)
    return str(caught.value)


class TestANewFile:
    async def test_is_its_owners_alone(self, path: Path, opened: Any) -> None:
        await discover(await opened(path), 1)
        assert mode(path.parent) == 0o700
        for name in ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm"):
            assert mode(path.with_name(name)) == 0o600
        assert sorted(p.name for p in path.parent.iterdir()) == [
            "store.sqlite",
            "store.sqlite-shm",
            "store.sqlite-wal",
        ]

    async def test_is_durable(self, path: Path, opened: Any) -> None:
        store: SqlStore = await opened(path)

        def pragmas(conn: Any) -> list[Any]:
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            return [conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

        assert await store._db.read(pragmas) == ["wal", 2, 1, 5000]

    async def test_a_draft_left_by_a_crash_is_no_store(self, path: Path, opened: Any) -> None:
        path.parent.mkdir()
        path.with_name(".store.sqlite.0123.new").write_bytes(b"half")
        assert await discover(await opened(path), 1)

    async def test_two_at_once_use_one_file(self, path: Path, opened: Any, monkeypatch: Any) -> None:
        build = opening._build

        def slowly(draft: Path) -> None:
            monkeypatch.setattr(opening, "_build", build)
            opening.ensure_file(path)  # another process is faster
            build(draft)

        monkeypatch.setattr(opening, "_build", slowly)
        first_inode = (await opened(path)).path.stat().st_ino
        assert (await opened(path, "two")).path.stat().st_ino == first_inode
        assert not list(path.parent.glob("*.new"))

    async def test_everything_is_there_after_reopening(self, path: Path, opened: Any) -> None:
        store = await opened(path)
        saga = await marking(store, 1)
        lanes = await store.open_lanes()
        await store.close()
        store = await opened(path, "two")
        assert await store.lease_sagas() == 1
        (found,) = await store.open_sagas()
        assert (found.payout, found.mark, found.swap) == (saga.payout, saga.mark, saga.swap)
        assert await store.open_lanes() == lanes

    async def test_names(self, tmp_path: Path) -> None:
        assert SqlStore(f"sqlite:///{tmp_path}/a.sqlite").path == tmp_path / "a.sqlite"
        assert SqlStore("sqlite://").path is None
        with pytest.raises(ConfigError, match="mysql"):
            SqlStore("mysql://localhost/miner")

    async def test_a_name_with_odd_characters(self, tmp_path: Path, opened: Any) -> None:
        assert await discover(await opened(tmp_path / "ä %20?#" / "st ore.sqlite"), 1)

    async def test_in_memory(self) -> None:
        store = SqlStore("sqlite://", clock_ms=VirtualClock())
        await store.open()
        await store.bind(GENESIS, CONTRACT)
        assert (await marking(store, 1)).mark
        await store.close()


class TestAFileThatIsNoStore:
    async def test_text(self, path: Path) -> None:
        put(path, b"swap-miner " * 1000)
        assert "restore the newest backup" in await fails(path, StoreDamaged)

    async def test_an_empty_file_is_no_first_start(self, path: Path) -> None:
        put(path, b"")
        assert "it is empty" in await fails(path, StoreDamaged)
        assert size(path) == 0

    async def test_another_programs_database(self, path: Path) -> None:
        path.parent.mkdir()
        raw(path, "CREATE TABLE theirs (x)")
        assert "no store of this program" in await fails(path, StoreDamaged)
        raw(path, "CREATE TABLE alembic_version (version_num)", "INSERT INTO alembic_version VALUES ('77')")
        await fails(path, StoreDamaged)
        raw(path, "DROP TABLE theirs", "DROP TABLE alembic_version")
        await fails(path, StoreDamaged)

    @pytest.mark.parametrize("page", [1, 7])
    async def test_a_damaged_page(self, path: Path, opened: Any, page: int) -> None:
        store = await opened(path)
        await marking(store, 1)
        await store.close()
        with path.open("r+b") as file:
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
        assert "restore the newest backup" in await fails(path, StoreDamaged)

    async def test_a_truncated_file(self, path: Path, opened: Any) -> None:
        store = await opened(path)
        await marking(store, 1)
        await store.close()
        os.truncate(path, size(path) // 2)
        await fails(path, StoreDamaged)

    async def test_damage_that_shows_later(self, path: Path, opened: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(opening, "CHECK_ALWAYS_BYTES", 0)
        store = await opened(path)
        await marking(store, 1)
        await store.close()
        conn = sqlite3.connect(path)
        sql = "SELECT rootpage FROM sqlite_master WHERE name = 'sagas'"
        page = conn.execute(sql).fetchone()[0]
        conn.close()
        with path.open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)
        store = await opened(path)
        with pytest.raises(StoreDamaged, match=r"store\.sqlite"):
            await store.list_sagas()

    async def test_a_newer_programs_store(self, path: Path, opened: Any) -> None:
        await (await opened(path)).close()
        raw(path, "UPDATE alembic_version SET version_num = '9999'")
        assert "9999" in await fails(path, SchemaTooOld)

    async def test_without_a_schema_version(self, path: Path, opened: Any) -> None:
        await (await opened(path)).close()
        raw(path, "DROP TABLE alembic_version")
        await fails(path, StoreDamaged)

    @pytest.mark.parametrize("folder", ["/proc/swap-miner", "/dev/null/state"])
    async def test_a_folder_that_cannot_be_made(self, folder: str) -> None:
        store = SqlStore(f"{folder}/store.sqlite")
        with pytest.raises(StoreUnavailable, match=folder):
            await store.open()
        await store.close()

    async def test_a_folder_in_the_files_place(self, path: Path) -> None:
        put(path / "in it", b"")
        await fails(path, StoreUnavailable)


class TestWhenTheStoreRefuses:
    async def test_a_full_disk(self, path: Path, opened: Any) -> None:
        store = await opened(path)
        saga = await reserved(store, 1)

        def fill(conn: Any, more: int) -> None:
            pages = conn.exec_driver_sql("PRAGMA page_count").scalar()
            conn.exec_driver_sql(f"PRAGMA max_page_count = {pages + more}")

        await store._db.read(fill, 0)
        large = Step(event=Event.PAYOUT_SIGNED, claim=payout_claim(), payload={"x": "y" * 200_000})
        with pytest.raises(StoreUnavailable, match=r"store\.sqlite.*full"):
            await store.step(saga, large)
        assert await get(store, 1) == saga  # and the store serves again by itself
        assert await store.open_lanes() == []
        await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim()))

    async def test_a_lock_that_another_keeps(self, path: Path, opened: Any) -> None:
        store = await opened(path, busy_timeout_s=0.05)
        (saga,) = await discover(store, 1)
        conn = sqlite3.connect(path, isolation_level=None)
        conn.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.step(saga, NOTED)
        assert await get(store, 1) == saga  # reading goes on
        conn.execute("ROLLBACK")
        conn.close()
        await store.step(saga, NOTED)

    async def test_what_a_write_has_read_stays_until_it_commits(self, path: Path, opened: Any) -> None:
        store = await opened(path)

        def work(conn: Any) -> None:
            assert conn.exec_driver_sql("SELECT count(*) FROM sagas").scalar() == 0
            rival = sqlite3.connect(path, timeout=0)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                rival.execute("INSERT INTO meta VALUES ('a', 'b')")
            rival.close()

        await store._db.write(work)

    async def test_a_commit_without_an_answer_is_read_back(self, path: Path, opened: Any) -> None:
        store = await opened(path)
        (saga,) = await discover(store, 1)

        def lose(conn: Any) -> None:
            conn.connection.dbapi_connection.execute("COMMIT")
            raise sqlite3.OperationalError("disk I/O error")

        event.listen(store._db._engine, "commit", lose)
        with pytest.raises(StoreUnavailable, match="I/O"):
            await store.step(saga, NOTED)
        event.remove(store._db._engine, "commit", lose)
        assert (await get(store, 1)).version == saga.version + 1

    async def test_a_commit_that_fails_writes_nothing(self, path: Path, opened: Any) -> None:
        store = await opened(path)
        (saga,) = await discover(store, 1)

        def fail(conn: Any) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        event.listen(store._db._engine, "commit", fail)
        with pytest.raises(StoreUnavailable):
            await store.step(saga, NOTED)
        event.remove(store._db._engine, "commit", fail)
        assert await get(store, 1) == saga

    async def test_a_file_that_went_away_or_was_replaced(self, path: Path, opened: Any) -> None:
        store = await opened(path)
        (saga,) = await discover(store, 1)
        aside = path.with_name("aside.sqlite")
        move(path, aside)
        for serves in (store.cursor(), store.step(saga, NOTED)):
            with pytest.raises(StoreUnavailable, match="gone"):
                await serves
        shutil.copy(aside, path)
        with pytest.raises(StoreUnavailable, match="replaced"):
            await store.step(saga, NOTED)
        move(aside, path)
        await store.step(saga, NOTED)

    async def test_before_it_is_open(self, path: Path) -> None:
        store = SqlStore(path)
        with pytest.raises(StoreUnavailable, match="not open"):
            await store.cursor()
        await store.close()


CRASH = """
import asyncio, os, signal, sys
from miner.model import Step
from miner.saga import Event
from miner.store import SqlStore
from tests.conformance.store_builders import *

async def main():
    store = SqlStore(sys.argv[1], owner="doomed", clock_ms=VirtualClock())
    await store.open()
    await store.bind(GENESIS, CONTRACT)
    saga = await reserved(store, 1)
    def sign(slot):
        if sys.argv[2] == "in":
            os.kill(os.getpid(), signal.SIGKILL)
        return tx(slot)
    await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim(sign)))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


class TestCrash:
    @pytest.mark.parametrize("where", ["in", "after"])
    async def test_all_or_nothing(self, path: Path, opened: Any, where: str) -> None:
        done = subprocess.run(  # noqa: ASYNC221 - nothing else runs
            [sys.executable, "-c", CRASH, str(path), where], cwd=Path(__file__).parents[2], check=False
        )
        assert done.returncode == -signal.SIGKILL
        store: SqlStore = await opened(path)
        saga = await get(store, 1)
        lanes = await store.open_lanes()
        if where == "in":
            assert (str(saga.state), saga.payout, lanes) == ("RESERVED", None, [])
            assert await store.slots(TAO, "5Payer") == frozenset()
        else:
            assert (str(saga.state), [saga.payout]) == ("SIGNED", lanes)
        assert len(await store.journal(saga.id)) == saga.version
