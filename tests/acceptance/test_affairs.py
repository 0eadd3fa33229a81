"""A miner's own business by the commands, beside the real process and real chains."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet.contract import TAO
from tests.devnet.terms import SUBNET, ChainName

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]


async def told(stage: Stage, *words: str, code: int = 0) -> Any:
    return json.loads(await stage.cli(*words, "--json", code=code))


async def test_what_a_miner_holds_and_how_it_stands(stage: Stage) -> None:
    stage.config()
    miner = stage.devnet.miners[0]
    name = (await told(stage, "wallet"))["accounts"][0]["miner"]
    before = {row["chain"]: row for row in (await told(stage, "wallet", "--miner", name))["accounts"]}
    assert {row["reserved"] for row in before.values()} == {"0"}
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        await stage.open(stage.plan(0, ChainName.TAO))
        await daemon.event("broadcast", purpose="payout")
        owing = {row["chain"]: row for row in (await told(stage, "wallet", "--miner", name))["accounts"]}
        assert (owing["btc"]["open_swaps"], owing["tao"]["open_swaps"]) == (1, 0)
        assert int(owing["btc"]["obligations"]) > 0
    (view,) = (await told(stage, "collateral", "view", "--miner", name))["miners"]
    hotkey = str(miner.hotkey.ss58_address)
    assert (view["hotkey"], view["active"], view["has_open_swap"]) == (hotkey, True, True)
    assert view["collateral"] == str(await stage.devnet.contract.collateral(hotkey))
    assert int(view["collateral"]) >= TAO


async def test_a_quote_by_the_running_daemon_and_by_the_command_alone(stage: Stage) -> None:
    """Judged, committed, read back; the same again is nothing to do; what misleads users is refused."""
    config = stage.config()
    assert "contract.netuid" in await stage.cli("quote", "show", code=2)
    config.write_text(config.read_text().replace("[contract]", f"[contract]\nnetuid = {SUBNET}"))
    name = (await told(stage, "wallet"))["accounts"][0]["miner"]
    wallet = {
        row["chain"]: row["account"] for row in (await told(stage, "wallet", "--miner", name))["accounts"]
    }
    miner, text = ("--miner", name), f"v1:btc:{wallet['btc']}:tao:{wallet['tao']}:345:350"
    assert "it has committed no text" in await stage.cli("quote", "show", *miner, code=1)
    (row,) = (await told(stage, "quote", "show", *miner, "--text", text))["miners"]
    assert row["directions"][0]["preview"]["receives"] == "3415500000"
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        rates = ("--btc-to-tao", "345", "--tao-to-btc", "350")
        dry = await told(stage, "quote", "set", *rates, *miner)
        assert (dry["outcome"], "receives 3.4155 TAO" in dry["text"]) == ("would", True)
        assert (await told(stage, "quote", "set", *rates, *miner, "--yes"))["outcome"] == "done"
        await stage.step(daemon, blocks=2)
        (row,) = (await told(stage, "quote", "show", *miner))["miners"]
        assert (row["text"], row["valid"], row["problems"]) == (text, True, [])
        same = await told(stage, "quote", "set", *rates, *miner, "--yes")
        assert (same["outcome"], "committed already" in same["text"]) == ("nothing", True)
        wrong = text.replace(wallet["btc"], "bcrt1qother")
        refused = await told(stage, "quote", "set", "--text", wrong, *miner, "--yes", code=1)
        assert "its btc address is bcrt1qother" in refused["text"]
    off = ("--btc-to-tao", "0", "--tao-to-btc", "0")
    assert (await told(stage, "quote", "set", *off, *miner, "--yes"))["outcome"] == "done"
    await stage.step(blocks=1)
    assert "both directions are switched off" in await stage.cli("quote", "show", *miner, code=1)
    assert stage.rows("SELECT purpose, amount FROM lanes") == [("affair", 0)] * 2


async def test_collateral_by_the_running_daemon_and_by_the_command_alone(stage: Stage) -> None:
    """Deposit through the daemon; deactivate and withdraw where none runs; a daemon follows what is left."""
    hotkey = str(stage.devnet.miners[0].hotkey.ss58_address)
    config, contract = stage.config(), stage.devnet.contract
    await contract.set_timeout(10)
    first = await contract.collateral(hotkey)
    name = (await told(stage, "wallet"))["accounts"][0]["miner"]
    miner = ("--miner", name)
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        dry = await told(stage, "collateral", "deposit", "2 TAO", *miner)
        assert (dry["outcome"], dry["dry_run"]) == ("would", True)
        assert await contract.collateral(hotkey) == first
        did = await told(stage, "collateral", "deposit", "2 TAO", *miner, "--yes")
        assert did["outcome"] == "done"
        await stage.step(daemon, blocks=2)
        assert await contract.collateral(hotkey) == first + 2 * TAO
        too_soon = await told(stage, "collateral", "withdraw", "1 TAO", *miner, "--yes", code=1)
        assert (too_soon["outcome"], "it is active" in too_soon["text"]) == ("refused", True)
        assert too_soon["next"] == f"swap-miner deactivate --miner {name} --yes"
    left = await told(stage, "deactivate", *miner, "--yes")
    assert left["outcome"] == "done"
    await stage.step(blocks=1)
    assert not await contract.is_active(hotkey)
    waits = await told(stage, "collateral", "withdraw", "1 TAO", *miner, code=1)
    assert "the cooldown ends at block" in waits["text"]
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        await stage.step(daemon, blocks=21)
        assert (await told(stage, "collateral", "withdraw", "1 TAO", *miner, "--yes"))["outcome"] == "done"
        await stage.step(daemon, blocks=2)
    assert await contract.collateral(hotkey) == first + TAO
    lanes = stage.rows("SELECT purpose, state, saga_id FROM lanes ORDER BY id")
    assert lanes == [("affair", "landed", None)] * 3
    assert stage.rows("SELECT count(*) FROM accounts WHERE stopped <> ''") == [(0,)]
    voted = await told(stage, "activate", *miner)
    assert "validators vote a miner active" in voted["text"]


async def test_a_large_payout_waits_for_a_person_and_a_drained_daemon_ends(stage: Stage) -> None:
    """Held across a restart, approved, paid once; then drained: the swap is finished, and it exits 0."""
    config = stage.config()
    config.write_text(config.read_text().replace("[limits.tao]", '[limits.tao]\nhold_above = "1 TAO"'))
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        (opened,) = await stage.open(stage.plan(0))
        await stage.step(daemon, blocks=8)
        await daemon.kill()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        await stage.step(daemon, blocks=2)
    assert stage.rows("SELECT state, reason FROM sagas") == [("VERIFIED", "waits_for_approval")]
    assert [entry["cause"] for entry in stage.recovery()] == ["waits_for_approval"]
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        dry = await told(stage, "approve", str(opened.id))
        assert dry["would_change"] == 1
        did = await told(stage, "approve", str(opened.id), "--yes", "--reason", "looked at it")
        assert did["changed"] == 1
        await stage.fulfilled(daemon, [opened])
        drained = await told(stage, "drain", "--deactivate", "--yes")
        assert any("open swap" in each for each in drained["left"])
        await stage.completed(daemon, [opened])
        for _ in range(12):
            if daemon.process.returncode is not None:
                break
            await stage.devnet.chain.new_block()
            await asyncio.sleep(1)
        assert await asyncio.wait_for(daemon.process.wait(), 60) == 0
    assert (await stage.evidence(opened)).payouts == 1
    assert stage.rows("SELECT actor, amount FROM approvals")[0][1] > TAO
