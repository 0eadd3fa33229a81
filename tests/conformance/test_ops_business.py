"""A miner's business and an operator's decisions over the API: the real services over the model chains."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from miner.affairs.drain import DRAIN
from miner.amounts import Chain
from miner.app.hands import DaemonHands
from miner.config import load
from miner.model import LanePurpose, LaneState
from tests.conformance.ops_house import OPERATE, Served, server
from tests.conformance.ops_outside import outside_of
from tests.simulation.sim_store import SimStore
from tests.simulation.stage import TAO
from tests.simulation.world import LEASE_S, POLICY, World
from tests.unit.config_files import replaced, write_settings

API = "/api/v1"
SOON_S = 0.02
_TAO = replace(POLICY.rails[Chain.TAO], hold_above=TAO)
HOLDING = replace(POLICY, rails={**POLICY.rails, Chain.TAO: _TAO})
LARGE = '[limits.tao]\nhold_above = "1 TAO"'
"""Payouts above 1 TAO wait for a person, by the daemon's policy and by the settings of its server."""


@dataclass
class Steered:
    """A daemon over model chains, working, with its ops server."""

    world: World
    served: Served
    turn: asyncio.Lock

    async def block(self, count: int = 1) -> None:
        """Blocks, between two of the daemon's own rounds."""
        async with self.turn:
            await self.world.block(count)

    @property
    def hotkey(self) -> str:
        return self.world.stage.miners[0].hotkey

    async def get(self, path: str, status: int = 200) -> Any:
        return await self._told(path, status)

    async def post(self, path: str, status: int = 200, **body: Any) -> Any:
        return await self._told(path, status, method="POST", json=body)

    async def _told(self, path: str, status: int, **how: Any) -> Any:
        found, media, text = await self.served.get(f"{API}{path}", OPERATE, **how)
        assert found == status, text
        assert media == ("application/json" if status < 400 else "application/problem+json")
        return json.loads(text)


async def working(steered: Steered) -> None:
    """The daemon's rounds, one after the other."""
    while True:
        async with steered.turn:
            await steered.world.round()
        await asyncio.sleep(SOON_S)


@pytest.fixture
async def steered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Steered]:
    """One miner; the server's desk is turned to the world's store."""
    monkeypatch.setattr("miner.ops.desk.TURN_S", SOON_S)
    world = await World.make(str(tmp_path / "store.sqlite"), HOLDING)
    own = SimStore(tmp_path / "store.sqlite", owner="ops", lease_ttl_s=LEASE_S, clock_ms=world.stage.clock)
    await own.open()
    settings = load(write_settings(tmp_path, replaced("[limits.tao]", LARGE)))
    settings.store.path.mkdir(mode=0o700)
    async with server(filled=False) as served:
        hands = DaemonHands(settings, world.store, own)
        hands.outside = outside_of(world)
        served.desk.store, served.desk.hands = own, hands
        found = Steered(world, served, asyncio.Lock())
        task = asyncio.create_task(working(found))
        yield found
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await own.close()
    await world.stop()


async def test_what_a_miner_holds_and_how_it_stands(steered: Steered) -> None:
    accounts = (await steered.get("/wallet"))["accounts"]
    assert {(row["chain"], row["role"]) for row in accounts} == {
        ("tao", "payouts"),
        ("tao", "marks"),
        ("btc", "payouts"),
    }
    assert {row["account"] for row in accounts if row["role"] == "marks"} == {steered.hotkey}
    assert await steered.get(f"/wallet?miner={steered.hotkey}") == {"accounts": accounts}
    (row,) = (await steered.get("/collateral"))["miners"]
    assert (row["hotkey"], row["active"], row["collateral"]) == (steered.hotkey, True, str(10 * TAO))
    for path in ("wallet", "collateral", "quote?text=v1&", "activation"):
        found = await steered.get(f"/{path}{'' if '?' in path else '?'}miner=nobody", 404)
        assert "there is no miner 'nobody'" in found["detail"]


