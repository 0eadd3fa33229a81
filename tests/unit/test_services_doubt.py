"""A store that may lack what it had committed: what is found counts at once; that nothing is found, later."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from miner.amounts import Chain
from miner.chains.substrate.eras import LONGEST
from miner.saga import State
from miner.settle.books import LONGEST_LIFE
from miner.settle.pay import STORE_DOUBTED
from tests.simulation.world import World
from tests.unit import service_worlds
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world


async def doubted(world: World) -> None:
    """As a server that was found to be another one leaves it."""
    await world.store.begin_doubt("store", "the server is another one")


def test_it_lasts_as_long_as_the_longest_era() -> None:
    assert LONGEST_LIFE == LONGEST


async def test_no_tao_payout_begins_while_a_lost_one_may_land(world: World) -> None:
    await doubted(world)
    swap_id = world.stage.open_swap()
    await world.round()
    assert (await world.saga(swap_id)).reason == STORE_DOUBTED
    await world.block(LONGEST_LIFE - 1)
    assert await world.state(swap_id) is State.VERIFIED
    assert world.received(swap_id) == []
    await world.block(8)  # up to the next sweep
    assert await world.store.doubted_until(1) is None
    await world.block(3)
    assert await world.state(swap_id) is State.MARKED


async def test_bitcoin_goes_on_since_the_wallet_knows_what_it_has_sent(world: World) -> None:
    await doubted(world)
    swap_id = world.stage.open_swap(Chain.BTC)
    await world.round()
    assert await world.state(swap_id) is State.SIGNED


async def test_a_lost_payout_that_lands_is_adopted_and_not_paid_again(make_world: MakeWorld) -> None:
    world = await make_world(on_disk=True)
    file = Path(str(world.url))
    swap_id = world.stage.open_swap()
    await world.restart()
    await world.store.close()
    shutil.copy(file, file.with_name("older"))
    await world.start()
    await world.round()
    assert await world.state(swap_id) is State.SIGNED  # its bytes are in the pool
    await world.store.close()
    shutil.copy(file.with_name("older"), file)
    await world.start()
    await doubted(world)
    await world.round()
    await world.block(6)
    assert await world.state(swap_id) is State.MARKED  # long before the doubt ends
    assert len(world.received(swap_id)) == 1


async def test_a_changed_store_makes_every_audit_anew(world: World) -> None:
    """The supervisor forgets what it knew of accounts before anything else is done."""
    audited = dict(world.desk.audited)
    assert audited
    world.desk.audited[next(iter(audited))] = -1
    world.store.inline.change = "the server is another one"
    swap_id = world.stage.open_swap()
    await world.round()
    assert -1 not in world.desk.audited.values()
    assert await world.state(swap_id) is State.SIGNED
    assert await world.store.what_changed() is None


async def lose_the_store(world: World) -> None:
    """The folder is gone, and the daemon is started again as if nothing had been."""
    await world.store.close()
    for file in Path(str(world.url)).parent.iterdir():
        file.unlink()
    await world.start()


async def test_a_new_store_that_finds_open_swaps_waits_for_what_a_lost_one_may_have_signed(
    make_world: MakeWorld,
) -> None:
    """X was signed with nonce 0; the new store would give that to Y, and X, whose lane is free again, 1."""
    world = await make_world(on_disk=True)
    tao = world.stage.tao
    x = world.stage.open_swap()
    await world.round()
    await world.round()
    lost = tao.pool[(await world.payout(x)).latest.tx.txid]
    tao.pool.clear()  # our node does not know it: it comes back by way of another
    await lose_the_store(world)
    await world.round()
    assert (await world.saga(x)).reason == STORE_DOUBTED
    y = world.stage.open_swap()  # younger than the store, but it could take that nonce
    await world.round()
    assert (await world.saga(y)).reason == STORE_DOUBTED
    tao.force(lost)
    await world.block()
    await world.block(8)
    assert len(world.received(x)) == 1
    assert await world.state(x) is State.MARKED


@pytest.mark.parametrize("dest", [None, Chain.BTC], ids=["no swap", "a swap that is paid in Bitcoin"])
async def test_a_new_store_without_an_open_tao_swap_pays_at_once(
    make_world: MakeWorld, dest: Chain | None
) -> None:
    world = await make_world(on_disk=True)
    if dest is not None:
        world.stage.open_swap(dest)
    await lose_the_store(world)
    await world.round()
    swap_id = world.stage.open_swap()
    await world.round()
    await world.block(3)
    assert len(world.received(swap_id)) == 1


async def test_lost_payouts_whose_nonces_are_allotted_anew_the_other_way_round(make_world: MakeWorld) -> None:
    """The older store would give X the nonce that Y's lost bytes hold, and Y that of X's.

    Both land; between the two X's new lane is free again, and without the wait X would be paid once more.
    """
    world = await make_world(on_disk=True)
    tao, file = world.stage.tao, Path(str(world.url))
    x = world.stage.open_swap()  # its deadline is the earlier one
    world.stage.vote("vote_reserve", miner=world.stage.miners[0].hotkey)
    y = world.stage.open_swap()
    await world.store.close()
    shutil.copy(file, file.with_name("older"))
    await world.start()
    world.link.failing["try_mark"] = 1  # so X, whose turn is first, is paid after Y
    await world.round()
    await world.round()
    lost = [tao.pool[(await world.payout(swap_id)).latest.tx.txid] for swap_id in (y, x)]
    assert [payout.nonce for payout in lost] == [0, 1]
    await world.store.close()
    shutil.copy(file.with_name("older"), file)
    tao.pool.clear()  # our node does not know them: they come back by way of another
    await world.start()
    await doubted(world)
    await world.round()
    for payout in lost:  # one in each of the next two blocks
        tao.pool.clear()
        tao.force(payout)
        await world.block()
        await world.round()  # the daemon may do more between two blocks
    await world.block(8)
    assert (len(world.received(x)), len(world.received(y))) == (1, 1)
    assert {await world.state(x), await world.state(y)} == {State.MARKED}
