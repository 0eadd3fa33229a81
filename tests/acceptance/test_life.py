"""A swap's life through the real process: paid once, marked, followed to its end, whatever is killed."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet.faults import Fault, FaultKind
from tests.devnet.terms import ChainName

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOTH = (ChainName.BTC, ChainName.TAO)


async def assert_paid_once(stage: Stage, *opened: object) -> None:
    """Each swap has exactly one payout on its chain."""
    for each in opened:
        seen = await stage.evidence(each)  # type: ignore[arg-type]
        assert seen.payouts == 1, f"swap {each} has {seen.payouts} payouts: {seen.txids}"


async def test_a_swap_in_each_direction_is_paid_marked_and_completed(stage: Stage) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        opened = await stage.open(stage.plan(0, ChainName.BTC), stage.plan(1, ChainName.TAO))
        await stage.completed(daemon, opened)
        await stage.step(daemon)
        assert stage.states() == {o.id: "COMPLETED" for o in opened}
        await assert_paid_once(stage, *opened)
        assert stage.recovery() == []
        assert await daemon.stop() == 0


async def test_a_swap_that_appears_while_the_daemon_is_down_is_found_and_paid(stage: Stage) -> None:
    config = stage.config()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
    opened = await stage.open(stage.plan(0), stage.plan(1, ChainName.TAO))
    await stage.step(blocks=3)
    async with await Daemon.start(config) as daemon:
        await stage.completed(daemon, opened)
        await assert_paid_once(stage, *opened)


@pytest.mark.parametrize("mined_while_down", [False, True], ids=["still in the pool", "included while down"])
async def test_killed_after_the_broadcast_pays_once(stage: Stage, mined_while_down: bool) -> None:
    config = stage.config()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        opened = await stage.open(stage.plan(0), stage.plan(1, ChainName.TAO))
        for each in opened:
            await daemon.event("broadcast", swap_id=each.id, purpose="payout")
        await daemon.kill()
    if mined_while_down:
        await stage.step(blocks=2)
    async with await Daemon.start(config) as daemon:
        await stage.completed(daemon, opened)
        await assert_paid_once(stage, *opened)


async def test_killed_after_the_mark_left_marks_once(stage: Stage) -> None:
    config = stage.config()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        (opened,) = await stage.open(stage.plan(0))
        await daemon.event("broadcast", swap_id=opened.id, purpose="payout")
        await stage.devnet.chain.new_block()
        await daemon.event("broadcast", swap_id=opened.id, purpose="mark")
        await daemon.kill()
    await stage.devnet.chain.new_block()
    async with await Daemon.start(config) as daemon:
        await stage.completed(daemon, [opened])
        await assert_paid_once(stage, opened)
        assert stage.rows("SELECT count(*) FROM lanes WHERE purpose = 'mark'") == [(1,)]


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.CLOSE, FaultKind.GARBLE])
async def test_a_lost_reply_to_the_payout_is_no_second_payment(stage: Stage, kind: FaultKind) -> None:
    config = stage.config(extra="")
    config.write_text(config.read_text().replace("[store]", "request_timeout_s = 2\n[store]"))
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        await stage.devnet.chain.fault(Fault("author_submitExtrinsic", kind, count=1))
        stage.devnet.bitcoin.proxy.fault(Fault("sendrawtransaction", kind, count=1))
        opened = await stage.open(stage.plan(0), stage.plan(1, ChainName.TAO))
        await stage.completed(daemon, opened)
        await assert_paid_once(stage, *opened)


async def test_a_node_that_refuses_everything_for_a_while_loses_no_swap(stage: Stage) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        await stage.devnet.chain.fault(Fault("*", FaultKind.REFUSE, code=-32000, message="busy"))
        stage.devnet.bitcoin.proxy.fault(Fault("*", FaultKind.REFUSE, code=-28, message="warming up"))
        opened = await stage.open(stage.plan(0), stage.plan(1, ChainName.TAO))
        await daemon.event("not_ready")
        await stage.devnet.chain.clear_faults()
        stage.devnet.bitcoin.proxy.clear_faults()
        await stage.completed(daemon, opened)
        await assert_paid_once(stage, *opened)


async def test_connections_that_break_are_made_again(stage: Stage) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        (opened,) = await stage.open(stage.plan(0))
        await daemon.event("broadcast", swap_id=opened.id, purpose="payout")
        await stage.devnet.chain.disconnect()
        await stage.completed(daemon, [opened])
        await assert_paid_once(stage, opened)


@pytest.mark.parametrize("lag", [0, 3])
async def test_with_a_finality_lag_the_payout_leaves_in_the_block_that_finalises_the_swap(
    stage: Stage, lag: int
) -> None:
    await stage.devnet.chain.set_finality_lag(lag)
    await stage.step(blocks=lag)
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        (opened,) = await stage.open(stage.plan(0))
        born = opened.swap.initiated_block
        await daemon.followed(born) if lag == 0 else None
        await stage.fulfilled(daemon, [opened])
        swap = await stage.devnet.contract.swap(opened.id)
        assert swap is not None
        assert swap.dest_tx_block == born + lag + 1
        assert swap.fulfilled_block == swap.dest_tx_block + lag + 1


async def test_a_mark_that_is_refused_for_good_is_held_with_one_recovery_entry(stage: Stage) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        (opened,) = await stage.open(stage.plan(0))
        await daemon.event("broadcast", swap_id=opened.id, purpose="payout")
        foreign = {
            "swap_id": opened.id,
            "dest_tx_hash": "0x" + "ab" * 32,
            "dest_tx_block": 1,
            "dest_amount": 1,
        }
        await stage.devnet.contract.execute([(opened.swap.miner, "mark_fulfilled", foreign)])
        await daemon.followed((await stage.devnet.chain.heads()).number)
        await stage.step(daemon, blocks=12)
        assert stage.states()[opened.id] == "HELD"
        assert [e["cause"] for e in stage.recovery()] == ["fulfilled_with_another_id"]
        listed = json.loads(await stage.cli("recovery", "list", "--json"))
        assert str(opened.id) in json.dumps(listed)
        await assert_paid_once(stage, opened)


async def test_the_start_up_report_says_what_was_found_what_goes_on_and_what_needs_a_person(
    stage: Stage,
) -> None:
    """After a power cut: one swap held by a mark of somebody else's, one whose payout is under way."""
    config = stage.config()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        held, under_way = await stage.open(stage.plan(0), stage.plan(1, ChainName.TAO))
        await daemon.event("broadcast", swap_id=held.id, purpose="payout")
        foreign = {
            "swap_id": held.id,
            "dest_tx_hash": "0x" + "ab" * 32,
            "dest_tx_block": 1,
            "dest_amount": 1,
        }
        await stage.devnet.contract.execute([(held.swap.miner, "mark_fulfilled", foreign)])
        await stage.step(daemon)
        await daemon.kill()
        states = stage.states()
    assert states[held.id] == "HELD"
    async with await Daemon.start(config) as daemon:
        report = await daemon.event("start_up_report")
        assert report["sagas"] == dict.fromkeys(states.values(), 1)
        assert report["recovery"] == {"recovered": 2, "failed": 0}
        assert report["cursor"] > 0
        assert report["paused"] == []
        goes_on = await daemon.event("resumed", swap_id=under_way.id)
        assert goes_on["state"] == states[under_way.id]
        waits = await daemon.event("resumed", swap_id=held.id)
        assert waits["reason"] == "fulfilled_with_another_id"
        assert waits["needs_you"].startswith("swap-miner evidence")
        await stage.completed(daemon, [under_way])


