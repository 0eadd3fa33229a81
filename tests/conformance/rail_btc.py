"""The Bitcoin rail over a real node: a world to test it in, and a stand-in for the store's lane rows."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest_asyncio

from miner.chains.bitcoin import BitcoinRail, BitcoinRpc, FeePolicy, Network
from miner.model import (
    Attempt,
    AttemptKind,
    Claim,
    Lane,
    LaneState,
    PaymentClaim,
    PayoutOrder,
    Replacement,
    Sighting,
    SightingKind,
)
from miner.ports import Rail
from tests.devnet.bitcoin import PASSWORD, USER, BitcoinNode, btc, sats
from tests.devnet.fault_proxy import FaultProxy
from tests.devnet.faults import Fault, FaultKind

FINAL = 3
"""Confirmations that are final in these tests."""
MAX_FEE = 200_000
FEES = FeePolicy(floor=5_000, cap=5_000, fallback=5_000)
_names = itertools.count(1)


class SteppingClock:
    """A clock that a test moves; by itself it moves by `step_s` at each look."""

    def __init__(self, step_s: float = 10.0) -> None:
        self.now_s = 0.0
        self.step_s = step_s

    def monotonic(self) -> float:
        self.now_s += self.step_s
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


async def no_wait(seconds: float) -> None:
    """In place of waiting between two attempts."""


def rpc_to(node: BitcoinNode, folder: Path, port: int | None = None, **more: Any) -> BitcoinRpc:
    """The client under test, over the proxy that counts and injects faults."""
    auth = folder / "auth"
    auth.write_text(f"{USER}:{PASSWORD}\n", encoding="utf-8")
    return BitcoinRpc(f"http://127.0.0.1:{port or node.proxy.port}", auth, sleep=no_wait, **more)


@dataclass
class World:
    """A node, a pinned address with a wallet of its own, and the rail.

    Attributes:
        user: Address of a user, in the wallet `user_wallet`.
    """

    node: BitcoinNode
    rail: BitcoinRail
    address: str
    wallet: str
    user: str
    user_wallet: str
    clock: SteppingClock
    folder: Path
    taken: set[str] = field(default_factory=set)
    _usual: tuple[str, ...] = ()

    @classmethod
    async def make(cls, node: BitcoinNode, folder: Path, kind: str = "bech32", **options: Any) -> World:
        number = next(_names)
        wallet, user_wallet = f"miner-{number}", f"user-{number}"
        address, user = await node.new_address(wallet, kind), await node.new_address(user_wallet)
        world = cls(node, None, address, wallet, user, user_wallet, SteppingClock(), folder)  # type: ignore[arg-type]
        world.rail = world.new_rail(**options)
        return world

    def new_rail(self, **options: Any) -> BitcoinRail:
        """A rail without memory: as after a restart of the daemon."""
        chosen: dict[str, Any] = {"max_fee": MAX_FEE, "fees": FEES, "final_confirmations": FINAL, **options}
        accounts = chosen.pop("accounts", {self.address: self.wallet})
        rpc = rpc_to(self.node, self.folder, **chosen.pop("rpc", {}))
        return BitcoinRail(rpc, Network.named("regtest"), accounts, self.clock, **chosen)

    def order(
        self, amount: int = 100_000, recipient: str | None = None, max_fee: int = MAX_FEE
    ) -> PayoutOrder:
        return PayoutOrder(self.address, recipient or self.user, amount, max_fee, die_by=1000)

    async def pay(self, amount: int = 100_000, recipient: str | None = None, *, send: bool = True) -> Lane:
        """Prepares, stores and (unless told) broadcasts a payout."""
        lane = self.store(await self.rail.prepare(self.order(amount, recipient), self.taken))
        if send:
            await self.rail.broadcast(lane)
        return lane

    def store(self, claim: Claim) -> Lane:
        """What the store makes of a claim."""
        assert claim.anchor is not None
        tx = claim.sign(claim.anchor)
        self.taken.update(tx.spends)
        return Lane(
            id=len(self.taken), chain=claim.chain, account=claim.account, slot=tx.spends[0],
            purpose=claim.purpose, saga_id=1, recipient=claim.recipient, amount=claim.amount,
            state=LaneState.SIGNED, attempts=(Attempt(0, AttemptKind.PAYMENT, tx, 0),),
            earliest_birth=tx.birth or 0,
        )  # fmt: skip

    @staticmethod
    def add(lane: Lane, replacement: Replacement) -> Lane:
        """The lane with a further attempt stored."""
        attempt = Attempt(len(lane.attempts), replacement.kind, replacement.tx, 0)
        return replace(lane, attempts=(*lane.attempts, attempt))

    @staticmethod
    def seen(lane: Lane, sighting: Sighting) -> Lane:
        """The lane with a sighting stored."""
        in_block = sighting.kind is SightingKind.IN_BLOCK
        return replace(
            lane,
            state=LaneState.IN_BLOCK if in_block else LaneState.SIGNED,
            txid=sighting.txid if in_block else None,
            block=sighting.block if in_block else None,
            checked_height=sighting.at.height,
            sighting=sighting.kind,
        )

    async def rival(self, lane: Lane, outputs_sat: Mapping[str, int], fee_sat: int = 20_000) -> str:
        """Spends a lane's anchor from outside, change to the bank; answers the id."""
        txid, vout = lane.slot.split(":")
        coin = await self.node.rpc("gettxout", txid, int(vout), False)
        held = sats(coin["value"])
        change = held - sum(outputs_sat.values()) - fee_sat
        outputs = [{a: btc(s)} for a, s in outputs_sat.items()]
        outputs.append({await self.node.new_address("bank"): btc(change)})
        return await self.spend([{"txid": txid, "vout": int(vout), "sequence": 0}], outputs, self.wallet)

    async def spend(self, inputs: list[dict[str, Any]], outputs: list[dict[str, str]], wallet: str) -> str:
        """Signs and sends a transaction from outside the rail; answers its id."""
        raw = await self.node.rpc("createrawtransaction", inputs, outputs)
        signed = await self.node.rpc("signrawtransactionwithwallet", raw, wallet=wallet)
        assert signed["complete"], signed
        return str(await self.node.rpc("sendrawtransaction", signed["hex"], 0))

    async def user_pays(self, amount: int, recipient: str | None = None) -> str:
        """A user's payment from `user`, unconfirmed; answers its id."""
        await self.node.fund(self.user, amount + 50_000)
        return await self.node.pay_from(self.user_wallet, self.user, {recipient or self.address: amount})

    async def claim(self, txid: str, amount: int, **more: Any) -> PaymentClaim:
        """What a swap would say of a payment in the newest block."""
        values: dict[str, Any] = {
            "txid": txid, "height": await self.node.height(), "sender": self.user, "recipient": self.address,
            "amount": amount, "confirmations": 1, **more,
        }  # fmt: skip
        return PaymentClaim(**values)

    async def pool(self) -> Collection[str]:
        """Ids in the node's mempool."""
        return list(await self.node.rpc("getrawmempool"))

    async def forget(self) -> None:
        """Makes the node lose its mempool; wallets do not send again by themselves until `remember`."""
        self._usual = self._usual or self.node._options
        self.node._options = (*self._usual, "-persistmempool=0", "-walletbroadcast=0")
        await self.node.restart()  # with the mempool on disk read no more
        assert await self.pool() == []

    async def remember(self) -> None:
        """Ends `forget`."""
        if self._usual:
            self.node._options, self._usual = self._usual, ()
            await self.node.restart()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def btc_session() -> AsyncIterator[BitcoinNode]:
    """One node for all tests. Use `world`."""
    async with await BitcoinNode.start() as node:
        yield node


