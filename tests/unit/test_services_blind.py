"""What a round does, and says, when something that it needs cannot be read, or is behind."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from miner.model import Head, Lane, Mark, Sighting
from miner.ports import Heads
from miner.saga import State
from miner.settle import round as settle_round
from tests.simulation.world import STALL_S, World
from tests.unit import service_worlds
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world


async def test_without_the_contracts_settings_what_was_begun_goes_on(make_world: MakeWorld) -> None:
    """A payout and a mark that are out are looked at and sent again; no new swap is begun; it is told."""
    world = await make_world(miners=2)
    begun = world.stage.open_swap()
    world.stage.tao.pool.clear()
    await world.round()
    assert await world.state(begun) is State.SIGNED
    world.stage.tao.pool.clear()  # the node forgot it
    later = world.stage.open_swap(miner=1)
    world.link.failing["terms"] = -1
    for _ in range(12):
        await world.block()
    assert await world.state(later) is State.DISCOVERED
    assert await world.state(begun) is State.MARKED
    assert (world.told.is_ready, "terms" in world.told.why) == (False, True)
    world.link.failing.clear()
    await world.block(6)
    assert (world.told.is_ready, await world.state(later)) == (True, State.MARKED)


async def test_a_stall_of_finality_is_told_until_it_ends(world: World) -> None:
    world.stage.tao.stalled = True
    world.stage.clock.now_ms += round(STALL_S * 1000) + 1
    await world.block()
    assert (world.told.is_ready, "finalised" in world.told.why) == (False, True)
    world.stage.tao.stalled = False
    await world.block()
    assert (world.told.is_ready, world.told.why) == (True, "")


async def test_no_first_send_by_heads_that_are_behind_what_is_known(world: World) -> None:
    """A node that serves an older head says nothing of how near a deadline is."""
    await world.block(3)
    swap_id = world.stage.open_swap()
    await world.store.set_paused("all", True, "operator")
    await world.block()
    await world.store.set_paused("all", False, "operator")
    heads = world.node.heads()
    old = next(
        head for head in await world.store.recent_heads(64) if head.height == heads.finalised.height - 1
    )
    await world.supervisor.once(Heads(old, old))
    assert await world.state(swap_id) is State.VERIFIED
    assert (world.told.is_ready, "is known" in world.told.why) == (False, True)
    await world.supervisor.once(heads)
    assert (world.told.is_ready, await world.state(swap_id)) == (True, State.SIGNED)


async def test_a_swap_whose_reads_hang_is_cut_off_and_holds_up_no_other(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle_round, "SAGA_S", 1.0)
    world = await make_world(miners=2)
    stuck, other = world.stage.open_swap(), world.stage.open_swap(miner=1)
    real, released = world.contract.try_mark, asyncio.Event()

    async def try_mark(mark: Mark, at: Head) -> None:
        if mark.swap_id == stuck and not released.is_set():
            await asyncio.Event().wait()
        await real(mark, at)

    monkeypatch.setattr(world.contract, "try_mark", try_mark)
    with capture_logs() as lines:
        await world.round()
    assert [line["swap_id"] for line in lines if line["event"] == "swap_cut_off"] == [stuck]
    assert await world.state(stuck) is State.VERIFIED
    assert await world.state(other) is State.SIGNED
    released.set()
    await world.block()
    assert await world.state(stuck) is State.SIGNED


async def test_a_lane_whose_look_hangs_is_cut_off_and_the_others_are_seen(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle_round, "LOOK_S", 1.0)
    world = await make_world(miners=2)
    stuck, other = world.stage.open_swap(), world.stage.open_swap(miner=1)
    await world.round()
    lane = await world.payout(stuck)
    rail = world.tao
    real, released = rail.locate, asyncio.Event()

    async def locate(asked: Lane) -> Sighting:
        if asked.id == lane.id and not released.is_set():
            await asyncio.Event().wait()
        return await real(asked)

    monkeypatch.setattr(rail, "locate", locate)
    await world.block()
    assert await world.state(stuck) is State.SIGNED
    assert await world.state(other) is State.MARKING
    released.set()
    await world.block()
    assert await world.state(stuck) is State.MARKING
