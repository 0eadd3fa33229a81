"""A server that was replaced by another: told, fenced, and doubted where what was signed is missing."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from miner.errors import StoreError, StoreUnavailable
from miner.model import Step
from miner.saga import Event, State
from miner.store import SqlStore
from tests.conformance.store_builders import (
    CONTRACT,
    GENESIS,
    discover,
    get,
    payout_claim,
    reserved,
    signed,
)
from tests.postgres.server import Server, make_room

NOTED = Step(event=Event.NOTED)


@dataclass
class Pair:
    """A primary, a standby that follows it asynchronously, and stores that know both."""

    primary: Server
    standby: Server
    stores: list[SqlStore] = field(default_factory=list)

    @property
    def url(self) -> str:
        one, two = self.primary, self.standby
        return f"postgresql://postgres@127.0.0.1:{one.port},127.0.0.1:{two.port}/postgres"

    async def open(self, owner: str = "one", witness: Path | None = None) -> SqlStore:
        store = SqlStore(self.url, owner=owner, lease_ttl_s=30, busy_timeout_s=2, witness=witness)
        self.stores.append(store)
        await store.open()
        await store.bind(GENESIS, CONTRACT)
        return store

    def caught_up(self) -> None:
        """Wait until the standby has replayed all that the primary has."""
        (lsn,) = self.primary.run("SELECT pg_current_wal_lsn()")[0]
        for _ in range(400):
            if self.standby.run(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'")[0][0]:
                return
            time.sleep(0.05)
        raise AssertionError("the standby did not catch up")

    def cut_off(self) -> None:
        """The standby hears nothing of the primary any more."""
        self.standby.run("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        for _ in range(400):
            if not self.standby.run("SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'"):
                return
            time.sleep(0.05)
        raise AssertionError("the standby goes on streaming")

    def fail_over(self) -> None:
        """The primary is gone at once; the standby is promoted as it stands."""
        self.primary.kill()
        self.standby.promote()


@pytest.fixture
def room() -> Iterator[Path]:
    found = make_room()
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture
async def pair(room: Path) -> AsyncIterator[Pair]:
    primary = Server.make(room, "primary").start()
    standby = primary.standby("standby").start()
    found = Pair(primary, standby)
    yield found
    for store in found.stores:
        with suppress(StoreError):
            await store.close()
    for server in (standby, primary):
        server.kill()


async def refused(store: SqlStore) -> None:
    """Until the change is taken note of, nothing is served."""
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.cursor()
        with pytest.raises(StoreUnavailable):
            await store.acquire("watch")


@pytest.mark.matrix("PostgreSQL", "PostgreSQL, streaming replication")
class TestFailOver:
    async def test_to_a_standby_that_lags_is_told_and_doubted(
        self, pair: Pair, record_property: Callable[[str, object], None]
    ) -> None:
        store = await pair.open()
        saga = await reserved(store, 1)
        pair.caught_up()
        pair.cut_off()
        saga = await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim()))
        assert saga.state is State.SIGNED  # its bytes leave now, and the standby knows nothing of it
        pair.fail_over()
        with pytest.raises(StoreUnavailable):
            await store.step(saga, NOTED)  # the connection is gone
        await refused(store)
        told = await store.what_changed()
        assert told is not None
        assert "/2 (system identifier/timeline), and was on" in told
        assert "lacks a signed transaction" in told
        assert await store.what_changed() is None
        assert (await get(store, 1)).state is State.RESERVED
        assert await store.doubted_until(164) == 164
        assert await store.doubted_until(200) == 164
        later = await pair.open("later")  # a restart ends no doubt
        assert await later.doubted_until(300) == 164
        await later.dispel_doubt()
        assert await store.doubted_until(300) is None
        record_property("told", True)
        record_property("lost_lanes_doubted", True)

    async def test_to_a_standby_that_has_everything_is_told_and_not_doubted(
        self, pair: Pair, record_property: Callable[[str, object], None]
    ) -> None:
        store = await pair.open()
        await signed(store, 1)
        pair.caught_up()
        pair.fail_over()
        with pytest.raises(StoreUnavailable):
            await store.cursor()
        await refused(store)
        told = await store.what_changed()
        assert told is not None
        assert "lacks" not in told
        assert await store.doubted_until(164) is None
        assert (await get(store, 1)).state is State.SIGNED
        assert (await store.acquire("watch")).epoch == 1
        record_property("told", True)
        record_property("lost_lanes_doubted", False)

    async def test_while_no_daemon_ran_is_doubted_at_the_next_start(
        self, pair: Pair, record_property: Callable[[str, object], None]
    ) -> None:
        store = await pair.open()
        await discover(store, 1)
        await store.close()
        pair.caught_up()
        pair.fail_over()
        again = await pair.open()
        told = await again.what_changed()
        assert told is not None
        assert "/2" in told
        assert await again.doubted_until(164) == 164
        assert (await get(again, 1)).state is State.DISCOVERED
        record_property("told", True)
        record_property("lost_lanes_doubted", True)


def put_back(primary: Server, snapshot: Path) -> None:
    """The server's files as they were."""
    for name in ("base", "global", "pg_wal", "pg_xact"):
        shutil.rmtree(primary.data / name)
        shutil.copytree(snapshot / name, primary.data / name)
    primary.own()


async def test_a_server_that_was_put_back_while_no_daemon_ran_is_found_by_the_witness(
    pair: Pair, room: Path, tmp_path: Path
) -> None:
    primary, file = pair.primary, tmp_path / "newest-signed"
    pair.standby.stop()
    store = await pair.open(witness=file)
    saga = await reserved(store, 1)
    primary.stop()
    shutil.copytree(primary.data, room / "snapshot")
    primary.start()
    with suppress(StoreUnavailable):
        await store.now_ms()
    saga = await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim()))
    assert saga.payout is not None
    assert file.read_text() == saga.payout.latest.tx.txid
    await store.close()
    again = await pair.open(witness=file)
    assert await again.what_changed() is None
    await again.close()
    primary.stop()
    put_back(primary, room / "snapshot")
    primary.start()
    blind = await pair.open(witness=None)
    assert await blind.what_changed() is None
    await blind.close()
    found = await pair.open(witness=file)
    told = await found.what_changed()
    assert told is not None
    assert told.endswith("lacks a signed transaction that it had committed")
    assert await found.doubted_until(64) == 64
    await found.close()
    later = await pair.open(witness=file)
    assert await later.what_changed() is None, "told once"
    assert await later.doubted_until(99) == 64, "and doubted until then"


async def test_a_server_that_was_put_back_on_the_same_timeline_is_found(pair: Pair, room: Path) -> None:
    """A snapshot of the server's files: same identifier, same timeline, and a signed transaction less."""
    primary = pair.primary
    pair.standby.stop()
    store = await pair.open()
    saga = await reserved(store, 1)
    primary.stop()
    shutil.copytree(primary.data, room / "snapshot")
    primary.start()
    with suppress(StoreUnavailable):
        await store.now_ms()
    await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim()))
    primary.stop()
    put_back(primary, room / "snapshot")
    primary.start()
    with pytest.raises(StoreUnavailable):
        await store.now_ms()
    await refused(store)
    told = await store.what_changed()
    assert told is not None
    assert told.endswith("lacks a signed transaction that it had committed")
    assert await store.doubted_until(64) == 64
