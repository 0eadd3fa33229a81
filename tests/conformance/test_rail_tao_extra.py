"""The TAO rail on a real chain: eras, nonces, events, endpoints, and what it all costs."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from substrateinterface import Keypair

from miner import ports
from miner.chains.substrate.link import Limits
from miner.chains.substrate.node import SubstrateNode
from miner.errors import ConfigError, InvariantBroken, OutcomeUnknown, ReadFailed, Refused
from miner.model import (
    AttemptKind,
    Head,
    LanePurpose,
    Payment,
    PayoutOrder,
    Pending,
    SightingKind,
    TakerEffect,
)
from tests.conformance.rail_tao import (
    LAG,
    LIMITS,
    MAX_FEE,
    LoopClock,
    TaoHarness,
    make_rail,
    tao,
    tao_session,
)
from tests.conformance.rails import AMOUNT, open_lane, order_of, row_of, sighted, stored, with_attempt
from tests.devnet import accounts
from tests.devnet.chain import ContractsChain
from tests.devnet.faults import Fault, FaultKind

__all__ = ["tao", "tao_session"]
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def refused(name: str, awaited: Any) -> Refused:
    with pytest.raises(Refused) as told:
        await awaited
    assert told.value.name == name
    return told.value


async def run_out(node: SubstrateNode) -> None:
    async with aclosing(node.follow()) as follow:  # type: ignore[type-var]
        async for _ in follow:
            pass


def typed(tao: TaoHarness) -> tuple[ports.Node, ports.Substrate, ports.CallLanes, ports.Rail]:
    """The adapters are what the ports say (checked by mypy)."""
    return tao.node, tao.node, tao.lanes, tao.rail


# payouts


async def test_a_payout_that_failed_in_its_block_did_not_succeed(tao: TaoHarness) -> None:
    half = await tao.rail.spendable(tao.account) // 2 + 1_000_000
    first, second = await open_lane(tao, half), await open_lane(tao, half)
    for lane in (first, second):
        await tao.rail.broadcast(lane)
    await tao.blocks()
    assert (await tao.rail.locate(first)).succeeded is True
    failed = await tao.rail.locate(second)
    assert (failed.kind, failed.succeeded) == (SightingKind.IN_BLOCK, False)
    await tao.finalise()
    final = await tao.rail.locate(sighted(second, failed))
    assert (final.final, final.succeeded) == (True, False)
    assert await tao.balance(second.recipient) == 0


async def test_an_era_dies_in_time(tao: TaoHarness) -> None:
    finalised = (await tao.rail.tip()).height
    order = await order_of(tao)
    for room, period in ((64, 64), (63, 32), (17, 16), (9, 8)):
        order = replace(order, die_by=finalised + room)
        tx = (await tao.rail.prepare(order, ())).sign("0")
        assert (tx.birth, tx.death) == (finalised, finalised + period)
        era = tao.node.blocks.newest.decode_extrinsic(tx.raw)["era"]  # type: ignore[union-attr]
        assert era == (period, finalised % period)
    await refused("too_late", tao.rail.prepare(replace(order, die_by=finalised + 3), ()))
    await refused("too_late", tao.rail.prepare(replace(order, die_by=finalised + LAG + 1), ()))


async def test_the_last_block_of_an_era_takes_it_and_the_next_one_not(tao: TaoHarness) -> None:
    finalised = (await tao.rail.tip()).height
    order = replace(await order_of(tao), die_by=finalised + 8)
    lanes = []
    for key in accounts.miner(0), accounts.miner(1):
        claim = await tao.rail.prepare(replace(order, account=key.ss58_address), ())
        lanes.append(stored(claim, claim.sign("0")))
    await tao.blocks(8 - LAG - 2)  # the next block is the last one
    await tao.rail.broadcast(lanes[0])
    await tao.blocks()
    seen = await tao.rail.locate(lanes[0])
    assert seen.block is not None
    assert seen.block.height == finalised + 7
    await refused("ancient_birth_block", tao.rail.broadcast(lanes[1]))
    await tao.blocks()
    await refused("bad_proof", tao.rail.broadcast(lanes[1]))


async def test_an_expired_lane_is_told_when_it_is_final_and_is_signed_again(tao: TaoHarness) -> None:
    finalised = (await tao.rail.tip()).height
    order = replace(await order_of(tao), die_by=finalised + 8)
    claim = await tao.rail.prepare(order, ())
    lane = stored(claim, claim.sign(await tao.allot(claim)))
    await tao.blocks(7)
    assert (await tao.rail.locate(lane)).kind is SightingKind.UNSEEN
    await tao.blocks()
    look = await tao.rail.locate(lane)
    assert (look.kind, look.nonce) == (SightingKind.EXPIRED, int(lane.slot))
    lane = sighted(lane, look)
    again = await tao.rail.resign(lane, replace(order, die_by=finalised + 100))
    assert (again.kind, again.tx.spends) == (AttemptKind.PAYMENT, (lane.slot,))
    lane = with_attempt(lane, again)
    assert (await tao.rail.locate(lane)).kind is SightingKind.UNSEEN
    await tao.rail.broadcast(lane)
    await tao.blocks()
    assert (await tao.rail.locate(lane)).txid == again.tx.txid


async def test_a_lane_is_not_signed_for_another_order(tao: TaoHarness) -> None:
    lane = await open_lane(tao)
    with pytest.raises(InvariantBroken):
        await tao.rail.resign(lane, await order_of(tao))


async def test_two_attempts_of_one_lane_never_both_land(tao: TaoHarness) -> None:
    lane = await open_lane(tao)
    order = PayoutOrder(lane.account, lane.recipient, lane.amount, MAX_FEE, 10_000)
    second = with_attempt(lane, await tao.rail.resign(lane, order))
    await tao.rail.broadcast(lane)
    await refused("priority_too_low", tao.rail.broadcast(second))
    await tao.blocks()
    await refused("stale", tao.rail.broadcast(second))
    await tao.finalise()
    assert (await tao.rail.locate(second)).txid == lane.latest.tx.txid
    assert await tao.balance(lane.recipient) == AMOUNT


async def test_a_nonce_above_a_gap_waits_until_a_filler_closes_it(tao: TaoHarness) -> None:
    below, above = await open_lane(tao), await open_lane(tao)
    await tao.rail.broadcast(above)
    await tao.blocks()
    assert (await tao.rail.locate(above)).kind is SightingKind.UNSEEN
    await tao.rail.broadcast(with_attempt(below, await tao.rail.cancel(below)))
    await tao.blocks()
    assert (await tao.rail.locate(above)).kind is SightingKind.IN_BLOCK


async def test_the_pools_words_are_hints(tao: TaoHarness) -> None:
    lane = await open_lane(tao)
    await tao.chain.pool(ban=[lane.latest.tx.txid])
    await refused("temporarily_banned", tao.rail.broadcast(lane))
    await tao.chain.pool(unban=[lane.latest.tx.txid])
    for code, message, data, name in (
        (
            1010,
            "Invalid Transaction",
            "Inability to pay some fees (e.g. account balance too low)",
            "cannot_pay_fee",
        ),
        (1010, "Invalid Transaction", "Transaction has an ancient birth block", "ancient_birth_block"),
        (1010, "Invalid Transaction", "Custom error: 7", "invalid"),
        (1011, "Unknown Transaction Validity", "CannotLookup", "unknown_validity"),
    ):
        fault = Fault("author_submitExtrinsic", FaultKind.REFUSE, 1, code=code, message=message, data=data)
        await tao.chain.fault(fault)
        await refused(name, tao.rail.broadcast(lane))
    await tao.chain.fault(Fault("author_submitExtrinsic", FaultKind.REFUSE, 1, code=-32000, message="busy"))
    with pytest.raises(OutcomeUnknown):
        await tao.rail.broadcast(lane)
    await refused("nothing_to_send", tao.rail.broadcast(replace(lane, purpose=LanePurpose.IMPORTED)))


async def test_a_mark_is_judged_by_its_own_success(tao: TaoHarness) -> None:
    good = tao.node.contract_call(await tao.new_address(), b"\x2d\xbe\xeb\x8d", 10**9, 10**5)
    claim = await tao.lanes.prepare(tao.hotkey, good, LanePurpose.MARK, tao.hotkey, 0, None, 10**12)
    lane = stored(claim, claim.sign(await tao.allot(claim)))
    assert lane.latest.kind is AttemptKind.MARK
    await tao.lanes.broadcast(lane)
    await tao.blocks()
    seen = await tao.lanes.locate(lane)
    assert (seen.kind, seen.succeeded) == (SightingKind.IN_BLOCK, False), "there is no such contract"
    remark = tao.node.blocks.newest.remark()  # type: ignore[union-attr]
    claim = await tao.lanes.prepare(tao.hotkey, remark, LanePurpose.MARK, tao.hotkey, 0, None, MAX_FEE)
    lane = stored(claim, claim.sign(await tao.allot(claim)))
    again = await tao.lanes.resign(lane, remark, None, MAX_FEE)
    assert again.kind is AttemptKind.MARK
    await tao.lanes.broadcast(with_attempt(lane, again))
    await tao.blocks()
    assert (await tao.lanes.locate(with_attempt(lane, again))).succeeded is True


async def test_other_accounts_are_not_signed_for(tao: TaoHarness) -> None:
    stranger = await tao.new_address()
    await refused("no_key", tao.rail.prepare(replace(await order_of(tao), account=stranger), ()))
    node, lanes, _ = make_rail(tao.chain)
    with pytest.raises(ConfigError):
        await type(tao.rail)(node, lanes, [stranger]).connect()
    await node.close()


async def test_another_networks_address_is_named(tao: TaoHarness) -> None:
    other = Keypair(public_key=accounts.user(3).public_key, ss58_format=0).ss58_address
    with pytest.raises(Refused) as told:
        tao.rail.check_recipient(other)
    assert told.value.name == "recipient_of_another_network"
    assert tao.rail.same_address(other, accounts.user(3).ss58_address)
    assert not tao.rail.same_address(other, "nobody")


# what is final, what went back, what is gone


async def test_a_finality_violation_is_looked_at_again(tao: TaoHarness) -> None:
    lane = await open_lane(tao)
    await tao.rail.broadcast(lane)
    await tao.blocks()
    await tao.finalise()
    seen = await tao.rail.locate(lane)
    assert seen.final
    assert seen.block is not None
    await tao.chain.fork(seen.block.height - 1, blocks=0, resubmit=False, force=True)
    await tao.blocks(LAG + 3)
    gone = await tao.rail.locate(lane)
    assert gone.kind is SightingKind.UNSEEN
    assert gone.at.hash != seen.at.hash


async def test_a_nonce_that_went_back_is_told(tao: TaoHarness) -> None:
    lane = await open_lane(tao)
    await tao.rail.broadcast(lane)
    await tao.blocks()
    await tao.finalise()
    nonce = await tao.rail.baseline(tao.account)
    assert nonce == 1
    row = replace(row_of(lane, 0, 1), seen=nonce, seen_at=(await tao.rail.tip()).height)
    assert await tao.rail.unexplained(row, {"0"}) == []
    await tao.chain.rpc("dev_setStorage", {"System": {"Account": [[[tao.account], {"nonce": 0}]]}})
    await tao.blocks(LAG + 1)
    (words,) = await tao.rail.unexplained(row, {"0"})
    assert words == f"nonce went back: {tao.account} stands at 0 and stood at 1"
    rail = await tao.new_rail()
    assert await rail.unexplained(row, {"0"}) == [words], "after a restart too, by what the store has seen"


async def test_a_view_that_ends_below_what_was_seen_teaches_nothing(tao: TaoHarness) -> None:
    """An endpoint that lags tells an older nonce in good faith; that is no account that was emptied."""
    lane = await open_lane(tao)
    height = (await tao.rail.tip()).height
    row = replace(row_of(lane, 0, 1), seen=1, seen_at=height + 1)
    with pytest.raises(ReadFailed, match="behind"):
        await tao.rail.unexplained(row, {"0"})


async def test_open_lanes_are_awaited_and_strangers_counted(tao: TaoHarness) -> None:
    lane = await open_lane(tao)
    assert await tao.rail.unexplained(row_of(lane, 0, 5), {"0", "1", "2", "3", "4"}) == []
    remark = await tao.outside.call("System", "remark", remark="0x00")
    extrinsics = [await tao.outside.sign(remark, accounts.miner(0), nonce=each) for each in range(25)]
    await tao.outside.include(extrinsics)
    await tao.finalise()
    words = await tao.rail.unexplained(row_of(lane, 0, 5), {"0"})
    assert len(words) == 21
    assert words[0].startswith("nonce 5 ")
    assert all("moved nothing" in each and "in block " in each for each in words[:20])
    assert words[-1] == "and 4 older ones"


async def test_what_the_node_has_discarded_is_not_unseen(tao: TaoHarness) -> None:
    lane = await open_lane(tao)
    await tao.rail.broadcast(lane)
    await tao.blocks(10)
    await tao.chain.set_pruning(2)
    with pytest.raises(ReadFailed, match="discarded"):
        await tao.rail.locate(lane)
    await tao.chain.set_pruning(None)
    assert (await tao.rail.locate(lane)).succeeded is True


async def test_an_archive_endpoint_tells_what_others_discarded(tao: TaoHarness) -> None:
    lane = await open_lane(tao)
    await tao.rail.broadcast(lane)
    await tao.blocks()
    node, _, rail = make_rail(tao.chain, archive_urls=[tao.chain.driver_url])
    tao.others.append(node)
    await rail.connect()
    discarded = "Client error: UnknownBlock: State already discarded for 0x"
    for method in ("state_queryStorageAt", "chain_getBlock"):
        await tao.chain.fault(Fault(method, FaultKind.REFUSE, code=4003, message=discarded))
    assert (await rail.locate(lane)).succeeded is True


async def test_a_long_absence_costs_few_requests_to_find_a_taker(tao: TaoHarness) -> None:
    finalised = (await tao.rail.tip()).height
    order = replace(await order_of(tao), die_by=finalised + 8)
    claim = await tao.rail.prepare(order, ())
    lane = stored(claim, claim.sign(await tao.allot(claim)))
    await tao.blocks(12)
    taker = await tao.rival(lane, 0)
    await tao.blocks(20)
    rail = await tao.new_rail()
    await tao.chain.requests(reset=True)
    seen = await rail.locate(lane)
    assert (seen.kind, seen.txid) == (SightingKind.TAKEN, taker)
    told = await tao.chain.requests()
    assert told["chain_getBlock"] < 20
    assert told["state_queryStorageAt"] + told.get("state_getStorage", 0) < 12


# users' payments


async def test_a_payment_that_failed_is_refused(tao: TaoHarness) -> None:
    claim = await tao.user_pays(10**15)
    await tao.finalise()
    await refused("payment_failed", tao.rail.verify(claim))


async def test_a_payment_from_before_the_swap_is_refused(tao: TaoHarness) -> None:
    claim = await tao.user_pays(AMOUNT)
    await tao.finalise()
    assert isinstance(await tao.rail.verify(replace(claim, not_before_height=claim.height)), Payment)
    await refused("too_old", tao.rail.verify(replace(claim, not_before_height=claim.height + 1)))


async def test_a_payment_is_not_good_before_it_is_final(tao: TaoHarness) -> None:
    claim = await tao.user_pays(AMOUNT)
    assert await tao.rail.verify(claim) == Pending("unconfirmed")
    await tao.fork(1)
    assert await tao.rail.verify(claim) == Pending("unconfirmed")
    await tao.finalise()
    await tao.finalise()
    assert await tao.rail.verify(claim) == Pending("not_found")


async def test_a_batch_pays_what_its_transfers_say(tao: TaoHarness) -> None:
    to, other = tao.account, await tao.new_address()
    calls = [
        await tao.outside.call("Balances", "transfer_keep_alive", dest=dest, value=value)
        for dest, value in ((to, 700), (other, 10**6), (to, 300))
    ]
    claim = await tao.user_pays(1_000, *calls)
    await tao.finalise()
    paid = await tao.rail.verify(claim)
    assert isinstance(paid, Payment)
    assert paid.amount == 1_000
    await refused("wrong_amount", tao.rail.verify(replace(claim, amount=1_001)))
    thief = accounts.user(7).ss58_address
    await refused("wrong_sender", tao.rail.verify(replace(claim, sender=thief)))


async def test_a_payment_is_not_good_any_more_when_its_block_went(tao: TaoHarness) -> None:
    claim = await tao.user_pays(AMOUNT)
    await tao.finalise()
    paid = await tao.rail.verify(claim)
    assert isinstance(paid, Payment)
    await tao.chain.fork(claim.height - 1, blocks=0, resubmit=False, force=True)
    await tao.blocks(LAG + 4)
    assert not await tao.rail.still_good(paid)


async def test_a_payout_of_an_unknown_id_is_found_only_where_it_is_the_only_one(tao: TaoHarness) -> None:
    lane = await open_lane(tao)
    await tao.rail.broadcast(lane)
    await tao.blocks()
    await tao.finalise()
    order = PayoutOrder(lane.account, lane.recipient, lane.amount, 0, 0)
    near = (await tao.rail.tip()).height
    found = await tao.rail.find_payout(tao.account, order, "tao_transfer", near)
    assert found is not None
    assert found.txid == lane.latest.tx.txid
    twin = await open_lane(tao, recipient=lane.recipient)
    await tao.rail.broadcast(twin)
    await tao.blocks()
    await tao.finalise()
    assert await tao.rail.find_payout(tao.account, order, "tao_transfer", near) is None
    by_id = await tao.rail.find_payout(tao.account, order, twin.latest.tx.txid, near)
    assert by_id is not None


# requests


async def test_an_idle_block_costs_one_request(tao: TaoHarness) -> None:
    await tao.chain.requests(reset=True)
    for _ in range(5):
        await tao.blocks()
        heads = await tao.node.heads()
        block = await tao.node.raw_block(heads.finalised)
        assert block.parent_hash == await tao.chain.block_hash(heads.finalised.height - 1)
        await tao.node.raw_block(heads.finalised)
        await tao.rail.tip()
    assert await tao.chain.requests() == {"state_queryStorageAt": 5}


async def test_many_lanes_share_their_reads(tao: TaoHarness) -> None:
    lanes = [await open_lane(tao) for _ in range(30)]
    await asyncio.gather(*(tao.rail.locate(lane) for lane in lanes))
    await tao.chain.requests(reset=True)
    await tao.blocks()
    await asyncio.gather(*(tao.rail.locate(lane) for lane in lanes))
    told = await tao.chain.requests(reset=True)
    assert told == {"chain_getBlock": 1, "state_queryStorageAt": 1}, "the new body, and the accounts"
    for lane in lanes:
        await tao.rail.broadcast(lane)
    assert await tao.chain.requests(reset=True) == {"author_submitExtrinsic": 30}
    await tao.blocks()
    seen = await asyncio.gather(*(tao.rail.locate(lane) for lane in lanes))
    assert {each.kind for each in seen} == {SightingKind.IN_BLOCK}
    told = await tao.chain.requests(reset=True)
    assert told == {"chain_getBlock": 1, "state_queryStorageAt": 1}, "the new body, and its events"


async def test_a_payout_costs_one_submit_beside_what_is_shared(tao: TaoHarness) -> None:
    await open_lane(tao)
    await tao.blocks()
    await tao.rail.baseline(tao.account)
    await tao.chain.requests(reset=True)
    lane = await open_lane(tao)
    await tao.rail.broadcast(lane)
    assert await tao.chain.requests() == {"author_submitExtrinsic": 1}


async def test_many_accounts_are_one_request(tao: TaoHarness) -> None:
    many = [accounts.miner(index).ss58_address for index in range(30)]
    node, _, rail = make_rail(tao.chain, accounts=many)
    tao.others.append(node)
    await rail.connect()
    await tao.chain.requests(reset=True)
    await asyncio.gather(*(rail.baseline(account) for account in many))
    assert await tao.chain.requests() == {"state_queryStorageAt": 1}


# the node


async def test_reads_of_the_contract_adapter(tao: TaoHarness) -> None:
    head = (await tao.node.heads()).best
    assert await tao.node.storage("System", "Number", [], head.hash) == head.height
    assert await tao.node.storage("Contracts", "ContractInfoOf", [tao.account], head.hash) is None
    version = await tao.node.state_call("Core_version", b"", head.hash)
    assert b"swap-devnet" in version
    await tao.chain.requests(reset=True)
    assert await tao.node.state_call("Core_version", b"", head.hash) == version
    assert await tao.chain.requests() == {}
    assert await tao.node.hash_at(10**6) is None
    assert await tao.node.hash_at(head.height) == head.hash
    for unknown in ("0x" + "ab" * 32, "nonsense"):
        with pytest.raises(ReadFailed):
            await tao.node.raw_block(Head(1, unknown))
    with pytest.raises(ReadFailed):
        await tao.node.storage("System", "Nothing", [], head.hash)


async def test_transfers_are_read_as_another_implementation_reads_them(tao: TaoHarness) -> None:
    claim = await tao.user_pays(AMOUNT)
    block_hash = await tao.chain.block_hash(claim.height)
    assert block_hash is not None
    theirs = await tao.outside.events(block_hash)
    ours = (await tao.node.blocks.state(block_hash)).events
    wanted = [
        (each.extrinsic, each.attributes["amount"])
        for each in theirs
        if (each.pallet, each.name) == ("Balances", "Transfer")
    ]
    assert [(each.extrinsic, each.amount) for each in ours.transfers] == wanted
    done = {e.extrinsic for e in theirs if (e.pallet, e.name) == ("System", "ExtrinsicSuccess")}
    assert {index for index, good in ours.succeeded.items() if good} == done


async def test_following_tells_each_change_once(tao: TaoHarness) -> None:
    seen = []
    async with aclosing(tao.node.follow()) as follow:  # type: ignore[type-var]
        async for heads in follow:
            seen.append(heads)
            if len(seen) == 4:
                break
            await tao.chain.new_block()
    assert len(set(seen)) == 4
    assert tao.node.best_height() >= seen[-1].best.height


async def test_another_chains_endpoint_is_passed_over(tao: TaoHarness) -> None:
    async with await ContractsChain.start(genesis_hash="0x" + "11" * 32, balances={}) as other:
        node = SubstrateNode([other.url, tao.chain.url], LoopClock(), genesis=tao.node.genesis, limits=LIMITS)
        await node.connect()
        assert (await node.heads()).best.hash == (await tao.chain.heads()).hash
        await node.close()
        alone = SubstrateNode([other.url], LoopClock(), genesis=tao.node.genesis, limits=LIMITS)
        with pytest.raises(ReadFailed, match="genesis"):
            await alone.connect()
        await alone.close()


async def test_a_lost_endpoint_is_replaced(tao: TaoHarness) -> None:
    node, _, rail = make_rail(tao.chain, urls=[tao.chain.url, tao.chain.driver_url])
    tao.others.append(node)
    await rail.connect()
    await tao.chain.disconnect(down=True)
    await tao.chain.new_block()
    await tao.settle(node)
    await tao.chain.disconnect()


async def test_a_silent_endpoint_is_replaced(tao: TaoHarness) -> None:
    limits = Limits(connect_s=1.0, reply_s=5.0, stall_s=30.0, silence_s=10.0, behind_blocks=2)
    node, _, rail = make_rail(tao.chain, urls=[tao.chain.url, tao.chain.driver_url], limits=limits)
    tao.others.append(node)
    await rail.connect()
    await tao.chain.fault(Fault("notification", FaultKind.DROP))
    await tao.chain.new_block(3)
    await tao.settle(node)


async def test_a_stalled_connection_is_made_anew(tao: TaoHarness) -> None:
    limits = Limits(connect_s=1.0, reply_s=5.0, stall_s=0.3, silence_s=10.0)
    node, _, rail = make_rail(tao.chain, limits=limits)
    tao.others.append(node)
    await rail.connect()
    await tao.chain.fault(Fault("notification", FaultKind.DROP))
    await tao.chain.new_block()
    await tao.settle(node)


async def test_a_reply_that_does_not_come_or_read_teaches_nothing(tao: TaoHarness) -> None:
    lane = await open_lane(tao)
    limits = Limits(connect_s=1.0, reply_s=2.0, stall_s=30.0, silence_s=10.0)
    node, _, rail = make_rail(tao.chain, limits=limits)
    tao.others.append(node)
    await rail.connect()
    for kind in (FaultKind.DROP, FaultKind.GARBLE, FaultKind.CLOSE):
        await tao.chain.fault(Fault("chain_getBlock", kind))
        with pytest.raises(ReadFailed):
            await rail.locate(lane)
        await tao.chain.clear_faults()
    await tao.chain.fault(Fault("chain_getBlock", FaultKind.REPLACE, result={"block": {}}))
    with pytest.raises(ReadFailed):
        await rail.locate(lane)
    await tao.chain.fault(Fault("state_queryStorageAt", FaultKind.REPLACE, result=[]))
    with pytest.raises(ReadFailed):
        await rail.locate(lane)
    await tao.chain.clear_faults()
    assert (await rail.locate(lane)).kind is SightingKind.UNSEEN


async def test_a_node_without_the_combined_read_is_asked_twice(tao: TaoHarness) -> None:
    await tao.chain.fault(
        Fault("state_queryStorageAt", FaultKind.REFUSE, code=-32601, message="Method not found")
    )
    node, _, rail = make_rail(tao.chain)
    tao.others.append(node)
    await rail.connect()
    block = await node.raw_block((await node.heads()).best)
    assert block.time_ms > 0


async def test_silence_of_every_endpoint_ends_following(tao: TaoHarness) -> None:
    limits = Limits(connect_s=1.0, reply_s=10.0, stall_s=30.0, silence_s=0.3)
    node, _, rail = make_rail(tao.chain, limits=limits)
    tao.others.append(node)
    await rail.connect()
    await tao.chain.disconnect(down=True)
    with pytest.raises(ReadFailed, match="heads"):
        await run_out(node)
    await tao.chain.disconnect()


async def test_before_connect_nothing_is_known() -> None:
    node = SubstrateNode(["ws://127.0.0.1:1"], LoopClock(), limits=LIMITS)
    with pytest.raises(ReadFailed):
        node.contract_call(accounts.user(0).ss58_address, b"", 1, 1)
    with pytest.raises(ReadFailed):
        await node.connect()
    assert node.best_height() == 0
    await node.close()
    await node.close()


@pytest.mark.parametrize(
    ("code", "message", "name"),
    [
        pytest.param(1010, "bad signature", "bad_proof", id="bad-proof"),
        pytest.param(1012, "Transaction is temporarily banned", "temporarily_banned", id="banned"),
    ],
)
async def test_bytes_signed_before_a_runtime_upgrade_are_void_once_the_chain_says_so(
    tao: TaoHarness, code: int, message: str, name: str
) -> None:
    """The pool's word is a hint; the finalised block's runtime is asked before it is signed again."""
    lane = await open_lane(tao)
    await tao.chain.fault(
        Fault("author_submitExtrinsic", FaultKind.REFUSE, count=1, code=code, message=message)
    )
    with pytest.raises(Refused) as told:
        await tao.rail.broadcast(lane)
    assert told.value.name == name
    assert (await tao.rail.locate(lane)).kind is SightingKind.UNSEEN, "the pool was wrong: they are good"
    await tao.blocks()
    await tao.chain.upgrade()
    await tao.blocks(LAG - 1)
    assert (await tao.rail.locate(lane)).kind is SightingKind.UNSEEN, "the upgrade is not final"
    await tao.blocks()
    assert (await tao.rail.locate(lane)).kind is SightingKind.EXPIRED
    order = PayoutOrder(lane.account, lane.recipient, lane.amount, MAX_FEE, 10_000)
    again = with_attempt(lane, await tao.rail.resign(lane, order))
    assert (await tao.rail.locate(again)).kind is SightingKind.UNSEEN
    await tao.rail.broadcast(again)
    await tao.blocks()
    assert (await tao.rail.locate(again)).txid == again.latest.tx.txid


async def test_a_slot_that_was_taken_stays_taken_where_the_account_was_emptied(tao: TaoHarness) -> None:
    """Its nonce is 0 again, so the slot looks free; its user may have been paid all the same."""
    lane = await open_lane(tao)
    await tao.rail.broadcast(lane)
    await tao.rival(lane, lane.amount // 2)
    await tao.finalise()
    seen = await tao.rail.locate(lane)
    assert seen.taker is TakerEffect.AMBIGUOUS
    await tao.chain.rpc("dev_setStorage", {"System": {"Account": [[[tao.account], {"nonce": 0}]]}})
    await tao.blocks(LAG + 1)
    assert (await tao.rail.locate(lane)).kind is not SightingKind.TAKEN
    again = await tao.rail.locate(sighted(lane, seen))
    assert (again.kind, again.taker, again.final) == (SightingKind.TAKEN, TakerEffect.AMBIGUOUS, True)
    assert again.at.height > seen.at.height
