"""An owner empties an account that is signed for: its nonces count from 0 again."""

from __future__ import annotations

import pytest

from miner.amounts import Chain
from miner.app.clearing import clear_over
from miner.errors import Refused
from miner.model import LaneState
from miner.saga import State
from miner.settle.books import LONGEST_LIFE
from tests.simulation.stage import TAO, tao_address
from tests.simulation.world import SWEEP_BLOCKS, World
from tests.unit import service_worlds

make_world, world = service_worlds.make_world, service_worlds.world


async def empty(world: World, account: str) -> None:
    """All that it has is gone in one block, and it is sent money in the next."""
    free = world.stage.tao.best.state.account(account).free
    world.stage.drain(account, free)
    await world.block()
    assert world.stage.tao.best.state.account(account).nonce == 0
    world.stage.send_tao(tao_address("bank"), account, free)
    await world.block()


async def resume(world: World, account: str) -> bool | None:
    return await clear_over(world.desk.rails, world.store, account, "operator")


async def stopped(world: World) -> list[str]:
    return [row.account for row in await world.store.accounts() if row.stopped]


async def test_an_open_payout_is_made_anew_once_its_bytes_are_dead_and_a_person_says_so(world: World) -> None:
    account = world.stage.miners[0].accounts[Chain.TAO]
    first = world.stage.open_swap()
    await world.block(3)
    assert await world.state(first) is State.MARKED
    world.link.lost_sends = 1
    swap_id = world.stage.open_swap()
    await world.round()
    lane = await world.payout(swap_id)
    assert lane.slot == "1"
    await empty(world, account)
    await world.block(SWEEP_BLOCKS)
    assert await stopped(world) == [account]
    with pytest.raises(Refused, match="old_bytes_are_valid_again"):
        await resume(world, account)
    await world.block(LONGEST_LIFE)
    (before,) = await world.store.lanes_of((await world.saga(swap_id)).id)
    assert (before.id, before.state) == (lane.id, LaneState.DEAD)
    assert world.received(swap_id) == []
    assert await resume(world, account)
    await world.block(4)
    assert (await world.payout(swap_id)).slot == "0"
    assert await world.state(swap_id) is State.MARKED
    assert len(world.received(swap_id)) == 1


async def test_a_hotkey_is_stopped_and_marks_once_a_person_says_so(world: World) -> None:
    hotkey = world.stage.miners[0].hotkey
    first = world.stage.open_swap()
    await world.block(3)
    assert await world.state(first) is State.MARKED
    swap_id = world.stage.open_swap()
    await world.round()
    world.link.lost_sends = 1
    await world.block()
    assert await world.state(swap_id) is State.MARKING
    await empty(world, hotkey)
    await world.block(SWEEP_BLOCKS)
    assert await stopped(world) == [hotkey]
    with pytest.raises(Refused, match="old_bytes_are_valid_again"):
        await resume(world, hotkey)
    waits = world.stage.open_swap()
    await world.block(LONGEST_LIFE)
    assert (await world.saga(waits)).reason.startswith("hotkey_stopped:nonce went back")
    assert world.received(waits) == [], "its mark could not land"
    mark = (await world.saga(swap_id)).mark
    assert mark is not None
    assert (mark.slot, mark.state) == ("1", LaneState.DEAD)
    assert world.causes(swap_id) == ["hotkey_began_again"]
    assert await resume(world, hotkey)
    await world.block(20)
    assert [await world.state(each) for each in (swap_id, waits)] == [State.MARKED, State.MARKED]


async def test_a_hotkey_that_others_use_as_well_is_not_stopped(world: World) -> None:
    hotkey = world.stage.miners[0].hotkey
    swap_id = world.stage.open_swap()
    await world.block(3)
    world.stage.spend(hotkey, tao_address("bank"), TAO)
    await world.block(SWEEP_BLOCKS + 1)
    assert await stopped(world) == []
    later = world.stage.open_swap()
    await world.block(3)
    assert [await world.state(each) for each in (swap_id, later)] == [State.MARKED, State.MARKED]


async def test_a_view_that_ends_below_what_was_seen_stops_no_hotkey(world: World) -> None:
    hotkey = world.stage.miners[0].hotkey
    await world.store.account(world.tao.chain_id, hotkey, 0)
    height = world.stage.tao.best.height
    await world.store.saw_nonce(world.tao.chain_id, hotkey, 7, height + SWEEP_BLOCKS + 1)
    await world.block(SWEEP_BLOCKS)
    assert await stopped(world) == []
    await world.block(2 * SWEEP_BLOCKS)
    assert await stopped(world) == [hotkey]


async def test_a_hotkey_goes_on_by_itself_where_its_nonce_is_what_it_was(world: World) -> None:
    """A node had told of another fork; a stop for anything else is a person's to take back."""
    hotkey = world.stage.miners[0].hotkey
    first = world.stage.open_swap()
    await world.block(3)
    await world.store.stop_account(world.tao.chain_id, hotkey, "nonce went back: as somebody told")
    waits = world.stage.open_swap()
    await world.block(SWEEP_BLOCKS + 3)
    assert await stopped(world) == []
    assert [await world.state(each) for each in (first, waits)] == [State.MARKED, State.MARKED]
    await world.store.stop_account(world.tao.chain_id, hotkey, "a person looks")
    await world.block(2 * SWEEP_BLOCKS)
    assert await stopped(world) == [hotkey]