async def test_a_quote_is_judged_as_the_command_judges_it(steered: Steered) -> None:
    found = await steered.get("/quote?text=v1:btc:a:tao:b:345:350")
    (row,) = found["miners"]
    assert row["valid"]
    assert len(row["problems"]) == 2
    assert "contract.netuid" in (await steered.get("/quote", 409))["detail"]


async def test_what_keeps_a_miner_from_being_active(steered: Steered) -> None:
    found = await steered.get("/activation")
    assert (found["outcome"], found["text"]) == ("nothing", "it is active already")
    assert await steered.world.store.affairs() == []


async def test_a_deposit_is_a_dry_run_and_then_one_lane(steered: Steered) -> None:
    found = await steered.post("/collateral/deposit", amount=str(2 * TAO))
    assert (found["outcome"], found["dry_run"], found["hotkey"]) == ("would", True, steered.hotkey)
    assert await steered.world.store.affairs() == []
    found = await steered.post(
        "/collateral/deposit", amount=str(2 * TAO), dry_run=False, actor="alice", reason="more room"
    )
    assert found["outcome"] == "done"
    (lane,) = await steered.world.store.affairs()
    assert (lane.purpose, lane.amount, found["facts"]["txid"]) == (
        LanePurpose.AFFAIR,
        2 * TAO,
        lane.latest.tx.txid,
    )
    assert await logged(steered.world, "affair_signed") == [
        ("operator:alice", {"verb": "deposit", "amount": str(2 * TAO), "reason": "more room"})
    ]
    await steered.block(2)
    assert (await steered.world.store.affairs())[0].state is LaneState.LANDED


async def logged(world: World, action: str) -> list[tuple[str, dict[str, Any]]]:
    """Who did it and what was said, without ids that each run has of its own."""

    def read(conn: Any) -> list[tuple[str, dict[str, Any]]]:
        rows = conn.exec_driver_sql("SELECT actor, action, detail FROM operator_log ORDER BY id")
        wanted = ("verb", "amount", "reason", "what", "swap_id")
        told = [(row.actor, json.loads(row.detail)) for row in rows if row.action == action]
        return [(who, {key: each[key] for key in wanted if key in each}) for who, each in told]

    return await world.store.database.read(read)


async def test_what_the_contract_would_refuse_is_refused_with_its_conditions(steered: Steered) -> None:
    found = await steered.post("/collateral/withdraw", 409, amount=str(TAO), dry_run=False)
    assert found["outcome"] == "refused"
    assert "it is active" in found["text"]
    assert found["next"].startswith("swap-miner deactivate")
    assert any(each["holds"] is False for each in found["facts"]["conditions"])
    assert await steered.world.store.affairs() == []


async def test_without_connections_nothing_is_known_and_nothing_done(steered: Steered) -> None:
    hands = steered.served.desk.hands
    assert isinstance(hands, DaemonHands)
    hands.outside = None
    for path in ("wallet", "collateral", "quote?text=v1", "activation"):
        assert "has not connected yet" in (await steered.get(f"/{path}", 503))["detail"]
    for path in ("collateral/deposit", "deactivate"):
        await steered.post(f"/{path}", 503, dry_run=False, **({"amount": "1"} if "/" in path else {}))
    found = await steered.post("/drain", dry_run=False)
    assert found["changed"]
    assert any("could not be read" in each for each in found["left"])


async def test_drain_tells_what_is_left_deactivates_and_is_taken_back(steered: Steered) -> None:
    store = steered.world.store
    found = await steered.post("/drain", deactivate=True)
    assert (found["draining"], found["changed"], found["deactivated"]) == (False, False, [])
    assert any("is active" in each for each in found["left"])
    assert DRAIN not in await store.paused()
    found = await steered.post("/drain", dry_run=False, deactivate=True, actor="alice")
    assert found["changed"]
    assert len(found["deactivated"]) == 1
    assert "sent as" in found["deactivated"][0]
    assert await logged(steered.world, "pause") == [("operator:alice", {"what": DRAIN})]
    assert (await steered.post("/resume", actor="alice"))["now_paused"] == []
    assert DRAIN not in await store.paused()


