"""Two and three daemons on one store: never two holders, and whoever was stopped does no harm afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.acceptance.holders import (
    Holders,
    freeze,
    journal_is_fenced,
    now_ms,
    started_again_until_it_holds,
    thaw,
)
from tests.devnet.errors import RpcRefused
from tests.devnet.fault_proxy import FaultProxy
from tests.devnet.faults import Fault, FaultKind
from tests.devnet.terms import ChainName

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

TTL_S = 4.0
SLACK_MS = 500
Record = Callable[[str, object], None]


@pytest_asyncio.fixture(loop_scope="session")
async def way(stage: Stage) -> AsyncIterator[FaultProxy]:
    """The first daemon's own way to its chain."""
    proxy = FaultProxy(stage.devnet.chain.http_url)
    await proxy.start()
    yield proxy
    await proxy.stop()


def configs(stage: Stage, way: FaultProxy) -> tuple[Path, Path]:
    """Settings of two daemons on one store; the first has a way of its own to the chain."""
    config = stage.config(lease_ttl_s=TTL_S)
    own = config.with_name("first.toml")
    own.write_text(config.read_text().replace(stage.devnet.chain.url, way.url))
    return own, config


def store_of(stage: Stage) -> Path:
    return stage.folder / "state" / "swap-miner.sqlite"


async def stop_it(how: str, daemon: Daemon, way: FaultProxy) -> None:
    if how == "SIGKILL":
        await daemon.kill()
    elif how == "SIGSTOP":
        freeze(daemon)
    elif how == "chain-cut-off":
        await way.down()
    else:
        for method in ("*", "notification"):
            way.fault(Fault(method, FaultKind.HANG if method == "*" else FaultKind.DROP))


async def resume_it(how: str, daemon: Daemon, way: FaultProxy) -> None:
    if how == "SIGSTOP":
        thaw(daemon)
    else:
        await way.back()
        await way.disconnect()


STOPS = [
    pytest.param("SIGKILL", marks=pytest.mark.proof),
    "SIGSTOP",
    pytest.param("chain-cut-off", marks=pytest.mark.proof),
    pytest.param("chain-silent", marks=pytest.mark.proof),
]


@pytest.mark.matrix("Leases", "Chopsticks, bitcoind, SQLite")
@pytest.mark.parametrize("how", STOPS)
async def test_another_takes_over_within_one_expiry_and_the_stopped_one_does_no_harm(
    stage: Stage, way: FaultProxy, how: str, record_property: Record
) -> None:
    own, config = configs(stage, way)
    async with Holders(store_of(stage)) as holders, await Daemon.start(own) as first:
        await first.ready()
        (paid,) = await stage.open(stage.plan(0))
        await first.event("broadcast", swap_id=paid.id, purpose="payout")
        one = holders.owner
        await stop_it(how, first, way)
        at = now_ms()
        second = await started_again_until_it_holds(config)
        async with second:
            two = holders.owner
            assert two != one
            ended = max(each.expires_ms for each in holders.seen if each.owner == one)
            taken = min(each.acquired_ms for each in holders.seen if each.owner == two)
            allowed = TTL_S * 1000 * (1 if how.startswith("SIG") else 5 / 3)
            assert ended - at <= allowed + SLACK_MS, "it renewed after it was stopped"
            assert taken >= ended, "taken before the lease had run out"
            await stage.completed(second, [paid])
            if how != "SIGKILL":
                await does_no_harm(stage, how, first, way, two)
                assert holders.owner == two
            (next_one,) = await stage.open(stage.plan(1, ChainName.TAO))
            await stage.completed(second, [next_one])
        if how != "SIGKILL":
            await takes_over_again(stage, first, holders, one)
        holders.look()
        holders.never_two()
        journal_is_fenced(store_of(stage))
        seen = [await stage.evidence(each) for each in (paid, next_one)]
        assert [each.payouts for each in seen] == [1, 1]
        assert stage.rows("SELECT count(*) FROM attempts GROUP BY lane_id HAVING count(*) > 1") == []
    record_property("end", "COMPLETED")
    record_property("payouts", sum(each.payouts for each in seen))
    record_property("double_payouts", sum(each.payouts > 1 for each in seen))
    record_property("renewed_ms_after_stop", max(ended - at, 0))
    record_property("taken_ms_after_expiry", taken - ended)


async def does_no_harm(stage: Stage, how: str, first: Daemon, way: FaultProxy, holder: str) -> None:
    """Back again, it says who has the store now and what to do, and goes on as a standby."""
    at = len(first.log)
    journal = stage.rows("SELECT count(*) FROM journal")
    await resume_it(how, first, way)
    said = await first.event("lease_lost", since=at, holder=holder, timeout_s=90)
    assert said["until_ms"] > 0
    assert "stands by" in said["remedy"]
    assert stage.rows("SELECT count(*) FROM journal") == journal, "it wrote under a lease it does not hold"
    assert first.process.returncode is None


