"""The Bitcoin node as the rail meets it: connecting, credentials, replies that are none."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from miner.chains.bitcoin import BitcoinRail, BitcoinRpc, Network
from miner.chains.bitcoin.rpc import RpcError
from miner.errors import ConfigError, MinerError, NotSent, OutcomeUnknown, ReadFailed
from tests.conformance.rail_btc import MAX_FEE, World, btc_session, no_wait, rpc_to, world
from tests.devnet.faults import Fault, FaultKind

__all__ = ["btc_session", "world"]
pytestmark = pytest.mark.asyncio(loop_scope="session")
SECRET = "hunter2"


class Stub:
    """A node that answers what a test says."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], web.Response] = lambda call: reply(call, 7)
        self.password = SECRET
        self.paths: list[str] = []
        self.now = self.most = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        expected = base64.b64encode(f"me:{self.password}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            return web.Response(status=401)
        self.paths.append(request.raw_path)
        self.now += 1
        self.most = max(self.most, self.now)
        call = await request.json()
        for _ in range(5):
            await asyncio.sleep(0)
        self.now -= 1
        return self.answer(call)


def reply(call: dict[str, Any], result: Any = None, error: Any = None) -> web.Response:
    return web.json_response({"id": call["id"], "result": result, "error": error})


@pytest_asyncio.fixture(loop_scope="session")
async def stub() -> AsyncIterator[Stub]:
    made = Stub()
    app = web.Application()
    app.router.add_post("/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="session")
async def rpc(stub: Stub, tmp_path: Path) -> AsyncIterator[BitcoinRpc]:
    (tmp_path / "cookie").write_text(f"me:{SECRET}\n", encoding="utf-8")
    made = BitcoinRpc(stub.url, tmp_path / "cookie", max_in_flight=3, sleep=no_wait)
    yield made
    await made.close()
    await made.close()


async def test_a_wallet_has_its_own_path(stub: Stub, rpc: BitcoinRpc) -> None:
    assert await rpc.read("one") == 7
    assert await rpc.read("two", wallet="a/b c") == 7
    assert stub.paths == ["/", "/wallet/a%2Fb%20c"]
    assert rpc.requests == {"one": 1, "two": 1}


async def test_a_new_cookie_is_read_when_the_node_has_one(
    stub: Stub, rpc: BitcoinRpc, tmp_path: Path
) -> None:
    assert await rpc.read("one") == 7
    stub.password = "another"
    with pytest.raises(ReadFailed, match=r"refuses the credentials in .*cookie"):
        await rpc.read("one")
    assert rpc.requests["one"] == 3, "refused credentials are not tried a third time"
    with pytest.raises(NotSent):
        await rpc.send("one")
    (tmp_path / "cookie").write_text("me:another", encoding="utf-8")
    assert await rpc.read("one") == 7


@pytest.mark.parametrize("text", [None, "no colon", b"\xff:\xfe"])
async def test_a_cookie_that_does_not_read(stub: Stub, tmp_path: Path, text: str | bytes | None) -> None:
    path = tmp_path / "broken"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    rpc = BitcoinRpc(stub.url, path, sleep=no_wait)
    with pytest.raises(ReadFailed, match="credentials in "):
        await rpc.read("one")
    assert not rpc.requests
    await rpc.close()


async def test_credentials_may_be_computed_and_are_never_shown(stub: Stub) -> None:
    rpc = BitcoinRpc(stub.url, lambda: f"me:{SECRET}", sleep=no_wait)
    assert await rpc.read("one") == 7
    assert SECRET not in repr(rpc)
    stub.password = "another"
    with pytest.raises(ReadFailed) as told:
        await rpc.read("one")
    chain: BaseException | None = told.value
    while chain is not None:
        assert SECRET not in f"{chain!r} {chain}"
        chain = chain.__cause__ or chain.__context__
    await rpc.close()


@pytest.mark.parametrize("url", ["", "ftp://x", "127.0.0.1:8332", f"http://me:{SECRET}@127.0.0.1:1"])
async def test_a_url_is_plain(url: str) -> None:
    with pytest.raises(ConfigError) as told:
        BitcoinRpc(url, Path("cookie"))
    assert SECRET not in str(told.value)


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        (lambda call: web.Response(status=503, text="Work queue depth exceeded"), NotSent),
        (lambda call: reply(call, error={"code": -28, "message": "Loading block index…"}), NotSent),
        (lambda call: web.Response(text="<html>"), OutcomeUnknown),
        (lambda call: web.Response(status=500), OutcomeUnknown),
        (lambda call: reply({"id": call["id"] + 1}, 7), OutcomeUnknown),
        (lambda call: web.json_response([1]), OutcomeUnknown),
        (lambda call: web.json_response({"id": call["id"]}), OutcomeUnknown),
        (lambda call: reply(call, error="odd"), OutcomeUnknown),
        (lambda call: reply(call, error={"code": -8, "message": "out of range"}), RpcError),
    ],
)
async def test_what_is_no_answer(
    stub: Stub, rpc: BitcoinRpc, answer: Callable[[Any], web.Response], sent: type[MinerError]
) -> None:
    stub.answer = answer
    with pytest.raises(sent):
        await rpc.send("act")
    assert rpc.requests["act"] == 1
    with pytest.raises(ReadFailed):
        await rpc.read("ask")
    assert rpc.requests["ask"] == (1 if sent is RpcError else 3)


