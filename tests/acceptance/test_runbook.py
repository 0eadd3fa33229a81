"""Incidents are planted; an operator who follows RUNBOOK's entry, and nothing else, resolves each of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Stage
from tests.acceptance.runbook import Operator
from tests.acceptance.test_limits import filled
from tests.devnet import accounts
from tests.devnet.driver import Opened
from tests.devnet.fault_proxy import FaultProxy
from tests.devnet.faults import Fault, FaultKind
from tests.devnet.terms import ChainName

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.matrix("Operator's recovery", "Chopsticks, bitcoind"),
    pytest.mark.timeout(900),  # several commands, each a process of its own: slow where the machine is busy
]

Record = Callable[[str, object], None]
RAO = 10**9


@asynccontextmanager
async def behind_a_proxy(stage: Stage) -> AsyncIterator[tuple[FaultProxy, Operator]]:
    """A daemon whose only node is one that can fail; a healthy one is known to the operator."""
    proxy = FaultProxy(stage.devnet.chain.url)
    await proxy.start()
    operator = Operator.beside(stage, only=[0])
    theirs, ours = f'endpoints = ["{stage.devnet.chain.url}"]', f'endpoints = ["{proxy.url}"]'
    config = stage.folder / "swap-miner.toml"
    config.write_text(config.read_text().replace(theirs, ours))
    operator.edits(ours, theirs)
    try:
        async with operator:
            yield proxy, operator
    finally:
        await proxy.stop()


async def resolved(stage: Stage, operator: Operator, opened: list[Opened], record: Record) -> None:
    """To the end, by the chains: each is completed, and was paid once."""
    await stage.completed(operator.daemon, opened)
    seen = [await stage.evidence(each) for each in opened]
    record("payouts", sum(each.payouts for each in seen))
    record("double_payouts", sum(each.payouts > 1 for each in seen))
    record("lost_swaps", sum(each.payouts == 0 for each in seen))
    assert [(each.payouts, each.status) for each in seen] == [(1, "Completed")] * len(opened)


@pytest.mark.proof
async def test_a_payout_is_stuck(stage: Stage, record_property: Record) -> None:
    """The only node refuses every transaction, for good."""
    await stage.devnet.contract.set_timeout(45)
    async with behind_a_proxy(stage) as (proxy, operator):
        refusal = Fault("author_submitExtrinsic", FaultKind.REFUSE, code=1016, message="Immediately dropped")
        proxy.fault(refusal)
        (opened,) = await stage.open(stage.plan(0))
        await operator.alert(
            lambda found: 0 < found.get("swap_miner_blocks_to_deadline", {}).get(("SIGNED",), 99) < 50
        )
        await stage.step(operator.daemon, blocks=8)
        assert (await stage.evidence(opened)).payouts == 0
        await operator.follow("A payout is stuck")
        assert operator.blanks["SWAP"] == str(opened.id)
        await resolved(stage, operator, [opened], record_property)


async def test_an_account_has_too_little(stage: Stage, record_property: Record) -> None:
    """Whoever pays has a twentieth of a TAO."""
    hotkey = str(stage.devnet.miners[0].hotkey.ss58_address)
    substrate, owner = stage.devnet.contract.substrate, accounts.owner()
    gone = await substrate.free_balance(hotkey) - RAO // 20
    call = await substrate.call("Balances", "transfer_keep_alive", dest=str(owner.ss58_address), value=gone)
    await substrate.dispatch_as([(hotkey, call)])

    async def send(line: str) -> str:
        words = line.split()
        account, missing = (
            words[words.index("--destination") + 1],
            Decimal(words[words.index("--amount") + 1]),
        )
        value = int((missing + 1) * RAO)
        transfer = await substrate.call("Balances", "transfer_keep_alive", dest=account, value=value)
        await substrate.include([await substrate.sign(transfer, owner)])
        return ""

    async with Operator.beside(stage, only=[0], sweep_blocks=3) as operator:
        operator.hands["btcli wallet transfer"] = send
        (opened,) = await stage.open(stage.plan(0))

        def low(found: dict[str, Any]) -> bool:
            held, reserved = (found[f"swap_miner_wallet_{name}_units"] for name in ("spendable", "reserved"))
            return any(
                held[key] - reserved.get(key, 0) < RAO // 10 for key in held if {"tao", hotkey} <= set(key)
            )

        await operator.alert(low)
        await stage.step(operator.daemon, blocks=3)
        assert stage.states() in ({opened.id: "VERIFIED"}, {opened.id: "RESERVED"})
        await operator.follow("An account has too little")
        assert operator.blanks["ACCOUNT"] == hotkey
        await resolved(stage, operator, [opened], record_property)


async def test_a_node_is_down(stage: Stage, record_property: Record) -> None:
    """The only node is gone while a swap comes in."""
    async with behind_a_proxy(stage) as (proxy, operator):
        await proxy.down()
        (opened,) = await stage.open(stage.plan(0))
        await operator.alert(lambda found: set(found["swap_miner_endpoint_connected"].values()) == {0.0})
        operator.codes["swap-miner check"] = [1]
        await operator.follow("A node is down")
        before, after = operator.said["swap-miner status"]
        assert f"node {proxy.url} is of no use" in before
        assert "is of no use" not in after
        assert "daemon: ready" in after.splitlines()
        await resolved(stage, operator, [opened], record_property)


@pytest.mark.proof
async def test_a_paid_swap_timed_out(stage: Stage, record_property: Record) -> None:
    """Paid and marked; the validators were late."""
    await stage.devnet.contract.set_timeout(16)
    async with Operator.beside(stage, only=[0]) as operator:
        (opened,) = await stage.open(stage.plan(0))
        await stage.fulfilled(operator.daemon, [opened])
        await stage.step(operator.daemon, blocks=16)
        await stage.devnet.validators.timeout(opened.id)
        await operator.alert(lambda found: found["swap_miner_swaps"][("FAILED",)] == 1)
        assert [entry["cause"] for entry in stage.recovery()] == ["timed_out_after_payout"]
        await operator.follow("A paid swap timed out")
        assert operator.blanks["SWAP"] == str(opened.id)
        assert json.loads(await stage.cli("recovery", "list", "--open", "--json"))["open"] == 0
        evidence = json.loads((stage.folder / f"swap-{opened.id}.json").read_text())
        seen = await stage.evidence(opened)
        assert (seen.payouts, seen.status) == (1, "TimedOut")
        told = evidence["payout"]
        assert (told["txid"], told["in_a_block"]) == (seen.marked_id, True)
        assert seen.txids[0].startswith(f"{told['block']['height']}-"), "not where the chain has it"
        record_property("payouts", seen.payouts)
        record_property("double_payouts", 0)
        record_property("end", "FAILED")


@pytest.mark.proof
async def test_the_state_folder_is_lost(clocked: Stage, record_property: Record) -> None:
    """One swap is paid and not marked, one comes in after the folder is gone."""
    stage = clocked
    async with AsyncExitStack() as stack:
        operator = await stack.enter_async_context(Operator.beside(stage, only=[0, 1], sweep_blocks=3))
        (paid,) = await stage.open(stage.plan(0))
        await operator.daemon.event("broadcast", swap_id=paid.id, purpose="payout")
        shutil.rmtree(stage.folder / "state")
        (unpaid,) = await stage.open(stage.plan(1, ChainName.TAO))
        await operator.alert(lambda found: found["swap_miner_store_readable"] == {(): 0.0})
        await operator.follow("The state folder is lost")
        assert (await stage.evidence(paid)).payouts == 1
        await resolved(stage, operator, [paid, unpaid], record_property)


async def test_the_disk_is_full(stage: Stage, small_disk: Path, record_property: Record) -> None:
    """Not a byte is free in the state folder while swaps come in."""
    async with Operator.beside(stage, only=[0, 1, 2]) as operator:
        disk = filled(small_disk)
        await disk.__aenter__()

        async def make_room(_line: str) -> str:
            await disk.__aexit__(None, None, None)
            return ""

        async def df(_line: str) -> str:
            return f"{shutil.disk_usage(small_disk).free} free"

        operator.hands |= {"df -h": df, "journalctl --vacuum-size": make_room}
        opened = await stage.open(stage.plan(0), stage.plan(1, ChainName.TAO))
        await operator.daemon.event("store_refuses")
        await operator.alert(lambda found: found["swap_miner_ready"] == {(): 0.0})
        assert [(await stage.evidence(each)).payouts for each in opened] == [0, 0]
        await operator.follow("The disk is full")
        assert operator.said["df -h /var/lib/swap-miner"][0].startswith("0 free")
        await resolved(stage, operator, opened, record_property)
        assert operator.daemon.process.returncode is None
