"""The oracle sees what breaks a law, and nothing where none is broken; and a run is the same every time."""

from __future__ import annotations

import pytest

from miner.amounts import Chain, user_receives
from miner.model import Swap
from tests.simulation.btc_rules import transaction
from tests.simulation.oracle import Oracle
from tests.simulation.stage import Stage, tao_address
from tests.simulation.tao_rules import Extrinsic, Transfer, extrinsic
from tests.simulation.world import MARGIN, World

OWED = user_receives(3_450_000_000, 100)


@pytest.fixture
def stage() -> Stage:
    return Stage.make(timeout=30)


def laws(stage: Stage) -> set[str]:
    return {broken.law for broken in Oracle(stage, MARGIN).check()}


def pay(stage: Stage, swap: Swap, rao: int = OWED, **era: int) -> Extrinsic:
    """A payout as a careless daemon makes it."""
    account = swap.miner_dest_address
    nonce = stage.tao.best.state.account(account).nonce
    tx = extrinsic(account, Transfer(swap.user_dest_address, rao), nonce, len(stage.tao.ever), **era)
    stage.tao.signed[tx.raw] = tx
    stage.tao.submit(tx)
    stage.tao_block()
    return tx


def opened(stage: Stage) -> Swap:
    swap = stage.swap(stage.open_swap())
    assert swap is not None
    return swap


def test_one_payout_in_time_is_right(stage: Stage) -> None:
    swap = opened(stage)
    pay(stage, swap, death=swap.timeout_block)
    assert laws(stage) == set()


def test_a_second_payout(stage: Stage) -> None:
    swap = opened(stage)
    for _ in range(2):
        pay(stage, swap, death=swap.timeout_block)
    assert laws(stage) == {"paid twice"}


def test_a_second_payout_on_a_fork_that_is_gone(stage: Stage) -> None:
    swap = opened(stage)
    for _ in range(2):
        pay(stage, swap, death=swap.timeout_block)
    stage.tao.fork(2, resubmit=False)
    assert laws(stage) == {"paid twice"}


def test_a_second_payout_of_bitcoin(stage: Stage) -> None:
    swap = stage.swap(stage.open_swap(Chain.BTC))
    assert swap is not None
    for outpoint, coin in list(stage.btc.best.state.coins.items()):
        if coin.address == swap.miner_dest_address:
            stage.btc.submit(transaction([outpoint], [(swap.user_dest_address, 990_000)], 1_000))
    stage.btc_block()
    assert "paid twice" in laws(stage)


def test_two_swaps_of_one_user_have_two_payouts(stage: Stage) -> None:
    swap = opened(stage)
    stage.open_swap(user_dest_address=swap.user_dest_address)
    for _ in range(2):
        pay(stage, swap, death=swap.timeout_block)
    assert laws(stage) == set()


def test_another_amount(stage: Stage) -> None:
    swap = opened(stage)
    pay(stage, swap, OWED - 1, death=swap.timeout_block)
    assert laws(stage) == {"wrong amount"}


def test_a_first_send_from_the_margin_on(stage: Stage) -> None:
    swap = opened(stage)
    stage.tao_block(swap.timeout_block - MARGIN[Chain.TAO] - stage.tao.best.height)
    pay(stage, swap, death=swap.timeout_block)
    assert laws(stage) == {"sent too late"}


def test_bytes_that_outlive_the_deadline(stage: Stage) -> None:
    pay(stage, opened(stage), death=1_000)
    assert laws(stage) == {"outlives the deadline"}


def test_a_send_after_the_end(stage: Stage) -> None:
    swap = opened(stage)
    stage.tao_block(30)
    stage.vote("timeout_swap", swap_id=swap.id)
    stage.tao_block()
    pay(stage, swap, death=stage.tao.best.height + 9)
    assert "sent after the end" in laws(stage)


def test_a_mark_of_what_was_not_paid(stage: Stage) -> None:
    swap = opened(stage)
    stage.mark(swap.miner, swap.id, "0x" + "77" * 32, OWED)
    stage.tao_block()
    stage.vote("confirm_swap", swap_id=swap.id)
    stage.tao_block()
    assert laws(stage) == {"marked wrongly"}


def test_a_deadline_missed_that_could_be_met(stage: Stage) -> None:
    paid, unpaid = opened(stage), stage.open_swap(paid=0)
    stage.tao_block(33)
    for swap_id in (paid.id, unpaid):
        stage.vote("timeout_swap", swap_id=swap_id)
    stage.tao_block()
    assert Oracle(stage, MARGIN).missed() == [paid.id]


async def history(seed: int) -> list[str]:
    world = await World.make(miners=2, btc_every=4, lag=2)
    for number in range(6):
        world.stage.open_swap(list(Chain)[number % 2], miner=number % 2)
        world.link.lost_replies = number % 3
        await world.block(seed)
    await world.block(30)
    assert Oracle(world.stage, MARGIN).check() == []
    told = [f"{s.state} {e}" for s in await world.store.list_sagas() for e in await world.store.journal(s.id)]
    await world.stop()
    return [world.stage.tao.best.head.hash, world.stage.btc.best.head.hash, *told]


async def test_a_run_is_the_same_every_time() -> None:
    assert await history(3) == await history(3)
    assert await history(3) != await history(4)


def test_a_switch_back_and_forth_keeps_every_transaction(stage: Stage) -> None:
    one = stage.send_tao(tao_address("a"), tao_address("b"), 1_000)
    stage.tao_block()
    left = stage.tao.best
    stage.tao.fork(1, resubmit=False)
    right = stage.tao.best
    assert stage.tao.find(one.txid) is None
    stage.tao.switch(left)
    assert stage.tao.find(one.txid) is not None
    stage.tao.switch(right)
    assert (stage.tao.best, one.txid in stage.tao.pool) == (right, True)
