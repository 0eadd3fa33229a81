"""A process of the daemon in a history: it can be killed or stopped at any boundary, and there can be two."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from miner.errors import LeaseLost, MinerError, StoreError
from miner.lease import WATCH
from miner.ports import Heads
from tests.simulation.air import Air, Traps, Wire
from tests.simulation.link import Link
from tests.simulation.memory import HistoryStore, Killed, Life, Memory
from tests.simulation.model_contract import ModelNode
from tests.simulation.sim_store import SimStore
from tests.simulation.stage import Stage
from tests.simulation.tao_rules import TaoChain
from tests.simulation.world import LEASE_S, World

PATIENCE_BLOCKS = 5
"""Blocks a second process waits for the lease of the first before it ends, as `run` does after one expiry."""
QUIET_TURNS = 200
"""Turns of the loop after which a stopped process stands still."""


class StaleNode(ModelNode):
    """A node that may serve heads of some time ago.

    Attributes:
        stuck: What it serves; None for the truth.
    """

    def __init__(self, chain: TaoChain, link: Link) -> None:
        super().__init__(chain, link)
        self.stuck: Heads | None = None

    def heads(self) -> Heads:
        """See `ModelNode.heads`."""
        return self.stuck or super().heads()

    def best_height(self) -> int:
        """See `Node`."""
        return self.stuck.best.height if self.stuck else super().best_height()


@dataclass
class Surroundings:
    """What all processes of a history share.

    Attributes:
        memory: The store's database.
        tao, btc: The ways to the nodes.
        traps: What will befall them.
        full: Names of writes that the disk refuses; everything where it holds `*`.
        stuck: The heads that the contract's node serves while it is stuck.
        rate: What Bitcoin fees are, sat/vB.
    """

    memory: Memory
    tao: Air = field(default_factory=Air)
    btc: Air = field(default_factory=Air)
    traps: Traps = field(default_factory=Traps)
    full: set[str] = field(default_factory=set)
    stuck: Heads | None = None
    rate: int = 5
    refused: int = 0

    def refuses(self, name: str) -> bool:
        """Whether the disk refuses a write."""
        refused = bool(self.full) and ("*" in self.full or name in self.full)
        self.refused += refused
        return refused

    def is_clear(self) -> bool:
        """Whether nothing is wrong around the processes."""
        return self.tao.is_clear() and self.btc.is_clear() and not self.full and self.stuck is None


@dataclass
class Process(World):
    """One process; started again under the same name after it died.

    Attributes:
        name: Of its owner ids.
        around: What it shares with others.
        is_up: Whether there is a process.
        leads: Whether it has the lease on the cursor.
        good_rounds: Rounds without a hitch since it took over, one after the other.
        starts: How often it was started.
    """

    name: str = "a"
    around: Surroundings = field(default_factory=lambda: Surroundings(Memory()))
    is_up: bool = False
    leads: bool = False
    good_rounds: int = 0
    starts: int = 0
    waits: int = 0
    _started: bool = False
    _task: asyncio.Task[None] | None = None

    def _make_store(self, owner: str) -> SimStore:
        self.life = Life(self.around.traps.pass_by)
        self.link = Wire(self.around.tao, self.life)
        self.btc_link = Wire(self.around.btc, self.life)
        store = HistoryStore(self.around.memory, self.life, f"{self.name}-{owner}", self.stage.clock, LEASE_S)
        store.seat.refuses = self.around.refuses
        return store  # type: ignore[return-value]

    def _connect(self, stage: Stage) -> None:
        super()._connect(stage)
        self.node = self.stale = StaleNode(stage.tao, self.link)

    async def take_over(self) -> None:
        """Leases are waited for one block after the other."""

    # life

    def launch(self) -> None:
        """There is a process from now on; its first turn starts it."""
        self.is_up, self.leads, self.waits, self.good_rounds = True, False, 0, 0
        self.starts += 1
        self._started = False
        self._task = None
        self.life = Life(self.around.traps.pass_by)

    @property
    def is_stopped(self) -> bool:
        """Whether it is stopped, and will go on."""
        return self._task is not None

    async def turn(self) -> None:
        """What it does on a new block: all of its round, or up to where it is killed or stopped."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._turn())
        task = self._task
        quiet = 0
        while not task.done() and quiet < QUIET_TURNS:
            quiet = quiet + 1 if self.life.stopped else 0
            await asyncio.sleep(0)
        if task.done():
            self._task = None
            self._look_back(task)

    def _look_back(self, task: asyncio.Task[None]) -> None:
        try:
            task.result()
        except Killed:
            self._down()
        except BaseExceptionGroup as group:
            if group.subgroup(Killed) is None:
                raise
            self._down()
        else:
            if self._started and self.life.is_dead:
                self._down()

    def _down(self) -> None:
        self.is_up = self.leads = False
        self.good_rounds = 0

    async def _turn(self) -> None:
        self.life.stood = False
        if not self._started:
            await self._start()
        if self._is_started() and not self._has_lease():
            await self._lead()
        if self._has_lease():
            await self.keeper.beat()
            self.stale.stuck = self.around.stuck
            self.btc.rate = self.around.rate
            self.told.is_ready = None
            await self.supervisor.once(self.node.heads())
            self._count()

    def _count(self) -> None:
        self.good_rounds = self.good_rounds + 1 if self.told.is_ready else 0

    def _is_started(self) -> bool:
        return self._started

    def _has_lease(self) -> bool:
        return self.leads

    async def _start(self) -> None:
        try:
            await self.start()
        except MinerError:
            return  # systemd starts it again
        self._started = True

    async def _lead(self) -> None:
        """Take the lease, or give up after its holder has shown that it lives."""
        try:
            await self.store.acquire(WATCH)
            await self.store.lease_sagas()
            self.leads = True
        except LeaseLost:
            self.waits += 1
            if self.waits > PATIENCE_BLOCKS:
                self.is_up = False
        except StoreError:
            return

    def kill(self) -> None:
        """It dies where it stands."""
        self.life.kill()
        self._down()
        self._task = None

    def go_on(self) -> None:
        """It is stopped no more."""
        self.life.go_on()

    async def end(self) -> None:
        """An ordered stop; one that stands still over it is killed, as systemd does."""
        if self._started and self.is_up:
            closing = asyncio.create_task(self.store.close())
            while not closing.done():
                if self.life.stopped:
                    self.life.kill()
                await asyncio.sleep(0)
            with suppress(StoreError, Killed):
                await closing
        self._down()
