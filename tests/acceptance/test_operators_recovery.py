"""An operator's commands beside the running process: judged by the chains, refused with what is at stake."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet import players
from tests.devnet.driver import Opened, Payment
from tests.devnet.terms import ChainName

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.matrix("Operator's recovery", "Chopsticks, bitcoind"),
    pytest.mark.timeout(600),  # several commands, each a process of its own: slow where the machine is busy
]

WHY = ("--yes", "--reason", "the test decides", "--actor", "tester")
RAILS = [
    pytest.param(ChainName.BTC, id="pays-TAO"),
    pytest.param(ChainName.TAO, id="pays-BTC"),
]
RAILS_MARKED = [
    pytest.param(ChainName.BTC, id="pays-TAO", marks=pytest.mark.proof),
    pytest.param(ChainName.TAO, id="pays-BTC"),
]
RAILS_REFUSED = [
    pytest.param(ChainName.BTC, id="pays-TAO"),
    pytest.param(ChainName.TAO, id="pays-BTC", marks=pytest.mark.proof),
]


async def asked(stage: Stage, *words: str, code: int = 0) -> dict[str, Any]:
    """A command's answer about its one swap."""
    told = json.loads(await stage.cli(*words, "--json", code=code))
    (swap,) = told["swaps"]
    assert told["looked_at"] == 1
    return {**swap, **{name: told[name] for name in ("dry_run", "changed", "would_change")}}


async def held(stage: Stage, daemon: Daemon, source: ChainName) -> Opened:
    """A swap that another program says it paid, by an id that leads nowhere; the daemon is paused."""
    await stage.cli("pause")
    (opened,) = await stage.open(stage.plan(0, source))
    cache = Path(stage.folder) / "sent.json"
    nowhere = ("0x" if source is ChainName.BTC else "") + "77" * 32
    cache.write_text(json.dumps({str(opened.id): [nowhere, 3]}))
    await stage.cli("import-sent", str(cache))
    await stage.step(daemon, blocks=2)
    assert stage.states()[opened.id] == "HELD"
    return opened


async def paid_by_hand(stage: Stage, daemon: Daemon | None, opened: Opened) -> Payment:
    """The payout by another program with the miner's key, final."""
    payment = await players.pay_user(stage.devnet, stage.devnet.miners[0], opened.id)
    await stage.step(daemon, blocks=7)
    return payment


async def paid_once(stage: Stage, opened: Opened, payment: Payment, record: Any) -> None:
    """The chains show one payout, which the contract has been marked with."""
    seen = await stage.evidence(opened)
    assert (seen.payouts, seen.status, seen.marked_id) == (1, "Completed", payment.tx_hash)
    record("payouts", seen.payouts)
    record("end", seen.status)
    record("double_payouts", 0)


@pytest.mark.parametrize("source", RAILS)
async def test_a_payout_made_outside_is_adopted_by_the_running_daemon(
    stage: Stage, source: ChainName, record_property: Any
) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        opened = await held(stage, daemon, source)
        payment = await paid_by_hand(stage, daemon, opened)
        words = ("adopt-payout", str(opened.id), payment.tx_hash)
        dry = await asked(stage, *words)
        assert (dry["outcome"], dry["dry_run"], dry["would_change"]) == ("would", True, 1)
        assert "is credited" in dry["at_stake"]
        assert stage.states()[opened.id] == "HELD"
        did = await asked(stage, *words, *WHY)
        assert (did["outcome"], did["changed"]) == ("done", 1), did
        await stage.completed(daemon, [opened])
        await paid_once(stage, opened, payment, record_property)
        (actor,) = stage.rows("SELECT actor FROM journal WHERE event = 'PAYOUT_ADOPTED'")
        assert actor[0].startswith("operator:tester:")
        logged = stage.rows("SELECT actor, action FROM operator_log WHERE action = 'adopt-payout'")
        assert logged == [("operator:tester", "adopt-payout")]


@pytest.mark.parametrize("source", RAILS_MARKED)
async def test_a_final_payout_is_marked_and_a_second_time_nothing_changes(
    stage: Stage, source: ChainName, record_property: Any
) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        opened = await held(stage, daemon, source)
        payment = await paid_by_hand(stage, daemon, opened)
        words = ("mark", str(opened.id), "--tx", payment.tx_hash)
        assert (await asked(stage, *words, *WHY))["outcome"] == "done"
        await stage.fulfilled(daemon, [opened])
        again = await asked(stage, *words, *WHY)
        assert (again["outcome"], again["changed"]) == ("nothing", 0)
        assert f"Fulfilled with {payment.tx_hash} already" in again["text"]
        await stage.completed(daemon, [opened])
        await paid_once(stage, opened, payment, record_property)


@pytest.mark.parametrize("source", RAILS_REFUSED)
async def test_a_transaction_that_is_not_the_payout_is_refused_with_what_is_wrong(
    stage: Stage, source: ChainName, record_property: Any
) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        opened = await held(stage, daemon, source)
        less = await players.pay_user(stage.devnet, stage.devnet.miners[0], opened.id, less=1_000)
        await stage.step(daemon, blocks=7)
        told = await asked(stage, "adopt-payout", str(opened.id), less.tx_hash, *WHY, code=1)
        assert (told["outcome"], "wrong_amount" in told["text"]) == ("refused", True), told
        assert "is owed to the user" in told["at_stake"]
        theirs = await asked(stage, "adopt-payout", str(opened.id), opened.swap.source_tx_hash, code=1)
        assert theirs["outcome"] == "refused"
        assert stage.states()[opened.id] == "HELD"
        record_property("end", "HELD")


