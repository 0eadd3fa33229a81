"""Whatever a Bitcoin node answers: a value that makes sense, or nothing; and when it is asked again."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miner.amounts import Chain
from miner.chains.bitcoin import BitcoinRpc, FeePolicy
from miner.chains.bitcoin.node import Node
from miner.chains.bitcoin.transactions import Outpoint
from miner.errors import EffectError, NotSent, ReadFailed
from tests.conformance.rail_btc import SteppingClock, World, btc_session, no_wait, world
from tests.devnet.faults import Fault, FaultKind
from tests.spoiling import VALUES, spoiled_json

__all__ = ["btc_session", "world"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

MANY = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
TXID, BLOCK = "ab" * 32, "cd" * 32


@dataclass
class Scripted:
    """An HTTP node that answers by method; what is not scripted is null."""

    url: str = ""
    results: dict[str, Any] = field(default_factory=dict)
    whole: bytes | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    hangs: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        call = json.loads(await request.read())
        self.asked[call["method"]] += 1
        if self.hangs:
            await self.hanging.wait()
        if self.whole is not None:
            return web.Response(body=self.whole, status=self.status, headers=self.headers)
        reply = {"result": self.results.get(call["method"]), "error": None, "id": call["id"]}
        return web.Response(text=json.dumps(reply), status=self.status, headers=self.headers)


@pytest_asyncio.fixture(loop_scope="session")
async def scripted() -> AsyncIterator[Scripted]:
    made = Scripted()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/{path:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    made.hanging.set()
    await runner.cleanup()


def client(url: str, **options: Any) -> BitcoinRpc:
    return BitcoinRpc(url, lambda: "user:password", sleep=no_wait, **options)


async def learned(asked: Awaitable[Any]) -> Any:
    """The answer; None where nothing was learned. Any other error is a defect."""
    try:
        return await asked
    except ReadFailed:
        return None


READS: dict[str, tuple[Callable[[Node], Awaitable[Any]], dict[str, Any]]] = {
    "head": (
        lambda node: node.head(),
        {"getbestblockhash": BLOCK, "getblockheader": {"hash": BLOCK, "height": 7}},
    ),
    "hash_at": (lambda node: node.hash_at(7), {"getblockhash": BLOCK}),
    "unspent_at": (lambda node: node.unspent_at(Outpoint(TXID, 0)), {"gettxout": {"bestblock": BLOCK}}),
    "pool_spenders": (
        lambda node: node.pool_spenders([Outpoint(TXID, 0)]),
        {"gettxspendingprevout": [{"txid": TXID, "vout": 0, "spendingtxid": BLOCK}]},
    ),
    "pool_entry": (
        lambda node: node.pool_entry(TXID),
        {"getmempoolentry": {"vsize": 140, "fees": {"modified": 0.0001, "descendant": 0.0001}}},
    ),
    "increment": (lambda node: node.increment(), {"getmempoolinfo": {"incrementalrelayfee": 0.00001}}),
    "rate": (lambda node: node.rate(FeePolicy()), {"estimatesmartfee": {"feerate": 0.0001, "blocks": 2}}),
    "coins": (
        lambda node: node.coins("w", "a"),
        {
            "listunspent": [
                {
                    "txid": TXID, "vout": 0, "amount": 1.5, "scriptPubKey": "0014" + "00" * 20,
                    "confirmations": 3, "spendable": True, "solvable": True,
                }
            ]
        },
    ),
    "wallet_spends": (
        lambda node: node.wallet_spends("w", BLOCK, 6),
        {
            "listsinceblock": {
                "transactions": [
                    {"txid": TXID, "category": "send", "confirmations": 2, "abandoned": False}
                ],
                "lastblock": BLOCK,
            }
        },
    ),
    "in_block": (lambda node: node.in_block(TXID, BLOCK), {"getrawtransaction": {"txid": TXID, "vin": []}}),
}  # fmt: skip


@MANY
@given(data=st.data())
async def test_a_spoiled_reply_is_no_reply_or_a_sound_one(scripted: Scripted, data: st.DataObject) -> None:
    read, replies = READS[data.draw(st.sampled_from(sorted(READS)))]
    method = data.draw(st.sampled_from(sorted(replies)))
    scripted.results = {**replies, method: data.draw(spoiled_json(replies[method]))}
    scripted.whole = None
    rpc = client(scripted.url)
    try:
        found = await learned(read(Node(rpc, SteppingClock(), 1.0)))
    finally:
        await rpc.close()
    for number in _numbers(found):
        assert type(number) is int, f"{number!r} of {found!r} is half understood"


def _numbers(found: Any) -> list[Any]:
    """Every number in a typed answer."""
    if isinstance(found, bool) or found is None or isinstance(found, str | bytes | dict):
        return []
    if isinstance(found, int | float):
        return [found]
    if isinstance(found, list | tuple | frozenset | set):
        return list(itertools.chain.from_iterable(_numbers(each) for each in found))
    names = getattr(found, "__dataclass_fields__", {})
    return list(itertools.chain.from_iterable(_numbers(getattr(found, name)) for name in names))


@MANY
@given(data=st.data())
async def test_whatever_body_comes_teaches_nothing_and_a_send_is_unknown(
    scripted: Scripted, data: st.DataObject
) -> None:
    reply = data.draw(spoiled_json({"result": TXID, "error": {"code": -26, "message": "no"}, "id": 1}))
    scripted.whole = data.draw(
        st.sampled_from(
            [
                json.dumps(reply).encode(),
                json.dumps(reply).encode()[:-3],
                b"[" * 100_000,
                b'{"result": null, "error": {"code": Infinity, "message": ""}, "id": 1}',
                b'{"result": null, "error": {"code": 1e999999, "message": ""}, "id": 1}',
                b"",
                b"\xff\xfe<html>",
            ]
        )
    )
    scripted.status = data.draw(st.sampled_from([200, 301, 307, 400, 404, 500, 502]))
    rpc = client(scripted.url, read_attempts=1)
    try:
        await learned(rpc.read("getblockcount"))
        await rpc.send("sendrawtransaction", "00")
    except (EffectError, ReadFailed):
        pass
    finally:
        scripted.whole, scripted.status = None, 200
        await rpc.close()


@MANY
@given(amount=VALUES)
async def test_no_amount_is_half_understood(scripted: Scripted, amount: Any) -> None:
    fees = {"modified": amount, "descendant": 0.1}
    scripted.results = {"getmempoolentry": {"vsize": 1, "fees": fees}}
    rpc = client(scripted.url)
    entry = await learned(Node(rpc, SteppingClock(), 1.0).pool_entry(TXID))
    await rpc.close()
    assert entry is None or type(entry.fee) is int


async def test_a_reply_without_end_is_cut_off(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miner.chains.bitcoin.rpc.MAX_REPLY", 2**16)
    scripted.whole = b" " * 2**20
    rpc = client(scripted.url, read_attempts=1)
    with pytest.raises(ReadFailed, match="no answer"):
        await rpc.read("getblockcount")
    await rpc.close()


# when it is asked again


async def test_a_public_servers_retry_after_is_honoured(scripted: Scripted) -> None:
    """429 with Retry-After: nobody asks again before, whatever wants something; a send did not happen."""
    rpc = client(scripted.url)
    scripted.whole, scripted.status, scripted.headers = b"slow down", 429, {"Retry-After": "60"}
    for _ in range(20):
        assert await learned(rpc.read("getblockcount")) is None
        with pytest.raises(NotSent):
            await rpc.send("sendrawtransaction", "00")
    assert sum(scripted.asked.values()) == 1
    await rpc.close()


async def test_without_retry_after_a_busy_node_is_asked_as_often_as_any(scripted: Scripted) -> None:
    rpc = client(scripted.url)
    scripted.whole, scripted.status = b"", 503
    assert await learned(rpc.read("getblockcount")) is None
    assert scripted.asked == {"getblockcount": 3}
    await rpc.close()


async def test_a_node_that_hangs_keeps_nobody_waiting_and_is_knocked_at(scripted: Scripted) -> None:
    rpc = client(scripted.url, timeout_s=0.05, read_attempts=3)
    scripted.hangs = True
    assert await learned(rpc.read("getblockcount")) is None
    before = scripted.asked["getblockcount"]
    for _ in range(50):
        assert await learned(rpc.read("getblockcount")) is None
    assert scripted.asked["getblockcount"] == before == 3, "who asks meanwhile learns at once"
    scripted.hangs, scripted.results = False, {"getblockcount": 7}
    async with asyncio.timeout(20):
        while await learned(rpc.read("getblockcount")) != 7:  # noqa: ASYNC110  # over a real socket
            await asyncio.sleep(0.01)
    assert scripted.asked["uptime"] >= 1
    await rpc.close()


async def test_after_a_loss_the_network_is_checked_again_before_anything_is_believed(world: World) -> None:
    """Behind the same address a node of another network answers: nothing is taken from it, nothing given."""
    lane = await world.pay(send=False)
    rail, proxy = world.new_rail(), world.node.proxy
    await rail.connect()
    proxy.fault(Fault("getbestblockhash", FaultKind.CLOSE, count=3))
    assert await learned(rail.tip()) is None
    proxy.fault(Fault("getblockhash", FaultKind.REPLACE, result="00" * 32))
    before = rail.requests["sendrawtransaction"]
    for _ in range(2):
        with pytest.raises(Exception, match="of the network"):
            await rail.broadcast(lane)
    assert rail.requests["sendrawtransaction"] == before
    proxy.clear_faults()
    await rail.broadcast(lane)
    assert rail.chain is Chain.BTC
    await rail.close()
