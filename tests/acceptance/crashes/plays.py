"""How each scenario goes on the devnet. Any daemon, or any command, may die at any time in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from miner.saga import State
from tests.acceptance.crashes.life import PATIENCE_S, Life
from tests.acceptance.crashes.troupe import Troupe
from tests.devnet import players
from tests.devnet.bitcoin import btc, sats
from tests.devnet.driver import Bad, Miner
from tests.devnet.faults import Fault, FaultKind
from tests.devnet.terms import ChainName

SHORT_BLOCKS = 24
"""A swap's time where it is to run out."""
TWO_ERAS_BLOCKS = 30
"""A swap's time in which a payout of one era of 16 blocks dies, and another can be marked and confirmed."""
LONGEST_ERA = 64
LOOKS = 12
"""Rounds in which a daemon that believes a tip for a second has looked again, dead in between or not."""
LONG_LEASE = ("lease_ttl_s = 2.0\n", "lease_ttl_s = 30.0\n")
"""Where a command waits for the daemon: it does by itself what no daemon with a lease is there for."""
SWEEP_OFTEN = ("sweep_interval_blocks = 25\n", "sweep_interval_blocks = 2\n")
MARK_FULFILLED = "2dbeeb8d"
"""The message's selector, as it stands in a dry run's parameters."""


def _miner(troupe: Troupe, hotkey: str) -> Miner:
    return next(miner for miner in troupe.devnet.miners if miner.hotkey.ss58_address == hotkey)


async def _nothing_is_sent(troupe: Troupe) -> None:
    """Neither chain takes anything of the daemons."""
    await troupe.devnet.chain.fault(
        Fault("author_submitExtrinsic", FaultKind.REFUSE, code=1016, message="Immediately dropped")
    )
    troupe.devnet.bitcoin.proxy.fault(
        Fault("sendrawtransaction", FaultKind.REFUSE, code=-26, message="mempool full")
    )


async def _no_mark_leaves(troupe: Troupe) -> None:
    await troupe.devnet.chain.fault(
        Fault("author_submitExtrinsic", FaultKind.REFUSE, match=MARK_FULFILLED, code=1016, message="Dropped")
    )


async def _open_and_sign(troupe: Troupe) -> None:
    """Open swaps, and wait until every payout is signed and was sent: a tip may be believed for a second."""
    await troupe.open()
    await troupe.until(lambda life: life.journaled("PAYOUT_SIGNED"), "signed", blocks=6)


async def _all_is_well(troupe: Troupe) -> None:
    await troupe.devnet.chain.clear_faults()
    troupe.devnet.bitcoin.proxy.clear_faults()


async def paid(troupe: Troupe) -> None:
    """From its birth to its completion."""
    await troupe.begin()
    await troupe.open()
    await troupe.judged()
    await troupe.rest()


async def refused(troupe: Troupe) -> None:
    """The user paid too little."""
    await troupe.begin()
    await troupe.open(Bad(paid_amount=999_999))
    await troupe.rest()


async def expired(troupe: Troupe) -> None:
    """First sends are paused for too long."""
    await troupe.devnet.contract.set_timeout(SHORT_BLOCKS)
    await troupe.begin()
    await troupe.each(lambda life: life.cli("pause"))
    await troupe.open()
    await troupe.leap(SHORT_BLOCKS - 2)
    await troupe.rest()


async def ended_while_down(troupe: Troupe) -> None:
    """The swap is known and not yet paid; its time runs out while nobody is there."""
    await troupe.devnet.contract.set_timeout(SHORT_BLOCKS)
    await troupe.begin()
    await troupe.each(lambda life: life.cli("pause"))
    await troupe.open()
    await troupe.close()
    await troupe.timed_out()
    await troupe.start()
    await troupe.rest()


async def timed_out(troupe: Troupe) -> None:
    """Paid and marked, and never confirmed."""
    await troupe.devnet.contract.set_timeout(SHORT_BLOCKS)
    await troupe.begin()
    await troupe.open()
    await troupe.until(lambda life: life.in_state(State.MARKED), "marked")
    await troupe.timed_out()
    await troupe.rest()


