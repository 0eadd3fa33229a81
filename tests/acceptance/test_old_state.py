"""A store that is older than the chain, or not the only one: named, stopped, and nobody is paid twice."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.acceptance.histories import SUBMIT
from tests.acceptance.holders import freeze, thaw
from tests.acceptance.test_moving_over import sent_cache
from tests.devnet import players
from tests.devnet.driver import Opened
from tests.devnet.faults import Fault, FaultKind
from tests.devnet.terms import ChainName, after_fee

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

PROOF = pytest.mark.proof
TAO, BTC = ChainName.BTC, ChainName.TAO
"""The chain that the user pays on, by the one that is paid out."""
Record = Callable[[str, object], None]


class Backup:
    """A copy of the store, taken while the daemon runs, and put back later."""

    def __init__(self, stage: Stage, kind: str) -> None:
        self._state = stage.folder / "state"
        self._copy = stage.folder / "copy"
        self._kind = kind

    def take(self, daemon: Daemon) -> None:
        """The store alone, or the machine as it stands: store and recovery log, at one moment."""
        if self._kind == "backup":
            self._copy.mkdir()
            store = sqlite3.connect(self._state / "swap-miner.sqlite")
            with sqlite3.connect(self._copy / "swap-miner.sqlite") as copy:
                store.backup(copy)
            copy.close()
            store.close()
        else:
            freeze(daemon)
            shutil.copytree(self._state, self._copy, ignore=shutil.ignore_patterns("*.sock"))
            thaw(daemon)

    def put_back(self) -> None:
        """What happened since the copy is gone here; on the chains it is not."""
        for file in self._state.iterdir():
            if self._kind == "snapshot" or file.name.startswith("swap-miner.sqlite"):
                file.unlink()
        for file in self._copy.iterdir():
            shutil.copy2(file, self._state / file.name)


def account_of(opened: Opened, source: ChainName) -> str:
    miner = opened.plan.miner
    return miner.tao_address if source is TAO else miner.btc_address


def due(stage: Stage, opened: Opened) -> int:
    return after_fee(opened.swap.dest_amount, stage.devnet.contract.terms.fee_divisor)


async def names_the_spend(
    stage: Stage, daemon: Daemon, opened: Opened, source: ChainName, txid: str, *, final: bool = True
) -> None:
    """The audit names what it cannot explain, and the command to run."""
    account = account_of(opened, source)
    said = await daemon.event("spends_not_accounted_for", account=account)
    words = "\n".join(said["spends"])
    assert f"swap-miner resume --account {account}" in said["remedy"]
    if final:
        assert txid in words
        assert f"{due(stage, opened)} " in words
        assert opened.swap.user_dest_address in words
        assert "in block " in words


async def other_swaps_wait_until_a_person_looked(
    stage: Stage, daemon: Daemon, source: ChainName, account: str
) -> Opened:
    """Another user of that account is not paid before `resume --account`, and is afterwards."""
    (waits,) = await stage.open(stage.plan(0, source))

    def stopped(line: dict[str, Any]) -> bool:
        mine = line.get("event") == "swap_waits" and line.get("swap_id") == waits.id
        return mine and str(line["why"]).startswith("account_stopped:")

    await stage.step(daemon, blocks=2)
    await daemon.until(stopped)
    assert (await stage.evidence(waits)).payouts == 0
    assert "may pay again" in await stage.cli("resume", "--account", account)
    await stage.completed(daemon, [waits])
    return waits


@pytest.mark.matrix("Old or second state", "Chopsticks, bitcoind, SQLite")
@pytest.mark.parametrize(
    ("kind", "found_before", "included", "source"),
    [
        pytest.param("backup", False, True, TAO, id="backup-older-than-the-swap-TAO"),
        pytest.param("backup", False, True, BTC, id="backup-older-than-the-swap-BTC"),
        pytest.param("backup", True, True, TAO, id="backup-of-the-verified-swap-TAO", marks=PROOF),
        pytest.param("backup", True, True, BTC, id="backup-of-the-verified-swap-BTC", marks=PROOF),
        pytest.param("backup", True, False, TAO, id="backup-payout-still-in-the-pool-TAO", marks=PROOF),
        pytest.param("backup", True, False, BTC, id="backup-payout-still-in-the-pool-BTC", marks=PROOF),
        pytest.param("snapshot", False, True, TAO, id="snapshot-older-than-the-swap-TAO", marks=PROOF),
        pytest.param("snapshot", False, True, BTC, id="snapshot-older-than-the-swap-BTC", marks=PROOF),
        pytest.param("snapshot", True, True, TAO, id="snapshot-of-the-verified-swap-TAO", marks=PROOF),
        pytest.param("snapshot", True, True, BTC, id="snapshot-of-the-verified-swap-BTC", marks=PROOF),
    ],
)
async def test_a_payout_made_after_the_copy_was_taken_is_adopted_and_marked_and_never_made_again(
    stage: Stage, kind: str, found_before: bool, included: bool, source: ChainName, record_property: Record
) -> None:
    config, copy = stage.config(), Backup(stage, kind)
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        if found_before:
            await stage.cli("pause")
            (opened,) = await stage.open(stage.plan(0, source))
            await stage.step(daemon)
            copy.take(daemon)
            await stage.cli("resume")
            await stage.step(daemon)
        else:
            copy.take(daemon)
            (opened,) = await stage.open(stage.plan(0, source))
        await daemon.event("broadcast", swap_id=opened.id, purpose="payout")
    ((txid,),) = stage.rows("SELECT txid FROM attempts")
    if included:
        await stage.step()
    copy.put_back()
    if found_before:
        await stage.cli("resume")
    async with await Daemon.start(config) as daemon:
        await names_the_spend(stage, daemon, opened, source, txid, final=included)
        await stage.completed(daemon, [opened])
        seen = await stage.evidence(opened)
        assert (seen.payouts, seen.marked_id) == (1, txid)
        assert [e["cause"] for e in stage.recovery()] == ["account_spent_before"]
        waited = await other_swaps_wait_until_a_person_looked(
            stage, daemon, source, account_of(opened, source)
        )
        again = await stage.evidence(waited)
    assert again.payouts == 1
    record_property("end", "COMPLETED")
    record_property("payouts", seen.payouts + again.payouts)
    record_property("double_payouts", int(seen.payouts > 1) + int(again.payouts > 1))
    record_property("lost_swaps", 0)
    record_property("missed", 0)


@pytest.mark.matrix("Old or second state", "Chopsticks, bitcoind, SQLite")
@PROOF
@pytest.mark.parametrize("source", [TAO, BTC], ids=["marked-too-TAO", "marked-too-BTC"])
async def test_a_swap_that_was_paid_and_marked_after_the_copy_was_taken_ends_as_the_contract_says(
    stage: Stage, source: ChainName, record_property: Record
) -> None:
    config, copy = stage.config(), Backup(stage, "backup")
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        copy.take(daemon)
        (opened,) = await stage.open(stage.plan(0, source))
        await stage.fulfilled(daemon, [opened])
        await daemon.kill()
    copy.put_back()
    async with await Daemon.start(config) as daemon:
        await daemon.event("spends_not_accounted_for")
        await stage.completed(daemon, [opened])
        await stage.step(daemon, blocks=2)
        seen = await stage.evidence(opened)
        assert seen.payouts == 1
        assert stage.states()[opened.id] == "COMPLETED"
    record_property("end", "COMPLETED")
    record_property("payouts", seen.payouts)
    record_property("double_payouts", 0)


@pytest.mark.matrix("Old or second state", "Chopsticks, bitcoind, SQLite")
@pytest.mark.parametrize(
    "source",
    [pytest.param(TAO, marks=PROOF), pytest.param(BTC, marks=PROOF)],
    ids=["likeness-TAO", "likeness-BTC"],
)
async def test_the_lost_payout_of_an_ended_swap_is_not_taken_for_a_later_one_of_the_same_user(
    stage: Stage, source: ChainName, record_property: Record
) -> None:
    """Same user, same amount: the first was paid after the copy was taken, the second never."""
    config, copy, plan = stage.config(), Backup(stage, "backup"), stage.plan(0, source)
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        copy.take(daemon)
        (first,) = await stage.open(plan)
        await stage.completed(daemon, [first])
        await daemon.stop()
    ((txid,),) = stage.rows("SELECT txid FROM lanes WHERE purpose = 'payout'")
    (second,) = await stage.open(plan)
    copy.put_back()
    async with await Daemon.start(config) as daemon:
        await daemon.event("spends_not_accounted_for")
        await stage.step(daemon, blocks=12)
        swap = await stage.devnet.contract.swap(second.id)
        assert swap is not None
        assert swap.dest_tx_hash != txid
        assert (await stage.evidence(second)).payouts == 1, "the first one's, to the same user"
        state = stage.states()[second.id]
        assert state in {"VERIFIED", "RESERVED", "HELD"}
    record_property("end", state)
    record_property("payouts", 1)
    record_property("double_payouts", 0)


def second_stage(stage: Stage) -> Stage:
    """Another store for the same miners, in a folder of its own."""
    folder = stage.folder / "second"
    folder.mkdir()
    return Stage(stage.devnet, folder, stage.auditor)


@pytest.mark.matrix("Old or second state", "Chopsticks, bitcoind, SQLite")
@pytest.mark.parametrize("source", [TAO, pytest.param(BTC, marks=PROOF)], ids=["TAO", "BTC"])
async def test_a_second_store_with_the_same_keys_notices_the_first_and_pays_nobody_again(
    stage: Stage, source: ChainName, record_property: Record
) -> None:
    other = second_stage(stage)
    config = other.config()
    async with await Daemon.start(stage.config()) as one, await Daemon.start(config) as two:
        await one.ready()
        await two.ready()
        await other.cli("pause")
        (opened,) = await stage.open(stage.plan(0, source))
        await one.event("broadcast", swap_id=opened.id, purpose="payout")
        await two.followed(opened.swap.initiated_block)
        await one.kill()
        ((txid,),) = stage.rows("SELECT txid FROM attempts")
        await stage.step(two)
        await other.cli("resume")
        await stage.step(two)
        await names_the_spend(stage, two, opened, source, txid)
        await stage.completed(two, [opened])
        seen = await stage.evidence(opened)
    assert (seen.payouts, seen.marked_id) == (1, txid)
    record_property("end", "COMPLETED")
    record_property("payouts", seen.payouts)
    record_property("double_payouts", 0)
    record_property("lost_swaps", 0)
    record_property("missed", 0)


@pytest.mark.matrix("Old or second state", "Chopsticks, bitcoind, SQLite")
@PROOF
@pytest.mark.parametrize("swaps", [1, 4], ids=["one-swap", "four-swaps"])
async def test_two_stores_with_the_same_keys_at_once_pay_each_user_once(
    stage: Stage, swaps: int, record_property: Record
) -> None:
    other = second_stage(stage)
    async with await Daemon.start(stage.config()) as one, await Daemon.start(other.config()) as two:
        await one.ready()
        await two.ready()
        opened = await stage.open(*(stage.plan(i, BTC if i % 2 else TAO) for i in range(swaps)))
        await stage.completed(one, opened)
        seen = [await stage.evidence(each) for each in opened]
    assert [each.payouts for each in seen] == [1] * len(seen)
    record_property("end", "COMPLETED")
    record_property("payouts", len(seen))
    record_property("double_payouts", 0)


@pytest.mark.matrix("Old or second state", "Chopsticks, bitcoind, SQLite")
@pytest.mark.parametrize("era", ["living", pytest.param("dead", marks=PROOF)], ids=["era-lives", "era-died"])
async def test_an_account_that_was_emptied_and_refunded_stops_until_every_signed_era_has_died(
    stage: Stage, era: str, record_property: Record
) -> None:
    await stage.devnet.contract.set_timeout(40)
    config, account = stage.config(sweep_blocks=3), stage.devnet.miners[0].tao_address
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        (first,) = await stage.open(stage.plan(0))
        await stage.completed(daemon, [first])
        await stage.step(daemon, blocks=3)
        await daemon.stop()
    await begin_again_at_zero(stage, account)
    async with await Daemon.start(config) as daemon:
        said = await daemon.event("spends_not_accounted_for", account=account)
        assert said["spends"][0].startswith(f"nonce went back: {account} stands at 0")
        await stage.devnet.contract.set_timeout(150)  # it outlives the eras
        (waits,) = await stage.open(stage.plan(0))
        await stage.step(daemon, blocks=2)
        refused = await stage.cli("resume", "--account", account, code=1)
        assert "old_bytes_are_valid_again" in refused
        assert "run this again then" in refused
        payouts = (await stage.evidence(waits)).payouts
        assert payouts == 0
        if era == "dead":
            payouts = await resume_after_the_eras(stage, daemon, account, waits)
    record_property("end", "stopped" if era == "living" else "paid again")
    record_property("payouts", payouts)
    record_property("double_payouts", 0)


@pytest.mark.matrix("Old or second state", "Chopsticks, bitcoind, SQLite")
@PROOF
async def test_a_payout_that_was_open_when_its_account_was_emptied_is_made_once_the_old_bytes_are_dead(
    stage: Stage, record_property: Record
) -> None:
    """Its nonce comes after one that nobody uses any more, so neither it nor a filler of it can ever land."""
    await stage.devnet.contract.set_timeout(150)  # it outlives the eras
    config, account = stage.config(sweep_blocks=3), stage.devnet.miners[0].tao_address
    chain = stage.devnet.chain
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        (first,) = await stage.open(stage.plan(0))
        await stage.completed(daemon, [first])
        await chain.fault(Fault(SUBMIT, FaultKind.REFUSE, code=-32000, message="not now"))
        (second,) = await stage.open(stage.plan(0))
        await stage.until(daemon, lambda: is_(stage, second, "SIGNED"))
        await begin_again_at_zero(stage, account)
        await chain.clear_faults(SUBMIT)
        await stage.step(daemon, blocks=6)
        await daemon.event("spends_not_accounted_for", account=account)
        assert "old_bytes_are_valid_again" in await stage.cli("resume", "--account", account, code=1)
        await stage.until(daemon, lambda: is_(stage, second, "RESERVED"), blocks=100)
        lanes = stage.rows("SELECT slot, state FROM lanes WHERE purpose = 'payout' ORDER BY id")
        assert lanes[-1][1] == "dead"
        assert int(lanes[-1][0]) > 0
        assert "may pay again" in await stage.cli("resume", "--account", account)
        await stage.completed(daemon, [second])
        seen = [(await stage.evidence(each)).payouts for each in (first, second)]
    assert seen == [1, 1]
    record_property("end", "COMPLETED")
    record_property("payouts", sum(seen))
    record_property("double_payouts", 0)


async def is_(stage: Stage, opened: Opened, state: str) -> bool:
    return stage.states().get(opened.id) == state


async def begin_again_at_zero(stage: Stage, account: str) -> None:
    """As after the account was reaped and somebody sent to it."""
    fresh = {"nonce": 0, "providers": 1, "data": {"free": str(10**12)}}
    await stage.devnet.chain.rpc("dev_setStorage", {"System": {"Account": [[[account], fresh]]}})
    await stage.devnet.chain.new_block()


async def resume_after_the_eras(stage: Stage, daemon: Daemon, account: str, waits: Opened) -> int:
    ((last,),) = stage.rows("SELECT max(death) FROM attempts")
    while (await stage.devnet.chain.heads()).finalised_number < last:
        await stage.step(daemon, blocks=5)
    assert "may pay again" in await stage.cli("resume", "--account", account)
    await stage.completed(daemon, [waits])
    return (await stage.evidence(waits)).payouts


@pytest.mark.matrix("Old or second state", "Chopsticks, bitcoind, SQLite")
@PROOF
async def test_an_old_sent_cache_that_names_an_earlier_payout_to_the_same_user_credits_nothing(
    stage: Stage, record_property: Record
) -> None:
    """Its swap ids are those of another contract's life; the id that it names paid this user before."""
    plan = stage.plan(0)
    (earlier,) = await stage.open(plan)
    payment = await players.pay_user(stage.devnet, stage.devnet.miners[0], earlier.id)
    await players.mark(stage.devnet, stage.devnet.miners[0], earlier.id, payment)
    while await stage.status(earlier) != "Completed":
        await stage.step()
        await stage.devnet.validators.judge()
    (opened,) = await stage.open(plan)
    stage.config()
    entries: dict[int, list[object]] = {
        earlier.id: [payment.tx_hash, payment.block, True, 0],
        opened.id: [payment.tx_hash, payment.block, False, 0],
    }
    await stage.cli("import-sent", str(sent_cache(stage.folder, entries)))
    async with await Daemon.start(stage.folder / "swap-miner.toml") as daemon:
        await daemon.ready()
        await stage.step(daemon, blocks=12)
        swap = await stage.devnet.contract.swap(opened.id)
        assert swap is not None
        assert swap.dest_tx_hash == ""
        assert stage.states()[opened.id] == "HELD"
        assert (await stage.evidence(opened)).payouts == 1, "the earlier one, by hand"
    record_property("end", "HELD")
    record_property("payouts", 0)
    record_property("double_payouts", 0)
