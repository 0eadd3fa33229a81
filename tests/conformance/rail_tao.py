"""The TAO rail over a real chain: a harness to test it with."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio
from substrateinterface import Keypair

from miner.chains.substrate.keys import Keyring, from_uri
from miner.chains.substrate.lanes import Lanes
from miner.chains.substrate.link import Limits
from miner.chains.substrate.node import SubstrateNode
from miner.chains.tao import TaoRail
from miner.errors import ReadFailed
from miner.model import Claim, Lane, PaymentClaim
from tests.devnet import accounts
from tests.devnet.chain import ContractsChain
from tests.devnet.faults import Fault, FaultKind
from tests.devnet.substrate import Substrate

LAG = 3
"""Blocks between best and finalised head in these tests."""
LIMITS = Limits(connect_s=1.0, reply_s=10.0, stall_s=60.0, silence_s=5.0)
MAX_FEE = 1_000_000
OURS, OUR_HOTKEY, USER = "//miner/0", "//miner/1", 0
_addresses = itertools.count(1)


class LoopClock:
    """The loop's own time, in which a pause is a short one."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))


@dataclass
class TaoHarness:
    """`RailHarness` for TAO, and what the tests beside the suite need.

    Attributes:
        chain: The chain, with finality `LAG` behind.
        outside: An implementation that is not ours, on that chain.
        node: What the rail reads.
        lanes: The rail's lanes.
    """

    chain: ContractsChain
    outside: Substrate
    node: SubstrateNode
    lanes: Lanes
    rail: TaoRail
    account: str
    hotkey: str
    given: dict[str, int] = field(default_factory=dict)
    others: list[SubstrateNode] = field(default_factory=list)

    @classmethod
    async def make(cls, chain: ContractsChain, outside: Substrate, **options: Any) -> TaoHarness:
        node, lanes, rail = make_rail(chain, **options)
        await rail.connect()
        account, hotkey = lanes.keys.accounts[:2]
        return cls(chain, outside, node, lanes, rail, account, hotkey)

    async def close(self) -> None:
        await self.rail.close()
        for node in (self.node, *self.others):
            await node.close()

    async def new_rail(self) -> TaoRail:
        node, _, rail = make_rail(self.chain)
        self.others.append(node)
        await rail.connect()
        return rail

    async def new_address(self) -> str:
        return str(accounts.account(f"//stranger/{next(_addresses)}").ss58_address)

    async def balance(self, address: str) -> int:
        return await self.outside.free_balance(address)

    def max_fee(self) -> int:
        return MAX_FEE

    async def allot(self, claim: Claim) -> str:
        assert claim.nonce_floor is not None
        nonce = max(claim.nonce_floor, self.given.get(claim.account, 0))
        self.given[claim.account] = nonce + 1
        return str(nonce)

    # the chain

    async def settle(self, node: SubstrateNode | None = None) -> None:
        """Wait until the heads that the node was told are the chain's."""
        told = await self.chain.heads()
        async with asyncio.timeout(10), aclosing((node or self.node).follow()) as follow:  # type: ignore[type-var]
            async for heads in follow:
                if heads.best.hash == told.hash and heads.finalised.hash == told.finalised_hash:
                    return

    async def blocks(self, count: int = 1) -> None:
        await self.chain.new_block(count)
        await self.settle()

    async def finalise(self) -> None:
        await self.blocks(LAG)

    async def fork(self, depth: int) -> None:
        head = (await self.chain.heads()).number
        await self.chain.fork(head - depth, blocks=0, resubmit=False)
        await self.empty_pool()
        await self.blocks(depth + 1)

    async def empty_pool(self) -> None:
        await self.chain.pool(drop="all")

    async def lose_reply(self) -> None:
        await self.chain.fault(Fault("author_submitExtrinsic", FaultKind.CLOSE, count=1))

    async def cut_off(self) -> None:
        await self.chain.disconnect(down=True)
        with suppress(ReadFailed):
            await self.node.hash_at(0)  # the loss is noticed

    async def reconnect(self) -> None:
        await self.chain.disconnect()
        async with asyncio.timeout(10), aclosing(self.node.follow()) as follow:  # type: ignore[type-var]
            async for _ in follow:
                break
        await self.settle()

    async def rival(self, lane: Lane, pays: int) -> str:
        await self.empty_pool()
        if pays:
            call = await self.outside.call("Balances", "transfer_keep_alive", dest=lane.recipient, value=pays)
        else:
            call = await self.outside.call("System", "remark", remark="0x01")
        return await self.include(accounts.account(OURS), call, int(lane.slot))

    async def include(self, key: Keypair, call: Any, nonce: int) -> str:
        """A call signed outside, in a new block; answers its id."""
        extrinsic = await self.outside.sign(call, key, nonce=nonce)
        (included,) = await self.outside.include([extrinsic])
        await self.settle()
        return included.hash

    async def user_pays(self, amount: int, *calls: Any, recipient: str | None = None) -> PaymentClaim:
        """A user's transfer; or other calls, of the user, in one batch."""
        user, to = accounts.user(USER), recipient or self.account
        call = await self.outside.call("Balances", "transfer_keep_alive", dest=to, value=amount)
        if calls:
            call = await self.outside.call("Utility", "batch", calls=list(calls))
        extrinsic = await self.outside.sign(call, user)
        (included,) = await self.outside.include([extrinsic])
        await self.settle()
        return PaymentClaim(included.hash, included.block_number, user.ss58_address, to, amount, 1)


def make_rail(chain: ContractsChain, **options: Any) -> tuple[SubstrateNode, Lanes, TaoRail]:
    """A rail without memory, for our two accounts."""
    keys = Keyring([from_uri(OURS, devnet=True), from_uri(OUR_HOTKEY, devnet=True)])
    urls = options.pop("urls", [chain.url])
    settings: dict[str, Any] = {"accounts": keys.accounts, "limits": LIMITS, **options}
    node = SubstrateNode(urls, LoopClock(), **settings)
    lanes = Lanes(node, keys)
    return node, lanes, TaoRail(node, lanes, [keys.accounts[0]])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tao_session() -> AsyncIterator[tuple[ContractsChain, Substrate]]:
    """One chain for all tests. Use `tao`."""
    async with await ContractsChain.start() as chain:
        await chain.new_block(5)
        await chain.keep_base()
        outside = await Substrate.connect(chain)
        yield chain, outside
        with suppress(OSError):
            await outside.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tao(tao_session: tuple[ContractsChain, Substrate]) -> AsyncIterator[TaoHarness]:
    """A fresh chain with finality `LAG` behind, and a rail that has connected."""
    chain, outside = tao_session
    await chain.reset()
    await chain.set_finality_lag(LAG)
    await chain.new_block(LAG + 1)
    made = await TaoHarness.make(chain, outside)
    await made.settle()
    await chain.requests(reset=True)
    yield made
    await made.close()