async def never_left(troupe: Troupe) -> None:
    """Signed, and refused by every node until the swap has ended: called back in its lane."""
    await troupe.devnet.contract.set_timeout(SHORT_BLOCKS)
    await troupe.begin()
    await _nothing_is_sent(troupe)
    await _open_and_sign(troupe)
    await troupe.timed_out()
    await _all_is_well(troupe)
    await troupe.rest()


async def signed_again(troupe: Troupe) -> None:
    """The first era dies unused."""
    await troupe.devnet.contract.set_timeout(TWO_ERAS_BLOCKS)
    await troupe.begin()
    await _nothing_is_sent(troupe)
    await _open_and_sign(troupe)
    await troupe.leap(16)
    await troupe.until(lambda life: life.journaled("PAYOUT_RESIGNED"), "signed again", blocks=3)
    await _all_is_well(troupe)
    await troupe.judged()
    await troupe.rest()


async def marked_by_another(troupe: Troupe) -> None:
    """Somebody who has the hotkey marks with an id that is none of ours."""
    await troupe.devnet.contract.set_timeout(SHORT_BLOCKS)
    await troupe.begin()
    await _no_mark_leaves(troupe)
    await troupe.open()
    await troupe.until(lambda life: life.journaled("PAYOUT_INCLUDED"), "paid")
    foreign = {"dest_tx_hash": "0x" + "ab" * 32, "dest_tx_block": 1, "dest_amount": 1}
    await troupe.devnet.contract.execute(
        [(swap.swap.miner, "mark_fulfilled", {"swap_id": swap.id, **foreign}) for _, swap in troupe.swaps]
    )
    await troupe.followed()
    await troupe.until(lambda life: life.in_state(State.HELD), "held")
    await troupe.timed_out()
    await troupe.leap(LONGEST_ERA)
    await troupe.rest()


async def lane_taken(troupe: Troupe) -> None:
    """The payout never left, and somebody with its key used its slot for something else."""
    await troupe.begin()
    await _nothing_is_sent(troupe)
    await _open_and_sign(troupe)
    slots = {swap: slot for life in troupe.playing for swap, slot in life.slots("payout").items()}
    if troupe.dest is ChainName.TAO:
        await _take_nonces(troupe, slots)
    else:
        for swap_id, slot in slots.items():
            await _take_coin(troupe, swap_id, slot)
    await _all_is_well(troupe)
    await troupe.judged()
    await troupe.rest()


async def _take_nonces(troupe: Troupe, slots: dict[int, str]) -> None:
    substrate = troupe.devnet.contract.substrate
    remark = await substrate.call("System", "remark", remark="0x00")
    hotkeys = {swap.id: _miner(troupe, swap.swap.miner).hotkey for _, swap in troupe.swaps}
    signed = [await substrate.sign(remark, hotkeys[swap], nonce=int(slot)) for swap, slot in slots.items()]
    await substrate.include(signed)
    await troupe.followed()


async def _take_coin(troupe: Troupe, swap_id: int, slot: str) -> None:
    """Spend the anchor, and nothing else, back to the miner."""
    node = troupe.devnet.bitcoin
    (opened,) = [swap for _, swap in troupe.swaps if swap.id == swap_id]
    miner = _miner(troupe, opened.swap.miner)
    txid, _, vout = slot.partition(":")
    coin = await node.rpc("gettxout", txid, int(vout))
    inputs = [{"txid": txid, "vout": int(vout)}]
    outputs = [{miner.btc_address: btc(sats(coin["value"]) - 1000)}]
    raw = await node.rpc("createrawtransaction", inputs, outputs)
    signed = await node.rpc("signrawtransactionwithwallet", raw, wallet=miner.btc_wallet)
    await node.rpc("sendrawtransaction", signed["hex"])


