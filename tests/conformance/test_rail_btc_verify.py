"""How the Bitcoin rail verifies users' payments on a real node."""

from __future__ import annotations

from typing import Any

import pytest

from miner.errors import ReadFailed, Refused
from miner.model import Payment, Pending
from tests.conformance.rail_btc import World, btc_session, world
from tests.devnet.bitcoin import btc
from tests.devnet.faults import Fault, FaultKind

__all__ = ["btc_session", "world"]
pytestmark = pytest.mark.asyncio(loop_scope="session")
AMOUNT = 120_000


async def good(world: World, txid: str, amount: int = AMOUNT, **more: Any) -> Payment:
    payment = await world.rail.verify(await world.claim(txid, amount, **more))
    assert isinstance(payment, Payment), payment
    return payment


async def pending(world: World, txid: str, amount: int = AMOUNT, **more: Any) -> str:
    told = await world.rail.verify(await world.claim(txid, amount, **more))
    assert isinstance(told, Pending), told
    return told.why


async def refused(world: World, txid: str, amount: int = AMOUNT, **more: Any) -> str:
    with pytest.raises(Refused) as told:
        await world.rail.verify(await world.claim(txid, amount, **more))
    return told.value.name


async def test_a_payment_is_verified_in_two_requests(world: World) -> None:
    txid = await world.user_pays(AMOUNT)
    (block,) = await world.node.mine()
    await world.rail.tip()
    world.clock.step_s = 0
    await world.node.requests(reset=True)
    payment = await good(world, txid)
    assert await world.node.requests() == {"getblockhash": 1, "getrawtransaction": 1}
    assert (payment.txid, payment.block_hash, payment.amount, payment.tip_hash) == (
        txid,
        block,
        AMOUNT,
        block,
    )
    assert payment.height == await world.node.height()
    for spelling in (txid.upper(), "0x" + txid, "0x" + txid.upper()):
        assert (await good(world, spelling)).txid == txid


async def test_it_is_looked_for_three_blocks_around_the_told_height(world: World) -> None:
    txid = await world.user_pays(AMOUNT)
    await world.node.mine(4)
    height = await world.node.height() - 3
    for told in range(height - 3, height + 4):
        assert (await good(world, txid, height=told)).height == height
    for told in (height - 4, height + 4, 10**9, 0):
        assert await pending(world, txid, height=told) == "not_found"


async def test_what_is_not_found_is_not_searched_again_at_the_same_tip(world: World) -> None:
    claim = await world.claim("ab" * 32, AMOUNT)
    assert await world.rail.verify(claim) == Pending("not_found")
    await world.node.requests(reset=True)
    assert await world.rail.verify(claim) == Pending("not_found")
    assert await world.node.requests() == {"getbestblockhash": 1, "getrawtransaction": 1}


async def test_unconfirmed_and_shallow_payments_are_pending(world: World) -> None:
    txid = await world.user_pays(AMOUNT)
    assert await pending(world, txid) == "unconfirmed"
    await world.node.mine()
    assert await pending(world, txid, confirmations=2) == "too_few_confirmations"
    assert await pending(world, txid, amount=AMOUNT + 1, confirmations=2) == "too_few_confirmations"
    height = await world.node.height()
    await world.node.mine()
    assert (await good(world, txid, confirmations=2, height=height)).height == height


async def test_every_way_to_be_wrong_is_named(world: World) -> None:
    txid = await world.user_pays(AMOUNT)
    await world.node.mine()
    stranger = await world.node.new_address("bank")
    assert await refused(world, txid, amount=AMOUNT + 1) == "wrong_amount"
    assert (await good(world, txid, amount=AMOUNT - 1)).amount == AMOUNT
    assert await refused(world, txid, sender=stranger) == "wrong_sender"
    assert await refused(world, txid, sender="nonsense") == "wrong_sender"
    assert await refused(world, txid, recipient=stranger) == "wrong_recipient"
    assert await refused(world, "xyz") == "bad_txid"
    assert await refused(world, txid + "00") == "bad_txid"
    block = await world.node.rpc("getbestblockhash")
    time_s = (await world.node.rpc("getblockheader", block))["time"]
    assert (await good(world, txid, not_before_ms=time_s * 1000)).txid == txid
    assert await refused(world, txid, not_before_ms=time_s * 1000 + 1) == "too_old"


