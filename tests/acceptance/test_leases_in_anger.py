"""Two and three daemons on one store: never two holders, and whoever was stopped does no harm afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

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
from tests.acceptance.ways import POSTGRESQL, SQLITE, Ways, ways
from tests.devnet.errors import RpcRefused
from tests.devnet.faults import Fault, FaultKind
from tests.devnet.terms import ChainName

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

TTL_S = 4.0
SLACK_MS = 500
Record = Callable[[str, object], None]


def on(store: str, *values: object, case: str, proof: bool = True) -> Any:
    """One case on a store; PostgreSQL's have its name in theirs."""
    marks = [pytest.mark.matrix("Leases", f"Chopsticks, bitcoind, {store}")]
    marks += [pytest.mark.proof] if proof else []
    named = case if store == SQLITE else f"{case}-{store}"
    return pytest.param(*values, store, marks=marks, id=named)


STOPS = ("SIGKILL", "SIGSTOP", "chain-cut-off", "chain-silent")
TWO = [
    *(on(SQLITE, how, case=how, proof=how != "SIGSTOP") for how in STOPS),
    *(on(POSTGRESQL, how, case=how) for how in (*STOPS, "store-cut-off")),
]
THREE = [on(POSTGRESQL, how, case=how) for how in (*STOPS, "store-cut-off")]


@pytest.mark.parametrize(("how", "store"), TWO)
async def test_another_takes_over_within_one_expiry_and_the_stopped_one_does_no_harm(
    stage: Stage, how: str, store: str, record_property: Record
) -> None:
    async with ways(stage, store) as way:
        own, config = way.configs(TTL_S)
        async with Holders(stage) as holders, await Daemon.start(own) as first:
            await first.ready()
            (paid,) = await stage.open(stage.plan(0))
            await first.event("broadcast", swap_id=paid.id, purpose="payout")
            one = holders.owner
            await way.stop(how, first)
            at = now_ms()
            second = await started_again_until_it_holds(config)
            async with second:
                two = holders.owner
                assert two != one
                ended, taken = in_time(holders, how, one, two, at)
                await stage.completed(second, [paid])
                if how != "SIGKILL":
                    await does_no_harm(way, how, first, one, two)
                    assert holders.owner == two
                (next_one,) = await stage.open(stage.plan(1, ChainName.TAO))
                await stage.completed(second, [next_one])
            if how != "SIGKILL":
                await takes_over_again(stage, first, holders, one)
            holders.look()
            holders.never_two()
            journal_is_fenced(stage)
            seen = [await stage.evidence(each) for each in (paid, next_one)]
            assert [each.payouts for each in seen] == [1, 1]
            assert stage.rows("SELECT count(*) FROM attempts GROUP BY lane_id HAVING count(*) > 1") == []
    record_property("end", "COMPLETED")
    record_property("payouts", sum(each.payouts for each in seen))
    record_property("double_payouts", sum(each.payouts > 1 for each in seen))
    record_property("renewed_ms_after_stop", max(ended - at, 0))
    record_property("taken_ms_after_expiry", taken - ended)


def in_time(holders: Holders, how: str, one: str, two: str, at: int) -> tuple[int, int]:
    """When the first one's lease ended, and when the second took it: one expiry after it was stopped.

    A chain's silence is noticed by two heartbeats, a third of an expiry each.
    """
    ended = max(each.expires_ms for each in holders.seen if each.owner == one)
    taken = min(each.acquired_ms for each in holders.seen if each.owner == two)
    allowed = TTL_S * 1000 * (5 / 3 if how.startswith("chain") else 1)
    assert ended - at <= allowed + SLACK_MS, "it renewed after it was stopped"
    assert taken >= ended, "taken before the lease had run out"
    return ended, taken


async def does_no_harm(way: Ways, how: str, first: Daemon, one: str, holder: str) -> None:
    """Back again, it says who has the store now and what to do, and goes on as a standby."""
    at = len(first.log)
    by_first = f"SELECT saga_id, seq FROM journal WHERE actor LIKE '%:{one}' ORDER BY saga_id, seq"
    journal = way.stage.rows(by_first)
    await way.resume(how, first)
    said = await first.event("lease_lost", since=at, holder=holder, timeout_s=90)
    assert said["until_ms"] > 0
    assert "stands by" in said["remedy"]
    assert journal, "it wrote while it held the lease"
    assert way.stage.rows(by_first) == journal, "it wrote under a lease it has not"
    assert first.process.returncode is None


async def takes_over_again(stage: Stage, first: Daemon, holders: Holders, one: str) -> None:
    """The holder gone, the standby goes on by itself."""
    await first.event("lease_taken_over", timeout_s=60)
    assert holders.owner == one
    (last,) = await stage.open(stage.plan(2))
    await stage.completed(first, [last])
    assert (await stage.evidence(last)).payouts == 1


