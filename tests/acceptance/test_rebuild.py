"""The state folder is gone: open swaps are reconstructed from the contract and the wallets' own history."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet import players
from tests.devnet.driver import Opened
from tests.devnet.terms import ChainName, after_fee

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

ERA = 64
BOTH = (ChainName.BTC, ChainName.TAO)
Record = Callable[[str, object], None]


async def pair(stage: Stage, first: int) -> list[Opened]:
    """A swap in each direction, of miners of their own."""
    return await stage.open(stage.plan(first, BOTH[0]), stage.plan(first + 1, BOTH[1]))


async def send_unmined(stage: Stage, opened: Opened) -> str:
    """The payout as the lost daemon had sent it: in the pools, in no block."""
    swap = await stage.devnet.contract.swap(opened.id)
    assert swap is not None
    miner = next(each for each in stage.devnet.miners if each.hotkey.ss58_address == swap.miner)
    due = after_fee(swap.dest_amount, stage.devnet.contract.terms.fee_divisor)
    if swap.dest_chain == ChainName.TAO:
        substrate = stage.devnet.contract.substrate
        call = await substrate.call("Balances", "transfer_keep_alive", dest=swap.user_dest_address, value=due)
        return await substrate.submit(await substrate.sign(call, miner.hotkey))
    return await stage.devnet.bitcoin.pay_from(
        miner.btc_wallet, miner.btc_address, {swap.user_dest_address: due}
    )


async def lose(stage: Stage) -> None:
    """The container is replaced, and its volume was not mounted."""
    shutil.rmtree(stage.folder / "state")


async def rebuilt(stage: Stage, *options: str, code: int = 0, blocks: bool = False) -> dict[str, Any]:
    """What `rebuild --from-chain` found, while the chains go on where they do."""
    work = asyncio.create_task(stage.cli("rebuild", "--from-chain", "--json", *options, code=code))
    while blocks and not work.done():
        await stage.devnet.chain.new_block()
        await asyncio.wait({work}, timeout=1.5)
    said = await work
    found: dict[str, Any] = json.loads(said[said.index("{") :])
    return found


def verdicts(found: dict[str, Any]) -> dict[int, str]:
    return {each["swap_id"]: each["verdict"] for each in found["swaps"]}


async def assert_completed_once(stage: Stage, swaps: Sequence[Opened]) -> None:
    for each in swaps:
        seen = await stage.evidence(each)
        assert (seen.status, seen.payouts) == ("Completed", 1), f"swap {each.id}: {seen}"


async def run_to_the_end(stage: Stage, config: Path, swaps: Sequence[Opened], most: int) -> None:
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        await stage.step(daemon, blocks=2)
        await stage.devnet.chain.new_block(ERA - 4)  # bytes that were signed before the loss die meanwhile

        async def all_done() -> bool:
            await stage.devnet.validators.judge()
            return all([await stage.status(each) == "Completed" for each in swaps])

        await stage.until(daemon, all_done, most)
        await stage.step(daemon)
        assert await daemon.stop() == 0


@pytest.mark.matrix("Rebuild", "Chopsticks, bitcoind")
async def test_with_the_state_folder_gone_every_open_swap_completes_and_is_paid_once(
    clocked: Stage, record_property: Record
) -> None:
    stage = clocked
    config = stage.config(sweep_blocks=3)
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        marked = await pair(stage, 0)
        await stage.fulfilled(daemon, marked)
        since = len(daemon.log)
        unmarked = await pair(stage, 2)
        for each in unmarked:
            await daemon.event("broadcast", swap_id=each.id, purpose="payout", since=since)
        await daemon.kill()
    await stage.step(blocks=7)
    unconfirmed, unpaid = await pair(stage, 4), await pair(stage, 6)
    await stage.devnet.chain.new_block()
    for each in unconfirmed:
        await send_unmined(stage, each)
    everything = [*marked, *unmarked, *unconfirmed, *unpaid]
    await lose(stage)

    dry = await rebuilt(stage, "--wait", "0", code=1)
    assert not (stage.folder / "state").exists(), "a dry run makes nothing"
    assert (dry["done"], dry["looked_at"]) == (False, 8)
    assert verdicts(dry)[unconfirmed[0].id] == "not read", "a nonce is in use, and by what is not told"

    found = await rebuilt(stage, "--yes", "--wait", "60", blocks=True)
    assert found["undecided"] == 0
    told = verdicts(found)
    assert [told[each.id] for each in unpaid] == ["unpaid", "unpaid"]
    assert [told[each.id] for each in (marked[0], unmarked[0], unconfirmed[0])] == ["paid"] * 3
    assert told[unmarked[1].id] == "paid"
    assert {told[marked[1].id], told[unconfirmed[1].id]} <= {"paid", "paid, not final"}
    for each in (*marked, *unmarked, *unconfirmed):
        seen = next(row for row in found["swaps"] if row["swap_id"] == each.id)
        assert seen["payout_txid"], f"swap {each.id} is paid by no transaction"
    assert stage.states()[unpaid[0].id] == "DISCOVERED"
    assert [(await stage.evidence(each)).payouts for each in unpaid] == [0, 0], "rebuild sends nothing"

    await run_to_the_end(stage, config, everything, most=ERA + 40)
    await assert_completed_once(stage, everything)
    assert set(stage.states().values()) == {"COMPLETED"}
    record_property("swaps", len(everything))
    record_property("payouts", len(everything))
    record_property("end", "COMPLETED")
    record_property("double_payouts", 0)
    record_property("lost_swaps", 0)


@pytest.mark.matrix("Rebuild", "Chopsticks, bitcoind")
async def test_what_cannot_be_ruled_out_is_held_and_named_and_never_paid_again(
    clocked: Stage, record_property: Record
) -> None:
    """The user got another amount from the same account: nobody but a person can say what that was for."""
    stage = clocked
    config = stage.config(sweep_blocks=3)
    swaps = await pair(stage, 0)
    for each, index in zip(swaps, (0, 1), strict=True):
        await players.pay_user(stage.devnet, stage.devnet.miners[index], each.id, less=10_000)
    await stage.step(blocks=2)
    found = await rebuilt(stage, "--yes", "--wait", "0", code=1)
    assert verdicts(found) == {each.id: "unknown" for each in swaps}
    assert [entry["cause"] for entry in stage.recovery()] == ["account_spent_before"] * 2
    assert all(
        f"swap-miner adopt-payout {entry['swap_id']}" in entry["what_to_do"] for entry in stage.recovery()
    )
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        await stage.step(daemon, blocks=8)
        assert set(stage.states().values()) == {"HELD"}
    assert [(await stage.evidence(each)).payouts for each in swaps] == [1, 1], "the one that was there"
    record_property("payouts", 2)
    record_property("end", "HELD")
    record_property("double_payouts", 0)


@pytest.mark.matrix("Rebuild", "Chopsticks, bitcoind")
async def test_a_plain_start_on_an_empty_folder_pays_nothing_a_second_time(
    clocked: Stage, record_property: Record
) -> None:
    stage = clocked
    config = stage.config(sweep_blocks=3)
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        swaps = await pair(stage, 0)
        for each in swaps:
            await daemon.event("broadcast", swap_id=each.id, purpose="payout")
        await daemon.kill()
    await stage.step(blocks=2)
    await lose(stage)
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        await stage.step(daemon, blocks=10)
    assert [(await stage.evidence(each)).payouts for each in swaps] == [1, 1]
    record_property("payouts", 2)
    record_property("double_payouts", 0)


async def test_a_store_that_a_daemon_works_on_is_left_to_it(clocked: Stage) -> None:
    async with await Daemon.start(clocked.config()) as daemon:
        await daemon.ready()
        said = await clocked.cli("rebuild", "--from-chain", "--yes", code=4)
        assert "lease" in said or "holds" in said
        await clocked.cli("rebuild", "--yes", code=4)