async def test_a_coinbase_is_no_payment(world: World) -> None:
    (block,) = await world.node.mine(address=world.address)
    txid = (await world.node.rpc("getblock", block))["tx"][0]
    assert await refused(world, txid, amount=1) == "wrong_sender"


async def test_outputs_to_us_are_added_up_and_the_first_input_is_the_sender(world: World) -> None:
    other = await world.node.new_address(world.user_wallet)
    await world.node.fund_many({world.user: 100_000, other: 100_000})
    coins = await world.node.rpc("listunspent", 1, 9999, [world.user, other], wallet=world.user_wallet)
    coins.sort(key=lambda coin: coin["address"] != world.user)
    inputs = [{"txid": coin["txid"], "vout": coin["vout"]} for coin in coins]
    upper = world.address.upper()
    outputs = [{world.address: btc(AMOUNT)}, {world.user: btc(70_000)}]
    txid = await world.spend(inputs, outputs, world.user_wallet)
    await world.node.mine()
    assert (await good(world, txid, recipient=upper)).amount == AMOUNT
    assert await refused(world, txid, sender=other) == "wrong_sender"


async def test_senders_of_every_kind_are_recognised(world: World) -> None:
    for kind in ("legacy", "p2sh-segwit", "bech32m"):
        sender = await world.node.new_address(world.user_wallet, kind)
        await world.node.fund(sender, 200_000)
        txid = await world.node.pay_from(world.user_wallet, sender, {world.address: AMOUNT})
        await world.node.mine()
        assert (await good(world, txid, sender=sender)).amount == AMOUNT


async def test_a_verified_payment_stays_good_until_its_block_leaves_the_chain(world: World) -> None:
    txid = await world.user_pays(AMOUNT)
    await world.node.mine()
    payment = await good(world, txid)
    world.clock.step_s = 0
    await world.rail.tip()
    await world.node.requests(reset=True)
    assert await world.rail.still_good(payment)
    assert await world.node.requests() == {}, "free while the tip is the same"
    await world.node.mine()
    world.clock.step_s = 10
    assert await world.rail.still_good(payment)
    await world.node.requests(reset=True)
    assert await world.rail.still_good(payment)
    assert await world.node.requests() == {"getbestblockhash": 1}
    await world.node.reorganise(2, blocks=3, empty=True)
    assert not await world.rail.still_good(payment)
    assert await pending(world, txid) == "unconfirmed"
    await world.node.mine()
    again = await good(world, txid)
    assert again.block_hash != payment.block_hash


async def test_the_tip_is_believed_for_its_time(world: World) -> None:
    world.clock.step_s = 0
    first = await world.rail.tip()
    await world.node.mine()
    assert await world.rail.tip() == first
    world.clock.now_s += 1.01
    assert (await world.rail.tip()).height == first.height + 1


async def test_a_node_that_knows_nothing_refuses_nobody(world: World) -> None:
    txid = await world.user_pays(AMOUNT)
    await world.node.mine()
    claim = await world.claim(txid, AMOUNT)
    pruned = Fault(
        "getrawtransaction", FaultKind.REFUSE, code=-1, message="Block not available (pruned data)"
    )
    for fault in (
        pruned,
        Fault("getrawtransaction", FaultKind.REFUSE, code=-5, message="Block hash not found"),
        Fault("getrawtransaction", FaultKind.GARBLE),
        Fault("getrawtransaction", FaultKind.REPLACE, result={"txid": txid, "vin": [], "vout": []}),
        Fault("getrawtransaction", FaultKind.REPLACE, result={"txid": "00" * 32}),
        Fault("getblockhash", FaultKind.CLOSE),
    ):
        world.node.proxy.fault(fault)
        with pytest.raises(ReadFailed):
            await world.rail.verify(claim)
        world.node.proxy.clear_faults()
    world.node.proxy.fault(Fault("getrawtransaction", FaultKind.CLOSE, count=1))
    assert isinstance(await world.rail.verify(claim), Payment), "a read is tried again"


async def test_a_payment_without_its_inputs_origins_teaches_nothing(world: World) -> None:
    txid = await world.user_pays(AMOUNT)
    (block,) = await world.node.mine()
    told = await world.node.rpc("getrawtransaction", txid, 1, block)
    world.node.proxy.fault(Fault("getrawtransaction", FaultKind.REPLACE, result=told))
    with pytest.raises(ReadFailed):
        await world.rail.verify(await world.claim(txid, AMOUNT))
