"""A running daemon tells over its socket what it does, from before it is ready until it stops."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.conformance.test_ops_server import samples
from tests.devnet.terms import ChainName

pytestmark = pytest.mark.asyncio(loop_scope="session")


OPERATE = "o" * 40


async def get(stage: Stage, path: str) -> tuple[int, str]:
    return await ask(stage, "GET", path)


async def post(stage: Stage, path: str, **body: Any) -> tuple[int, Any]:
    status, text = await ask(stage, "POST", path, OPERATE, json=body)
    return status, json.loads(text)


async def ask(stage: Stage, method: str, path: str, token: str | None = None, **how: Any) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connector = aiohttp.UnixConnector(str(stage.folder / "state" / "ops.sock"))
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        http.request(method, f"http://ops{path}", headers=headers, **how) as answer,
    ):
        return answer.status, await answer.text()


async def metrics(stage: Stage) -> dict[str, dict[tuple[str, ...], float]]:
    status, text = await get(stage, "/metrics")
    assert status == 200
    return samples(text)


async def test_a_daemon_tells_its_health_and_what_it_paid(stage: Stage) -> None:
    async with await Daemon.start(stage.config(miners=2)) as daemon:
        await daemon.event("ops_served")
        status, text = await get(stage, "/readyz")
        assert status == 200 or json.loads(text)["reasons"]
        await daemon.ready()
        assert (await get(stage, "/readyz"))[0] == 200
        assert (await get(stage, "/livez"))[0] == 200
        opened = await stage.open(stage.plan(0, ChainName.BTC), stage.plan(1, ChainName.TAO))
        await stage.completed(daemon, opened)
        await stage.step(daemon)
        found = await metrics(stage)
        assert found["swap_miner_swaps"][("COMPLETED",)] == 2
        assert found["swap_miner_payouts_total"] == {("tao", "included"): 1, ("btc", "included"): 1}
        assert found["swap_miner_time_to_fulfilled_seconds_count"] == {("tao",): 1, ("btc",): 1}
        assert found["swap_miner_ready"][()] == 1
        assert found["swap_miner_rpc_requests_total"][("tao", "author_submitExtrinsic", "ok")] >= 1
        assert found["swap_miner_rpc_requests_total"][("btc", "sendrawtransaction", "ok")] >= 1
        assert found["swap_miner_rounds_total"][("ok",)] >= 1
        assert found["swap_miner_sweep_runs_total"]
        assert {"rounds", "heartbeat", "hear-heads"} <= {
            task for (task,) in found["swap_miner_task_alive_timestamp_seconds"]
        }
        assert found["swap_miner_finalised_height"][()] > 0
        assert all(value > 0 for value in found["swap_miner_wallet_spendable_units"].values())
        assert set(found["swap_miner_endpoint_connected"].values()) == {1.0}
        assert await daemon.stop() == 0
    assert not (stage.folder / "state" / "ops.sock").exists()


async def test_a_path_that_is_too_long_stops_nothing(stage: Stage) -> None:
    extra = f'[ops]\nsocket = "{stage.folder / ("x" * 120)}"'
    async with await Daemon.start(stage.config(miners=1, extra=extra)) as daemon:
        await daemon.event("ops_not_served")
        await daemon.ready()
        assert await daemon.stop() == 0


async def test_an_operator_steers_a_daemon_over_its_api(stage: Stage) -> None:
    """A paused daemon pays nothing; a swap is released, paid when resumed, and heard of as it happens."""
    token = stage.folder / "operate"
    token.write_text(OPERATE)
    token.chmod(0o600)
    extra = f'[ops]\noperate_token_file = "{token}"'
    async with await Daemon.start(stage.config(miners=2, extra=extra)) as daemon:
        await daemon.ready()
        status, told = await post(stage, "/api/v1/pause", actor="alice")
        assert (status, told["now_paused"]) == (200, ["all"])
        (opened,) = await stage.open(stage.plan(0, ChainName.BTC))
        await stage.step(daemon, 3)
        status, text = await get(stage, f"/api/v1/swaps/{opened.id}")
        assert status == 200
        assert json.loads(text)["payout"] is None
        status, told = await post(stage, f"/api/v1/swaps/{opened.id}/quarantine", reason="to see")
        assert (status, told["outcome"]) == (409, "refused")
        status, told = await post(stage, f"/api/v1/swaps/{opened.id}/retry", dry_run=False, reason="now")
        assert status in (200, 409), told
        assert (await post(stage, f"/api/v1/swaps/{opened.id}/rebuild", dry_run=False))[1]["agrees"]
        assert (await post(stage, "/api/v1/resume", actor="alice"))[1]["now_paused"] == []
        await stage.completed(daemon, [opened])
        await stage.step(daemon)
        status, text = await get(stage, "/api/v1/export")
        events = [json.loads(line)["event"] for line in text.splitlines()]
        assert (events[-1], events.count("PAYOUT_SIGNED")) == ("SWAP_COMPLETED", 1)
        assert OPERATE not in daemon.tail(10_000)
        assert await daemon.stop() == 0