async def imported(troupe: Troupe) -> None:
    """Another program has paid already, and says so in its sent cache."""
    await troupe.prepare([SWEEP_OFTEN])
    await troupe.open()
    for life in troupe.lives:
        told = {}
        for swap in life.swaps:
            payment = await players.pay_user(troupe.devnet, _miner(troupe, swap.swap.miner), swap.id)
            told[str(swap.id)] = [payment.tx_hash, payment.block, False, 0]
        (life.stage.folder / "sent.json").write_text(json.dumps(told))
    await troupe.each(lambda life: life.cli("import-sent", str(life.stage.folder / "sent.json")))
    await troupe.start()
    await troupe.judged()
    await troupe.rest()


async def adopted_by_hand(troupe: Troupe) -> None:
    """Another program has paid, and does not say by which transaction: the operator does."""
    await troupe.prepare([LONG_LEASE])
    await troupe.open()
    for life in troupe.lives:
        told = {str(swap.id): ["tao_transfer", 3] for swap in life.swaps}
        (life.stage.folder / "sent.json").write_text(json.dumps(told))
    await troupe.each(lambda life: life.cli("import-sent", str(life.stage.folder / "sent.json")))
    await troupe.start()
    paid_by = {
        swap.id: await players.pay_user(troupe.devnet, _miner(troupe, swap.swap.miner), swap.id)
        for _, swap in troupe.swaps
    }
    await troupe.block(6)

    async def adopt(life: Life) -> None:
        for swap in life.swaps:
            paid = paid_by[swap.id]
            where = ("--block", str(paid.block))  # each was paid in a block of its own, all in no time
            why = ("--yes", "--reason", "paid by hand")
            await life.cli("adopt-payout", str(swap.id), paid.tx_hash, *where, *why)
        await _cleared(life)

    await troupe.each(adopt)
    await troupe.judged()
    await troupe.rest()


async def reorganised(troupe: Troupe) -> None:
    """The payout's block is replaced before the mark; none takes it until every daemon has seen that."""
    await troupe.devnet.chain.set_finality_lag(3)
    await troupe.block(3)
    await troupe.begin([("[limits.btc]\n", "[limits.btc]\nmark_confirmations = 3\n")])
    await troupe.open()
    await troupe.until(lambda life: life.journaled("PAYOUT_INCLUDED"), "paid")
    if troupe.dest is ChainName.TAO:
        await _nothing_is_sent(troupe)
        await troupe.devnet.chain.fork(_lowest_payout(troupe.playing) - 1, resubmit=False, blocks=0)
    else:
        node = troupe.devnet.bitcoin
        await node.reorganise(await node.height() - _lowest_payout(troupe.playing) + 1, empty=True)
    for _ in range(LOOKS):  # without a block of Bitcoin, which would have the payout in it again
        if not all(life.journaled("PAYOUT_REORGED") for life in troupe.playing):
            await troupe.leap(1)
    await troupe.until(lambda life: life.journaled("PAYOUT_REORGED"), "taken back", blocks=0)
    await _all_is_well(troupe)
    await troupe.devnet.chain.set_finality_lag(0)
    await troupe.judged()
    await troupe.rest()


def _lowest_payout(lives: Sequence[Life]) -> int:
    query = "SELECT min(block_height) FROM lanes WHERE purpose = 'payout'"
    return min(int(life.stage.rows(query)[0][0]) for life in lives)


async def finality_broken(troupe: Troupe) -> None:
    """A finalised block is another one: first sends stop, and a person lets them go on.

    Bytes whose era began in a block that is gone never land; they are signed again once their era is over.
    """
    await troupe.begin()
    await troupe.open()
    await troupe.until(lambda life: life.journaled("PAYOUT_INCLUDED"), "paid")
    born = max(swap.swap.initiated_block for _, swap in troupe.swaps)
    await troupe.devnet.chain.fork(born, force=True, resubmit=True)
    await troupe.until(lambda life: bool(life.stage.rows("SELECT 1 FROM paused")), "paused", blocks=6)
    await troupe.each(lambda life: life.cli("resume"))
    await troupe.leap(LONGEST_ERA)
    await troupe.judged()
    await troupe.rest()


