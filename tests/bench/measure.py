"""What is measured, each on a fleet that is at rest before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tests.bench.fleet import Fleet, Requests
from tests.bench.history import lengthen
from tests.devnet.contract import Swap
from tests.devnet.terms import ChainName


@dataclass(frozen=True)
class Course:
    """How swaps that became active in one block went.

    Attributes:
        swaps: How many.
        payout: Most blocks from the swap's block to its payout's.
        fulfilled: Most blocks from the swap's block to its mark's.
        requests: From the swap's block on until the mark was finalised.
        cpu_s: CPU time of the daemon in that time, seconds.
    """

    swaps: int
    payout: int
    fulfilled: int
    requests: Requests
    cpu_s: float

    @property
    def requests_per_swap(self) -> float:
        """Requests at both nodes, for each swap."""
        return self.requests.total / self.swaps


@dataclass(frozen=True)
class Idle:
    """Blocks in which nothing happened to any of our swaps.

    Attributes:
        per_block: Requests in each.
        requests: All of them.
        cpu_ms: CPU time of the daemon for a block, milliseconds.
    """

    per_block: Sequence[int]
    requests: Requests
    cpu_ms: float

    @property
    def mean(self) -> float:
        """Requests for a block, sweeps included."""
        return fmean(self.per_block)

    @property
    def usual(self) -> int:
        """Requests of the block in the middle: one without a sweep."""
        return sorted(self.per_block)[len(self.per_block) // 2]

    @property
    def most(self) -> int:
        """Requests in the block with the most: one with a sweep."""
        return max(self.per_block)


@dataclass(frozen=True)
class Restart:
    """A start over a long history.

    Attributes:
        sagas: How many there were in each state.
        cpu_s: User and system CPU time of the process when it said it was ready, seconds.
        requests: Requests until then.
        rss_mb: Most memory until then, MiB.
        idle: Idle blocks after it.
    """

    sagas: dict[str, int]
    cpu_s: float
    requests: Requests
    rss_mb: float
    idle: Idle


async def course(fleet: Fleet, count: int, *, lag: int = 0, source: ChainName = ChainName.BTC) -> Course:
    """Open swaps in one block and follow them until their marks are finalised; leaves them fulfilled.

    Args:
        fleet: At rest, its first `count` miners without a swap.
        count: How many.
        lag: Blocks between the best and the finalised head.
        source: The chain on which the users pay.
    """
    await fleet.devnet.chain.set_finality_lag(lag)
    opened = await fleet.open(count, source)
    began = fleet.cpu_s()
    swaps = await fleet.until_fulfilled(opened, mine_btc=source is ChainName.TAO)
    await fleet.block(lag)
    used, requests = fleet.cpu_s() - began, await fleet.requests()
    await fleet.devnet.chain.set_finality_lag(0)
    await fleet.block()
    fulfilled = max(swap.fulfilled_block - swap.initiated_block for swap in swaps)
    return Course(count, max(map(_to_payout, swaps)), fulfilled, requests, used)


def _to_payout(swap: Swap) -> int:
    """Blocks to the payout's; 0 where it is on Bitcoin, whose blocks are others."""
    return swap.dest_tx_block - swap.initiated_block if swap.dest_chain == ChainName.TAO else 0


async def idle(fleet: Fleet, blocks: int) -> Idle:
    """Make blocks in which nothing happens."""
    await fleet.block()
    await fleet.requests()
    began = fleet.cpu_s()
    told = []
    for _ in range(blocks):
        await fleet.block()
        told.append(await fleet.requests())
    together = Requests(sum((r.chain for r in told), Counter()), sum((r.bitcoin for r in told), Counter()))
    return Idle([r.total for r in told], together, 1000 * (fleet.cpu_s() - began) / blocks)


async def restart(fleet: Fleet, *, ended: int, opened: int, idle_blocks: int) -> Restart:
    """Stop the daemon, make its history long, and start it again.

    Args:
        fleet: With swaps both completed and fulfilled.
        ended: Ended sagas to add.
        opened: Open sagas to add.
        idle_blocks: Blocks to look at afterwards.
    """
    await fleet.daemon.stop()
    sagas = await lengthen(fleet.devnet, fleet.store_file, ended=ended, opened=opened)
    await fleet.requests()
    cpu_s = await fleet.start_again()
    rss_mb, requests = fleet.peak_rss_mb(), await fleet.requests()
    await fleet.caught_up()
    return Restart(dict(sagas), cpu_s, requests, rss_mb, await idle(fleet, idle_blocks))
