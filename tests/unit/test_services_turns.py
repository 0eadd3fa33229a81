"""Whose turn a look is: nobody is asked twice what cannot have changed; and a sweep's share of many swaps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miner.amounts import Chain
from miner.model import Head, Lane, LaneState
from miner.ports import Heads
from miner.settle.turns import LOOK_AGAIN_MS, Turns
from miner.watch import SWEPT_AT_ONCE, sweeps_share
from tests.simulation.world import World
from tests.unit import service_worlds
from tests.unit.cases import NOW, a_head, a_mark, a_payout

make_world, world = service_worlds.make_world, service_worlds.world


@pytest.fixture
def lanes(world: World) -> list[Lane]:
    """A payout on each chain, and a mark."""
    tao, btc = (world.desk.rails[chain].chain_id for chain in (Chain.TAO, Chain.BTC))
    return [
        replace(a_payout(), id=1, chain=tao),
        replace(a_mark(), id=2, chain=tao),
        replace(a_payout(LaneState.IN_BLOCK), id=3, chain=btc),
    ]


def heads(best: int, finalised: int) -> Heads:
    return Heads(a_head(best), a_head(finalised))


def ids(lanes: list[Lane]) -> list[int]:
    return [lane.id for lane in lanes]


class TestTurns:
    async def test_every_lane_is_looked_at_first(self, world: World, lanes: list[Lane]) -> None:
        assert ids(Turns(world.desk).take(lanes, heads(10, 9), NOW)) == [1, 2, 3]

    async def test_no_news_is_no_turn(self, world: World, lanes: list[Lane]) -> None:
        turns = Turns(world.desk)
        turns.take(lanes, heads(10, 9), NOW)
        assert turns.take(lanes, heads(10, 9), NOW + LOOK_AGAIN_MS - 1) == []

    async def test_a_finalised_head_is_news_of_its_own_chain_only(
        self, world: World, lanes: list[Lane]
    ) -> None:
        turns = Turns(world.desk)
        turns.take(lanes, heads(10, 9), NOW)
        assert ids(turns.take(lanes, heads(10, 10), NOW)) == [1, 2]
        assert ids(turns.take(lanes, heads(11, 10), NOW)) == [1, 2, 3]

    async def test_a_fork_is_news(self, world: World, lanes: list[Lane]) -> None:
        turns = Turns(world.desk)
        turns.take(lanes, heads(10, 9), NOW)
        assert ids(turns.take(lanes, Heads(Head(10, "0x" + "f0" * 32), a_head(9)), NOW)) == [1, 2, 3]

    async def test_what_failed_is_looked_at_again(self, world: World, lanes: list[Lane]) -> None:
        turns = Turns(world.desk)
        turns.take(lanes, heads(10, 9), NOW)
        turns.again()
        assert ids(turns.take(lanes, heads(10, 9), NOW)) == [1, 2, 3]

    async def test_while_the_chain_stands_still_all_have_a_turn_a_minute(
        self, world: World, lanes: list[Lane]
    ) -> None:
        turns = Turns(world.desk)
        turns.take(lanes, heads(10, 9), NOW)
        assert ids(turns.take(lanes, heads(10, 9), NOW + LOOK_AGAIN_MS)) == [1, 2, 3]
        assert turns.take(lanes, heads(10, 9), NOW + LOOK_AGAIN_MS) == []


class TestASweepsShare:
    def test_as_many_as_there_usually_are_are_read_each_time(self) -> None:
        ids = list(range(SWEPT_AT_ONCE))
        assert sweeps_share(ids, 7) == ids

    def test_each_of_very_many_has_its_turn(self) -> None:
        ids = list(range(1, 2 * SWEPT_AT_ONCE + 11))
        read: list[int] = []
        for _ in range(3):
            share = sweeps_share(ids, read[-1] if read else 0)
            assert len(share) == SWEPT_AT_ONCE
            read += share
        assert set(read) == set(ids)

    def test_one_that_comes_in_between_is_not_passed_over(self) -> None:
        ids = list(range(0, 10 * SWEPT_AT_ONCE, 2))
        share = sweeps_share(ids, 0)
        assert sweeps_share(sorted([*ids, share[-1] + 1]), share[-1])[0] == share[-1] + 1