async def mark_lane_taken(troupe: Troupe) -> None:
    """The mark never left, its nonce was used for something else, and the node answers no dry run."""
    await troupe.begin()
    await _no_mark_leaves(troupe)
    await troupe.open()
    await troupe.until(lambda life: life.in_state(State.MARKING), "marking")
    await troupe.devnet.chain.fault(
        Fault("state_call", FaultKind.REFUSE, match=MARK_FULFILLED, code=-32000, message="busy")
    )
    slots = {swap: slot for life in troupe.playing for swap, slot in life.slots("mark").items()}
    await _take_nonces(troupe, slots)
    await troupe.until(lambda life: life.journaled("MARK_FAILED"), "failed to mark")
    await _all_is_well(troupe)
    await troupe.judged()
    await troupe.rest()


async def mark_expired(troupe: Troupe) -> None:
    """The mark's era dies unused while the swap has time left."""
    await troupe.begin()
    await _no_mark_leaves(troupe)
    await troupe.open()
    await troupe.until(lambda life: life.in_state(State.MARKING), "marking")
    await troupe.leap(LONGEST_ERA + 1)
    await _all_is_well(troupe)
    await troupe.judged()
    await troupe.rest()


async def mark_too_late(troupe: Troupe) -> None:
    """The swap times out with a mark that never left: its nonce is filled."""
    await troupe.devnet.contract.set_timeout(SHORT_BLOCKS)
    await troupe.begin()
    await _no_mark_leaves(troupe)
    await troupe.open()
    await troupe.until(lambda life: life.in_state(State.MARKING), "marking")
    await troupe.timed_out()
    await troupe.leap(LONGEST_ERA)
    await _all_is_well(troupe)
    await troupe.rest()


async def yielded(troupe: Troupe) -> None:
    """Dead between reservation and payout, while the block of the user's payment is replaced."""
    node = troupe.devnet.bitcoin
    all_dead = asyncio.Barrier(len(troupe.lives))

    async def replaced() -> None:
        async with asyncio.timeout(PATIENCE_S):
            if await all_dead.wait() == 0:
                born = min(swap.payment.block for _, swap in troupe.swaps)
                await node.reorganise(await node.height() - born + 1)
            await all_dead.wait()

    await troupe.begin()
    for life in troupe.lives:
        life.on_first_death = replaced
    await troupe.open()
    await troupe.judged()
    await troupe.rest()


async def foreign_spend(troupe: Troupe) -> None:
    """Somebody else signs for the payout account: its first sends stop until a person has looked."""
    await troupe.begin([SWEEP_OFTEN])
    for life in troupe.lives:
        for index in life.miners:
            await _spend(troupe, troupe.devnet.miners[index])
    await troupe.block()
    stopped = "SELECT count(*) FROM accounts WHERE stopped != ''"
    await troupe.until(lambda life: life.stage.rows(stopped) == [(len(life.miners),)], "stopped")

    await troupe.each(_cleared)
    await troupe.open()
    await troupe.judged()
    await troupe.rest()


async def _cleared(life: Life) -> None:
    """A person has looked, and lets first sends go on: of what was stopped before it was explained too."""
    for (account,) in life.stage.rows("SELECT account FROM accounts WHERE stopped != ''"):
        await life.cli("resume", "--account", account)


async def _spend(troupe: Troupe, miner: Miner) -> None:
    if troupe.dest is ChainName.BTC:
        address = await troupe.devnet.bitcoin.new_address("bank")
        await troupe.devnet.bitcoin.pay_from(miner.btc_wallet, miner.btc_address, {address: 10_000})
        return
    substrate = troupe.devnet.contract.substrate
    remark = await substrate.call("System", "remark", remark="0x01")
    await substrate.submit(await substrate.sign(remark, miner.hotkey))


async def code_accepted(troupe: Troupe) -> None:
    """A person accepts the contract's code."""
    await troupe.begin()
    await troupe.each(lambda life: life.cli("resume", "--code"))
    await troupe.open()
    await troupe.judged()
    await troupe.rest()


async def paused(troupe: Troupe) -> None:
    """First sends are paused, and go on."""
    await troupe.begin()
    await troupe.each(lambda life: life.cli("pause"))
    await troupe.open()
    await troupe.block()
    await troupe.each(lambda life: life.cli("resume"))
    await troupe.judged()
    await troupe.rest()
