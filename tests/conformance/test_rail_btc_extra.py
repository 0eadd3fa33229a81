"""The Bitcoin rail's payouts on a real node: coins, fees, recipients, replacements, refusals."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from miner.chains.bitcoin import BitcoinRail, Network
from miner.chains.bitcoin.transactions import read_tx
from miner.errors import ConfigError, InvariantBroken, NotSent, OutcomeUnknown, ReadFailed, Refused, SlotTaken
from miner.model import AttemptKind, PayoutOrder, SightingKind
from tests.conformance.rail_btc import MAX_FEE, World, btc_session, rpc_to, world
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
    with pytest.raises(Refused, match="fee_too_high"):
        await world.rail.fee(world.order(250_000, max_fee=10))


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
    assert rail.requests["getbestblockhash"] == 3, "reads are tried again, a broadcast is not"
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
    lane = await world.pay(498_000)
    bumps = 0
    with pytest.raises(Refused, match="fee_too_high"):
        while bumps < 20:
            lane = world.add(lane, await world.rail.resign(lane, world.order(498_000)))
            await world.rail.broadcast(lane)
            bumps += 1
    fees = [attempt.tx.fee for attempt in lane.attempts]
    assert len(fees) == bumps + 1 > 3
    assert fees == sorted(set(fees))
    assert fees[-1] == 2_000, "the last one had no change"
    with pytest.raises(Refused, match="order_of_another_lane"):
        await world.rail.resign(lane, world.order(499_001))


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


async def test_connect_names_what_is_wrong(world: World) -> None:
    foreign = BitcoinRail(
        rpc_to(world.node, world.folder), Network.named("signet"), {}, world.clock, max_fee=MAX_FEE
    )
    with pytest.raises(ConfigError, match="'regtest', wanted is 'signet'"):
        await foreign.connect()
    await foreign.close()
    cases = (
        ({world.address: "nowhere"}, "not loaded.*loadwallet"),
        ({world.user: world.wallet}, "cannot spend"),
    )
    for accounts, words in cases:
        rail = world.new_rail(accounts=accounts)
        with pytest.raises(ConfigError, match=words):
            await rail.connect()
        await rail.close()
    for bad in (
        await world.node.new_address(world.wallet, "legacy"),
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "x",
    ):
        with pytest.raises(ConfigError):
            world.new_rail(accounts={bad: world.wallet})
    world.node.proxy.fault(
        Fault(
            "getblockchaininfo",
            FaultKind.REPLACE,
            count=1,
            result={"chain": "regtest", "initialblockdownload": True, "headers": 9, "blocks": 4},
        )
    )
    with pytest.raises(ReadFailed, match="5 blocks"):
        await world.rail.connect()


async def test_a_locked_wallet_cannot_pay(world: World) -> None:
    await world.node.rpc("encryptwallet", "secret", wallet=world.wallet)
    rail = world.new_rail()
    with pytest.raises(ConfigError, match="walletpassphrase"):
        await rail.connect()
    with pytest.raises(ReadFailed, match="unlock the wallet"):
        await rail.prepare(world.order(), ())
    await world.node.rpc("walletpassphrase", "secret", 60, wallet=world.wallet)
    await rail.connect()
    await rail.prepare(world.order(), ())
    await rail.close()


def slot(text: str) -> tuple[str, int]:
    txid, vout = text.split(":")
    return txid, int(vout)