async def test_a_stopped_account_is_cleared_where_the_chain_stands(steered: Steered) -> None:
    store, tao = steered.world.store, steered.world.tao
    await store.account(tao.chain_id, steered.hotkey, 0)
    await store.stop_account(tao.chain_id, steered.hotkey, "nonce 9 is unexplained")
    found = await steered.post("/resume/account", account=steered.hotkey)
    assert found == {"account": steered.hotkey, "cleared": True}
    assert [row.stopped for row in await store.accounts() if row.account == steered.hotkey] == [""]
    assert not (await steered.post("/resume/account", account=steered.hotkey))["cleared"]
    await steered.post("/resume/account", 404, account="5nobody")


async def test_a_new_code_is_accepted_as_it_is_now(steered: Steered) -> None:
    now = steered.world.stage.tao.best.state.contract.terms.code_hash
    assert await steered.post("/resume/code") == {"before": now, "now": now, "changed": False}
    await steered.world.store.repin("code_hash", "0x" + "99" * 32, "operator:tester")
    found = await steered.post("/resume/code", actor="alice")
    assert (found["before"], found["now"], found["changed"]) == ("0x" + "99" * 32, now, True)


async def test_what_the_chain_says_of_a_swap_and_what_shows_it_to_others(steered: Steered) -> None:
    swap_id = steered.world.stage.open_swap()
    await steered.block()
    await steered.post(f"/swaps/{swap_id}/approve", dry_run=False, reason="go")
    await steered.block()
    found = await steered.get(f"/swaps/{swap_id}/chain")
    assert found["status"] == "Active", found
    assert [lane["purpose"] for lane in found["lanes"]]
    shown = await steered.get(f"/swaps/{swap_id}/evidence")
    assert (shown["swap_id"], shown["schema_version"]) == (swap_id, 1)
    await steered.get("/swaps/99/chain", 404)
    await steered.get("/swaps/99/evidence", 404)


async def test_a_large_payout_is_let_go(steered: Steered) -> None:
    store = steered.world.store
    swap_id = steered.world.stage.open_swap()
    await steered.block()
    assert (await steered.world.saga(swap_id)).reason == "waits_for_approval"
    await steered.post(f"/swaps/{swap_id}/approve", 422, dry_run=False)
    asked: dict[str, Any] = {"reason": "looked at it", "actor": "alice"}
    assert (await steered.post(f"/swaps/{swap_id}/approve", **asked))["outcome"] == "would"
    assert await store.approved([swap_id]) == {}
    assert (await steered.post(f"/swaps/{swap_id}/approve", dry_run=False, **asked))["outcome"] == "done"
    assert list(await store.approved([swap_id])) == [swap_id]
    await steered.block(4)
    assert (await steered.world.saga(swap_id)).payout is not None


async def test_a_recovery_entry_is_resolved_once_and_by_the_command_too(steered: Steered) -> None:
    steered.world.stage.open_swap()
    await steered.block()
    (entry,) = (await steered.get("/recovery"))["entries"]
    assert (entry["cause"], entry["resolved"], entry["state_now"]) == ("waits_for_approval", None, "VERIFIED")
    said = {"entry": entry["id"], "reason": "approved it", "actor": "alice"}
    found = await steered.post("/recovery/resolve", **said)
    assert (found["dry_run"], found["changed"]) == (True, False)
    assert (await steered.get("/recovery"))["open"] == 1
    assert (await steered.post("/recovery/resolve", dry_run=False, **said))["changed"]
    assert not (await steered.post("/recovery/resolve", dry_run=False, **said))["changed"]
    page = await steered.get("/recovery")
    assert (page["open"], page["damaged"]) == (0, [])
    assert page["entries"][0]["resolved"]["actor"] == "operator:alice"
    assert (await steered.get("/recovery?open=true"))["entries"] == []
    await steered.post("/recovery/resolve", 404, entry=99, reason="no such")
    assert [who for who, _ in await logged(steered.world, "recovery_resolve")] == ["operator:alice"]
