"""Several endpoints of one chain: which one is used when one is silent, busy, behind, ahead or wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from miner.chains.substrate.link import Limits, Link
from miner.chains.substrate.node import SubstrateNode
from miner.errors import ReadFailed
from miner.model import Head
from tests.conformance.rail_tao import LoopClock, TaoHarness, tao, tao_session
from tests.devnet.chain import ContractsChain
from tests.devnet.fault_proxy import FaultProxy
from tests.devnet.faults import Fault, FaultKind

__all__ = ["tao", "tao_session"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMITS = Limits(connect_s=5.0, reply_s=5.0, stall_s=60.0, silence_s=30.0, behind_blocks=4)
PATIENCE_S = 60.0


class NotingClock(LoopClock):
    """A clock that notes the pauses it was asked for, and makes them short."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await super().sleep(seconds)


@dataclass
class Bench:
    """A chain behind two proxies, and nodes over them.

    Attributes:
        first: before the chain; the preferred endpoint.
        second: before the chain, too.
        clock: the nodes'.
    """

    tao: TaoHarness
    first: FaultProxy
    second: FaultProxy
    clock: NotingClock
    stack: AsyncExitStack
    nodes: list[SubstrateNode] = field(default_factory=list)

    async def node(self, *proxies: FaultProxy, limits: Limits = LIMITS) -> SubstrateNode:
        """A connected node over these endpoints."""
        urls = [proxy.url for proxy in proxies]
        node = SubstrateNode(urls, self.clock, genesis=self.tao.chain.genesis_hash, limits=limits)
        self.stack.push_async_callback(node.close)
        await node.connect()
        return node


@pytest_asyncio.fixture(loop_scope="session")
async def bench(tao: TaoHarness) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        proxies = []
        for _ in range(2):
            proxies.append(FaultProxy(tao.chain.url))
            await proxies[-1].start()
            stack.push_async_callback(proxies[-1].stop)
        yield Bench(tao, proxies[0], proxies[1], NotingClock(), stack)


