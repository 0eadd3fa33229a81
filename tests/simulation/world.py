"""The world: the real services over the model chains and the real store, one block at a time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from miner.affairs.drain import Drain
from miner.amounts import Chain
from miner.errors import LeaseLost
from miner.lease import WATCH, LeaseKeeper
from miner.model import (
    Caps,
    JournalEntry,
    Lane,
    Lease,
    PendingRecovery,
    Policy,
    RailPolicy,
    Saga,
)
from miner.ports import Rail
from miner.recover import Recoverer
from miner.saga import State
from miner.settle import Settler
from miner.settle.desk import CODE_HASH, Desk
from miner.store.outbox import SqlOutbox
from miner.supervise import Pace, Supervisor
from miner.sweep import SweepReconciler, register_all
from miner.verify import MinerAccounts, Verifier
from miner.watch import Watcher
from tests.simulation.link import Link
from tests.simulation.model_affairs import ModelAffairs
from tests.simulation.model_btc import ModelBtcRail
from tests.simulation.model_contract import ModelContract, ModelNode
from tests.simulation.model_lanes import ModelLanes
from tests.simulation.model_tao import ModelTaoRail
from tests.simulation.sim_store import SimStore
from tests.simulation.stage import CONTRACT, Stage, btc_address, tao_address

LEASE_S = 30.0
MARGIN = {Chain.TAO: 9, Chain.BTC: 103}
BTC_FINAL = 6
POLICY = Policy(
    rails={
        Chain.TAO: RailPolicy(
            MARGIN[Chain.TAO], 1, mark_confirmations=0, final_confirmations=1, max_fee=10**6
        ),
        Chain.BTC: RailPolicy(MARGIN[Chain.BTC], 2, 1, BTC_FINAL, max_fee=50_000),
    }
)
SWEEP_BLOCKS, STALL_S = 5, 120.0


@dataclass
class Told:
    """`ports.Tell` that remembers.

    Attributes:
        is_ready: What was told last.
        why: Why not.
        progressed: Finalised heads that were worked on.
    """

    is_ready: bool | None = None
    why: str = ""
    progressed: int = 0

    def ready(self, is_ready: bool, why: str) -> None:
        self.is_ready, self.why = is_ready, why

    def progress(self) -> None:
        self.progressed += 1


@dataclass
class Entries:
    """The lines that the recovery log was given, in memory; an id that is there is left as it is."""

    lines: dict[int, PendingRecovery] = field(default_factory=dict)

    async def append(self, pending: PendingRecovery) -> None:
        self.lines.setdefault(pending.id, pending)


@dataclass
class World:
    """A daemon on a stage.

    Attributes:
        stage: Both chains and everybody else.
        store: The daemon's; the real one.
        told: What was said of readiness.
        recovery: What is in the recovery log.
        link: The way to the contract's chain.
        btc_link: The way to the Bitcoin node.
        foreign: Ids of what others did with our keys; see `Oracle`.
    """

    stage: Stage
    url: str | Path = "sqlite://"
    policy: Policy = POLICY
    seed: int = 0
    told: Told = field(default_factory=Told)
    recovery: Entries = field(default_factory=Entries)
    link: Link = field(default_factory=Link)
    btc_link: Link = field(default_factory=Link)
    foreign: set[str] = field(default_factory=set)
    _owners: int = 0

    @classmethod
    async def make(cls, url: str | Path = "sqlite://", policy: Policy = POLICY, **options: Any) -> World:
        """A world whose daemon has done its first round.

        Args:
            url: Of the store; it must be a file where the daemon is to be restarted.
            policy: The operator's.
            options: For the stage.
        """
        world = cls(Stage.make(**options), url, policy)
        await world.start()
        await world.round()
        return world

    # the daemon's life

    async def start(self) -> None:
        """Open, wire, and take over what was left, as the daemon does at its start."""
        self._owners += 1
        stage = self.stage
        self.store = self._make_store(f"daemon-{self._owners}")
        await self.store.open()
        self._connect(stage)
        await self.store.bind(self.node.genesis, CONTRACT)
        await self.store.pin(CODE_HASH, stage.tao.best.state.contract.terms.code_hash)
        self._wire()
        await self.take_over()

    def _make_store(self, owner: str) -> SimStore:
        return SimStore(self.url, owner=owner, lease_ttl_s=LEASE_S, clock_ms=self.stage.clock)

    def _connect(self, stage: Stage) -> None:
        self.lanes = ModelLanes(stage.tao, self.link, self._keys())
        self.node = ModelNode(stage.tao, self.link)
        self.contract = ModelContract(self.lanes, CONTRACT)
        self.affairs = ModelAffairs(self.lanes, CONTRACT)
        payers = [miner.accounts for miner in stage.miners]
        self.tao = ModelTaoRail(self.lanes, [each[Chain.TAO] for each in payers])
        self.btc = ModelBtcRail(
            stage.btc, self.btc_link, [each[Chain.BTC] for each in payers], final_confirmations=BTC_FINAL
        )

    def _keys(self) -> list[str]:
        return [key for m in self.stage.miners for key in (m.hotkey, m.accounts[Chain.TAO])]

    def _wire(self) -> None:
        miners = {m.hotkey: MinerAccounts(m.name, m.hotkey, m.accounts) for m in self.stage.miners}
        rails: Mapping[Chain, Rail] = {Chain.TAO: self.tao, Chain.BTC: self.btc}
        self.desk = Desk(
            node=self.node,
            contract=self.contract,
            store=self.store,
            rails=rails,
            verifier=Verifier(rails, miners, self.policy),
            policy=self.policy,
            affairs=self.affairs,
            random=random.Random(f"{self.seed} {self._owners}"),
        )
        self.watcher = Watcher(self.node, self.contract, self.store, miners)
        self.settler = Settler(self.desk)
        self.sweeps = SweepReconciler()
        outbox = SqlOutbox(self.store.database, self.store.owner)
        register_all(self.sweeps, self.desk, self.watcher, miners, self.recovery, outbox)
        self.recoverer = Recoverer(self.desk)
        self.keeper = LeaseKeeper(self.store, self.stage.clock, LEASE_S / 3)
        self.supervisor = Supervisor(
            node=self.node,
            store=self.store,
            watcher=self.watcher,
            settler=self.settler,
            sweeps=self.sweeps,
            recoverer=self.recoverer,
            keeper=self.keeper,
            tell=self.told,
            clock=self.stage.clock,
            drain=Drain(self.store, self.affairs, {m.hotkey: m.name for m in self.stage.miners}),
            pace=Pace(poll_s=6.0, sweep_blocks=SWEEP_BLOCKS, stall_s=STALL_S),
        )

    async def take_over(self) -> None:
        """Wait for a dead process's leases to run out, and take them."""
        try:
            await self.store.acquire(WATCH)
        except LeaseLost:
            self.stage.clock.now_ms += round(LEASE_S * 1000) + 1
            await self.store.acquire(WATCH)
        await self.store.lease_sagas()

    async def stop(self) -> None:
        """An ordered stop."""
        await self.store.close()

    async def restart(self, *, crash: bool = False) -> None:
        """The daemon ends and starts again on the same store; after a crash it gave nothing back."""
        await (self.store.drop() if crash else self.store.close())
        await self.start()

    async def restart_in_memory(self) -> None:
        """The daemon starts for the first time again: with an empty store, for the miners as they are now."""
        await self.store.close()
        await self.start()
        await self.round()

    # time

    async def block(self, count: int = 1) -> None:
        """A block of the contract's chain, and what the daemon does on it."""
        for _ in range(count):
            self.stage.tao_block()
            await self.round()

    async def btc_block(self, count: int = 1) -> None:
        """As many blocks of Bitcoin, and then a block of the contract's chain."""
        self.stage.btc_block(count)
        await self.block()

    async def round(self) -> None:
        """One round of the daemon on the heads as they are; its leases are kept alive."""
        await self.keeper.beat()
        await self.supervisor.once(self.node.heads())

    async def lease(self) -> Lease:
        """The lease on the cursor."""
        return await self.store.acquire(WATCH)

    # looking

    async def saga(self, swap_id: int) -> Saga:
        """A saga that must be there."""
        saga = await self.store.saga(swap_id)
        assert saga is not None, f"swap {swap_id} has no saga"
        return saga

    async def state(self, swap_id: int) -> State:
        """A saga's state."""
        return (await self.saga(swap_id)).state

    async def payout(self, swap_id: int) -> Lane:
        """A saga's payout lane, which must be there."""
        lane = (await self.saga(swap_id)).payout
        assert lane is not None, f"swap {swap_id} has no payout lane"
        return lane

    async def journal(self, swap_id: int) -> list[JournalEntry]:
        """A saga's journal."""
        return list(await self.store.journal((await self.saga(swap_id)).id))

    def causes(self, swap_id: int) -> list[str]:
        """Causes of the recovery log's lines on a swap."""
        return [line.entry.cause for line in self.recovery.lines.values() if line.saga.swap_id == swap_id]

    def received(self, swap_id: int) -> list[int]:
        """What our accounts have paid the user of a swap, on the best chains."""
        return self.received_each([swap_id])[swap_id]

    def received_each(self, ids: Iterable[int]) -> dict[int, list[int]]:
        """As `received`, of many swaps at once."""
        paid: dict[str, list[int]] = {}
        for recipient, amount in self._paid():
            paid.setdefault(recipient, []).append(amount)
        return {
            each: [*paid.get(tao_address(f"user {each}"), ()), *paid.get(btc_address(f"user {each}"), ())]
            for each in ids
        }

    def _paid(self) -> Iterator[tuple[str, int]]:
        ours = {a for m in self.stage.miners for a in m.accounts.values()}
        for block in self.stage.tao.canonical:
            for receipt in block.receipts:
                yield from ((m.recipient, m.amount) for m in receipt.moved if m.sender in ours)
        for btc_block in self.stage.btc.canonical:
            for tx, spent in zip(btc_block.body, btc_block.receipts, strict=True):
                if any(coin.address in ours for coin in spent.coins):
                    yield from tx.outputs


def with_caps(chain: Chain, per_swap: int | None = None, per_hour: int | None = None) -> Policy:
    """The usual policy with caps on a rail."""
    rails = dict(POLICY.rails)
    rails[chain] = replace(rails[chain], caps=Caps(per_swap, per_hour))
    return replace(POLICY, rails=rails)
