"""The demo's course: which swaps there are, what happens to the daemon, and what must come of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.acceptance.daemon import Daemon
from tests.demo.evidence import Auditor, Evidence
from tests.devnet.contract import Terms
from tests.devnet.driver import Bad, Opened, Plan
from tests.devnet.settings import write_config
from tests.devnet.terms import ChainName
from tests.devnet.world import Devnet

MINERS = 14
BLOCK_S = 2.0
BTC_BLOCK_S = 5.0
TIMEOUT_BLOCKS = 120
MARGIN_BLOCKS = 12
SETTLE_S = 150.0

PAID_ONCE = "paid once, Completed"
UNDERPAID = "user underpaid: refused"
TOO_LATE = "inside the margin: refused"
REJECTED = "paid once, mark rejected: held"


@dataclass
class Act:
    """One swap of the demo.

    Attributes:
        opened: The swap.
        expected: What must come of it.
        note: What is special about it.
        evidence: What the chains say in the end.
    """

    opened: Opened
    expected: str
    note: str = ""
    evidence: Evidence | None = None

    @property
    def direction(self) -> str:
        """`btc→tao` or `tao→btc`."""
        return f"{self.opened.swap.source_chain}→{self.opened.swap.dest_chain}"

    @property
    def settled(self) -> bool:
        """Whether nothing more is awaited of it."""
        if self.evidence is None:
            return False
        if self.expected == PAID_ONCE:
            return self.evidence.status in ("Completed", "TimedOut")
        return True

    def outcome(self, recovery_entries: int) -> str:
        """What came of it, in the words of `expected` where it is that."""
        seen = self.evidence
        if seen is None:
            return "unknown"
        if seen.payouts == 1 and seen.status == "Completed":
            return PAID_ONCE
        if seen.payouts == 1 and seen.marked_id not in ("", *seen.txids) and recovery_entries == 1:
            return REJECTED
        if seen.payouts == 0 and seen.status in ("Active", "TimedOut"):
            return self.expected if self.expected in (UNDERPAID, TOO_LATE) else f"unpaid, {seen.status}"
        return f"{seen.payouts} payouts, {seen.status}"


@dataclass
class Story:
    """The demo under way.

    Attributes:
        devnet: Both chains.
        folder: The daemon's config and state.
        auditor: Reads the chains.
        acts: Every swap so far.
        daemon: The process that runs now.
        say: Tells the person watching what happens.
    """

    devnet: Devnet
    folder: Path
    auditor: Auditor
    say: Callable[[str], None]
    acts: list[Act] = field(default_factory=list)
    daemon: Daemon | None = None
    config: Path | None = None
    kills: int = 0

    async def start_daemon(self) -> None:
        """Start `swap-miner run` and wait until it follows."""
        self.config = self.config or write_config(self.folder, self.devnet, tao_margin=MARGIN_BLOCKS)
        self.daemon = await Daemon.start(self.config)
        await self.daemon.ready()

    @property
    def running(self) -> Daemon:
        """The process that runs now."""
        assert self.daemon is not None, "the daemon has not been started"
        return self.daemon

    async def normal_and_underpaid(self) -> None:
        """Eight good swaps, four a direction, and one whose user paid too little: all in one block."""
        plans = [self._plan(i, ChainName.BTC if i % 2 == 0 else ChainName.TAO) for i in range(8)]
        short = self._plan(8, ChainName.BTC)
        plans.append(replace(short, bad=Bad(paid_amount=short.amount - 1)))
        opened = await self.devnet.driver.open_swaps(plans)
        self.acts += [Act(o, PAID_ONCE) for o in opened[:8]]
        self.acts.append(Act(opened[8], UNDERPAID, "1 sat short"))

    async def inside_margin(self) -> None:
        """A swap that appears so late that a payout could not be marked and confirmed in time."""
        await self.devnet.contract.set_timeout(MARGIN_BLOCKS - 1)
        opened = await self.devnet.driver.open_swap(self._plan(9, ChainName.BTC))
        await self.devnet.contract.set_timeout(TIMEOUT_BLOCKS)
        self.acts.append(Act(opened, TOO_LATE, f"{MARGIN_BLOCKS - 1} blocks left, {MARGIN_BLOCKS} needed"))

    async def mark_rejected(self) -> None:
        """Somebody else with the hotkey marks the swap with another id, in the payout's block."""
        plan = self._plan(10, ChainName.BTC)
        opened = await self.devnet.driver.open_swap(plan)
        self.acts.append(Act(opened, REJECTED, "marked with a foreign id"))
        await self._payout_broadcast(opened)
        told = {
            "swap_id": opened.id,
            "dest_tx_hash": "0x" + "ab" * 32,
            "dest_tx_block": (await self.devnet.chain.heads()).number,
            "dest_amount": opened.swap.dest_amount,
        }
        await self.devnet.contract.execute([(opened.swap.miner, "mark_fulfilled", told)])

    async def killed(self) -> None:
        """SIGKILL between the broadcast of a payout and the record of its inclusion; then a restart."""
        plans = [self._plan(11, ChainName.BTC), self._plan(12, ChainName.TAO)]
        opened = await self.devnet.driver.open_swaps(plans)
        self.acts += [Act(o, PAID_ONCE, "daemon killed after the broadcast") for o in opened]
        for swap in opened:
            await self._payout_broadcast(swap)
        await self.running.kill()
        self.kills += 1
        self.say("SIGKILL: two payouts were broadcast, and neither inclusion is recorded")
        await self.devnet.chain.new_block(2)
        await self.devnet.bitcoin.mine()
        await self.start_daemon()

    async def _payout_broadcast(self, opened: Opened) -> None:
        await self.running.event("broadcast", swap_id=opened.id, purpose="payout")

    def _plan(self, index: int, source: ChainName) -> Plan:
        return Plan(self.devnet.miners[index], source=source, user=index)

    async def look(self) -> None:
        """Bring every swap's evidence up to date."""
        for act in self.acts:
            if act.evidence is None or act.evidence.status not in ("Completed", "TimedOut"):
                act.evidence = await self.auditor.of(act.opened.swap)

    async def settle(self) -> None:
        """Wait until every swap has come to where it must."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while not all(act.settled for act in self.acts):
                    await asyncio.sleep(BLOCK_S)
                    await self.look()


@contextlib.asynccontextmanager
async def clock(devnet: Devnet) -> AsyncIterator[None]:
    """Both chains on a clock, validators at work."""

    async def mine() -> None:
        while True:
            await asyncio.sleep(BTC_BLOCK_S)
            await devnet.bitcoin.mine()

    await devnet.chain.set_clock(BLOCK_S)
    tasks = [asyncio.create_task(mine()), asyncio.create_task(devnet.validators.follow(BLOCK_S, extend=True))]
    try:
        yield
    finally:
        await devnet.chain.set_clock(None)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


TERMS = Terms(fulfillment_timeout_blocks=TIMEOUT_BLOCKS)
