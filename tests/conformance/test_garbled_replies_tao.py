"""Whatever a Substrate node answers: a value that makes sense, or nothing was learned; and never the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miner.chains.substrate.blocks import Body, State
from miner.chains.substrate.events import BadEvents, BlockEvents
from miner.chains.substrate.link import Limits, Link
from miner.chains.substrate.node import SubstrateNode
from miner.chains.substrate.rpc import Connection, Lost, RpcError
from miner.chains.substrate.scale import from_hex, to_hex
from miner.errors import ReadFailed
from tests.conformance.rail_tao import LoopClock, TaoHarness, tao, tao_session
from tests.devnet.fault_proxy import FaultProxy
from tests.devnet.faults import Fault, FaultKind
from tests.devnet.rpc import JsonRpc
from tests.spoiling import VALUES, spoiled_bytes, spoiled_json

__all__ = ["tao", "tao_session"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMITS = Limits(connect_s=5.0, reply_s=5.0, stall_s=60.0, silence_s=5.0)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass
class Spoiled:
    """A node behind a proxy that answers what it is told."""

    tao: TaoHarness
    proxy: FaultProxy
    node: SubstrateNode
    raw: JsonRpc

    async def recorded(self, method: str, *params: Any) -> Any:
        """The real reply."""
        return await self.raw.call(method, *params)

    def answer(self, method: str, reply: Any) -> None:
        """The next reply to the method."""
        self.proxy.clear_faults()
        self.proxy.fault(Fault(method, FaultKind.REPLACE, count=1, result=reply))

    def forget(self) -> None:
        """Everything that was read is read again; the runtime is kept."""
        self.node.blocks._bodies.clear()
        self.node.blocks._states.clear()
        self.node._accounts._known.clear()


@pytest_asyncio.fixture(loop_scope="session")
async def spoiled(tao: TaoHarness) -> AsyncIterator[Spoiled]:
    proxy = FaultProxy(tao.chain.url)
    await proxy.start()
    node = SubstrateNode([proxy.url], LoopClock(), genesis=tao.chain.genesis_hash, limits=LIMITS)
    raw = JsonRpc(f"{tao.chain.http_url}/driver")
    await node.connect()
    yield Spoiled(tao, proxy, node, raw)
    await node.close()
    await raw.close()
    await proxy.stop()


async def learned(asked: Awaitable[Any]) -> Any:
    """The answer; None where nothing was learned. Any other error is a defect."""
    try:
        return await asked
    except ReadFailed:
        return None


def is_hash(text: object) -> bool:
    return isinstance(text, str) and len(text) == 66 and len(from_hex(text)) == 32


@MANY
@given(data=st.data())
async def test_a_spoiled_body_is_no_body_or_a_sound_one(spoiled: Spoiled, data: st.DataObject) -> None:
    at = (await spoiled.node.heads()).finalised.hash
    reply = await spoiled.recorded("chain_getBlock", at)
    spoiled.answer("chain_getBlock", data.draw(spoiled_json(reply)))
    spoiled.forget()
    body = await learned(spoiled.node.blocks.body(at))
    if body is not None:
        assert isinstance(body, Body)
        assert is_hash(body.parent)
        assert type(body.head.height) is int
        assert all(is_hash(txid) for txid in body.txids)


@MANY
@given(data=st.data(), spoils=st.sampled_from(["chain_getFinalizedHead", "chain_getHeader"]))
async def test_a_spoiled_finalised_head_is_no_head_or_a_sound_one(
    spoiled: Spoiled, data: st.DataObject, spoils: str
) -> None:
    at = await spoiled.recorded("chain_getBlockHash", 1)
    replies = {"chain_getFinalizedHead": at, "chain_getHeader": await spoiled.recorded("chain_getHeader", at)}
    replies[spoils] = data.draw(spoiled_json(replies[spoils]))
    spoiled.proxy.clear_faults()
    for method, reply in replies.items():
        spoiled.proxy.fault(Fault(method, FaultKind.REPLACE, count=1, result=reply))
    head = await learned(spoiled.node.finalised())
    spoiled.proxy.clear_faults()
    if head is not None:
        assert type(head.height) is int
        assert is_hash(head.hash)


@MANY
@given(data=st.data())
async def test_a_spoiled_state_is_no_state_or_a_sound_one(spoiled: Spoiled, data: st.DataObject) -> None:
    at = (await spoiled.node.heads()).finalised.hash
    runtime = await spoiled.node.blocks.runtime()
    names = [("System", "Events"), ("Timestamp", "Now"), ("System", "ParentHash")]
    keys = [runtime.storage_key(*name) for name in (*names, ("System", "LastRuntimeUpgrade"))]
    reply = await spoiled.recorded("state_queryStorageAt", keys, at)
    if data.draw(st.booleans()):
        changes = reply[0]["changes"]
        place = data.draw(st.integers(0, len(changes) - 1))
        changes[place][1] = to_hex(data.draw(spoiled_bytes(from_hex(changes[place][1] or "0x"))))
    else:
        reply = data.draw(spoiled_json(reply))
    spoiled.answer("state_queryStorageAt", reply)
    spoiled.forget()
    state = await learned(spoiled.node.blocks.state(at))
    if state is not None:
        assert isinstance(state, State)
        assert is_hash(state.parent)
        assert isinstance(state.events, BlockEvents)


@MANY
@given(data=st.data())
async def test_a_spoiled_account_is_none_or_a_sound_one(spoiled: Spoiled, data: st.DataObject) -> None:
    at = (await spoiled.node.heads()).finalised.hash
    runtime = await spoiled.node.blocks.runtime()
    key = runtime.storage_key("System", "Account", [spoiled.tao.account])
    raw = from_hex(await spoiled.recorded("state_getStorage", key, at))
    told: Any = to_hex(data.draw(spoiled_bytes(raw))) if data.draw(st.booleans()) else data.draw(VALUES)
    spoiled.forget()
    spoiled.node._accounts._asked = {spoiled.tao.account: None}
    spoiled.answer("state_getStorage", told)
    account = await learned(spoiled.node.account(spoiled.tao.account))
    if account is not None and told is not None:
        assert len(from_hex(told)) >= len(raw), "bytes that are too few are no account"
        assert all(type(each) is int and each >= 0 for each in (account.nonce, account.free, account.bound))


@MANY
@given(data=st.data())
async def test_spoiled_events_are_bad_events_or_read_to_their_end(
    spoiled: Spoiled, data: st.DataObject
) -> None:
    runtime = await spoiled.node.blocks.runtime()
    at = (await spoiled.node.heads()).finalised.hash
    real = from_hex(await spoiled.recorded("state_getStorage", runtime.storage_key("System", "Events"), at))
    try:
        found = runtime.events.read(data.draw(spoiled_bytes(real)))
    except BadEvents:
        return
    assert all(len(each.sender) == len(each.recipient) == 32 for each in found.transfers)


@FEW
@given(data=st.data())
async def test_spoiled_metadata_and_extrinsics_are_refused(spoiled: Spoiled, data: st.DataObject) -> None:
    runtime = await spoiled.node.blocks.runtime()
    at = (await spoiled.node.heads()).finalised.hash
    block = await spoiled.recorded("chain_getBlock", at)
    raw = from_hex(block["block"]["extrinsics"][0])
    for decode in (runtime.decode_extrinsic, runtime.shape_of, runtime.fee_of):
        with contextlib.suppress(ReadFailed):
            decode(data.draw(spoiled_bytes(raw)))


@FEW
@given(value=VALUES)
async def test_a_hash_by_height_is_a_hash_or_nothing_is_learned(spoiled: Spoiled, value: Any) -> None:
    spoiled.answer("chain_getBlockHash", value)
    told = await learned(spoiled.node.hash_at(3))
    assert told is None or is_hash(told)


HANDSHAKE = (
    "chain_getBlockHash",
    "chain_getFinalizedHead",
    "chain_getHeader",
    "state_subscribeRuntimeVersion",
)


@FEW
@given(data=st.data())
async def test_a_spoiled_greeting_never_ends_the_link(spoiled: Spoiled, data: st.DataObject) -> None:
    """Whatever is wrong with it, the link comes again, and is ready once the answers are right."""
    method = data.draw(st.sampled_from(HANDSHAKE))
    real = await spoiled.recorded("chain_getHeader")
    reply = data.draw(spoiled_json(real)) if method == "chain_getHeader" else data.draw(VALUES)
    spoiled.answer(method, reply)
    link = Link(spoiled.proxy.url, LIMITS, LoopClock(), lambda _link: None)
    genesis = spoiled.tao.chain.genesis_hash
    async with aiohttp.ClientSession() as http:
        keeping = asyncio.create_task(
            link.keep(http, lambda told: None if told == genesis else "another chain")
        )
        try:
            async with asyncio.timeout(10):
                while not link.ready:
                    assert not keeping.done(), "the link is dead for good"
                    await asyncio.sleep(0.01)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


Tell = Callable[[web.WebSocketResponse, dict[str, Any]], Awaitable[None]]


@dataclass
class Scripted:
    """A websocket that answers each request with the same frame."""

    url: str
    frame: bytes = b""


@pytest_asyncio.fixture(loop_scope="session")
async def scripted() -> AsyncIterator[Scripted]:
    made = Scripted("")

    async def serve(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for _ in ws:
            await ws.send_str(made.frame.decode())
        return ws

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


SHAPES = st.sampled_from(
    [
        {"jsonrpc": "2.0", "id": 1, "result": "0x00"},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no", "data": "why"}},
        {"jsonrpc": "2.0", "method": "chain_newHead", "params": {"subscription": "a", "result": {}}},
        [{"jsonrpc": "2.0", "id": 1, "result": "0x00"}],
    ]
)


@MANY
@given(data=st.data())
async def test_whatever_frame_comes_the_connection_ends_by_its_own_errors(
    scripted: Scripted, data: st.DataObject
) -> None:
    frame = data.draw(spoiled_json(data.draw(SHAPES)))
    scripted.frame = json.dumps(frame).encode()
    async with aiohttp.ClientSession() as http:
        connection = await Connection.open(http, scripted.url, 5.0, 0.05)
        with contextlib.suppress(Lost, RpcError):
            await connection.request("chain_getHeader")
        await connection.close()
