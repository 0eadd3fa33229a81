"""Law 9 in the services: a payout that no lane made is found in time, and what cannot be told is held."""

from __future__ import annotations

import pytest

from miner.amounts import Chain, user_receives
from miner.lease import SILENCES, WATCH, LeaseKeeper
from miner.model import Lease
from miner.saga import State
from tests.simulation.btc_rules import transaction
from tests.simulation.stage import tao_address
from tests.simulation.world import LEASE_S, MARGIN, SWEEP_BLOCKS, World
from tests.unit import service_worlds
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world

OWED = {Chain.TAO: user_receives(3_450_000_000, 100), Chain.BTC: user_receives(1_000_000, 100)}
SPENT_BEFORE = "account_spent_before"


async def paid_elsewhere(
    world: World, dest: Chain, amount: int | None = None, twin: bool = False
) -> tuple[int, str]:
    """A swap that this store only watches while another one pays it; its id, and the payout's."""
    await world.store.set_paused("all", True, "operator")
    swap_id = world.stage.open_swap(dest)
    await world.round()
    swap = world.stage.swap(swap_id)
    assert swap is not None
    if twin:
        world.stage.open_swap(dest, user_dest_address=swap.user_dest_address)
        await world.round()
    paid = OWED[dest] if amount is None else amount
    if dest is Chain.TAO:
        txid = world.stage.spend(swap.miner_dest_address, swap.user_dest_address, paid).txid
    else:
        coins = world.stage.btc.best.state.coins
        anchor = next(out for out, coin in coins.items() if coin.address == swap.miner_dest_address)
        change = coins[anchor].sat - paid - 1_000
        outputs = [(swap.user_dest_address, paid), (swap.miner_dest_address, change)]
        tx = transaction([anchor], outputs, 1_000)
        world.stage.btc.force(tx)
        txid = tx.txid
    world.foreign.add(txid)
    return swap_id, txid


async def watch_of(world: World) -> Lease:
    return next(each for each in await world.store.leases() if each.resource == WATCH)


async def unpause(world: World) -> None:
    await world.store.set_paused("all", False, "operator")


class TestPaidElsewhere:
    @pytest.mark.parametrize("dest", list(Chain))
    async def test_the_account_stops_at_the_first_send_and_the_payout_is_adopted_and_marked(
        self, world: World, dest: Chain
    ) -> None:
        swap_id, txid = await paid_elsewhere(world, dest)
        await world.btc_block()
        await unpause(world)
        await world.block()
        (stopped,) = [row for row in await world.store.accounts() if row.stopped]
        assert txid in stopped.stopped, "before the next sweep, and by name"
        assert world.causes(swap_id) == [SPENT_BEFORE]
        await world.btc_block(6)
        await world.block(SWEEP_BLOCKS + 2)
        assert await world.state(swap_id) is State.MARKED
        assert (await world.payout(swap_id)).txid == txid
        assert world.received(swap_id) == [OWED[dest]]

    async def test_what_is_not_final_yet_stops_the_account_and_decides_nothing(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(lag=3)
        await world.store.set_paused("all", True, "operator")
        swap_id = world.stage.open_swap()
        await world.block(3)
        swap = world.stage.swap(swap_id)
        assert swap is not None
        tx = world.stage.spend(swap.miner_dest_address, tao_address("else"), 5)
        world.foreign.add(tx.txid)
        await unpause(world)
        await world.block()
        assert await world.state(swap_id) is State.VERIFIED
        assert [row.account for row in await world.store.accounts() if row.stopped] == [
            swap.miner_dest_address
        ]
        await world.block(4)
        assert (await world.saga(swap_id)).reason.startswith("account_stopped"), "it paid somebody else"
        base = await world.tao.baseline(swap.miner_dest_address)
        await world.store.clear_account(world.tao.chain_id, swap.miner_dest_address, base, "operator")
        await world.block(6)
        assert world.received(swap_id) == [OWED[Chain.TAO]]

    async def test_a_part_of_what_is_owed_is_held_and_never_completed(self, world: World) -> None:
        swap_id, _ = await paid_elsewhere(world, Chain.TAO, OWED[Chain.TAO] // 2)
        await unpause(world)
        await world.block(SWEEP_BLOCKS + 2)
        assert await world.state(swap_id) is State.HELD
        assert world.received(swap_id) == [OWED[Chain.TAO] // 2]

    async def test_a_swap_is_not_given_up_as_unpaid_while_it_may_have_been_paid(self, world: World) -> None:
        """The gate for first sends is closed, and there is still time to mark what somebody paid."""
        swap_id, txid = await paid_elsewhere(world, Chain.TAO)
        await world.block()
        swap = world.stage.swap(swap_id)
        assert swap is not None
        left = swap.timeout_block - MARGIN[Chain.TAO] - world.stage.tao.best.height
        for _ in range(left + 3):
            await world.block()
        await unpause(world)
        assert await world.state(swap_id) is State.MARKED
        assert (await world.payout(swap_id)).txid == txid

    @pytest.mark.parametrize("dest", list(Chain))
    async def test_a_payout_that_may_be_another_swaps_is_credited_to_neither(
        self, world: World, dest: Chain
    ) -> None:
        """Two swaps of one user over one amount, and one payout that nobody named."""
        swap_id, _ = await paid_elsewhere(world, dest, twin=True)
        await unpause(world)
        await world.btc_block(7)
        await world.block(2 * SWEEP_BLOCKS + 2)
        assert [await world.state(each) for each in (swap_id, swap_id + 1)] == [State.HELD] * 2
        assert len(world.received(swap_id)) == 1, "the other store's"

    async def test_a_swap_that_began_after_the_payout_is_no_twin(self, world: World) -> None:
        swap_id, txid = await paid_elsewhere(world, Chain.TAO)
        swap = world.stage.swap(swap_id)
        assert swap is not None
        later = world.stage.open_swap(user_dest_address=swap.user_dest_address)
        await world.round()
        await unpause(world)
        await world.block(SWEEP_BLOCKS + 3)
        assert await world.state(swap_id) is State.MARKED
        assert (await world.payout(swap_id)).txid == txid
        assert (await world.saga(later)).reason.startswith("account_stopped")


class TestSilence:
    async def test_a_holder_whose_chain_is_silent_lets_its_leases_end(self, world: World) -> None:
        keeper = LeaseKeeper(world.store, world.stage.clock, LEASE_S / 3, world.node)
        await keeper.take_watch()
        world.link.down = True
        await keeper.beat()  # it was just heard
        until = (await watch_of(world)).expires_at_ms
        for beats in range(1, SILENCES + 3):
            world.stage.clock.now_ms += 1_000
            await keeper.beat()
            now = (await watch_of(world)).expires_at_ms
            assert (now > until) == (beats < SILENCES), f"beat {beats}"
            until = now
        world.link.down = False
        world.stage.clock.now_ms += 1_000
        await keeper.beat()
        assert (await watch_of(world)).expires_at_ms > until, "it answers again"

    async def test_a_chain_that_was_heard_is_not_asked(self, world: World) -> None:
        keeper = LeaseKeeper(world.store, world.stage.clock, LEASE_S / 3, world.node)
        world.link.failing["hash_at"] = -1
        for _ in range(5):
            keeper.heard()
            world.stage.clock.now_ms += 1_000
            await keeper.beat()
        assert (await watch_of(world)).expires_at_ms == world.stage.clock.now_ms + LEASE_S * 1000
