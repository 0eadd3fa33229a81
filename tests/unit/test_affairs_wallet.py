"""What the wallet tells: balances, what is set aside, and what open swaps will take."""

from __future__ import annotations

from miner.affairs.wallet import Purse, purses
from miner.amounts import Chain, user_receives
from miner.ports import Rail
from miner.saga import State
from miner.verify import MinerAccounts
from tests.simulation.world import World
from tests.unit import service_worlds

make_world, world = service_worlds.make_world, service_worlds.world

OWED = {Chain.TAO: user_receives(3_450_000_000, 100), Chain.BTC: user_receives(1_000_000, 100)}


async def looked(
    world: World, *, rails: dict[Chain, Rail] | None = None, stored: bool = True
) -> dict[str, Purse]:
    """Purses by role and chain."""
    miners = [MinerAccounts(m.name, m.hotkey, m.accounts) for m in world.stage.miners]
    sagas = await world.store.list_sagas([state for state in State if not state.ended])
    store = world.store if stored else None
    found = await purses(world.desk.rails if rails is None else rails, miners, store, sagas, 100)
    return {f"{purse.role} {purse.chain}": purse for purse in found}


async def test_a_miner_without_swaps_owes_nothing(world: World) -> None:
    found = await looked(world)
    assert set(found) == {"payouts tao", "payouts btc", "marks tao"}
    for purse in found.values():
        assert purse.balance == purse.spendable
        assert purse.balance
        assert (purse.reserved, purse.owed, purse.open_swaps, purse.short) == (0, 0, 0, 0)


async def test_an_open_swap_is_reserved_and_owed_until_it_is_paid(world: World) -> None:
    for chain in Chain:
        before = (await looked(world))[f"payouts {chain}"]
        world.stage.open_swap(chain)
        await world.round()
        purse = (await looked(world))[f"payouts {chain}"]
        assert (purse.owed, purse.open_swaps) == (OWED[chain], 1)
        if chain is Chain.TAO:
            assert purse.reserved > OWED[chain]
            assert before.balance is not None
            assert purse.spendable == before.balance - purse.reserved
            await world.block()
            paid = (await looked(world))[f"payouts {chain}"]
            assert (paid.owed, paid.open_swaps) == (0, 0)
    assert (await looked(world))["marks tao"].reserved > 0


def test_more_owed_than_there_is_is_told() -> None:
    purse = Purse(miner="m", chain=Chain.TAO, account="5M", role="payouts", balance=3, reserved=5, owed=10)
    assert (purse.spendable, purse.short) == (0, 7)


async def test_an_account_that_cannot_be_read_hides_no_other(world: World) -> None:
    world.btc_link.down = True
    found = await looked(world)
    assert found["payouts btc"].problem
    assert (found["payouts btc"].balance, found["payouts btc"].spendable, found["payouts btc"].short) == (
        None,
        None,
        0,
    )
    assert found["payouts tao"].balance


async def test_a_chain_without_a_node_and_a_miner_without_a_store(world: World) -> None:
    found = await looked(world, rails={Chain.TAO: world.tao}, stored=False)
    assert "no btc node" in found["payouts btc"].problem
    assert found["payouts tao"].reserved == 0


async def test_a_stopped_account_is_told(world: World) -> None:
    account = world.stage.miners[0].accounts[Chain.TAO]
    await world.store.stop_account(world.tao.chain_id, account, "nonce 9 is unexplained")
    assert (await looked(world))["payouts tao"].stopped == "nonce 9 is unexplained"
