"""The real process with its store on PostgreSQL: killed, cut off, taken over; one payout each."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet.driver import Opened
from tests.devnet.terms import ChainName
from tests.postgres.house import real_schema, the_server
from tests.postgres.proxy import Cut, PgProxy
from tests.postgres.server import Server, make_room

pytestmark = pytest.mark.asyncio(loop_scope="session")

Record = Callable[[str, object], None]
RAILS = pytest.mark.parametrize("rail", ["TAO", pytest.param("BTC", marks=pytest.mark.proof)])


def source(rail: str) -> ChainName:
    """The chain that the user pays on, where the payout is on this rail."""
    return ChainName.BTC if rail == "TAO" else ChainName.TAO


@pytest.fixture
def stage_pg(stage: Stage) -> Stage:
    """The stage, with the daemon's store in an empty database of the session's server."""
    stage.store_url = real_schema(the_server(), port=the_server().port)
    return stage


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(stage_pg: Stage) -> AsyncIterator[PgProxy]:
    """The daemon reaches its server through this."""
    async with PgProxy(the_server().port) as found:
        yield found


async def told(stage: Stage, record: Record, opened: Opened, **more: object) -> None:
    """Exactly one payout on the chain; what the case found goes into its row."""
    seen = await stage.evidence(opened)
    assert seen.payouts == 1, seen
    for name, value in {
        "payouts": 1,
        "double_payouts": 0,
        "lost_swaps": 0,
        "end": seen.status,
        **more,
    }.items():
        record(name, value)


@pytest.mark.matrix("PostgreSQL", "PostgreSQL, Chopsticks, bitcoind")
@RAILS
async def test_killed_after_the_broadcast_pays_once(
    stage_pg: Stage, rail: str, record_property: Record
) -> None:
    stage, config = stage_pg, stage_pg.config()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        (opened,) = await stage.open(stage.plan(0, source(rail)))
        await daemon.event("broadcast", swap_id=opened.id, purpose="payout")
        await daemon.kill()
    async with await Daemon.start(config) as daemon:
        report = await daemon.event("start_up_report")
        # The swap's own lease may outlast that on the cursor by a heartbeat, and is taken as it ends.
        assert sum(report["recovery"].values()) == 1
        await stage.completed(daemon, [opened])
        await told(stage, record_property, opened)
        assert stage.states() == {opened.id: "COMPLETED"}


@pytest.mark.matrix("PostgreSQL", "PostgreSQL behind a proxy that drops at COMMIT, Chopsticks, bitcoind")
@pytest.mark.parametrize(
    ("rail", "cut"),
    [
        pytest.param("TAO", Cut.AFTER, id="TAO-after"),
        pytest.param("BTC", Cut.LATE, id="BTC-late"),
        *(
            pytest.param(rail, cut, id=f"{rail}-{cut.name.lower()}", marks=pytest.mark.proof)
            for rail, cut in (
                ("TAO", Cut.BEFORE),
                ("TAO", Cut.LATE),
                ("BTC", Cut.BEFORE),
                ("BTC", Cut.AFTER),
            )
        ),
    ],
)
async def test_cut_off_at_the_commit_of_the_signed_payout_pays_once(
    stage_pg: Stage, proxy: PgProxy, rail: str, cut: Cut, record_property: Record
) -> None:
    stage = stage_pg
    assert stage.store_url is not None
    config = stage.config(store_url=stage.store_url.replace(f":{the_server().port}/", f":{proxy.port}/"))
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        proxy.after_word, proxy.cut = b"INSERT INTO attempts", cut
        (opened,) = await stage.open(stage.plan(0, source(rail)))
        await daemon.event("store_refuses")
        assert proxy.cuts == 1
        await stage.completed(daemon, [opened])
        await told(stage, record_property, opened)
        lanes = stage.rows("SELECT count(*) FROM lanes WHERE purpose = 'payout'")
        assert lanes == [(1,)]


@pytest.mark.matrix("PostgreSQL", "PostgreSQL, two daemons, Chopsticks, bitcoind")
async def test_a_standby_takes_over_within_one_expiry(stage_pg: Stage, record_property: Record) -> None:
    stage, ttl_s = stage_pg, 3.0
    config = stage.config(standby=True, lease_ttl_s=ttl_s)
    async with await Daemon.start(config) as first:
        await first.ready()
        async with await Daemon.start(config) as second:
            await second.event("waiting_for_the_lease")
            (opened,) = await stage.open(stage.plan(0))
            await first.event("broadcast", swap_id=opened.id, purpose="payout")
            loop = asyncio.get_running_loop()
            began = loop.time()
            await first.kill()
            await second.event("start_up_report", timeout_s=30)
            took_s = loop.time() - began
            await stage.completed(second, [opened])
            await told(stage, record_property, opened, take_over_s=round(took_s, 1))
            assert took_s < 10 * ttl_s  # generous: the machine may be busy


async def test_a_standby_takes_over_at_once_from_a_daemon_that_stops(stage_pg: Stage) -> None:
    """Told by NOTIFY: it does not wait for the lease to run out."""
    config = stage_pg.config(standby=True, lease_ttl_s=600)
    async with await Daemon.start(config) as first:
        await first.ready()
        async with await Daemon.start(config) as second:
            await second.event("waiting_for_the_lease")
            assert await first.stop() == 0
            await second.event("start_up_report", timeout_s=60)
            await second.ready()


async def test_a_second_daemon_that_is_no_standby_ends(stage_pg: Stage) -> None:
    config = stage_pg.config(lease_ttl_s=2)
    async with await Daemon.start(config) as first:
        await first.ready()
        second = await Daemon.start(config)
        assert await asyncio.wait_for(second.process.wait(), 60) == 4
        await second.kill()
        assert any(line.get("event") == "another_daemon_works_on_this_store" for line in second.log)


async def test_a_store_that_moved_to_postgresql_goes_on_there(stage: Stage) -> None:
    """In the middle of a swap: paid on SQLite, marked from PostgreSQL; the old file serves nobody."""
    url = real_schema(the_server(), port=the_server().port)
    config = stage.config()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        (opened,) = await stage.open(stage.plan(0))
        await daemon.event("broadcast", swap_id=opened.id, purpose="payout")
        refused = await stage.cli("store", "copy", "--to", url, "--yes", code=4)
        assert "held by" in refused
        await daemon.stop()
    dry = await stage.cli("store", "copy", "--to", url)
    assert "nothing was copied" in dry
    done = await stage.cli("store", "copy", "--to", url, "--yes")
    assert "copied" in done
    assert "moved to postgresql://" in await stage.cli("pause", code=2)
    stage.store_url = url
    async with await Daemon.start(stage.config()) as daemon:
        await stage.completed(daemon, [opened])
        assert (await stage.evidence(opened)).payouts == 1
    assert "COMPLETED" in await stage.cli("swaps")
    assert "PostgreSQL" in await stage.cli("store", "info")


@pytest.fixture
def room() -> Iterator[Path]:
    found = make_room()
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def servers(room: Path) -> AsyncIterator[tuple[Server, Server]]:
    """A primary, and a standby that follows it asynchronously."""
    primary = Server.make(room, "primary").start()
    standby = primary.standby("standby").start()
    yield primary, standby
    for server in (standby, primary):
        server.kill()


@pytest.mark.matrix("PostgreSQL fail-over", "PostgreSQL with streaming replication, Chopsticks, bitcoind")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rail", ["TAO", pytest.param("BTC", marks=pytest.mark.proof)])
@pytest.mark.parametrize(
    "restarted", [False, pytest.param(True, marks=pytest.mark.proof)], ids=["running", "restarted"]
)
async def test_after_a_fail_over_to_a_lagging_standby_nobody_is_paid_twice(
    stage: Stage, servers: tuple[Server, Server], rail: str, restarted: bool, record_property: Record
) -> None:
    """The server that knew of the payout is gone: it is found on the chain, and not paid again."""
    primary, standby = servers
    stage.store_url = f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
    config = stage.config(sweep_blocks=5)
    daemon = await Daemon.start(config)
    try:
        await daemon.ready()
        (earlier,) = await stage.open(stage.plan(0, source(rail)))
        await stage.completed(daemon, [earlier])
        cut_off(primary, standby)
        (opened,) = await stage.open(stage.plan(0, source(rail)))
        await daemon.event("broadcast", swap_id=opened.id, purpose="payout")
        if restarted:
            await daemon.kill()
        primary.kill()
        standby.promote()
        if restarted:
            daemon = await Daemon.start(config)
        await daemon.event("store_changed", timeout_s=120)
        await stage.completed(daemon, [opened])
        await told(stage, record_property, opened)
        seen = await stage.evidence(earlier)
        assert seen.payouts == 1
        states = {row[0]: row[1] for row in stage.rows("SELECT swap_id, state FROM sagas")}
        record_property("saga", states[opened.id])
    finally:
        await daemon.kill()


def cut_off(primary: Server, standby: Server) -> None:
    """The standby has what there is now, and hears nothing further."""
    (lsn,) = primary.run("SELECT pg_current_wal_lsn()")[0]
    waited(lambda: standby.run(f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'")[0][0])
    standby.run("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
    waited(lambda: not standby.run("SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'"))


def waited(done: Callable[[], Any]) -> None:
    for _ in range(400):
        if done():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about")
