"""The bench in small: counts and ratios of five miners; for CPU and memory only what is far too much."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.bench import measure
from tests.bench.fleet import SWEEP_BLOCKS, Fleet
from tests.bench.targets import FIGURES, missed
from tests.devnet.terms import ChainName

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINERS = 5
LAG = 3
IDLE_BLOCKS = SWEEP_BLOCKS + 1
ENDED, OPEN = 300, 60


@dataclass(frozen=True)
class Figures:
    one: measure.Course
    many: measure.Course
    late: measure.Course
    idle: measure.Idle
    btc: measure.Course
    again: measure.Restart


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def figures() -> AsyncIterator[Figures]:
    """Everything is measured once, on one fleet."""
    async with await Fleet.start(MINERS) as fleet:
        one = await measure.course(fleet, 1)
        await fleet.complete()
        many = await measure.course(fleet, MINERS)
        await fleet.complete(2)
        late = await measure.course(fleet, 1, lag=LAG)
        await fleet.complete(1, newest=True)
        btc = await measure.course(fleet, 2, source=ChainName.TAO)
        idle = await measure.idle(fleet, IDLE_BLOCKS)
        again = await measure.restart(fleet, ended=ENDED, opened=OPEN, idle_blocks=3)
        yield Figures(one, many, late, idle, btc, again)


async def test_a_swap_is_paid_in_the_next_block_and_marked_in_the_one_after(figures: Figures) -> None:
    assert (figures.one.payout, figures.one.fulfilled) == (1, 2)


async def test_many_swaps_in_one_block_take_no_more_blocks_than_one(figures: Figures) -> None:
    assert (figures.many.payout, figures.many.fulfilled) == (figures.one.payout, figures.one.fulfilled)


async def test_with_a_lag_each_send_is_in_the_block_that_finalises_its_cause(figures: Figures) -> None:
    assert (figures.late.payout, figures.late.fulfilled) == (LAG + 1, 2 * (LAG + 1))


async def test_an_idle_block_costs_a_request_and_a_sweep_few(figures: Figures) -> None:
    # three waiting swaps, two payouts that wait for Bitcoin blocks, three ended
    assert figures.idle.usual <= 3, figures.idle.requests.by_method()
    assert figures.idle.mean <= 4, figures.idle.requests.by_method()
    assert figures.idle.most <= 15, figures.idle.per_block


async def test_each_further_swap_costs_less_than_ten_requests(figures: Figures) -> None:
    each = (figures.many.requests.total - figures.one.requests.total) / (MINERS - 1)
    assert each <= 10, figures.many.requests.by_method()
    assert figures.many.requests_per_swap <= 15, figures.many.requests.by_method()


async def test_a_long_history_costs_little(figures: Figures) -> None:
    again = figures.again
    assert again.sagas["COMPLETED"] >= ENDED
    assert again.sagas["MARKED"] >= OPEN
    assert again.idle.usual <= 3, again.idle.requests.by_method()
    assert again.requests.total <= 80, again.requests.by_method()
    assert again.cpu_s < 5
    assert again.rss_mb < 150


async def test_every_figure_has_a_target_that_can_be_missed() -> None:
    values = dict.fromkeys((figure.key for figure in FIGURES), 0.0)
    assert not missed(values)
    assert len(missed(dict.fromkeys(values, 1000000.0))) == len(FIGURES)
