"""A drained daemon serves everybody it was given, says what is left, and ends when nothing is."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from structlog.testing import capture_logs

from miner.affairs.drain import DRAIN
from miner.model import MinerStanding
from miner.saga import State
from miner.supervise import Supervisor
from tests.simulation.world import World
from tests.unit import service_worlds, test_services_supervise
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world
running = test_services_supervise.running


def inactive(world: World) -> None:
    """Every miner is as after its deactivation."""
    for miner in world.stage.miners:
        stood = MinerStanding(miner=miner.hotkey, height=0, active=False, has_swap=False, reserved_until=0)
        world.affairs.told[miner.hotkey] = stood


async def ask(world: World) -> None:
    await world.store.set_paused(DRAIN, True, "operator:tester")


async def over(world: World) -> bool:
    drain = world.supervisor._drain
    assert drain is not None
    return await drain.is_over(world.node.heads())


async def test_nothing_ends_that_was_not_asked_for(world: World) -> None:
    inactive(world)
    assert not await over(world)


async def test_an_open_swap_is_finished_first(world: World) -> None:
    inactive(world)
    swap_id = world.stage.open_swap()
    await world.round()
    await ask(world)
    with capture_logs() as logged:
        assert not await over(world)
    (line,) = [each for each in logged if each["event"] == "draining"]
    assert line["left"] == [f"1 open swap: {swap_id}", "1 transaction not final yet"]
    await world.block(2)
    assert await world.state(swap_id) is State.MARKED
    assert not await over(world)
    world.stage.vote("confirm_swap", swap_id=swap_id)
    await world.block(2)
    assert await world.state(swap_id) is State.COMPLETED
    assert await over(world)


async def test_a_swap_that_comes_after_the_asking_is_served(world: World) -> None:
    await ask(world)
    swap_id = world.stage.open_swap()
    await world.round()
    await world.block(2)
    assert await world.state(swap_id) is State.MARKED
    assert len(world.received(swap_id)) == 1


async def test_an_active_or_reserved_miner_is_left(world: World) -> None:
    await ask(world)
    hotkey = world.stage.miners[0].hotkey
    with capture_logs() as logged:
        assert not await over(world)
    name = world.stage.miners[0].name
    assert f"{name} is active: swap-miner deactivate --miner {name} --yes" in logged[0]["left"]
    inactive(world)
    height = world.node.heads().finalised.height
    reserved = replace(world.affairs.told[hotkey], height=height, reserved_until=height + 5)
    world.affairs.told[hotkey] = reserved
    await world.block()
    assert not await over(world)
    inactive(world)
    await world.block()
    assert await over(world)


async def test_what_could_not_be_read_is_left(world: World) -> None:
    inactive(world)
    await ask(world)
    world.link.failing["standing"] = 1
    assert not await over(world)
    await world.block()
    assert await over(world)


async def test_it_holds_across_restarts_until_resume(make_world: MakeWorld) -> None:
    world = await make_world(on_disk=True)
    inactive(world)
    await ask(world)
    await world.restart(crash=True)
    inactive(world)
    await world.round()
    assert await over(world)
    await world.store.set_paused(DRAIN, False, "operator:tester")
    await world.block()
    assert not await over(world)


async def test_the_daemon_ends_by_itself(running: tuple[World, Supervisor, asyncio.Event]) -> None:
    world, supervisor, stop = running
    inactive(world)
    await ask(world)
    async with asyncio.timeout(60):
        await supervisor.run(stop)
    assert stop.is_set()
