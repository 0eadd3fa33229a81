"""A history played: actions executed, processes run, people about, and the referee looking on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from miner.amounts import Chain
from miner.model import Policy
from tests.simulation.dice import Action, History
from tests.simulation.memory import Memory
from tests.simulation.people import Manners, People
from tests.simulation.process import Process, Surroundings
from tests.simulation.stage import Stage
from tests.simulation.world import POLICY, Entries

LEFT_ALONE = 7
"""Blocks without any process after which one is started again, as systemd does with one that gave up."""
REBROADCAST_IN = 8
"""Blocks after which what a pool has lost is there again: sent again every five finalised blocks."""
TAO_EACH = 1_000 * 10**9
OPEN_LANES = (
    "SELECT chain, account, slot, recipient, amount, purpose FROM lanes WHERE closed = 0 "
    "AND purpose = 'payout' ORDER BY id"
)


@dataclass
class Foreign:
    """What others did with our keys.

    Attributes:
        txids: Their transactions.
        accounts: Accounts that they used: law 9 stops these.
        swaps: Swaps that a person or another program took a hand in.
    """

    txids: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)
    swaps: set[int] = field(default_factory=set)


class Play:
    """The state of a history that is being played.

    Attributes:
        stage: Both chains.
        people: Users and validators.
        around: What processes share.
        processes: Of the daemon; the first is the one that ought to run.
        counts: What happened, by name.
        trace: One line for whatever happened.
        upset: Height up to which something was wrong that the surroundings do not show.
        restored: Whether the store was ever put back to a backup.
    """

    def __init__(self, history: History, memory: Memory) -> None:
        setting = history.setting
        self.history = history
        self.stage = Stage.make(
            setting["miners"],
            lag=setting["lag"],
            timeout=setting["timeout"],
            tao_each=TAO_EACH,
            btc_coins=(50_000_000,) * setting["coins"],
            btc_every=setting["btc_every"],
        )
        if setting["strict_marks"]:
            self.stage.marks_need_active()
        manners = Manners(
            setting["confirm_after"], setting["timeout_after"], setting["btc_margin"] < 100,
            setting["absent_until"],
        )  # fmt: skip
        self.people = People(self.stage, manners)
        self.around = Surroundings(memory)
        self.policy = _policy(setting["btc_margin"])
        self.recovery = Entries()
        self.processes = [self._process("a"), self._process("b")]
        self.foreign = Foreign()
        self.counts: Counter[str] = Counter()
        self.trace: list[str] = []
        self.upset = 0
        self.restored = False
        self.violated = False
        self._born = self.height
        self._alone = 0
        self._backup: bytes | None = None
        self._later: list[tuple[int, Callable[[], None]]] = []
        self._away: dict[str, int] = {}

    def _process(self, name: str) -> Process:
        seed = self.history.seed
        return Process(
            self.stage, policy=self.policy, seed=seed, recovery=self.recovery, name=name, around=self.around
        )

    @property
    def first(self) -> Process:
        """The process that ought to run."""
        return self.processes[0]

    @property
    def height(self) -> int:
        """Best height of the contract's chain."""
        return self.stage.tao.best.height

    def leader(self) -> Process | None:
        """Who holds the cursor and runs."""
        return next((p for p in self.processes if p.is_up and p.leads and not p.is_stopped), None)

    # blocks

    async def begin(self) -> None:
        """The store is new, and the first process runs for the first time."""
        await self.around.memory.begin(self.stage.clock)
        self.first.launch()
        await self.round()

    async def block(self, *, rounds: bool = True) -> None:
        """A block, and what everybody does on it."""
        self._come_back()
        self.people.before_block()
        self.stage.tao_block()
        self.counts["blocks"] += 1
        if rounds:
            await self.round()

    async def round(self) -> None:
        """What the processes do on the heads as they are."""
        for process in self.processes:
            if not process.is_up:
                continue
            starts = process.starts
            await process.turn()
            self._look_at(process, starts)

    def _look_at(self, process: Process, starts: int) -> None:
        if not process.is_up and process.starts == starts and process.life.is_dead:
            self._died(process)
        elif process.is_stopped and process.name not in self._away:
            self._was_stopped(process)

    def _come_back(self) -> None:
        due = [undo for at, undo in self._later if at <= self.height]
        self._later = [(at, undo) for at, undo in self._later if at > self.height]
        for undo in due:
            undo()
        alive = any(p.is_up or p.is_stopped for p in self.processes)
        self._alone = 0 if alive else self._alone + 1
        if self._alone > LEFT_ALONE:
            self._start(self.first)

    def later(self, blocks: int, undo: Callable[[], None]) -> None:
        """Do something so many blocks from now."""
        self._later.append((self.height + blocks, undo))

    def _died(self, process: Process) -> None:
        self.counts["crashes"] += 1
        trap = self.around.traps.last
        self.tell(f"process {process.name} killed at {trap.kind if trap else ''} {trap.name if trap else ''}")
        self.later(process.life.away, lambda: self._start(process))

    def _was_stopped(self, process: Process) -> None:
        """It stands still; another process is started, and it goes on when its time is over."""
        self.counts["stops"] += 1
        self.tell(f"process {process.name} stopped for {process.life.away} blocks")
        self._away[process.name] = 1
        other = next(p for p in self.processes if p is not process)
        self._start(other)
        self.later(process.life.away, lambda: self._go_on(process))

    def _go_on(self, process: Process) -> None:
        self._away.pop(process.name, None)
        self.tell(f"process {process.name} goes on")
        process.go_on()

    def _start(self, process: Process) -> None:
        if not process.is_up and not process.is_stopped:
            self.counts["restarts"] += process.starts > 0
            self.counts["takeovers"] += any(p.is_up for p in self.processes)
            self.tell(f"process {process.name} starts")
            process.launch()

    def tell(self, line: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"block {self.height}: {line}")

    # actions

    async def do(self, action: Action) -> None:
        """Execute one action; one that cannot be done now does nothing."""
        args = {name: value for name, value in action.items() if name != "do"}
        if action["do"] == "block":
            await self.block()
            return
        self.tell(" ".join(str(value) for value in action.values()))
        done = getattr(self, f"_do_{action['do']}")(**args)
        if done is not None:
            await done

    def _resume(self) -> None:
        raw = self.around.memory.raw
        raw.execute("DELETE FROM paused")
        raw.commit()


def void(_value: object) -> None:
    """Forget a value."""


def _policy(btc_margin: int) -> Policy:
    rails = dict(POLICY.rails)
    rails[Chain.BTC] = replace(rails[Chain.BTC], margin_blocks=btc_margin)
    return replace(POLICY, rails=rails)
