"""Open swaps judged by the chains alone, over the model chains: an empty store, and everything as it was."""

from __future__ import annotations

import pytest

from miner.amounts import Chain
from miner.chains.substrate.eras import LONGEST
from miner.errors import Discarded, ReadFailed
from miner.model import LaneState
from miner.rebuild import Finding, Rebuilder, Verdict, awaits
from miner.saga import State
from miner.settle.books import LONGEST_LIFE
from tests.simulation.btc_rules import transaction
from tests.simulation.world import BTC_FINAL, SWEEP_BLOCKS, World
from tests.unit import service_worlds
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world
RAILS = pytest.mark.parametrize("dest", [Chain.TAO, Chain.BTC])


async def lose(world: World) -> None:
    """The state folder is gone; nothing has run since."""
    await world.store.drop()
    await world.start()
    await world.store.begin_doubt("test", "made anew")


def rebuilder(world: World) -> Rebuilder:
    return Rebuilder(world.desk, lambda _words, _done, _total: None)


async def rebuild(world: World) -> dict[int, Finding]:
    """Look and write, as the command does."""
    heads = world.node.heads()
    await world.watcher.catch_up(heads.finalised, await world.lease())
    await world.store.lease_sagas()
    swaps = [saga.swap for saga in await world.store.open_sagas() if awaits(saga)]
    made = rebuilder(world)
    found = await made.write(await made.look(swaps, heads.finalised))
    return {each.swap.id: each for each in found}


async def run(world: World, blocks: int) -> None:
    for _ in range(blocks):
        await world.btc_block()


@RAILS
async def test_paid_and_unmarked_is_adopted_and_marked_and_paid_once(world: World, dest: Chain) -> None:
    swap_id = world.stage.open_swap(dest)
    await world.round()
    lane = await world.payout(swap_id)
    world.stage.tao_block()
    world.stage.btc_block(BTC_FINAL)
    await lose(world)
    found = (await rebuild(world))[swap_id]
    assert (found.verdict, found.txid) == (Verdict.PAID, lane.latest.tx.txid)
    assert await world.state(swap_id) is State.PAID
    await run(world, 4)
    assert await world.state(swap_id) is State.MARKED
    assert world.received(swap_id) == [lane.amount]


async def test_paid_and_unconfirmed_is_looked_for_by_its_id_until_it_is_final(world: World) -> None:
    swap_id = world.stage.open_swap(Chain.BTC)
    await world.round()
    lane = await world.payout(swap_id)
    await lose(world)
    found = (await rebuild(world))[swap_id]
    assert (found.verdict, found.txid) == (Verdict.UNCONFIRMED, lane.latest.tx.txid)
    assert await world.state(swap_id) is State.HELD
    await run(world, BTC_FINAL + 2 * SWEEP_BLOCKS)
    assert await world.state(swap_id) is State.MARKED
    assert world.received(swap_id) == [lane.amount]


async def test_a_nonce_in_use_by_what_cannot_be_read_teaches_nothing(world: World) -> None:
    """Two swaps of one account: one is in the pool. Neither is called unpaid until it is known which."""
    one = world.stage.open_swap()
    await world.round()
    payer = world.stage.miners[0].accounts[Chain.TAO]
    world.stage.tao.held_back = lambda tx: tx.signer == payer
    two = world.stage.open_swap()
    await lose(world)
    found = await rebuild(world)
    assert {each.verdict for each in found.values()} == {Verdict.UNREAD}
    world.stage.release()
    world.stage.tao_block()
    found = await rebuild(world)
    assert [found[one].verdict, found[two].verdict] == [Verdict.PAID, Verdict.UNPAID]
    await run(world, LONGEST_LIFE + 3 * SWEEP_BLOCKS)
    assert [len(world.received(one)), len(world.received(two))] == [1, 1]


@RAILS
async def test_unpaid_is_paid_once_and_tao_not_before_old_bytes_are_dead(world: World, dest: Chain) -> None:
    await world.store.set_paused("all", True, "me")
    swap_id = world.stage.open_swap(dest)
    await world.block()
    await lose(world)
    found = (await rebuild(world))[swap_id]
    assert found.verdict is Verdict.UNPAID
    await run(world, LONGEST_LIFE - 10)
    assert (world.received(swap_id) == []) == (dest is Chain.TAO)
    await run(world, 10 + 3 * SWEEP_BLOCKS)
    assert len(world.received(swap_id)) == 1


@RAILS
async def test_marked_is_followed(world: World, dest: Chain) -> None:
    swap_id = world.stage.open_swap(dest)
    await world.round()
    await world.btc_block(BTC_FINAL)
    await world.block(3)
    assert await world.state(swap_id) is State.MARKED
    lane = await world.payout(swap_id)
    await lose(world)
    found = (await rebuild(world))[swap_id]
    assert (found.verdict, found.txid) == (Verdict.PAID, lane.txid), found.why
    await world.block(2)
    assert await world.state(swap_id) is State.MARKED
    assert (await world.payout(swap_id)).state is LaneState.LANDED