async def test_amounts_are_decimals(stub: Stub, rpc: BitcoinRpc) -> None:
    stub.answer = lambda call: web.Response(
        body=json.dumps({"id": call["id"], "error": None, "result": "@"})
        .replace('"@"', "0.30000000")
        .encode()
    )
    assert str(await rpc.read("one")) == "0.30000000"


async def test_requests_at_once_are_bounded(stub: Stub, rpc: BitcoinRpc) -> None:
    await asyncio.gather(*(rpc.read("one") for _ in range(12)))
    assert 1 < stub.most <= 3


async def test_connect_names_what_is_wrong(world: World) -> None:
    foreign = BitcoinRail(
        rpc_to(world.node, world.folder), Network.named("signet"), {}, world.clock, max_fee=MAX_FEE
    )
    with pytest.raises(ConfigError, match="'regtest', wanted is 'signet'"):
        await foreign.connect()
    await foreign.close()
    cases = (
        ({world.address: "nowhere"}, "not loaded.*loadwallet"),
        ({world.user: world.wallet}, "cannot spend"),
    )
    for accounts, words in cases:
        rail = world.new_rail(accounts=accounts)
        with pytest.raises(ConfigError, match=words):
            await rail.connect()
        await rail.close()
    for bad in (
        await world.node.new_address(world.wallet, "legacy"),
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "x",
    ):
        with pytest.raises(ConfigError):
            world.new_rail(accounts={bad: world.wallet})
    old = {"version": 270_100}
    world.node.proxy.fault(Fault("getnetworkinfo", FaultKind.REPLACE, count=1, result=old))
    with pytest.raises(ConfigError, match="28 or later"):
        await world.rail.connect()
    syncing = {"chain": "regtest", "initialblockdownload": True, "headers": 9, "blocks": 4}
    world.node.proxy.fault(Fault("getblockchaininfo", FaultKind.REPLACE, count=1, result=syncing))
    with pytest.raises(ReadFailed, match="5 blocks"):
        await world.rail.connect()


async def test_a_locked_wallet_cannot_pay(world: World) -> None:
    rail = world.new_rail()
    await rail.connect()
    await world.node.rpc("encryptwallet", "secret", wallet=world.wallet)
    with pytest.raises(ConfigError, match="walletpassphrase"):
        await rail.connect()
    with pytest.raises(ReadFailed, match="unlock the wallet"):
        await rail.prepare(world.order(), ())
    await world.node.rpc("walletpassphrase", "secret", 60, wallet=world.wallet)
    await rail.connect()
    await rail.prepare(world.order(), ())
    await rail.close()
