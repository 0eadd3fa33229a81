"""Limits: long outages of either chain, ten thousand open swaps, and clocks that jump by hours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from miner.amounts import Chain
from miner.saga import State
from tests.simulation.crowd import open_crowd
from tests.simulation.oracle import Oracle
from tests.simulation.stage import TAO, TAO_BLOCK_MS
from tests.simulation.world import MARGIN, World

Record = Callable[[str, object], None]

TWO_DAYS = 48 * 3600 * 1000 // TAO_BLOCK_MS
HOUR_MS = 3600 * 1000
ON = "model chains, the real services and store"
OUTAGES = [
    pytest.param(TWO_DAYS // 40, id="1.2-hours"),
    pytest.param(TWO_DAYS, id="48-hours", marks=pytest.mark.proof),
]


async def settled(world: World, ids: range | list[int], btc_blocks: int = 12) -> None:
    """Blocks until all are marked, and the validators' confirmations."""
    for _ in range(btc_blocks):
        await world.btc_block(1)
    for swap_id in ids:
        world.stage.vote("confirm_swap", swap_id=swap_id)
    await world.block(3)


def record_laws(world: World, record: Record, ids: range | list[int]) -> None:
    """What the chains hold: each of these swaps paid once, and no law broken."""
    oracle = Oracle(world.stage, MARGIN)
    payouts = [len(amounts) for amounts in world.received_each(ids).values()]
    broken = [str(each) for each in oracle.check()]
    record("payouts", sum(payouts))
    record("double_payouts", sum(count > 1 for count in payouts))
    record("lost_swaps", sum(count == 0 for count in payouts))
    record("missed", len(oracle.missed()))
    assert broken == []
    assert set(payouts) == {1}
    assert oracle.missed() == []


@pytest.mark.matrix("Limits", ON)
@pytest.mark.timeout(900)
@pytest.mark.parametrize("blocks", OUTAGES)
async def test_after_an_outage_of_the_contracts_chain_all_that_can_be_met_is_met(
    blocks: int, record_property: Record
) -> None:
    """A payout that left before, swaps that came meanwhile: each is found, paid once and completed."""
    world = await World.make(miners=2, timeout=blocks + 400)
    before = world.stage.open_swap(Chain.TAO)
    await world.round()
    assert str(await world.state(before)) == "SIGNED"
    world.link.down = True
    meanwhile = [world.stage.open_swap(dest, miner=1) for dest in Chain]
    for done in range(blocks):
        world.stage.tao_block()
        if done % (blocks // 10) == 0:
            await world.round()
    assert world.told.is_ready is False
    world.link.down = False
    await world.round()
    ids = [before, *meanwhile]
    await settled(world, ids)
    record_property("blocks", blocks)
    assert {str(await world.state(each)) for each in ids} == {"COMPLETED"}
    record_laws(world, record_property, ids)
    await world.stop()


@pytest.mark.matrix("Limits", ON)
@pytest.mark.timeout(900)
@pytest.mark.parametrize("blocks", OUTAGES)
async def test_an_outage_of_bitcoin_holds_up_bitcoin_alone(blocks: int, record_property: Record) -> None:
    """Swaps that need nothing of it go on; the others wait, and are paid once when it is back."""
    world = await World.make(miners=2, timeout=blocks + 400)
    verified = world.stage.open_swap(Chain.TAO)
    await world.round()
    world.btc_link.down = True
    waits = [world.stage.open_swap(Chain.BTC), world.stage.open_swap(Chain.TAO, miner=1)]
    for _ in range(blocks):
        await world.block()
    assert str(await world.state(verified)) == "MARKED"
    assert [len(world.received(each)) for each in waits] == [0, 0]
    world.btc_link.down = False
    ids = [verified, *waits]
    await settled(world, ids)
    record_property("blocks", blocks)
    assert {str(await world.state(each)) for each in ids} == {"COMPLETED"}
    record_laws(world, record_property, ids)
    await world.stop()


@pytest.mark.matrix("Limits", ON)
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "count", [pytest.param(200, id="200"), pytest.param(10_000, id="10,000", marks=pytest.mark.proof)]
)
async def test_so_many_swaps_open_at_once_are_all_paid_once(count: int, record_property: Record) -> None:
    world = await World.make(miners=20, tao_each=10**6 * TAO, timeout=2_000)
    ids = open_crowd(world.stage, count)
    blocks = 0
    while sum(s.dest_tx_hash == "" for s in world.stage.tao.best.state.contract.swaps.values()):
        await world.block()
        blocks += 1
        assert blocks < 100, world.told
    await settled(world, ids, btc_blocks=0)
    assert await world.store.count_by_state() == {State.COMPLETED: count}
    record_property("blocks", blocks)
    record_laws(world, record_property, ids)
    await world.stop()


@pytest.mark.matrix("Limits", ON)
@pytest.mark.parametrize("hours", [6, -6, 48, -48])
async def test_a_clock_that_jumps_stops_nothing(hours: int, record_property: Record) -> None:
    """The clock jumps at each stage of a swap's life, and back again: paid once, completed, leases kept."""
    world = await World.make(miners=2)
    ids = [world.stage.open_swap(dest, miner=index) for index, dest in enumerate(Chain)]
    for _ in range(6):
        await world.block()
        world.stage.clock.now_ms += hours * HOUR_MS
        await world.btc_block()
        world.stage.clock.now_ms -= hours * HOUR_MS
    await settled(world, ids)
    assert {str(await world.state(each)) for each in ids} == {"COMPLETED"}
    record_laws(world, record_property, ids)
    await world.stop()