@RAILS
async def test_another_amount_to_the_same_user_is_for_a_person(world: World, dest: Chain) -> None:
    swap_id = world.stage.open_swap(dest)
    user = world.stage.swap(swap_id).user_dest_address  # type: ignore[union-attr]
    account = world.stage.miners[0].accounts[dest]
    if dest is Chain.TAO:
        world.foreign.add(world.stage.spend(account, user, 12345).txid)
    else:
        coin = next(o for o, c in world.stage.btc.best.state.coins.items() if c.address == account)
        tx = transaction([coin], [(user, 50_000)], 1_000)
        world.stage.btc.force(tx)
        world.foreign.add(tx.txid)
    world.stage.tao_block()
    world.stage.btc_block(BTC_FINAL)
    await lose(world)
    found = (await rebuild(world))[swap_id]
    assert found.verdict is Verdict.UNKNOWN
    saga = await world.saga(swap_id)
    assert (saga.state, saga.reason) == (State.HELD, "account_spent_before")
    (pending,) = await world.store.pending_recovery()
    assert f"swap-miner adopt-payout {swap_id} TX" in pending.entry.what_to_do
    await run(world, LONGEST_LIFE + SWEEP_BLOCKS)
    assert len(world.received(swap_id)) == 1, "the one that was there"


async def test_a_node_that_keeps_no_history_rules_nothing_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap_id = world.stage.open_swap()
    await lose(world)
    for error, verdict in (
        (ReadFailed("a block"), Verdict.UNREAD),
        (Discarded("a block", "pruned"), Verdict.UNKNOWN),
    ):

        async def fails(*_: object, error: ReadFailed = error) -> None:
            raise error

        monkeypatch.setattr(world.tao, "payouts_since", fails)
        assert (await rebuild(world))[swap_id].verdict is verdict
    assert await world.state(swap_id) is State.HELD


async def test_what_two_swaps_may_claim_is_credited_to_none(world: World) -> None:
    """The same user and amount twice, one payout: it is the one's or the other's."""
    await world.store.set_paused("all", True, "me")
    one = world.stage.open_swap()
    swap = world.stage.swap(one)
    assert swap is not None
    two = world.stage.open_swap(user_dest_address=swap.user_dest_address)
    await lose(world)
    (order, _) = [each.order for each in (await rebuild(world)).values()]
    assert order is not None
    world.foreign.add(world.stage.spend(order.account, order.recipient, order.amount).txid)
    world.stage.tao_block()
    found = await rebuild(world)
    assert {each.verdict for each in found.values()} == {Verdict.UNKNOWN}
    assert [await world.state(each) for each in (one, two)] == [State.HELD, State.HELD]
    assert "another swap's payout" in found[one].why


async def test_a_death_between_the_two_steps_is_taken_up_again(world: World) -> None:
    swap_id = world.stage.open_swap()
    await world.round()
    world.stage.tao_block()
    await lose(world)
    steps = 0

    def die(name: str) -> None:
        nonlocal steps
        steps += name == "take"
        if steps == 2:
            raise RuntimeError("killed")

    world.store.inline.before = die
    with pytest.raises(RuntimeError):
        await rebuild(world)
    world.store.inline.before = None
    assert await world.state(swap_id) is State.HELD
    assert (await rebuild(world))[swap_id].verdict is Verdict.PAID
    assert await world.state(swap_id) is State.PAID
    assert await rebuild(world) == {}, "nothing is left to look at"


async def test_what_the_store_knows_better_is_left_as_it_is(world: World) -> None:
    swap_id = world.stage.open_swap()
    await world.round()
    before = await world.saga(swap_id)
    made = rebuilder(world)
    found = await made.look([before.swap], world.node.heads().finalised)
    (told,) = await made.write(found)
    assert told.verdict is Verdict.KNOWN
    assert await world.saga(swap_id) == before


def test_the_doubt_lasts_as_long_as_the_longest_era() -> None:
    assert LONGEST_LIFE >= LONGEST


async def test_every_progress_is_told(make_world: MakeWorld) -> None:
    world = await make_world()
    world.stage.open_swap()
    await lose(world)
    told: list[tuple[str, int, int]] = []
    made = Rebuilder(world.desk, lambda *each: told.append(each))
    heads = world.node.heads()
    await world.watcher.catch_up(heads.finalised, await world.lease())
    sagas = await world.store.list_sagas()
    await made.look([saga.swap for saga in sagas], heads.finalised)
    assert [each[1:] for each in told] == [(0, 1), (1, 1)]
    assert "blocks" in told[0][0]
