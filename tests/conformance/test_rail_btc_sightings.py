"""Where the Bitcoin rail sees a lane on a real node: reorganisations, lost mempools, rivals, law 9."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miner.errors import NotSent, ReadFailed, Refused
from miner.model import AccountRow, AttemptKind, Lane, LanePurpose, LaneState, SightingKind, TakerEffect
from tests.conformance.rail_btc import FINAL, World, btc_session, world
from tests.devnet.bitcoin import btc
from tests.devnet.faults import Fault, FaultKind

__all__ = ["btc_session", "world"]
pytestmark = pytest.mark.asyncio(loop_scope="session")
S = SightingKind


async def row(world: World, base: int | None = None) -> AccountRow:
    height = await world.rail.baseline(world.address) if base is None else base
    return AccountRow(world.rail.chain_id, world.address, 0, height)


async def test_a_look_takes_few_requests(world: World) -> None:
    lane = await world.pay(send=False)
    await world.rail.tip()
    await world.node.requests(reset=True)
    assert (await world.rail.locate(lane)).kind is S.UNSEEN
    glance = {"gettxspendingprevout": 1, "getbestblockhash": 1}
    assert await world.node.requests(reset=True) == {**glance, "gettxout": 1}
    await world.rail.broadcast(lane)
    await world.node.mine()
    seen = await world.rail.locate(lane)
    await world.node.requests(reset=True)
    await world.rail.locate(world.seen(lane, seen))
    assert await world.node.requests() == glance, "nothing has changed"


async def test_one_glance_is_for_every_lane(world: World) -> None:
    lanes = [await world.pay(send=False) for _ in range(3)]
    assert {(await world.rail.locate(lane)).kind for lane in lanes} == {S.UNSEEN}
    await world.node.requests(reset=True)
    world.clock.step_s = 0
    for lane in lanes:
        await world.rail.locate(lane)
    assert await world.node.requests() == {"gettxspendingprevout": 1, "getbestblockhash": 1}


async def test_a_glance_does_not_hide_what_changed(world: World) -> None:
    world.clock.step_s = 0
    one, two = [await world.pay(send=False) for _ in range(2)]
    for lane in (one, two, one):
        assert (await world.rail.locate(lane)).kind is S.UNSEEN
    await world.rail.broadcast(two)
    await world.rail.locate(two)
    assert (await world.rail.locate(two)).kind is S.IN_POOL
    await world.node.mine()
    await world.rail.locate(one)
    assert (await world.rail.locate(two)).kind is S.IN_BLOCK


async def test_unseen_names_the_best_block(world: World) -> None:
    lane = await world.pay(send=False)
    (block,) = await world.node.mine()
    seen = await world.rail.locate(lane)
    assert (seen.kind, seen.at.hash, seen.at.height) == (S.UNSEEN, block, await world.node.height())


async def test_a_reorganised_payout_is_in_the_pool_again_and_lands_again(world: World) -> None:
    lane = await world.pay()
    await world.node.mine()
    seen = await world.rail.locate(lane)
    lane = world.seen(lane, seen)
    await world.node.reorganise(1, empty=True)
    again = await world.rail.locate(lane)
    assert (again.kind, again.txid) == (S.IN_POOL, lane.latest.tx.txid)
    await world.node.mine()
    landed = await world.rail.locate(world.seen(lane, again))
    assert landed.kind is S.IN_BLOCK
    assert landed.block != seen.block


async def test_after_a_reorganisation_and_a_lost_pool_the_same_bytes_land(
    world: World,
) -> None:
    lane = await world.pay()
    await world.node.mine()
    lane = world.seen(lane, await world.rail.locate(lane))
    await world.node.reorganise(1, empty=True)
    await world.forget()
    assert (await world.rail.locate(lane)).kind is S.UNSEEN
    await world.rail.broadcast(lane)
    await world.node.mine()
    assert (await world.rail.locate(lane)).kind is S.IN_BLOCK


async def test_an_evicted_and_abandoned_payout_is_unseen_and_its_coin_stays_taken(world: World) -> None:
    lane = await world.pay()
    await world.forget()
    await world.node.rpc("abandontransaction", lane.latest.tx.txid, wallet=world.wallet)
    assert (await world.rail.locate(lane)).kind is S.UNSEEN
    other = await world.pay(send=False)
    assert other.slot != lane.slot
    await world.rail.broadcast(lane)
    assert (await world.rail.locate(lane)).kind is S.IN_POOL


async def test_an_outside_bump_that_pays_the_same_user_is_adopted_when_final(world: World) -> None:
    lane = await world.pay()
    bumped = (await world.node.rpc("bumpfee", lane.latest.tx.txid, wallet=world.wallet))["txid"]
    pooled = await world.rail.locate(lane)
    assert (pooled.kind, pooled.txid) == (S.IN_POOL, None)
    await world.node.mine()
    shallow = await world.rail.locate(lane)
    assert (shallow.kind, shallow.txid, shallow.final) == (S.IN_POOL, None, False), "kept open until final"
    await world.node.mine(FINAL - 1)
    for rail in (world.rail, other := world.new_rail()):
        taken = await rail.locate(lane)
        assert (taken.kind, taken.txid, taken.taker) == (S.TAKEN, bumped, TakerEffect.PAYS)
        assert taken.final
    await other.close()


@pytest.mark.parametrize(
    ("paid", "effect"),
    [(None, TakerEffect.PAYS_NOTHING), (99_999, TakerEffect.AMBIGUOUS), (100_000, TakerEffect.PAYS)],
)
@pytest.mark.parametrize("sent", [True, False])
async def test_a_rival_is_judged_by_what_it_paid(
    world: World, paid: int | None, effect: TakerEffect, sent: bool
) -> None:
    lane = await world.pay(send=sent)
    rival = await world.rival(lane, {} if paid is None else {world.user: paid})
    await world.node.mine(FINAL - 1)
    assert (await world.rail.locate(lane)).kind is S.IN_POOL
    await world.node.mine()
    taken = await world.rail.locate(lane)
    assert (taken.kind, taken.txid, taken.taker, taken.final) == (S.TAKEN, rival, effect, True)
    assert taken.block is not None
    await world.node.reorganise(FINAL, blocks=FINAL + 1, empty=True)
    after = await world.rail.locate(lane)
    assert (after.kind, after.txid) == (S.IN_POOL, None), "a deep reorganisation is seen as such"
    await world.node.mine()


async def test_a_rival_is_found_in_blocks_when_no_wallet_knows_the_account(world: World) -> None:
    lane = await world.pay(send=False)
    rival = await world.rival(lane, {})
    await world.node.mine(FINAL + 2)
    rail = world.new_rail(accounts={})
    taken = await rail.locate(lane)
    assert (taken.kind, taken.txid) == (S.TAKEN, rival)
    await rail.close()


async def test_a_spender_that_is_nowhere_teaches_nothing(world: World) -> None:
    lane = await world.pay(send=False)
    unknown = replace(lane, slot="77" * 32 + ":0", account=world.user)
    with pytest.raises(ReadFailed, match="none is above height"):
        await world.rail.locate(unknown)
    await world.rival(lane, {})
    await world.node.mine(FINAL)
    rail = world.new_rail(accounts={})
    pruned = Fault("getblock", FaultKind.REFUSE, code=-1, message="Block not available (pruned data)")
    world.node.proxy.fault(pruned)
    with pytest.raises(ReadFailed, match="pruned"):
        await rail.locate(lane)
    await rail.close()


async def test_a_deep_search_goes_on_at_the_next_look(world: World) -> None:
    lane = await world.pay(send=False)
    await world.rival(lane, {})
    await world.node.mine(150)
    rail = world.new_rail(accounts={})
    with pytest.raises(ReadFailed, match="the next look goes on"):
        await rail.locate(lane)
    await world.node.mine()
    await world.node.requests(reset=True)
    assert (await rail.locate(lane)).kind is S.TAKEN
    assert (await world.node.requests())["getblock"] < 10
    await rail.close()


async def test_an_anchor_whose_own_transaction_was_reorganised_frees_nothing(world: World) -> None:
    await world.pay(1_700_000)
    (block,) = await world.node.mine()
    lane = await world.pay(20_000)
    await world.node.mine()
    await world.node.rpc("invalidateblock", block)
    assert (await world.rail.locate(lane)).kind is S.IN_POOL, "both wait again"
    await world.node.rpc("reconsiderblock", block)
    await world.node.mine()
    assert (await world.rail.locate(lane)).kind is S.IN_BLOCK


async def test_an_anchor_that_can_never_exist_is_for_the_operator(world: World) -> None:
    parent = await world.pay(1_700_000)
    await world.node.mine()
    lane = await world.pay(20_000)
    assert lane.slot.startswith(parent.latest.tx.txid)
    await world.node.reorganise(1, blocks=2, empty=True)
    filler = await world.rail.cancel(parent)
    await world.rail.broadcast(world.add(parent, filler))
    assert (await world.rail.locate(lane)).kind is S.UNSEEN
    await world.node.mine(FINAL)
    taken = await world.rail.locate(lane)
    assert (taken.kind, taken.taker, taken.txid) == (S.TAKEN, TakerEffect.AMBIGUOUS, filler.tx.txid)


async def test_a_moving_chain_is_not_believed(world: World) -> None:
    lane = await world.pay()
    await world.node.mine()
    lies = iter(range(100))
    for _ in range(8):
        lie = f"{next(lies):064x}"
        world.node.proxy.fault(Fault("getbestblockhash", FaultKind.REPLACE, count=1, result=lie))
    with pytest.raises(ReadFailed):
        await world.rail.locate(lane)


async def test_garbled_answers_teach_nothing(world: World) -> None:
    lane = await world.pay()
    for method in ("gettxspendingprevout", "gettxout"):
        world.node.proxy.fault(Fault(method, FaultKind.GARBLE))
        with pytest.raises(ReadFailed):
            await world.rail.locate(lane)
        world.node.proxy.clear_faults()
        world.node.proxy.fault(Fault(method, FaultKind.REPLACE, result=[{"odd": 1}]))
        with pytest.raises(ReadFailed):
            await world.rail.locate(lane)
        world.node.proxy.clear_faults()


async def test_a_power_cut_keeps_the_payout_within_reach(world: World) -> None:
    lane = await world.pay()
    await world.node.restart(kill=True)
    await world.rail.broadcast(lane)
    await world.node.mine()
    assert (await world.rail.locate(lane)).kind is S.IN_BLOCK


async def test_every_spend_of_a_lane_is_explained(world: World) -> None:
    start = await row(world)
    assert await world.rail.unexplained(start, world.taken) == []
    await world.pay(1_400_000)
    assert await world.rail.unexplained(start, world.taken) == []
    await world.node.mine(FINAL + 2)
    await world.pay(100_000)
    assert await world.rail.unexplained(start, world.taken) == []
    other = world.new_rail()
    assert len(await other.unexplained(start, ())) >= 2
    assert len(await other.unexplained(start, world.taken)) == 0
    await other.close()


async def test_a_spend_by_another_program_is_named(world: World) -> None:
    start = await row(world)
    other = await world.node.new_address("bank")
    txid = await world.node.pay_from(world.wallet, world.address, {other: 50_000})
    (first, *more) = await world.rail.unexplained(start, world.taken)
    assert len(more) == 2, "each of the three coins"
    assert first.startswith(f"{txid} (unconfirmed) spends ")
    await world.node.mine()
    assert await world.rail.unexplained(start, {f"adopted:{txid}"}) == []
    assert "in block" in (await world.rail.unexplained(start, world.taken))[0]
    assert await world.rail.unexplained(await row(world), world.taken) == []


async def test_spends_of_another_address_of_the_wallet_are_not_ours(world: World) -> None:
    start = await row(world)
    other = await world.node.new_address(world.wallet)
    await world.node.fund(other, 80_000)
    await world.node.pay_from(world.wallet, other, {world.user: 10_000})
    assert await world.rail.unexplained(start, world.taken) == []


async def test_an_outside_bump_is_explained_by_the_lane_it_took(world: World) -> None:
    start = await row(world)
    lane = await world.pay()
    await world.node.rpc("bumpfee", lane.latest.tx.txid, wallet=world.wallet)
    await world.node.mine()
    assert await world.rail.unexplained(start, world.taken) == []
    assert await world.rail.unexplained(start, ()), "the slots that explained it are asked for again"


async def test_what_was_abandoned_or_beaten_is_no_spend(world: World) -> None:
    start = await row(world)
    lane = await world.pay()
    await world.forget()
    await world.node.rpc("abandontransaction", lane.latest.tx.txid, wallet=world.wallet)
    assert await world.rail.unexplained(start, ()) == []


async def payout_of_another_program(world: World, sat: int) -> str:
    coin = (await world.node.rpc("listunspent", 1, 999, [world.address], wallet=world.wallet))[0]
    back = round(coin["amount"] * 10**8) - sat - 1_000
    inputs = [{"txid": coin["txid"], "vout": coin["vout"]}]
    return await world.spend(inputs, [{world.user: btc(sat)}, {world.address: btc(back)}], world.wallet)


async def test_another_programs_payout_is_found_by_id_or_by_what_it_paid(world: World) -> None:
    near = await world.node.height()
    txid = await payout_of_another_program(world, 60_000)
    order = world.order(60_000)
    assert await world.rail.find_payout(world.address, order, txid, near) is None, "not final"
    await world.node.mine(FINAL)
    for told in (txid, txid.upper(), "0x" + txid, "tao_transfer"):
        seen = await world.rail.find_payout(world.address, order, told, near)
        assert seen is not None
        assert (seen.kind, seen.txid, seen.final, seen.succeeded) == (S.IN_BLOCK, txid, True, True)
    assert await world.rail.find_payout(world.address, world.order(60_001), txid, near) is None
    assert await world.rail.find_payout(world.address, order, "ab" * 32, near) is None


async def test_an_imported_payout_is_followed_by_its_id(world: World) -> None:
    txid = await payout_of_another_program(world, 60_000)
    imported = Lane(
        id=9, chain=world.rail.chain_id, account=world.address, slot=f"import:{txid}",
        purpose=LanePurpose.IMPORTED, saga_id=1, recipient=world.user, amount=60_000,
        state=LaneState.SIGNED, attempts=(), txid=txid,
    )  # fmt: skip
    assert (await world.rail.locate(imported)).kind is S.IN_POOL
    await world.node.mine(FINAL)
    seen = await world.rail.locate(imported)
    assert (seen.kind, seen.kind_seen, seen.final) == (S.IN_BLOCK, AttemptKind.PAYMENT, True)
    assert await world.rail.locate(replace(imported, block=seen.block)) == seen
    with pytest.raises(ReadFailed):
        await world.rail.locate(replace(imported, txid="ab" * 32))
    with pytest.raises(NotSent):
        await world.rail.broadcast(imported)
    with pytest.raises(Refused, match="imported"):
        await world.rail.cancel(imported)


async def test_two_payouts_alike_are_not_told_apart_by_guessing(world: World) -> None:
    near = await world.node.height()
    await world.pay()
    await world.pay()
    await world.node.mine(FINAL)
    assert await world.rail.find_payout(world.address, world.order(), "tao_transfer", near) is None
