"""A miner's own business by the commands, beside the real process and real chains."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet.contract import TAO
from tests.devnet.terms import ChainName

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


async def test_this_chain_holds_no_quotes_and_says_so(stage: Stage) -> None:
    config = stage.config()
    assert "contract.netuid" in await stage.cli("quote", "show", code=2)
    config.write_text(config.read_text().replace("[contract]", "[contract]\nnetuid = 7"))
    assert "has no `Commitments.CommitmentOf`" in await stage.cli("quote", "show", code=1)
    wallet = {row["chain"]: row["account"] for row in (await told(stage, "wallet"))["accounts"][:2]}
    text = f"v1:btc:{wallet['btc']}:tao:{wallet['tao']}:345:350"
    name = (await told(stage, "wallet"))["accounts"][0]["miner"]
    (row,) = (await told(stage, "quote", "show", "--miner", name, "--text", text))["miners"]
    assert row["directions"][0]["preview"]["receives"] == "3415500000"
