"""Several lives on one devnet, in step: a block is made when all have worked on the one before.

Each life has its own store, miners and deaths, so that none touches another; what they share is the chains.
What goes wrong in one is kept with it, and the others play on.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence

from tests.acceptance.crashes.life import Life
from tests.devnet.driver import Bad, Opened, Plan
from tests.devnet.terms import ChainName
from tests.devnet.validators import Verdict
from tests.devnet.world import Devnet

MOST_BLOCKS = 60
FUNDS_SAT = 3_000_000
"""What each miner gets anew: Bitcoin's past is not put back between plays."""
_SOURCE = {ChainName.TAO: ChainName.BTC, ChainName.BTC: ChainName.TAO}
_users = itertools.cycle(range(30, 330))


class Troupe:
    """Lives that play one scenario together.

    Attributes:
        devnet: Both chains.
        lives: All of them.
        dest: The chain that they pay on.
    """

    def __init__(self, devnet: Devnet, lives: Sequence[Life], dest: ChainName) -> None:
        self.devnet = devnet
        self.lives = tuple(lives)
        self.dest = dest

    @property
    def playing(self) -> list[Life]:
        """Those in which nothing has gone wrong."""
        return [life for life in self.lives if not life.failure]

    async def each(self, work: Callable[[Life], Awaitable[object]]) -> None:
        """Do something with each life that plays, at once; who fails plays no more."""

        async def one(life: Life) -> None:
            try:
                await work(life)
            except Exception as error:  # noqa: BLE001 (whatever it is, it fails this life's case alone)
                life.failure = f"{type(error).__name__}: {error}"

        await asyncio.gather(*(one(life) for life in self.playing))

    @property
    def swaps(self) -> list[tuple[Life, Opened]]:
        """Every swap, with the life that is to serve it."""
        return [(life, swap) for life in self.lives for swap in life.swaps]

    async def begin(self, changes: Sequence[tuple[str, str]] = ()) -> None:
        """Funds, configs, processes; ready."""
        await self.prepare(changes)
        await self.start()

    async def prepare(self, changes: Sequence[tuple[str, str]] = ()) -> None:
        """Funds and configs; no process yet."""
        if self.dest is ChainName.BTC:
            miners = [self.devnet.miners[index] for life in self.lives for index in life.miners]
            await self.devnet.bitcoin.fund_many({miner.btc_address: FUNDS_SAT for miner in miners})
        for life in self.lives:
            life.configure(changes)

    async def start(self) -> None:
        """Start every process, and wait until it is ready."""

        async def begun(life: Life) -> None:
            await life.start()
            await life.ready()

        await self.each(begun)

    async def open(self, bad: Bad | None = None) -> None:
        """Open a swap for every miner, all in one block, which every daemon that runs then takes in."""
        source = _SOURCE[self.dest]
        whose = [(life, index) for life in self.lives for index in life.miners]
        plans = [
            Plan(self.devnet.miners[index], source=source, user=next(_users), bad=bad or Bad())
            for _, index in whose
        ]
        for (life, _), opened in zip(whose, await self.devnet.driver.open_swaps(plans), strict=True):
            life.swaps.append(opened)
        await self.followed()

    async def block(self, count: int = 1) -> None:
        """One block of both chains at a time; every daemon works on each before the next."""
        for _ in range(count):
            await self.devnet.bitcoin.mine()
            await self.devnet.chain.new_block()
            await self.followed()

    async def followed(self) -> None:
        """Wait until every daemon has worked on the finalised head as it is."""
        height = (await self.devnet.chain.heads()).finalised_number

        async def follow(life: Life) -> None:
            if life.running:
                await life.followed(height)

        await self.each(follow)

    async def until(self, done: Callable[[Life], bool], what: str, blocks: int = MOST_BLOCKS) -> None:
        """Make blocks until it is so for every life that plays; a life for which it never is has failed."""
        for _ in range(blocks):
            if all(done(life) for life in self.playing):
                return
            await self.block()
        for life in self.playing:
            if not done(life):
                life.failure = f"not {what} within {blocks} blocks: {life.states()}\n{life.daemon.tail(80)}"

    async def judged(self, blocks: int = MOST_BLOCKS) -> None:
        """Make blocks, with validators judging, until no swap is open."""
        for _ in range(blocks):
            if not self.playing:
                return
            judgements = await self.devnet.validators.judge()
            settled = (Verdict.CONFIRM, Verdict.TIMEOUT)
            if all(judged.verdict in settled for judged in judgements.values()):
                await self.followed()
                return
            await self.block()
        for life in self.playing:
            if not life.at_rest():
                life.failure = f"still open after {blocks} blocks: {life.states()}\n{life.daemon.tail(80)}"

    async def leap(self, blocks: int) -> None:
        """Many blocks of the contract's chain at once, which every daemon then takes in."""
        await self.devnet.chain.new_block(blocks)
        await self.followed()

    async def timed_out(self) -> None:
        """Make blocks until every swap's time is over, and have the validators say so."""
        deadline = max(swap.swap.timeout_block for _, swap in self.swaps)
        left = deadline - (await self.devnet.chain.heads()).number
        await self.leap(max(left, 1))
        await self.devnet.validators.timeout(*(swap.id for _, swap in self.swaps))
        await self.followed()

    async def rest(self) -> None:
        """Make blocks until every saga has ended and its lanes are closed; then end every process."""
        await self.until(lambda life: life.at_rest(), "at rest")
        await self.each(lambda life: life.stop())

    async def close(self) -> None:
        """Leave no process behind."""
        await asyncio.gather(*(life.kill() for life in self.lives))
