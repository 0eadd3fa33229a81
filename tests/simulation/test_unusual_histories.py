"""Histories that are seldom: moving over, replaced blocks, gaps, broken neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from miner.amounts import Chain
from miner.errors import Discarded, ReadFailed
from miner.model import ImportedSend, Lane, Sighting, SwapStatus
from miner.saga import State
from miner.settle.books import LONGEST_LIFE
from miner.verdict import FULFILLED_ELSEWHERE, IMPORTED, SPENT_BEFORE
from tests.simulation.stage import Stage, tao_address
from tests.simulation.tao_rules import Invoke, Transfer
from tests.simulation.world import World, with_caps

TIMEOUT = 60


async def world_before_its_first_round(stage: Stage) -> World:
    """A daemon that has never looked at this stage."""
    world = World(stage)
    await world.start()
    return world


def pay_by_another_program(stage: Stage, swap_id: int) -> str:
    """The payout of a TAO swap, signed by another program with our key, in the next block."""
    swap = stage.swap(swap_id)
    assert swap is not None
    owed = swap.dest_amount - swap.dest_amount // 100
    tx = stage.own_spend(swap.miner_dest_address, Transfer(swap.user_dest_address, owed))
    stage.tao_block()
    return tx.txid


async def test_a_swap_paid_before_the_first_start_is_never_paid_again() -> None:
    stage = Stage.make(timeout=TIMEOUT)
    swap_id = stage.open_swap()
    pay_by_another_program(stage, swap_id)
    world = await world_before_its_first_round(stage)
    await world.block(12)
    assert len(world.received(swap_id)) == 1
    assert SPENT_BEFORE in world.causes(swap_id)


async def test_a_swap_open_at_the_first_start_that_nobody_paid_is_paid() -> None:
    """Once what a lost store may have signed for it is dead."""
    stage = Stage.make(timeout=120)
    swap_id = stage.open_swap()
    stage.tao_block(3)
    world = await world_before_its_first_round(stage)
    await world.block(LONGEST_LIFE - 1)
    assert world.received(swap_id) == []
    await world.block(5)
    assert len(world.received(swap_id)) == 1


async def test_a_swap_marked_by_another_program_is_held_and_followed_to_its_end() -> None:
    stage = Stage.make(timeout=TIMEOUT)
    swap_id = stage.open_swap()
    txid = pay_by_another_program(stage, swap_id)
    swap = stage.swap(swap_id)
    assert swap is not None
    args = {
        "swap_id": swap_id,
        "dest_tx_hash": txid,
        "dest_tx_block": stage.tao.best.height,
        "dest_amount": 1,
    }
    stage.own_spend(swap.miner, Invoke("mark_fulfilled", args))
    stage.tao_block()
    world = await world_before_its_first_round(stage)
    await world.block(2)
    assert FULFILLED_ELSEWHERE in world.causes(swap_id)
    stage.vote("confirm_swap", swap_id=swap_id)
    await world.block(2)
    assert await world.state(swap_id) is State.COMPLETED
    assert len(world.received(swap_id)) == 1


@pytest.mark.parametrize("when", ["waiting for money", "verified, paused"])
async def test_an_import_after_the_discovery_holds_the_swap(when: str) -> None:
    poor = when == "waiting for money"
    world = await World.make(timeout=TIMEOUT, tao_each=10**9 if poor else 10**12)
    await world.store.set_paused("all", not poor, "test")
    swap_id = world.stage.open_swap()
    await world.block(2)
    assert await world.state(swap_id) is not State.HELD
    await world.store.import_sent([ImportedSend(swap_id, "tao_transfer", 3)])
    await world.store.set_paused("all", False, "test")
    await world.block(2)
    assert (await world.state(swap_id), world.causes(swap_id)) == (State.HELD, [IMPORTED])
    assert world.received(swap_id) == []
    pays = world.stage.miners[0].accounts[Chain.TAO]
    assert await world.store.reserved(world.tao.chain_id, pays) == 0


async def test_an_import_in_the_round_that_would_sign_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await World.make(timeout=TIMEOUT)
    swap_id = world.stage.open_swap()
    prepare = world.tao.prepare

    async def imported_meanwhile(*args: Any) -> Any:
        await world.store.import_sent([ImportedSend(swap_id, "tao_transfer", 3)])
        return await prepare(*args)

    monkeypatch.setattr(world.tao, "prepare", imported_meanwhile)
    await world.block(3)
    assert await world.state(swap_id) is State.HELD
    assert world.received(swap_id) == []


async def test_swaps_of_one_round_do_not_exceed_the_hourly_cap_together() -> None:
    world = await World.make(policy=with_caps(Chain.TAO, per_hour=5_000_000_000), miners=2)
    first, second = world.stage.open_swap(miner=0), world.stage.open_swap(miner=1)
    await world.block(6)
    assert len(world.received(first)) + len(world.received(second)) == 1


async def test_a_hotkey_without_funds_stops_the_payout_not_the_mark() -> None:
    world = await World.make(timeout=TIMEOUT)
    hotkey = world.stage.miners[0].hotkey
    world.stage.own_spend(hotkey, Transfer(tao_address("somebody"), 100 * 10**9 - 3_000_000))
    world.stage.tao_block()
    swap_id = world.stage.open_swap()
    assert world.stage.tao.best.state.account(hotkey).free < world.policy.mark_fee
    await world.block(4)
    assert world.received(swap_id) == []
    world.stage.send_tao("somebody rich", hotkey, 10**9)
    await world.block(5)
    assert len(world.received(swap_id)) == 1


async def test_a_lane_whose_look_breaks_holds_up_nobody() -> None:
    world = await World.make(timeout=300, miners=2)
    broken, well = world.stage.open_swap(Chain.BTC, miner=0), world.stage.open_swap(miner=1)
    await world.block(1)
    locate = world.btc.locate

    async def breaks(lane: Lane) -> Sighting:
        raise KeyError("what nobody thought of")

    world.btc.locate = breaks  # type: ignore[method-assign]
    await world.block(4)
    world.btc.locate = locate  # type: ignore[method-assign]
    assert len(world.received(well)) == 1
    await world.btc_block(2)
    await world.block(3)
    assert len(world.received(broken)) == 1


async def test_a_gap_whose_state_is_discarded_is_bridged_by_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await World.make(timeout=TIMEOUT, miners=2)
    paid = world.stage.open_swap(miner=0)
    await world.block(6)
    world.stage.tao_block(3)
    world.stage.vote("confirm_swap", swap_id=paid)
    world.stage.tao_block(3)
    missed = world.stage.open_swap(miner=1)
    kept = world.stage.tao.best.height
    facts = world.contract.facts

    async def discarded(head: Any) -> Any:
        if head.height < kept:
            raise Discarded(f"block {head.height}", "State already discarded")
        return await facts(head)

    monkeypatch.setattr(world.contract, "facts", discarded)
    await world.block(6)
    assert len(world.received(missed)) == 1
    assert await world.state(paid) is not State.MARKED
    assert len(world.received(paid)) == 1


async def test_a_sweep_that_cannot_read_does_not_stop_the_swaps_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await World.make(timeout=TIMEOUT)
    swap_id = world.stage.open_swap()

    async def fails(_at: object) -> int:
        raise ReadFailed("next swap id", "it does not decode")

    monkeypatch.setattr(world.contract, "next_swap_id", fails)
    await world.block(6)
    assert len(world.received(swap_id)) == 1


async def test_an_end_in_a_replaced_block_is_forgotten_and_the_mark_made_again() -> None:
    world = await World.make(timeout=TIMEOUT)
    swap_id = world.stage.open_swap()
    await world.block(6)
    world.stage.vote("confirm_swap", swap_id=swap_id)
    world.stage.tao.lag = 0
    mark = (await world.saga(swap_id)).mark
    assert await world.state(swap_id) is State.MARKED
    assert mark is not None
    assert mark.block is not None
    world.stage.tao.pool.clear()
    world.stage.tao.fork(world.stage.tao.best.height - mark.block.height + 1, resubmit=False)
    await world.block(3)
    assert "all" in await world.store.paused()
    await world.block(12)
    swap = world.stage.swap(swap_id)
    assert swap is not None
    assert swap.status is SwapStatus.FULFILLED
    assert await world.state(swap_id) is State.MARKED
    assert len(world.received(swap_id)) == 1


async def test_an_endpoint_that_lags_is_no_finality_violation(tmp_path: Path) -> None:
    world = await World.make(tmp_path / "store.sqlite", timeout=TIMEOUT)
    await world.block(4)
    old = world.stage.tao.canonical[-3].head
    assert await world.watcher.catch_up(old, await world.lease()) == 0
    assert await world.store.paused() == frozenset()