async def test_quarantine_of_a_swap_with_funds_at_stake_is_refused_with_the_amount(
    stage: Stage, record_property: Any
) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        (opened,) = await stage.open(stage.plan(0))
        await daemon.event("broadcast", swap_id=opened.id, purpose="payout")
        running = await asked(stage, "quarantine", str(opened.id), *WHY, code=1)
        assert "only a held swap" in running["text"]
        foreign = {
            "swap_id": opened.id,
            "dest_tx_hash": "0x" + "ab" * 32,
            "dest_tx_block": 1,
            "dest_amount": 1,
        }
        await stage.devnet.contract.execute([(opened.swap.miner, "mark_fulfilled", foreign)])
        await daemon.followed((await stage.devnet.chain.heads()).number)
        await stage.step(daemon, blocks=3)
        assert stage.states()[opened.id] == "HELD"
        told = await asked(stage, "quarantine", str(opened.id), *WHY, code=1)
        assert told["outcome"] == "refused"
        assert "TAO is paid" in told["at_stake"]
        assert "of collateral is lost if it times out" in told["at_stake"]
        assert stage.states()[opened.id] == "HELD"
        record_property("end", "HELD")
        shown = await stage.cli("recovery", "show", "--swap", str(opened.id))
        assert "the chain now" in shown
        assert "Fulfilled" in shown
        entry = json.loads(await stage.cli("recovery", "list", "--json"))["entries"][0]
        resolve = ("recovery", "resolve", str(entry["id"]), "--reason", "told the validators", "--yes")
        assert "changed 1" in await stage.cli(*resolve)
        listed = json.loads(await stage.cli("recovery", "list", "--json"))
        assert (len(listed["entries"]), listed["open"]) == (1, 0)


async def test_a_mark_that_became_possible_is_made_by_retry_long_before_its_next_attempt(
    stage: Stage, record_property: Any
) -> None:
    """The operator's own cap refuses the mark's fee; once it is mended, nobody waits the hour out."""
    hour = "[retry]\nbase_s = 3600\ncap_s = 7200\n"
    config = stage.config(extra=hour)
    text = config.read_text()
    config.write_text(text.replace("[limits.tao]", '[limits.tao]\nmark_fee = "1 rao"'))
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        (opened,) = await stage.open(stage.plan(0))
        await daemon.event("broadcast", swap_id=opened.id, purpose="payout")
        await stage.step(daemon, blocks=4)
        assert stage.states()[opened.id] == "PAID"
        await daemon.stop()
    config.write_text(text)
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        await stage.step(daemon, blocks=3)
        assert stage.states()[opened.id] == "PAID"
        assert (await asked(stage, "retry", str(opened.id)))["outcome"] == "would"
        did = await asked(stage, "retry", str(opened.id), *WHY)
        assert (did["outcome"], did["detail"]["state"]) == ("done", "MARKING"), did
        await stage.completed(daemon, [opened])
        seen = await stage.evidence(opened)
        assert (seen.payouts, seen.status) == (1, "Completed")
        none = await asked(stage, "retry", str(opened.id), *WHY, code=1)
        assert none["changed"] == 0
        record_property("payouts", seen.payouts)
        record_property("end", seen.status)


async def test_without_a_daemon_the_command_takes_the_leases_and_does_the_same(
    stage: Stage, record_property: Any
) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        opened = await held(stage, daemon, ChainName.BTC)
        await daemon.kill()
    payment = await paid_by_hand(stage, None, opened)
    did = await asked(stage, "adopt-payout", str(opened.id), payment.tx_hash, *WHY)
    assert (did["outcome"], did["detail"]["state"]) == ("done", "MARKING"), did
    await stage.step(blocks=2)
    assert await stage.status(opened) == "Fulfilled"
    async with await Daemon.start(stage.folder / "swap-miner.toml") as daemon:
        await stage.completed(daemon, [opened])
        await paid_once(stage, opened, payment, record_property)


async def test_a_request_that_a_stopped_daemon_does_not_answer_is_withdrawn_and_never_done(
    stage: Stage, record_property: Any
) -> None:
    async with await Daemon.start(stage.config(lease_ttl_s=60.0)) as daemon:
        await daemon.ready()
        opened = await held(stage, daemon, ChainName.BTC)
        payment = await paid_by_hand(stage, daemon, opened)
        daemon.process.send_signal(signal.SIGSTOP)
        words = ("adopt-payout", str(opened.id), payment.tx_hash, *WHY, "--wait", "2")
        told = await asked(stage, *words, code=1)
        daemon.process.send_signal(signal.SIGCONT)
        assert (told["outcome"], "withdrawn" in told["text"]) == ("unknown", True)
        await stage.step(daemon, blocks=3)
        assert stage.states()[opened.id] == "HELD"
        assert stage.rows("SELECT standing FROM operator_requests") == [("withdrawn",)]
        record_property("end", "HELD")