@pytest.mark.parametrize(("how", "store"), THREE)
async def test_of_two_that_stand_by_one_takes_over_within_one_expiry_and_then_the_other(
    stage: Stage, how: str, store: str, record_property: Record
) -> None:
    async with ways(stage, store) as way, Holders(stage) as holders:
        own, config = way.configs(TTL_S, standby=True)
        async with await Daemon.start(own) as first:
            await first.ready()
            async with await Daemon.start(config) as second, await Daemon.start(config) as third:
                for each in (second, third):
                    await each.event("waiting_for_the_lease")
                (paid,) = await stage.open(stage.plan(0))
                await first.event("broadcast", swap_id=paid.id, purpose="payout")
                one = holders.owner
                await way.stop(how, first)
                at = now_ms()
                winner, other = await took_over(second, third)
                in_time(holders, how, one, holders.owner, at)
                await stage.completed(winner, [paid])
                if how != "SIGKILL":
                    await does_no_harm(way, how, first, one, holders.owner)
                    await first.kill()
                assert not has_begun(other), "two work on one store"
                (next_one,) = await stage.open(stage.plan(1, ChainName.TAO))
                await winner.event("broadcast", swap_id=next_one.id, purpose="payout")
                await winner.kill()
                await other.event("start_up_report")
                await stage.completed(other, [next_one])
        holders.never_two()
        journal_is_fenced(stage)
        seen = [await stage.evidence(each) for each in (paid, next_one)]
        assert [each.payouts for each in seen] == [1, 1]
        assert len({each.owner for each in holders.seen}) == 3
    record_property("end", "COMPLETED")
    record_property("payouts", sum(each.payouts for each in seen))
    record_property("double_payouts", sum(each.payouts > 1 for each in seen))


def has_begun(daemon: Daemon) -> bool:
    return any(line.get("event") == "start_up_report" for line in daemon.log)


async def took_over(*standing_by: Daemon) -> list[Daemon]:
    """Those that stood by: first the one that goes on now."""
    waiting = [asyncio.create_task(each.event("start_up_report", timeout_s=90)) for each in standing_by]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return sorted(standing_by, key=has_begun, reverse=True)


@pytest.mark.parametrize(
    ("many", "store"),
    [
        on(store, many, case=case)
        for store in (SQLITE, POSTGRESQL)
        for many, case in ((2, "two"), (3, "three"))
    ],
)
async def test_of_those_that_start_on_a_dead_ones_store_one_goes_on_and_the_others_say_so(
    stage: Stage, many: int, store: str, record_property: Record
) -> None:
    async with ways(stage, store) as way, Holders(stage) as holders:
        _, config = way.configs(TTL_S)
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
        journal_is_fenced(stage)
        payouts = [(await stage.evidence(each)).payouts for each in opened]
    assert payouts == [1, 1]
    record_property("end", "COMPLETED")
    record_property("payouts", sum(payouts))
    record_property("double_payouts", sum(each > 1 for each in payouts))


async def goes_on(daemon: Daemon) -> bool:
    told = {"ready", "another_daemon_works_on_this_store"}
    line = await daemon.until(lambda each: each.get("event") in told, timeout_s=90)
    return bool(line["event"] == "ready")


@pytest.mark.parametrize(
    ("source", "store"),
    [
        on(store, source, case=case)
        for store in (SQLITE, POSTGRESQL)
        for source, case in ((ChainName.BTC, "TAO"), (ChainName.TAO, "BTC"))
    ],
)
async def test_signed_bytes_that_a_stopped_daemon_never_sent_leave_once_and_late_ones_change_nothing(
    stage: Stage, source: ChainName, store: str, record_property: Record
) -> None:
    async with ways(stage, store) as way:
        own, config = way.configs(TTL_S)
        async with await Daemon.start(own) as first:
            await first.ready()
            way.chain.fault(Fault("author_submitExtrinsic", FaultKind.REFUSE, code=-32000, message="busy"))
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
        assert stage.rows("SELECT count(*) FROM lanes WHERE purpose = 'payout'") == [(1,)]
    assert seen.payouts == 1
    assert seen.marked_id == late[0], "the bytes of the first daemon, sent by the second"
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


@pytest.mark.matrix("Leases", "Chopsticks, bitcoind, sqlite")
async def test_a_daemon_stopped_in_its_round_sends_no_payout_once_its_swap_has_ended(
    stage: Stage, record_property: Record
) -> None:
    """It goes on where it stood, under its lease and by heads from before: signed bytes are due there."""
    bitcoin, chain = stage.devnet.bitcoin, stage.devnet.chain
    await stage.devnet.contract.set_timeout(40)
    async with await Daemon.start(stage.config(lease_ttl_s=60)) as daemon:
        await daemon.ready()
        bitcoin.proxy.fault(Fault("sendrawtransaction", FaultKind.REFUSE, code=-28, message="busy"))
        (opened,) = await stage.open(stage.plan(0, ChainName.TAO))
        await daemon.event("broadcast_unsure", swap_id=opened.id)
        bitcoin.proxy.clear_faults()
        bitcoin.proxy.fault(Fault("*", FaultKind.DELAY, count=1, ms=2_000))
        bitcoin.proxy.requests(reset=True)
        await chain.new_block()
        while not bitcoin.proxy.requests():  # noqa: ASYNC110  # over a real socket
            await asyncio.sleep(0.01)
        freeze(daemon)
        await chain.new_block(40)
        await stage.devnet.validators.timeout(opened.id)
        assert await stage.devnet.contract.swap(opened.id) is None
        thaw(daemon)
        await daemon.event("payout_not_sent", swap_id=opened.id)

        async def given_up() -> bool:
            return stage.states()[opened.id] == "COMPENSATED"

        await stage.until(daemon, given_up)
        seen = await stage.evidence(opened)
    assert seen.payouts == 0
    record_property("end", "COMPENSATED")
    record_property("payouts", seen.payouts)
    record_property("double_payouts", 0)
