"""A fleet of miners in one daemon, and blocks made by hand.

After each block the daemon is given the time to end its round on it, so that no count depends on how fast
the machine is.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from tests.acceptance.daemon import Daemon
from tests.devnet.contract import Swap, Terms
from tests.devnet.driver import Opened, Plan
from tests.devnet.settings import write_config
from tests.devnet.terms import ChainName
from tests.devnet.world import Devnet

SWEEP_BLOCKS = 25
"""Blocks between two sweeps: what the config has where it says nothing."""
TIMEOUT_BLOCKS = 1000
"""So long that no deadline comes into what is measured."""
ROUND_S = 120.0
"""Longest that a round may take."""


@dataclass(frozen=True)
class Requests:
    """Requests at the nodes by method, those of the players left out."""

    chain: Counter[str]
    bitcoin: Counter[str]

    @property
    def total(self) -> int:
        """All of them."""
        return self.chain.total() + self.bitcoin.total()

    def by_method(self) -> dict[str, int]:
        """Counts by method, the most frequent first."""
        return dict((self.chain + self.bitcoin).most_common())


class Fleet:
    """A devnet, and the daemon that serves all its miners.

    Attributes:
        devnet: Both chains and their players.
        folder: Of config and state.
    """

    def __init__(self, devnet: Devnet, folder: Path, stack: AsyncExitStack) -> None:
        self.devnet = devnet
        self.folder = folder
        self._daemon: Daemon | None = None
        self._open: list[int] = []
        self._config = write_config(folder, devnet, lease_ttl_s=30, sweep_blocks=SWEEP_BLOCKS)
        self._stack = stack

    @classmethod
    async def start(cls, miners: int) -> Self:
        """Start both chains and the daemon, and wait until it is ready.

        Args:
            miners: How many.
        """
        async with AsyncExitStack() as stack:
            terms = Terms(fulfillment_timeout_blocks=TIMEOUT_BLOCKS)
            devnet = await Devnet.start(miners=miners, users=64, validators=1, wallet="miners", terms=terms)
            await stack.enter_async_context(devnet)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="swap-miner-bench-")))
            fleet = cls(devnet, folder, stack.pop_all())
        try:
            await fleet.start_again()
        except BaseException:
            await fleet.stop()
            raise
        return fleet

    async def start_again(self) -> float:
        """Start the daemon, and wait until it is ready; its CPU time at that, seconds."""
        self._daemon = await Daemon.start(self._config)
        await self._daemon.ready()
        return self.cpu_s()

    async def stop(self) -> None:
        """End everything."""
        if self._daemon is not None:
            await self._daemon.kill()
        await self._stack.aclose()

    @property
    def daemon(self) -> Daemon:
        """The process that runs, or ran last."""
        assert self._daemon is not None, "the daemon was not started"
        return self._daemon

    @property
    def store_file(self) -> Path:
        """The daemon's database."""
        return self.folder / "state" / "swap-miner.sqlite"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    # time

    async def caught_up(self) -> int:
        """Wait until the daemon has ended a round on the chain's heads; the best head's height."""
        heads = await self.devnet.chain.heads()
        await self.daemon.until(
            lambda line: (
                line.get("event") == "round"
                and line.get("height", -1) >= heads.finalised_number
                and line.get("best", -1) >= heads.number
            ),
            timeout_s=ROUND_S,
        )
        return heads.number

    async def block(self, count: int = 1) -> int:
        """Make blocks, each followed by the daemon before the next; the last one's height."""
        height = 0
        for _ in range(count):
            await self.devnet.chain.new_block()
            height = await self.caught_up()
        return height

    # swaps

    async def open(self, count: int, source: ChainName = ChainName.BTC) -> list[Opened]:
        """Open one swap each of the first miners, all in one block; what led to it is not counted."""
        driver = self.devnet.driver
        plans = [Plan(self.devnet.miners[i], source=source, user=i) for i in range(count)]
        requests = await driver.reserve(plans)
        payments = await driver.pay(plans)
        await self.block()
        await self.requests()
        opened = await driver.initiate(plans, requests, payments)
        self._open += [each.id for each in opened]
        await self.caught_up()
        return opened

    async def swaps(self, opened: Sequence[Opened]) -> list[Swap]:
        """The swaps as the contract holds them now."""
        found = [await self.devnet.contract.swap(each.id) for each in opened]
        return [swap for swap in found if swap is not None]

    async def until_fulfilled(
        self, opened: Sequence[Opened], limit: int = 60, *, mine_btc: bool = False
    ) -> list[Swap]:
        """Make blocks until the contract shows every swap fulfilled; the swaps then.

        Args:
            opened: The swaps.
            limit: Most blocks.
            mine_btc: Whether a Bitcoin block is mined before each.

        Raises:
            AssertionError: Not all are, after so many blocks.
        """
        for _ in range(limit):
            if mine_btc:
                await self.devnet.bitcoin.mine()
            await self.block()
            swaps = await self.swaps(opened)
            if all(swap.status == "Fulfilled" for swap in swaps):
                return swaps
        raise AssertionError(f"not fulfilled in {limit} blocks: {self.daemon.tail()}")

    async def complete(self, count: int | None = None, *, newest: bool = False) -> None:
        """Have the validators complete open swaps, and the daemon see it; all, or so many of the oldest.

        Args:
            count: How many.
            newest: Whether the newest are meant instead.
        """
        ids = self._open[-count:] if newest and count else self._open[:count]
        self._open = [each for each in self._open if each not in ids]
        await self.devnet.validators.confirm(*ids)
        await self.caught_up()

    # measures

    async def requests(self) -> Requests:
        """Requests since this was asked last."""
        chain = await self.devnet.chain.requests(reset=True)
        bitcoin = await self.devnet.bitcoin.requests(reset=True)
        return Requests(Counter(chain), Counter(bitcoin))

    def cpu_s(self) -> float:
        """User and system CPU time of the daemon so far, seconds."""
        used = self._process().cpu_times()
        return float(used.user + used.system)

    def peak_rss_mb(self) -> float:
        """The most memory the daemon ever had resident, MiB."""
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def _process(self) -> psutil.Process:
        return psutil.Process(self.daemon.process.pid)