async def test_a_paid_swap_that_times_out_ends_failed_with_a_recovery_entry(stage: Stage) -> None:
    await stage.devnet.contract.set_timeout(16)
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        (opened,) = await stage.open(stage.plan(0))
        await stage.fulfilled(daemon, [opened])
        await stage.step(daemon, blocks=16)
        await stage.devnet.validators.timeout(opened.id)
        await stage.step(daemon, blocks=2)
        assert stage.states()[opened.id] == "FAILED"
        assert [e["cause"] for e in stage.recovery()] == ["timed_out_after_payout"]
        await assert_paid_once(stage, opened)


async def test_pause_stops_first_sends_only_and_resume_lets_them_go(stage: Stage) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        (before,) = await stage.open(stage.plan(0))
        await daemon.event("broadcast", swap_id=before.id, purpose="payout")
        await stage.cli("pause")
        (after,) = await stage.open(stage.plan(1))
        await stage.fulfilled(daemon, [before])
        await stage.step(daemon, blocks=3)
        assert (await stage.evidence(after)).payouts == 0
        await stage.cli("resume")
        await stage.completed(daemon, [before, after])
        await assert_paid_once(stage, before, after)


async def test_a_second_daemon_on_the_store_gives_up_and_says_who_holds_it(stage: Stage) -> None:
    config = stage.config()
    async with await Daemon.start(config) as first:
        await first.ready()
        async with await Daemon.start(config) as second:
            said = await second.event("another_daemon_works_on_this_store")
            assert said["holder"]
            assert said["until_ms"] > 0
            assert await second.process.wait() == 4
        (opened,) = await stage.open(stage.plan(0))
        await stage.completed(first, [opened])
        await assert_paid_once(stage, opened)


async def test_while_the_bitcoin_node_is_down_tao_goes_on_and_btc_follows_later(
    stage: Stage,
) -> None:
    config = stage.config()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        first, second = await stage.open(stage.plan(0), stage.plan(1, ChainName.TAO))
        await daemon.event("broadcast", swap_id=first.id, purpose="payout")
        await daemon.kill()
    stage.devnet.bitcoin.proxy.fault(Fault("*", FaultKind.REFUSE, code=-28, message="warming up"))
    async with await Daemon.start(config) as daemon:
        await daemon.event("payout_chain_does_not_answer")
        await stage.fulfilled(daemon, [first])
        stage.devnet.bitcoin.proxy.clear_faults()
        await stage.completed(daemon, [first, second])
        await assert_paid_once(stage, first, second)


async def test_an_earlier_swaps_payout_to_the_same_user_is_not_taken_for_this_ones(stage: Stage) -> None:
    """Same user, same amount, a store that is lost in between: held in doubt, never credited by likeness."""
    config = stage.config()
    plan = stage.plan(0, ChainName.TAO)
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        (first,) = await stage.open(plan)
        await stage.completed(daemon, [first])
        await daemon.stop()
    (second,) = await stage.open(plan)
    for file in (stage.folder / "state").iterdir():
        file.unlink()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        await stage.step(daemon, blocks=12)
        swap = await stage.devnet.contract.swap(second.id)
        assert swap is not None
        assert swap.dest_tx_hash == ""
        assert stage.states() == {second.id: "HELD"}
