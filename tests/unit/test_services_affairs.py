"""A miner's own business reaches the chain through one lane, and is followed until it is final."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miner.amounts import Chain
from miner.errors import StaleSaga, StoreUnavailable
from miner.model import (
    NO_SWAP,
    Affair,
    AffairKind,
    Asked,
    AttemptKind,
    Came,
    Commitment,
    Lane,
    LanePurpose,
    LaneState,
    MinerStanding,
    Outcome,
    Verb,
)
from miner.saga import State
from tests.simulation.stage import CONTRACT
from tests.simulation.world import World
from tests.unit import service_worlds
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world

AMOUNT = 2 * 10**9


def asked(world: World, verb: Verb = Verb.DEPOSIT, amount: int = AMOUNT) -> Asked:
    hotkey = world.stage.miners[0].hotkey
    return Asked(verb=verb, swap_id=NO_SWAP, actor="operator:tester", account=hotkey, amount=amount)


async def answered(world: World, request_id: int) -> Outcome:
    (request,) = await world.store.requests([request_id])
    assert request.outcome is not None, request
    return request.outcome


async def do(world: World, *wanted: Asked) -> Outcome:
    """Ask, let one round pass, and give the answer."""
    ids = await world.store.ask(wanted or [asked(world)], 600_000)
    await world.round()
    return await answered(world, ids[-1])


async def newest(world: World) -> Lane:
    return (await world.store.affairs())[0]


def deposited(world: World) -> list[int]:
    return [
        moved.amount
        for block in world.stage.tao.canonical
        for receipt in block.receipts
        for moved in receipt.moved
        if moved.recipient == CONTRACT and moved.sender == world.stage.miners[0].hotkey
    ]


async def logged(world: World) -> list[str]:
    def read(conn: Any) -> list[str]:
        rows = conn.exec_driver_sql("SELECT action FROM operator_log ORDER BY id")
        return [row.action for row in rows if row.action.startswith("affair")]

    return await world.store.database.read(read)


async def test_a_deposit_is_one_lane_followed_until_it_is_final(world: World) -> None:
    outcome = await do(world)
    assert outcome.came is Came.DONE
    lane = await newest(world)
    assert (lane.purpose, lane.saga_id, lane.amount) == (LanePurpose.AFFAIR, None, AMOUNT)
    assert [each.kind for each in lane.attempts] == [AttemptKind.CALL]
    assert lane.latest.tx.txid in outcome.text
    assert lane.slot in await world.store.slots(lane.chain, lane.account)
    await world.block()
    assert (await newest(world)).state is LaneState.LANDED
    assert deposited(world) == [AMOUNT]
    assert await logged(world) == ["affair_signed", "affair_settled"]


async def test_it_is_accounted_for_by_law_9(world: World) -> None:
    hotkey = world.stage.miners[0].hotkey
    row = await world.store.account(world.tao.chain_id, hotkey, await world.tao.baseline(hotkey))
    await do(world)
    await world.block(2)
    assert await world.tao.unexplained(row, await world.store.slots(row.chain, hotkey)) == []
    assert await world.tao.unexplained(row, ()) != []


async def test_it_takes_its_nonce_beside_the_marks(world: World) -> None:
    swap_id = world.stage.open_swap()
    await world.round()
    await world.block()
    assert await world.state(swap_id) is State.MARKING
    assert (await do(world)).came is Came.DONE
    mark = (await world.saga(swap_id)).mark
    assert mark is not None
    assert int((await newest(world)).slot) == int(mark.slot) + 1
    await world.block(2)
    assert await world.state(swap_id) is State.MARKED
    assert deposited(world) == [AMOUNT]


async def test_what_is_on_its_way_is_set_aside(world: World) -> None:
    hotkey = world.stage.miners[0].hotkey
    before = await world.store.reserved(world.tao.chain_id, hotkey)
    await do(world)
    assert await world.store.reserved(world.tao.chain_id, hotkey) == before + AMOUNT
    await world.block()
    assert await world.store.reserved(world.tao.chain_id, hotkey) == before


async def test_a_quote_is_one_lane_too_and_only_what_users_can_read_is_sent(world: World) -> None:
    miner = world.stage.miners[0]
    text = f"v1:btc:{miner.accounts[Chain.BTC]}:tao:{miner.accounts[Chain.TAO]}:345:350"
    wrong = replace(asked(world, Verb.QUOTE, 0), text=text.replace(miner.accounts[Chain.BTC], "bcrt1qother"))
    refused = await do(world, wrong)
    assert (refused.came, "its btc address is bcrt1qother" in refused.text) == (Came.REFUSED, True)
    assert (await do(world, replace(wrong, text="v2:"))).came is Came.REFUSED
    assert await world.store.affairs() == []
    wanted = replace(wrong, text=text)
    outcome = await do(world, wanted)
    assert (outcome.came, outcome.remedy) == (Came.DONE, "see what became of it: swap-miner quote show")
    assert "a user who pays 0.01 BTC receives" in outcome.text
    await world.block()
    lane = await newest(world)
    assert (lane.state, lane.amount) == (LaneState.LANDED, 0)
    world.affairs.quotes[miner.hotkey] = Commitment(1, text)
    again = await do(world, wanted)
    assert (again.came, len(await world.store.affairs())) == (Came.NOTHING, 1)


@pytest.mark.parametrize("lost", ["lost_sends", "lost_replies"])
async def test_without_a_reply_the_same_bytes_go_again(world: World, lost: str) -> None:
    setattr(world.link, lost, 1)
    outcome = await do(world)
    assert outcome.came is Came.DONE
    await world.block(3)
    lane = await newest(world)
    assert (lane.state, len(lane.attempts)) == (LaneState.LANDED, 1)
    assert deposited(world) == [AMOUNT]


async def test_a_node_that_is_silent_as_it_is_sent_leaves_it_done(world: World) -> None:
    """It stands in the store: who was told to ask again might do it twice."""

    def silent(name: str) -> None:
        if name == "broadcast":
            raise TimeoutError

    world.link.on_call = silent
    assert (await do(world)).came is Came.DONE
    world.link.on_call = None
    await world.block(3)
    assert deposited(world) == [AMOUNT]


async def test_a_daemon_that_died_between_record_and_send_sends_it(make_world: MakeWorld) -> None:
    world = await make_world(on_disk=True)
    world.link.lost_sends = 1
    await do(world)
    await world.restart(crash=True)
    await world.block(3)
    assert (await newest(world)).state is LaneState.LANDED
    assert deposited(world) == [AMOUNT]


async def test_a_daemon_that_died_before_answering_does_not_do_it_twice(make_world: MakeWorld) -> None:
    world = await make_world(on_disk=True)
    (request_id,) = await world.store.ask([asked(world)], 600_000)
    await world.recoverer.take(world.node.heads())
    await world.restart(crash=True)
    await world.block(3)
    outcome = await answered(world, request_id)
    assert (outcome.came, outcome.remedy) == (Came.UNKNOWN, "swap-miner collateral view")
    assert deposited(world) == [AMOUNT]
    assert len(await world.store.affairs()) == 1


async def test_bytes_that_died_are_not_signed_again_and_their_nonce_is_filled(world: World) -> None:
    world.link.refusal = "future"
    assert (await do(world)).came is Came.DONE
    await world.block(30)
    lane = await newest(world)
    assert [each.kind for each in lane.attempts] == [AttemptKind.CALL, AttemptKind.FILLER]
    world.link.refusal = ""
    await world.block(8)
    assert (await newest(world)).state is LaneState.CANCELLED
    assert deposited(world) == []
    swap_id = world.stage.open_swap()
    await world.round()
    await world.block(2)
    assert await world.state(swap_id) is State.MARKED
    assert await logged(world) == ["affair_signed", "affair_filled", "affair_settled"]


async def test_one_at_a_time(world: World) -> None:
    world.link.lost_sends = 9
    assert (await do(world)).came is Came.DONE
    second = await do(world)
    assert (second.came, "not final yet" in second.text) == (Came.REFUSED, True)
    world.link.lost_sends = 0
    await world.block(8)
    assert (await do(world)).came is Came.DONE
    await world.block()
    assert deposited(world) == [AMOUNT, AMOUNT]


async def test_a_dry_run_changes_nothing(world: World) -> None:
    outcome = await world.recoverer.look(asked(world), world.node.heads())
    assert outcome.came is Came.WOULD
    assert await world.store.affairs() == []


async def test_the_contracts_refusal_is_the_answer_and_nothing_is_signed(world: World) -> None:
    world.affairs.refusals[AffairKind.DEPOSIT] = "ExceedsMaxCollateral"
    outcome = await do(world)
    assert (outcome.came, "ExceedsMaxCollateral" in outcome.text) == (Came.REFUSED, True)
    assert await world.store.affairs() == []


async def test_what_is_set_aside_for_marks_is_not_deposited(world: World) -> None:
    hotkey = world.stage.miners[0].hotkey
    free = await world.tao.spendable(hotkey)
    outcome = await do(world, asked(world, amount=free))
    assert (outcome.came, "needs" in outcome.text) == (Came.REFUSED, True)
    assert await world.store.affairs() == []


async def test_nothing_is_signed_for_a_stopped_account(world: World) -> None:
    hotkey = world.stage.miners[0].hotkey
    await world.store.stop_account(world.tao.chain_id, hotkey, "nonce 9 is unexplained")
    assert (await do(world)).came is Came.REFUSED
    lease = await world.lease()
    claim = await world.affairs.prepare_affair(affair_of(world), world.node.heads().best)
    with pytest.raises(StaleSaga, match="stopped"):
        await world.store.begin_affair(claim, lease, "operator:tester", {})
    assert await world.store.affairs() == []


def affair_of(world: World) -> Affair:
    return Affair(AffairKind.DEPOSIT, world.stage.miners[0].hotkey, AMOUNT)


async def test_a_chain_that_does_not_answer_is_no_answer(world: World) -> None:
    world.link.failing["standing"] = 1
    outcome = await do(world)
    assert (outcome.came, outcome.remedy) == (Came.UNKNOWN, "ask again")
    assert (await do(world)).came is Came.DONE
    await world.block()
    assert deposited(world) == [AMOUNT]


async def test_withdrawing_and_deactivating_take_a_lane_each(world: World) -> None:
    hotkey = world.stage.miners[0].hotkey
    assert (await do(world, asked(world, Verb.WITHDRAW))).came is Came.REFUSED
    assert (await do(world, asked(world, Verb.DEACTIVATE, 0))).came is Came.DONE
    await world.block()
    world.affairs.told[hotkey] = MinerStanding(miner=hotkey, height=9, collateral=AMOUNT, active=False)
    assert (await do(world, asked(world, Verb.WITHDRAW))).came is Came.DONE
    await world.block()
    assert [lane.state for lane in await world.store.affairs()] == [LaneState.LANDED] * 2
    activate = await do(world, asked(world, Verb.ACTIVATE, 0))
    assert activate.came is Came.NOTHING
    assert len(await world.store.affairs()) == 2


async def test_no_write_no_send(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*args: object) -> Lane:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(world.store, "begin_affair", refuse)
    await world.store.ask([asked(world)], 600_000)
    await world.round()
    await world.block(2)
    assert deposited(world) == []