async def takes_over_again(stage: Stage, first: Daemon, holders: Holders, one: str) -> None:
    """The holder gone, the standby goes on by itself."""
    await first.event("lease_taken_over", timeout_s=60)
    assert holders.owner == one
    (last,) = await stage.open(stage.plan(2))
    await stage.completed(first, [last])
    assert (await stage.evidence(last)).payouts == 1


@pytest.mark.matrix("Leases", "Chopsticks, bitcoind, SQLite")
@pytest.mark.proof
@pytest.mark.parametrize("many", [2, 3], ids=["two", "three"])
async def test_of_those_that_start_on_a_dead_ones_store_one_goes_on_and_the_others_say_so(
    stage: Stage, many: int, record_property: Record
) -> None:
    config = stage.config(lease_ttl_s=TTL_S)
    async with Holders(store_of(stage)) as holders:
        async with await Daemon.start(config) as dead:
            await dead.ready()
            opened = await stage.open(stage.plan(0), stage.plan(1, ChainName.TAO))
            await dead.event("broadcast", swap_id=opened[0].id, purpose="payout")
        await stage.step()
        started = await asyncio.gather(*(Daemon.start(config) for _ in range(many)))
        try:
            winners = [each for each in started if await goes_on(each)]
            assert len(winners) == 1
            for loser in started:
                if loser is not winners[0]:
                    said = await loser.event("another_daemon_works_on_this_store")
                    assert said["holder"] == holders.owner
                    assert "stop" in said["remedy"]
                    assert await loser.process.wait() == 4
            await stage.completed(winners[0], opened)
        finally:
            await asyncio.gather(*(each.kill() for each in started))
        holders.never_two()
        journal_is_fenced(store_of(stage))
    payouts = [(await stage.evidence(each)).payouts for each in opened]
    assert payouts == [1, 1]
    record_property("end", "COMPLETED")
    record_property("payouts", sum(payouts))
    record_property("double_payouts", sum(each > 1 for each in payouts))


async def goes_on(daemon: Daemon) -> bool:
    told = {"ready", "another_daemon_works_on_this_store"}
    line = await daemon.until(lambda each: each.get("event") in told, timeout_s=90)
    return bool(line["event"] == "ready")


@pytest.mark.matrix("Leases", "Chopsticks, bitcoind, SQLite")
@pytest.mark.proof
@pytest.mark.parametrize("source", [ChainName.BTC, ChainName.TAO], ids=["TAO", "BTC"])
async def test_signed_bytes_that_a_stopped_daemon_never_sent_leave_once_and_late_ones_change_nothing(
    stage: Stage, way: FaultProxy, source: ChainName, record_property: Record
) -> None:
    own, config = configs(stage, way)
    async with await Daemon.start(own) as first:
        await first.ready()
        way.fault(Fault("author_submitExtrinsic", FaultKind.REFUSE, code=-32000, message="busy"))
        stage.devnet.bitcoin.proxy.fault(
            Fault("sendrawtransaction", FaultKind.REFUSE, code=-28, message="busy")
        )
        (opened,) = await stage.open(stage.plan(0, source))
        await first.event("broadcast_unsure", swap_id=opened.id)
        freeze(first)
        stage.devnet.bitcoin.proxy.clear_faults()
        (late,) = stage.rows("SELECT txid, raw FROM attempts")
        async with await started_again_until_it_holds(config) as second:
            await stage.completed(second, [opened])
            at = len(first.log)
            thaw(first)
            await first.event("lease_lost", since=at, timeout_s=90)
            await send_late(stage, source, late[1])
            await stage.step(second, blocks=2)
            seen = await stage.evidence(opened)
    assert seen.payouts == 1
    assert seen.marked_id == late[0], "the bytes of the first daemon, sent by the second"
    assert stage.rows("SELECT count(*) FROM lanes WHERE purpose = 'payout'") == [(1,)]
    record_property("end", "COMPLETED")
    record_property("payouts", seen.payouts)
    record_property("double_payouts", 0)


async def send_late(stage: Stage, source: ChainName, raw: bytes) -> None:
    """What a stale holder sends after all: the chain has it already."""
    with suppress(RpcRefused):
        if source is ChainName.BTC:
            await stage.devnet.chain.rpc("author_submitExtrinsic", "0x" + raw.hex())
        else:
            await stage.devnet.bitcoin.rpc("sendrawtransaction", raw.hex())
