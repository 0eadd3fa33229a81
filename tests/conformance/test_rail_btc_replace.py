"""Further attempts in a Bitcoin lane on a real node: bumps, cancellations, and the lane after."""

from __future__ import annotations

from pathlib import Path

import pytest

from miner.chains.bitcoin.transactions import read_tx
from miner.errors import Refused
from miner.model import AttemptKind, SightingKind
from tests.conformance.rail_btc import World, btc_session, world
from tests.devnet.bitcoin import BitcoinNode

__all__ = ["btc_session", "world"]
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_bump_spends_the_same_coins_and_pays_the_same(world: World) -> None:
    lane = await world.pay(1_400_000)
    bump = await world.rail.resign(lane, world.order(1_400_000))
    assert bump.kind is AttemptKind.PAYMENT
    assert bump.tx.spends == lane.latest.tx.spends
    assert bump.tx.fee > lane.latest.tx.fee
    assert bump.tx.txid != lane.latest.tx.txid
    bumped = world.add(lane, bump)
    await world.rail.broadcast(bumped)
    assert (await world.rail.locate(bumped)).txid == bump.tx.txid
    with pytest.raises(Refused, match="fee_too_high"):
        await world.rail.resign(bumped, world.order(1_400_000, max_fee=bump.tx.fee))
    await world.node.mine()
    seen = await world.rail.locate(bumped)
    assert (seen.kind, seen.txid) == (SightingKind.IN_BLOCK, bump.tx.txid)


async def test_bumps_go_on_until_the_coins_hold_no_more(world: World) -> None:
    lanes = [await world.pay(498_000)]

    async def bump_for_ever() -> None:
        while len(lanes) < 30:
            lane = lanes[-1]
            lanes.append(world.add(lane, await world.rail.resign(lane, world.order(498_000))))
            await world.rail.broadcast(lanes[-1])

    with pytest.raises(Refused, match="fee_too_high"):
        await bump_for_ever()
    fees = [attempt.tx.fee for attempt in lanes[-1].attempts]
    assert len(fees) > 3
    assert fees == sorted(set(fees))
    assert fees[-1] == 2_000, "the last one had no change"
    with pytest.raises(Refused, match="order_of_another_lane"):
        await world.rail.resign(lanes[0], world.order(499_001))


async def test_cancel_takes_the_slot_back(world: World) -> None:
    lane = await world.pay()
    filler = await world.rail.cancel(lane)
    cancelled = world.add(lane, filler)
    assert filler.kind is AttemptKind.FILLER
    assert filler.tx.spends == (lane.slot,)
    await world.rail.broadcast(cancelled)
    assert lane.latest.tx.txid not in await world.pool()
    await world.node.mine(3)
    seen = await world.rail.locate(cancelled)
    assert (seen.kind, seen.kind_seen, seen.final) == (SightingKind.IN_BLOCK, AttemptKind.FILLER, True)
    ((_, given_back),) = read_tx(filler.tx.raw).pays
    assert given_back + filler.tx.fee in (300_000, 500_000, 1_000_000)


async def test_cancel_out_pays_a_recipient_who_pins_the_payout(world: World) -> None:
    lane = await world.pay(200_000)
    pinned = [{"txid": lane.latest.tx.txid, "vout": 0}]
    child = await world.spend(pinned, [{world.user: "0.00150000"}], world.user_wallet)
    assert child in await world.pool()
    filler = await world.rail.cancel(lane)
    assert filler.tx.fee > 50_000
    await world.rail.broadcast(world.add(lane, filler))
    assert child not in await world.pool()
    assert filler.tx.txid in await world.pool()


async def test_cancel_adds_the_lanes_other_coins_where_the_anchor_is_too_small(
    btc_session: BitcoinNode, tmp_path: Path
) -> None:
    world = await World.make(btc_session, tmp_path)
    await world.node.fund(world.address, 60_000)
    await world.node.fund(world.address, 60_001)
    lane = await world.pay(100_000)
    pinned = [{"txid": lane.latest.tx.txid, "vout": 0}]
    await world.spend(pinned, [{world.user: "0.00040100"}], world.user_wallet)
    filler = await world.rail.cancel(lane)
    assert filler.tx.spends == lane.latest.tx.spends
    await world.rail.broadcast(world.add(lane, filler))
    assert await world.pool() == [filler.tx.txid]
    await world.node.mine()
    await world.rail.close()


async def test_cancel_has_a_limit(world: World) -> None:
    lane = await world.pay(280_000)
    pinned = [{"txid": lane.latest.tx.txid, "vout": 0}]
    await world.spend(pinned, [{world.user: "0.00050000"}], world.user_wallet)
    with pytest.raises(Refused, match="fee_too_high"):
        await world.rail.cancel(lane)


async def test_cancel_of_what_is_in_no_pool_still_out_pays_the_stored_bytes(world: World) -> None:
    lane = await world.pay(send=False)
    filler = await world.rail.cancel(lane)
    assert filler.tx.fee > lane.latest.tx.fee
    await world.rail.broadcast(lane)
    await world.rail.broadcast(world.add(lane, filler))
    assert filler.tx.txid in await world.pool()


async def test_a_new_lane_is_tied_to_what_freed_the_old_one(world: World) -> None:
    lane = await world.pay()
    filler = await world.rail.cancel(lane)
    await world.rail.broadcast(world.add(lane, filler))
    await world.node.mine(3)
    tied = world.store(await world.rail.prepare(world.order(), world.taken, after=filler.tx.txid))
    assert tied.slot == f"{filler.tx.txid}:0"
    more = world.store(await world.rail.prepare(world.order(), world.taken))
    assert more.slot != tied.slot
    with pytest.raises(Refused, match="lane_not_settled"):
        await world.rail.prepare(world.order(), world.taken, after=filler.tx.txid)