class RememberingRail(BitcoinRail):
    """Leaves alone, besides what it is told, what it has given out: the suite names no taken slots."""

    given: frozenset[str] = frozenset()

    async def prepare(self, order: PayoutOrder, taken: Collection[str], after: str | None = None) -> Claim:
        claim = await super().prepare(order, {*taken, *self.given}, after)
        assert claim.anchor is not None
        self.given |= {*claim.sign(claim.anchor).spends}
        return claim


@dataclass
class BtcHarness:
    """`RailHarness` for Bitcoin. The rail has a proxy of its own, so that it can be cut off."""

    world: World
    proxy: FaultProxy
    rail: Rail
    account: str

    @classmethod
    async def make(cls, node: BitcoinNode, folder: Path) -> BtcHarness:
        world = await World.make(node, folder)
        for _ in range(6):
            await node.fund(world.address, 5_000_000)
        await world.rail.close()
        proxy = FaultProxy(node.direct_url)
        await proxy.start()
        made = cls(world, proxy, world.rail, world.address)
        made.rail = made.make_rail(RememberingRail)
        await made.rail.connect()
        return made

    def make_rail(self, kind: type[BitcoinRail] = BitcoinRail) -> BitcoinRail:
        rpc = rpc_to(self.world.node, self.world.folder, self.proxy.port)
        network, accounts = Network.named("regtest"), {self.account: self.world.wallet}
        options: dict[str, Any] = {"max_fee": MAX_FEE, "fees": FEES, "final_confirmations": FINAL}
        return kind(rpc, network, accounts, self.world.clock, **options)

    async def close(self) -> None:
        await self.rail.close()
        await self.proxy.stop()
        await self.world.remember()

    async def new_rail(self) -> BitcoinRail:
        rail = self.make_rail()
        await rail.connect()
        return rail

    async def new_address(self) -> str:
        return await self.world.node.new_address(self.world.user_wallet)

    async def balance(self, address: str) -> int:
        told = await self.world.node.rpc("scantxoutset", "start", [f"addr({address})"])
        return sats(told["total_amount"])

    def max_fee(self) -> int:
        return MAX_FEE

    async def allot(self, claim: Claim) -> str:
        assert claim.anchor is not None
        return claim.anchor

    async def blocks(self, count: int = 1) -> None:
        await self.world.node.mine(count)

    async def finalise(self) -> None:
        await self.world.node.mine(FINAL)

    async def fork(self, depth: int) -> None:
        await self.world.node.reorganise(depth, blocks=depth, empty=True)
        await self.empty_pool()

    async def empty_pool(self) -> None:
        await self.world.forget()

    async def lose_reply(self) -> None:
        self.proxy.fault(Fault("sendrawtransaction", FaultKind.CLOSE, count=1))

    async def cut_off(self) -> None:
        await self.proxy.stop()

    async def reconnect(self) -> None:
        port = self.proxy.port
        self.proxy = FaultProxy(self.world.node.direct_url)
        await self.proxy.start(port)

    async def rival(self, lane: Lane, pays: int) -> str:
        txid = await self.world.rival(lane, {lane.recipient: pays} if pays else {})
        await self.blocks()
        return txid

    async def user_pays(self, amount: int) -> PaymentClaim:
        txid = await self.world.user_pays(amount)
        await self.blocks()
        return await self.world.claim(txid, amount)


@pytest_asyncio.fixture(loop_scope="session")
async def btc_harness(btc_session: BitcoinNode, tmp_path: Path) -> AsyncIterator[BtcHarness]:
    """A funded account of its own, and a rail that has connected."""
    made = await BtcHarness.make(btc_session, tmp_path)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def world(btc_session: BitcoinNode, tmp_path: Path) -> AsyncIterator[World]:
    """A funded pinned address (three coins), a user, and a rail that has connected."""
    btc_session.proxy.clear_faults()
    made = await World.make(btc_session, tmp_path)
    await btc_session.fund(made.address, 300_000)
    await btc_session.fund(made.address, 500_000)
    await btc_session.fund(made.address, 1_000_000)
    await made.rail.connect()
    yield made
    btc_session.proxy.clear_faults()
    await made.rail.close()
    await made.remember()