async def eventually(true: Callable[[], Any]) -> None:
    """Wait until it is true."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110  # over real sockets
            await asyncio.sleep(0.02)


async def both_ready(node: SubstrateNode) -> None:
    await eventually(lambda: all(link.ready for link in node.endpoints._links))


async def test_finalised_heads_that_fall_silent_alone_are_noticed(bench: Bench) -> None:
    """Best heads go on, finalised ones do not: asked for, and the subscription is made anew."""
    node = await bench.node(
        bench.first, limits=Limits(connect_s=5.0, reply_s=5.0, stall_s=3.0, silence_s=30.0)
    )
    bench.first.fault(Fault("notification", FaultKind.DROP, match="chain_finalizedHead"))
    before = (await node.heads()).finalised
    chain = bench.tao.chain
    async with asyncio.timeout(PATIENCE_S):
        while (await node.heads()).finalised.height < before.height + 3:
            await chain.new_block()
            await asyncio.sleep(0.1)


async def test_the_newest_finalised_head_is_asked_for_whatever_was_pushed(bench: Bench) -> None:
    """One request where it is the one that was pushed, two where that is older."""
    node = await bench.node(bench.first)
    pushed = (await node.heads()).finalised
    bench.first.fault(Fault("notification", FaultKind.DROP, match="chain_finalizedHead"))
    bench.first.requests(reset=True)
    assert await node.finalised() == pushed
    assert bench.first.requests() == {"chain_getFinalizedHead": 1}
    await bench.tao.chain.new_block()
    newest = await bench.tao.chain.block_hash(pushed.height + 1)
    assert newest is not None
    assert await node.finalised() == Head(pushed.height + 1, newest)
    assert (await node.heads()).finalised == pushed
    asked = bench.first.requests()
    assert (asked["chain_getFinalizedHead"], asked["chain_getHeader"]) == (2, 1)


async def test_an_endpoint_that_answers_429_is_left_alone_for_as_long_as_it_asks(bench: Bench) -> None:
    node = await bench.node(bench.second, bench.first)
    await both_ready(node)
    bench.clock.pauses.clear()
    bench.first.busy = 77
    await bench.first.disconnect()
    await eventually(lambda: 77 in bench.clock.pauses)
    assert (await node.hash_at(1)) is not None


async def test_a_websocket_closed_for_too_much_traffic_is_left_alone_for_a_while(bench: Bench) -> None:
    node = await bench.node(bench.first)
    bench.clock.pauses.clear()
    bench.first.fault(Fault("chain_getBlockHash", FaultKind.BUSY, count=1))
    with pytest.raises(ReadFailed):
        await node.hash_at(1)
    await eventually(lambda: any(pause >= 10 for pause in bench.clock.pauses))


async def test_pauses_grow_where_connections_do_not_last(bench: Bench) -> None:
    """A node that accepts and then breaks off each time is not asked in a tight loop."""
    node = await bench.node(bench.first)
    bench.clock.pauses.clear()
    for _ in range(5):
        more = len(bench.clock.pauses) + 1
        await bench.first.disconnect()
        await eventually(partial(_at_least, bench.clock.pauses, more))
        await both_ready(node)
    assert bench.clock.pauses[-1] >= 4, bench.clock.pauses


async def test_what_one_endpoint_answers_with_an_error_another_one_answers(bench: Bench) -> None:
    node = await bench.node(bench.first, bench.second)
    await both_ready(node)
    bench.first.fault(Fault("*", FaultKind.REFUSE, code=-32603, message="internal error"))
    assert await node.hash_at(1) is not None
    bench.first.requests(reset=True)
    assert await node.hash_at(2) is not None
    assert bench.first.requests() == {}, "the one that answers is used from then on"


async def test_an_error_that_both_give_is_told(bench: Bench) -> None:
    node = await bench.node(bench.first, bench.second)
    await both_ready(node)
    for proxy in (bench.first, bench.second):
        proxy.fault(Fault("*", FaultKind.REFUSE, code=-32603, message="internal error"))
    with pytest.raises(ReadFailed, match="internal error"):
        await node.hash_at(1)


async def test_a_head_far_ahead_that_the_node_does_not_have_is_not_followed(bench: Bench) -> None:
    node = await bench.node(bench.first, bench.second)
    await both_ready(node)

    def lie(method: str, _params: Any, result: Any) -> Any:
        return {**result, "number": hex(int(result["number"], 16) + 1000)}

    bench.second.fault(Fault("notification", FaultKind.TWIST, twist=lie))
    height = (await bench.tao.chain.heads()).number
    for _ in range(6):
        await bench.tao.chain.new_block()
    await eventually(lambda: node.best_height() >= height + 6)
    assert node.best_height() < height + 100
    assert (await node.heads()).best.height < height + 100


async def test_an_endpoint_on_another_fork_is_told_of_and_not_used(bench: Bench) -> None:
    """It is further, and of the same genesis, but its finalised blocks are others."""
    async with await ContractsChain.start() as fork:
        finalised = (await bench.tao.chain.heads()).finalised_number
        await fork.new_block(finalised + 20)
        proxy = FaultProxy(fork.url)
        await proxy.start()
        bench.stack.push_async_callback(proxy.stop)
        with capture_logs() as lines:
            node = await bench.node(bench.first, proxy)
            await both_ready(node)
            for _ in range(3):
                await fork.new_block()
                await bench.tao.chain.new_block()
            await eventually(lambda: any(line["event"] == "endpoints_disagree" for line in lines))
        assert (await node.heads()).best.height <= (await bench.tao.chain.heads()).number
        bench.first.fault(Fault("*", FaultKind.REFUSE, code=-32603, message="internal error"))
        with pytest.raises(ReadFailed):
            await node.hash_at(2)


async def test_a_second_endpoint_takes_over_when_the_first_is_frozen(bench: Bench) -> None:
    node = await bench.node(bench.first, bench.second)
    await both_ready(node)
    bench.first.fault(Fault("notification", FaultKind.DROP))
    await bench.tao.chain.new_block(6)
    top = (await bench.tao.chain.heads()).number

    async def told() -> int:
        return (await node.heads()).best.height

    await _until(told, top)


async def test_heads_of_another_chain_are_not_waited_for_for_ever(bench: Bench) -> None:
    """The only endpoint pointed to a fork that was further; back again, its lower heads are told at last."""
    limits = Limits(connect_s=5.0, reply_s=5.0, stall_s=3.0, silence_s=30.0)
    node, chain = await bench.node(bench.first, limits=limits), bench.tao.chain
    async with await ContractsChain.start() as fork, asyncio.timeout(PATIENCE_S):
        true = (await chain.heads()).number
        await fork.new_block(true + 100)
        follow = node.follow()
        assert (await anext(follow)).best.height == true
        await bench.first.retarget(fork.url)
        while (await anext(follow)).finalised.height < true + 50:
            pass
        since = bench.clock.monotonic()
        await bench.first.retarget(chain.url)
        back = await anext(follow)
        assert bench.clock.monotonic() - since >= limits.stall_s - 1, "another endpoint's lag is waited out"
        assert back.best.height < true + 50


def _at_least(pauses: list[float], count: int) -> bool:
    return len(pauses) >= count


async def _until(told: Callable[[], Awaitable[int]], height: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await told() < height:  # noqa: ASYNC110  # over real sockets
            await asyncio.sleep(0.02)


async def test_an_endpoint_that_broke_for_want_of_memory_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever ends a connection, the one who keeps it goes on."""
    tries: list[str] = []

    async def follow(link: Link, *_: object) -> None:
        tries.append(link.why)
        if len(tries) == 3:
            raise asyncio.CancelledError
        raise MemoryError

    monkeypatch.setattr(Link, "_follow", follow)
    link = Link("ws://127.0.0.1:1", Limits(), NotingClock(), lambda _link: None)
    with pytest.raises(asyncio.CancelledError):
        await link.keep(cast(Any, None), lambda _genesis: None)
    assert tries[1:] == ["it broke: MemoryError()"] * 2
