"""The Bitcoin rail's payouts on a real node: coins, fees, recipients, replacements, refusals."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from miner.chains.bitcoin import FeePolicy
from miner.chains.bitcoin.transactions import read_tx
from miner.errors import InvariantBroken, NotSent, OutcomeUnknown, ReadFailed, Refused, SlotTaken
from miner.model import AttemptKind, PayoutOrder, SightingKind
from tests.conformance.rail_btc import MAX_FEE, World, btc_session, world
from tests.devnet.bitcoin import BitcoinNode
from tests.devnet.faults import Fault, FaultKind

__all__ = ["btc_session", "world"]
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def refused(name: str, world: World, amount: int = 100_000, recipient: str | None = None) -> Refused:
    with pytest.raises(Refused) as told:
        await world.rail.prepare(world.order(amount, recipient), world.taken)
    assert told.value.name == name
    return told.value


async def test_a_payout_lands_and_becomes_final(world: World) -> None:
    lane = await world.pay(250_000)
    pooled = await world.rail.locate(lane)
    assert (pooled.kind, pooled.txid) == (SightingKind.IN_POOL, lane.latest.tx.txid)
    (block,) = await world.node.mine()
    seen = await world.rail.locate(lane)
    assert (seen.kind, seen.succeeded, seen.final) == (SightingKind.IN_BLOCK, True, False)
    assert seen.block is not None
    assert seen.block.hash == block == seen.at.hash
    await world.node.mine(2)
    assert (await world.rail.locate(world.seen(lane, seen))).final
    tx = read_tx(lane.latest.tx.raw)
    assert tx.txid == lane.latest.tx.txid
    assert [str(o) for o in tx.spends] == list(lane.latest.tx.spends)
    received = await world.node.rpc("getreceivedbyaddress", world.user, wallet=world.user_wallet)
    assert received == pytest.approx(0.0025)


async def test_a_payout_takes_six_requests_from_prepare_to_broadcast(world: World) -> None:
    await world.rail.tip()
    world.clock.step_s = 0
    await world.node.requests(reset=True)
    await world.pay()
    assert await world.node.requests() == {
        "estimatesmartfee": 1, "listunspent": 1, "walletcreatefundedpsbt": 1, "walletprocesspsbt": 1,
        "testmempoolaccept": 1, "sendrawtransaction": 1,
    }  # fmt: skip
    assert world.rail.requests["sendrawtransaction"] == 1


@pytest.mark.parametrize("kind", ["bech32", "bech32m", "p2sh-segwit", "legacy"])
async def test_every_standard_recipient_is_paid(world: World, kind: str) -> None:
    recipient = await world.node.new_address(world.user_wallet, kind)
    world.rail.check_recipient(recipient)
    await world.pay(70_000, recipient)
    await world.node.mine()
    assert await world.node.rpc("getreceivedbyaddress", recipient, wallet=world.user_wallet) == pytest.approx(
        0.0007
    )


async def test_a_witness_script_recipient_is_paid(world: World) -> None:
    recipient = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry"
    lane = await world.pay(70_000, recipient)
    await world.node.mine()
    assert (await world.rail.locate(lane)).kind is SightingKind.IN_BLOCK


async def test_a_taproot_account_pays(btc_session: BitcoinNode, tmp_path: Path) -> None:
    world = await World.make(btc_session, tmp_path, "bech32m")
    await world.node.fund_many({world.address: 100_000})
    await world.node.fund_many({world.address: 100_001})
    lane = await world.pay(150_000)
    assert len(lane.latest.tx.spends) == 2
    cancelled = world.add(lane, await world.rail.cancel(lane))
    await world.rail.broadcast(cancelled)
    await world.node.mine()
    assert (await world.rail.locate(cancelled)).kind_seen is AttemptKind.FILLER
    await world.rail.close()


async def test_the_smallest_sufficient_coin_is_taken_and_taken_ones_are_left(world: World) -> None:
    first = await world.pay(200_000, send=False)
    assert (await world.node.rpc("gettxout", *slot(first.slot)))["value"] == pytest.approx(0.003)
    second = await world.pay(200_000, send=False)
    assert (await world.node.rpc("gettxout", *slot(second.slot)))["value"] == pytest.approx(0.005)
    both = await world.pay(900_000, send=False)
    assert both.slot not in (first.slot, second.slot)
    await refused("insufficient_funds", world)


async def test_several_coins_are_joined_the_largest_as_the_anchor(world: World) -> None:
    lane = await world.pay(1_400_000)
    assert len(lane.latest.tx.spends) == 2
    assert (await world.node.rpc("gettxout", *slot(lane.slot), False))["value"] == pytest.approx(0.01)
    await world.node.mine()
    assert (await world.rail.locate(lane)).kind is SightingKind.IN_BLOCK


async def test_unconfirmed_change_is_never_spent(world: World) -> None:
    await world.pay(1_700_000)
    told = await refused("insufficient_funds", world)
    assert "sat are missing" in told.detail
    assert "unconfirmed" in told.detail
    assert await world.rail.spendable(world.address) == 0
    await world.node.mine()
    assert 0 < await world.rail.spendable(world.address) < 100_000


async def test_locked_coins_are_left_alone_and_after_a_restart_taken_protects(
    world: World,
) -> None:
    first = await world.pay(200_000, send=False)
    txid, vout = slot(first.slot)
    await world.node.rpc("lockunspent", False, [{"txid": txid, "vout": vout}], wallet=world.wallet)
    assert await world.rail.spendable(world.address) == 1_500_000
    await world.node.restart()
    assert await world.node.rpc("listlockunspent", wallet=world.wallet) == []
    assert await world.rail.spendable(world.address) == 1_800_000
    second = await world.pay(200_000)
    assert second.slot != first.slot
    await world.rail.broadcast(first)
    assert first.latest.tx.txid in await world.pool()


async def test_the_claim_gives_its_bytes_for_its_anchor_only(world: World) -> None:
    claim = await world.rail.prepare(world.order(), ())
    assert claim.anchor is not None
    assert claim.sign(claim.anchor).spends[0] == claim.anchor
    assert claim.account == world.address
    assert claim.nonce_floor is None
    with pytest.raises(SlotTaken):
        claim.sign("00" * 32 + ":0")
    assert claim.sign(claim.anchor).raw.hex() not in repr(claim)
    assert claim.sign(claim.anchor).txid not in await world.pool(), "nothing has left"


async def test_refusals_before_signing(world: World) -> None:
    await refused("dust", world, 293)
    assert (await world.pay(294)).amount == 294
    told = await refused("insufficient_funds", world, 2_000_000)
    assert int(told.detail.split()[0]) >= 200_000
    await refused("recipient_is_sender", world, recipient=world.address)
    await refused("recipient_is_sender", world, recipient=world.address.upper())
    await refused("recipient_of_another_network", world, recipient="1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")
    await refused("bad_address", world, recipient=world.user[:-1] + ("q" if world.user[-1] != "q" else "p"))
    with pytest.raises(Refused) as told_fee:
        await world.rail.prepare(world.order(max_fee=100), ())
    assert told_fee.value.name == "fee_too_high"
    with pytest.raises(Refused) as told_account:
        await world.rail.prepare(PayoutOrder(world.user, world.user, 1, 1, 1), ())
    assert told_account.value.name == "unknown_account"


async def test_the_fee_told_is_the_fee_paid_at_most(world: World) -> None:
    told = await world.rail.fee(world.order(250_000))
    lane = await world.pay(250_000)
    assert 0 < lane.latest.tx.fee <= told <= 2 * lane.latest.tx.fee
    assert await world.rail.fee(world.order(10_000_000)) > told, "for as many coins as there are"
    assert await world.rail.fee(world.order(250_000, max_fee=10)) > 10, "told, not refused"
    with pytest.raises(Refused, match="dust"):
        await world.rail.fee(world.order(200))


async def test_dust_change_goes_to_the_fee_within_the_limit(world: World) -> None:
    fee = await world.rail.fee(world.order(1_000_000))
    lane = await world.pay(1_000_000 - fee)
    assert len(read_tx(lane.latest.tx.raw).pays) in (1, 2)
    assert lane.latest.tx.fee <= MAX_FEE


async def test_rebroadcast_is_success_in_the_pool_and_in_the_chain(world: World) -> None:
    lane = await world.pay()
    await world.rail.broadcast(lane)
    await world.node.mine()
    await world.rail.broadcast(lane)


async def test_what_becomes_of_a_broadcast_is_told_apart(world: World) -> None:
    lane = await world.pay(send=False)
    faults = world.node.proxy
    faults.fault(Fault("sendrawtransaction", FaultKind.CLOSE, count=1))
    with pytest.raises(OutcomeUnknown):
        await world.rail.broadcast(lane)
    assert (await world.rail.locate(lane)).kind is SightingKind.IN_POOL, "it had left"
    faults.fault(Fault("sendrawtransaction", FaultKind.GARBLE, count=1))
    with pytest.raises(OutcomeUnknown):
        await world.rail.broadcast(lane)
    faults.fault(Fault("sendrawtransaction", FaultKind.REFUSE, count=1, code=-28, message="Loading wallet…"))
    with pytest.raises(NotSent):
        await world.rail.broadcast(lane)
    for code, words, name in (
        (-25, "bad-txns-inputs-missingorspent", "missing_inputs"),
        (-26, "insufficient fee, rejecting replacement", "insufficient_fee"),
        (-26, "mempool min fee not met, 1 < 2", "fee_too_low"),
        (-26, "something new", "rejected"),
    ):
        faults.fault(Fault("sendrawtransaction", FaultKind.REFUSE, count=1, code=code, message=words))
        with pytest.raises(Refused) as told:
            await world.rail.broadcast(lane)
        assert told.value.name == name
    for code, words in (
        (-27, "Transaction outputs already in utxo set"),
        (-27, "transaction already in block chain"),
        (-25, "txn-already-known"),
        (-26, "txn-already-in-mempool"),
    ):
        faults.fault(Fault("sendrawtransaction", FaultKind.REFUSE, count=1, code=code, message=words))
        await world.rail.broadcast(lane)


async def test_a_node_that_is_not_there_sends_nothing_and_teaches_nothing(world: World) -> None:
    lane = await world.pay(send=False)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    rail = world.new_rail(rpc={"port": port})
    with pytest.raises(NotSent):
        await rail.broadcast(lane)
    for read in (rail.locate(lane), rail.tip(), rail.spendable(world.address)):
        with pytest.raises(ReadFailed):
            await read
    assert rail.requests["sendrawtransaction"] == 0, "a node that was never checked is given nothing"
    assert set(rail.requests.values()) == {4 * 3}, "reads are tried again"
    await rail.close()


async def test_a_node_that_went_away_is_asked_again_but_given_a_payout_once(world: World) -> None:
    lane = await world.pay(send=False)
    rail = world.new_rail()
    await rail.connect()
    world.node.proxy.fault(Fault("sendrawtransaction", FaultKind.CLOSE, before=True))
    with pytest.raises(OutcomeUnknown):
        await rail.broadcast(lane)
    assert rail.requests["sendrawtransaction"] == 1
    await rail.close()


async def test_a_lying_node_is_caught_before_its_signature_is_given_out(world: World) -> None:
    thief = await world.node.new_address("bank")
    rival = await world.rail.prepare(world.order(100_000, thief), ())
    assert rival.anchor is not None
    lie = {"psbt": "", "complete": True, "hex": rival.sign(rival.anchor).raw.hex()}
    world.node.proxy.fault(Fault("walletprocesspsbt", FaultKind.REPLACE, count=1, result=lie))
    with pytest.raises(InvariantBroken):
        await world.rail.prepare(world.order(), ())
    world.node.proxy.fault(Fault("walletprocesspsbt", FaultKind.REPLACE, count=1, result={"complete": False}))
    with pytest.raises(ReadFailed):
        await world.rail.prepare(world.order(), ())


async def test_what_the_pool_would_not_take_is_not_given_out(world: World) -> None:
    for why, error in (("mempool min fee not met", Refused), ("missing-inputs", ReadFailed)):
        claim = await world.rail.prepare(world.order(), ())
        assert claim.anchor is not None
        lie = [{"txid": claim.sign(claim.anchor).txid, "allowed": False, "reject-reason": why}]
        world.node.proxy.fault(Fault("testmempoolaccept", FaultKind.REPLACE, count=1, result=lie))
        with pytest.raises(error):
            await world.rail.prepare(world.order(), ())


async def test_many_addresses_in_several_wallets_pay_each_from_its_own(world: World) -> None:
    near = await world.node.new_address(world.wallet)
    far = await world.node.new_address(world.user_wallet)
    await world.node.fund_many({near: 400_000, far: 200_000})
    accounts = {world.address: world.wallet, near: world.wallet, far: world.user_wallet}
    rail = world.new_rail(accounts=accounts)
    await rail.connect()
    assert [await rail.spendable(account) for account in accounts] == [1_800_000, 400_000, 200_000]
    for account in (near, far):
        claim = await rail.prepare(PayoutOrder(account, world.user, 150_000, MAX_FEE, 1), ())
        assert claim.account == account
        with pytest.raises(Refused, match="insufficient_funds"):
            await rail.prepare(PayoutOrder(account, world.user, 450_000, MAX_FEE, 1), ())
        with pytest.raises(Refused, match="recipient_is_sender"):
            await rail.prepare(PayoutOrder(world.address, account, 150_000, MAX_FEE, 1), ())
    await rail.close()


async def test_addresses_are_compared_by_what_they_pay(world: World) -> None:
    rail = world.rail
    assert rail.same_address(world.user, world.user.upper())
    assert not rail.same_address(world.user, world.address)
    assert not rail.same_address("x", "x")
    assert rail.canonical_txid("0x" + "AB" * 32) == "ab" * 32
    assert rail.chain_id == "btc:" + await world.node.rpc("getblockhash", 0)


async def test_what_the_wallet_says_to_the_plan_is_named(world: World) -> None:
    for words, name in (
        ("Insufficient funds", "insufficient_funds"),
        ("The preselected coins total amount does not cover the transaction target", "insufficient_funds"),
        ("Fee exceeds maximum configured by user (maxtxfee)", "fee_too_high"),
    ):
        told = Fault("walletcreatefundedpsbt", FaultKind.REFUSE, count=1, code=-4, message=words)
        world.node.proxy.fault(told)
        await refused(name, world)
    world.node.proxy.fault(Fault("walletcreatefundedpsbt", FaultKind.REFUSE, count=1, code=-4, message="odd"))
    with pytest.raises(ReadFailed):
        await world.rail.prepare(world.order(), ())
    world.node.proxy.fault(Fault("estimatesmartfee", FaultKind.REPLACE, result={"errors": ["no data"]}))
    await world.rail.prepare(world.order(), ())
    rail = world.new_rail(fees=FeePolicy(5_000, 5_000))
    with pytest.raises(ReadFailed, match="has none yet"):
        await rail.prepare(world.order(), ())
    await rail.close()


def slot(text: str) -> tuple[str, int]:
    txid, vout = text.split(":")
    return txid, int(vout)
