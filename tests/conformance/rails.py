"""What every rail must do, over the real chain: a harness that each rail supplies, and the tests.

A rail's own test class takes `RailTests` and gives it a `harness` fixture. What is particular to one chain
(eras, anchors, fees) is tested beside it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import pytest

from miner.errors import NotSent, OutcomeUnknown, ReadFailed, Refused
from miner.model import (
    AccountRow,
    Attempt,
    AttemptKind,
    Claim,
    Lane,
    LaneState,
    Payment,
    PaymentClaim,
    PayoutOrder,
    Pending,
    Replacement,
    Sighting,
    SightingKind,
    SignedTx,
    Since,
    TakerEffect,
)
from miner.ports import Rail

AMOUNT = 2_000_000
"""What is paid in these tests, smallest unit."""
WAITING = frozenset({SightingKind.UNSEEN, SightingKind.IN_POOL})
"""A rail need not look into the pool."""


class RailHarness(Protocol):
    """A rail over a chain of the test's own, and the hands of everybody else on that chain.

    After each method that changes the chain, the rail sees what it changed.

    Attributes:
        rail: Connected; signs for `account`.
        account: Our payout account: funded for at least four payouts of `AMOUNT` at once.
    """

    @property
    def rail(self) -> Rail:
        """See above."""

    @property
    def account(self) -> str:
        """See above."""

    async def new_rail(self) -> Rail:
        """Another connected rail for the same account, without memory: as after a restart."""

    async def new_address(self) -> str:
        """An address of somebody else, never used."""

    async def balance(self, address: str) -> int:
        """What the best chain holds for an address, by a view that is not the rail's; smallest unit."""

    def max_fee(self) -> int:
        """A fee limit that no payout here comes near."""

    async def allot(self, claim: Claim) -> str:
        """The slot that the store would give: the first that is not used and was not given before."""

    async def blocks(self, count: int = 1) -> None:
        """Make blocks that take in what waits in the pool; not final yet."""

    async def finalise(self) -> None:
        """Make blocks until everything that is in a block now is final by the rail's rule."""

    async def fork(self, depth: int) -> None:
        """Replace the newest blocks by as many others; their transactions are lost, the pool's too."""

    async def empty_pool(self) -> None:
        """Let the node forget what waits."""

    async def lose_reply(self) -> None:
        """The next broadcast takes effect, and its reply does not come."""

    async def cut_off(self) -> None:
        """The node is not reachable, until `reconnect`."""

    async def reconnect(self) -> None:
        """Ends `cut_off`; the rail answers again."""

    async def rival(self, lane: Lane, pays: int) -> str:
        """Another program with our key uses the lane's slot, in a new block.

        Args:
            lane: Whose slot; what waits for it in the pool is gone.
            pays: What it gives the lane's recipient; 0 for nothing at all.

        Returns:
            Its id.
        """

    async def user_pays(self, amount: int) -> PaymentClaim:
        """A user pays our account, in a new block; what a truthful swap says of it (one confirmation)."""


async def open_lane(harness: RailHarness, amount: int = AMOUNT, recipient: str | None = None) -> Lane:
    """A payout that is prepared, signed and stored, and has not left."""
    order = await order_of(harness, amount, recipient)
    claim = await harness.rail.prepare(order, set())
    slot = await harness.allot(claim)
    return stored(claim, claim.sign(slot))


async def order_of(harness: RailHarness, amount: int = AMOUNT, recipient: str | None = None) -> PayoutOrder:
    """An order with room in time and fee."""
    to = recipient or await harness.new_address()
    die_by = (await harness.rail.tip()).height + 1_000
    return PayoutOrder(harness.account, to, amount, harness.max_fee(), die_by)


def stored(claim: Claim, tx: SignedTx) -> Lane:
    """What the store makes of a claim and its signed bytes."""
    kind = AttemptKind.MARK if claim.purpose == "mark" else AttemptKind.PAYMENT
    return Lane(
        id=1,
        chain=claim.chain,
        account=claim.account,
        slot=tx.spends[0],
        purpose=claim.purpose,
        saga_id=1,
        recipient=claim.recipient,
        amount=claim.amount,
        state=LaneState.SIGNED,
        attempts=(Attempt(0, kind, tx, 0),),
        earliest_birth=tx.birth or 0,
    )


def with_attempt(lane: Lane, replacement: Replacement) -> Lane:
    """The lane with a further attempt stored."""
    tx = replacement.tx
    births = [lane.earliest_birth, *([tx.birth] if tx.birth is not None else [])]
    attempt = Attempt(len(lane.attempts), replacement.kind, tx, 0)
    return replace(lane, attempts=(*lane.attempts, attempt), earliest_birth=min(births))


def sighted(lane: Lane, sighting: Sighting) -> Lane:
    """The lane with a sighting stored, as the store does it."""
    in_block = sighting.kind is SightingKind.IN_BLOCK
    return replace(
        lane,
        state=LaneState.IN_BLOCK if in_block else lane.state,
        txid=sighting.txid if in_block else None,
        block=sighting.block if in_block else None,
        checked_height=sighting.at.height,
        sighting=sighting.kind,
        taker=sighting.taker,
    )


def row_of(lane: Lane, base: int, high_water: int) -> AccountRow:
    """The account's row."""
    return AccountRow(lane.chain, lane.account, high_water, base)


async def broadcast_again(rail: Rail, lane: Lane) -> None:
    """Sends once more; the pool may call it known, or have a word on it, and neither is an outcome."""
    with suppress(Refused):
        await rail.broadcast(lane)


async def since(harness: RailHarness, blocks: int) -> Since:
    """A swap that began so many blocks ago."""
    return Since(max((await harness.rail.tip()).height - blocks, 1), blocks)


class RailTests:
    """The suite. Its class attribute `harness` is a fixture of the rail's own."""

    async def test_a_payout_lands_once(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        assert (await harness.rail.locate(lane)).kind is SightingKind.UNSEEN
        await harness.rail.broadcast(lane)
        assert (await harness.rail.locate(lane)).kind in WAITING
        await harness.blocks()
        seen = await harness.rail.locate(lane)
        assert (seen.kind, seen.succeeded, seen.final) == (SightingKind.IN_BLOCK, True, False)
        assert (seen.txid, seen.kind_seen) == (lane.latest.tx.txid, AttemptKind.PAYMENT)
        await harness.finalise()
        final = await harness.rail.locate(sighted(lane, seen))
        assert final.final
        assert final.succeeded
        assert final.block == seen.block
        assert await harness.balance(lane.recipient) == AMOUNT

    async def test_nothing_leaves_before_broadcast(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        await harness.finalise()
        assert (await harness.rail.locate(lane)).kind is SightingKind.UNSEEN
        assert await harness.balance(lane.recipient) == 0

    async def test_known_bytes_are_no_error(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        await harness.rail.broadcast(lane)
        await harness.rail.broadcast(lane)
        await harness.blocks()
        await broadcast_again(harness.rail, lane)
        await harness.finalise()
        await broadcast_again(harness.rail, lane)
        assert await harness.balance(lane.recipient) == AMOUNT

    async def test_a_lost_reply_is_unknown_and_the_payout_is_found(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        await harness.lose_reply()
        with pytest.raises(OutcomeUnknown):
            await harness.rail.broadcast(lane)
        await harness.blocks()
        assert (await harness.rail.locate(lane)).kind is SightingKind.IN_BLOCK

    async def test_without_a_node_nothing_is_sent_and_nothing_learned(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        await harness.cut_off()
        with pytest.raises(NotSent):
            await harness.rail.broadcast(lane)
        with pytest.raises(ReadFailed):
            await harness.rail.locate(lane)
        await harness.reconnect()
        assert (await harness.rail.locate(lane)).kind is SightingKind.UNSEEN
        await harness.rail.broadcast(lane)
        await harness.blocks()
        assert (await harness.rail.locate(lane)).kind is SightingKind.IN_BLOCK

    async def test_a_reorg_takes_the_payout_back_and_the_same_bytes_land(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        await harness.rail.broadcast(lane)
        await harness.blocks()
        seen = await harness.rail.locate(lane)
        assert seen.kind is SightingKind.IN_BLOCK
        await harness.fork(1)
        lane = sighted(lane, seen)
        gone = await harness.rail.locate(lane)
        assert gone.kind in WAITING
        lane = sighted(lane, gone)
        await harness.rail.broadcast(lane)
        await harness.blocks()
        again = await harness.rail.locate(lane)
        assert (again.kind, again.txid) == (SightingKind.IN_BLOCK, seen.txid)
        assert again.block != seen.block
        assert await harness.balance(lane.recipient) == AMOUNT

    async def test_a_dropped_payout_is_unseen_and_can_be_sent_again(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        await harness.rail.broadcast(lane)
        await harness.empty_pool()
        await harness.blocks(2)
        lane = sighted(lane, await harness.rail.locate(lane))
        assert lane.sighting is SightingKind.UNSEEN
        await harness.rail.broadcast(lane)
        await harness.blocks()
        assert (await harness.rail.locate(lane)).kind is SightingKind.IN_BLOCK

    async def test_several_payouts_are_in_flight(self, harness: RailHarness) -> None:
        lanes = [await open_lane(harness) for _ in range(3)]
        assert len({lane.slot for lane in lanes}) == 3
        for lane in lanes:
            await harness.rail.broadcast(lane)
        await harness.blocks()
        for lane in lanes:
            assert (await harness.rail.locate(lane)).kind is SightingKind.IN_BLOCK
            assert await harness.balance(lane.recipient) == AMOUNT

    async def test_a_restarted_rail_finds_the_payout(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        await harness.rail.broadcast(lane)
        await harness.blocks()
        await harness.finalise()
        rail = await harness.new_rail()
        try:
            found = await rail.locate(lane)
            assert (found.kind, found.final, found.succeeded) == (SightingKind.IN_BLOCK, True, True)
            assert (await rail.locate(sighted(lane, found))).block == found.block
        finally:
            await rail.close()

    async def test_a_filler_cancels_what_waits(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        await harness.rail.broadcast(lane)
        lane = with_attempt(lane, await harness.rail.cancel(lane))
        assert lane.latest.tx.spends[0] == lane.slot
        await harness.rail.broadcast(lane)
        await harness.blocks()
        seen = await harness.rail.locate(lane)
        assert (seen.kind, seen.kind_seen, seen.succeeded) == (
            SightingKind.IN_BLOCK,
            AttemptKind.FILLER,
            True,
        )
        await harness.finalise()
        assert (await harness.rail.locate(lane)).final
        assert await harness.balance(lane.recipient) == 0

    async def test_a_filler_that_came_too_late_changes_nothing(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        await harness.rail.broadcast(lane)
        filler = await harness.rail.cancel(lane)
        await harness.blocks()
        lane = with_attempt(lane, filler)
        await broadcast_again(harness.rail, lane)
        await harness.finalise()
        seen = await harness.rail.locate(lane)
        assert (seen.kind_seen, seen.final) == (AttemptKind.PAYMENT, True)
        assert await harness.balance(lane.recipient) == AMOUNT

    @pytest.mark.parametrize(
        ("pays", "effect"),
        [
            (AMOUNT, TakerEffect.PAYS),
            (0, TakerEffect.PAYS_NOTHING),
            (AMOUNT // 2, TakerEffect.AMBIGUOUS),
        ],
    )
    async def test_a_taker_is_judged_by_its_effect(
        self, harness: RailHarness, pays: int, effect: TakerEffect
    ) -> None:
        lane = await open_lane(harness)
        await harness.rail.broadcast(lane)
        taker = await harness.rival(lane, pays)
        assert (await harness.rail.locate(lane)).kind is not SightingKind.TAKEN, "not before it is final"
        await harness.finalise()
        seen = await harness.rail.locate(lane)
        assert (seen.kind, seen.taker, seen.txid) == (SightingKind.TAKEN, effect, taker)
        rail = await harness.new_rail()
        try:
            assert (await rail.locate(sighted(lane, seen))).taker is effect
        finally:
            await rail.close()

    async def test_spends_of_lanes_are_explained_and_others_are_not(self, harness: RailHarness) -> None:
        base = await harness.rail.baseline(harness.account)
        lane = await open_lane(harness)
        await harness.rail.broadcast(lane)
        await harness.blocks()
        await harness.finalise()
        row = row_of(lane, base, 0)
        assert await harness.rail.unexplained(row, set(lane.latest.tx.spends)) == []
        assert await harness.rail.unexplained(row, set())
        assert await harness.rail.unexplained(row, {f"adopted:{lane.latest.tx.txid}"}) == []

    async def test_an_unexplained_spend_is_named_by_id_block_amount_and_recipient(
        self, harness: RailHarness
    ) -> None:
        base = await harness.rail.baseline(harness.account)
        lane = await open_lane(harness)
        taker = await harness.rival(lane, AMOUNT // 2)
        await harness.finalise()
        (words, *_) = await harness.rail.unexplained(row_of(lane, base, 0), set())
        found = await harness.rail.find_payout(
            harness.account, replace(await order_of(harness, AMOUNT // 2, lane.recipient)), taker, base
        )
        assert taker in words
        assert lane.recipient in words
        assert f"{AMOUNT // 2} " in words
        if found is not None and found.block is not None:
            assert f"block {found.block.height}" in words

    async def test_what_is_in_no_block_yet_has_to_be_explained_too(self, harness: RailHarness) -> None:
        """Another store with our key has just sent: a payout begun now could be one that it makes as well."""
        base = await harness.rail.baseline(harness.account)
        lane = await open_lane(harness)
        row = row_of(lane, base, 0)
        assert await harness.rail.unexplained(row, set()) == []
        await harness.rail.broadcast(lane)
        assert await harness.rail.unexplained(row, set())
        assert await harness.rail.unexplained(row, set(lane.latest.tx.spends)) == []
        await harness.blocks()
        assert await harness.rail.unexplained(row, set()), "in a block that is not final"

    async def test_every_payout_since_the_swap_began_is_told(self, harness: RailHarness) -> None:
        """An empty store: what chain and wallet know is all there is; the chain goes on meanwhile."""
        lane = await open_lane(harness)
        order = PayoutOrder(lane.account, lane.recipient, lane.amount, 0, 0)
        began = await since(harness, 0)
        assert list(await harness.rail.payouts_since(order, began)) == []
        await harness.rail.broadcast(lane)
        try:
            waiting = list(await harness.rail.payouts_since(order, began))
        except ReadFailed:
            waiting = []  # a nonce is in use, and by what cannot be read: nothing was learned
        assert all(not seen.final and seen.txid == lane.latest.tx.txid for seen in waiting)
        await harness.blocks()
        await harness.finalise()
        (seen,) = await harness.rail.payouts_since(order, began)
        assert (seen.kind, seen.txid, seen.final) == (SightingKind.IN_BLOCK, lane.latest.tx.txid, True)
        assert (seen.taker, seen.block is not None) == (TakerEffect.PAYS, True)
        (other,) = await harness.rail.payouts_since(replace(order, amount=AMOUNT + 1), began)
        assert other.taker is TakerEffect.AMBIGUOUS, "they got something else"

    @pytest.mark.parametrize(
        ("pays", "may_have"), [(AMOUNT, True), (AMOUNT // 2, True), (0, False)], ids=["it", "part", "nothing"]
    )
    async def test_whether_a_spend_may_have_paid_is_judged_by_what_it_gave(
        self, harness: RailHarness, pays: int, may_have: bool
    ) -> None:
        base = await harness.rail.baseline(harness.account)
        lane = await open_lane(harness)
        row, order = row_of(lane, base, 0), await order_of(harness, AMOUNT, lane.recipient)
        assert await harness.rail.may_have_paid(row, order, await since(harness, 0), set()) is False
        await harness.rival(lane, pays)
        await harness.finalise()
        age = await since(harness, 60)
        assert await harness.rail.may_have_paid(row, order, age, set()) is may_have
        explained = set(lane.latest.tx.spends)
        assert await harness.rail.may_have_paid(row, order, age, explained) is False, "a lane explains it"
        other = await order_of(harness, AMOUNT)
        assert await harness.rail.may_have_paid(row, other, age, set()) is False, "somebody else was paid"

    async def test_money_that_is_not_there_is_not_promised(self, harness: RailHarness) -> None:
        spendable = await harness.rail.spendable(harness.account)
        order = await order_of(harness, spendable + 1)
        with pytest.raises(Refused) as told:
            await harness.rail.prepare(order, set())
        assert told.value.name == "insufficient_funds"

    async def test_a_fee_above_the_limit_is_refused(self, harness: RailHarness) -> None:
        order = replace(await order_of(harness), max_fee=1)
        with pytest.raises(Refused) as told:
            await harness.rail.prepare(order, set())
        assert told.value.name == "fee_too_high"
        assert await harness.rail.fee(order) <= harness.max_fee()

    async def test_bad_recipients_are_refused(self, harness: RailHarness) -> None:
        good = await harness.new_address()
        harness.rail.check_recipient(good)
        swapped = good[:-3] + ("222" if good[-3:] != "222" else "333")
        for bad in ("", "nowhere", swapped, good + " ", "0x" + "00" * 32):
            with pytest.raises(Refused) as told:
                harness.rail.check_recipient(bad)
            assert told.value.name == "bad_address", bad
        with pytest.raises(Refused) as told:
            harness.rail.check_recipient(harness.account)
        assert told.value.name == "recipient_is_sender"

    async def test_signed_bytes_are_never_shown(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        raw = lane.latest.tx.raw
        assert raw.hex() not in repr(lane)
        assert repr(raw)[2:-1] not in repr(lane)


class PaymentTests:
    """The suite for the users' payments."""

    async def test_a_good_payment_is_verified(self, harness: RailHarness) -> None:
        claim = await harness.user_pays(AMOUNT)
        await harness.finalise()
        paid = await harness.rail.verify(claim)
        assert isinstance(paid, Payment)
        assert (paid.amount, paid.txid) == (AMOUNT, harness.rail.canonical_txid(claim.txid))
        assert paid.tip_hash == (await harness.rail.tip()).hash
        assert await harness.rail.still_good(paid)
        await harness.blocks(2)
        assert await harness.rail.still_good(paid)

    async def test_the_id_may_be_written_otherwise(self, harness: RailHarness) -> None:
        claim = await harness.user_pays(AMOUNT)
        await harness.finalise()
        shouted = claim.txid.removeprefix("0x").upper()
        assert isinstance(await harness.rail.verify(replace(claim, txid=shouted)), Payment)
        assert harness.rail.canonical_txid(shouted) == harness.rail.canonical_txid(claim.txid)

    async def test_more_than_claimed_is_accepted(self, harness: RailHarness) -> None:
        claim = await harness.user_pays(AMOUNT)
        await harness.finalise()
        paid = await harness.rail.verify(replace(claim, amount=AMOUNT - 1))
        assert isinstance(paid, Payment)
        assert paid.amount == AMOUNT

    async def test_a_false_claim_is_refused(self, harness: RailHarness) -> None:
        claim = await harness.user_pays(AMOUNT)
        await harness.finalise()
        other = await harness.new_address()
        for false, name in (
            (replace(claim, amount=AMOUNT + 1), "wrong_amount"),
            (replace(claim, recipient=other), "wrong_recipient"),
            (replace(claim, sender=other), "wrong_sender"),
            (replace(claim, txid="0x" + "zz" * 32), "bad_txid"),
            (replace(claim, txid=""), "bad_txid"),
        ):
            with pytest.raises(Refused) as told:
                await harness.rail.verify(false)
            assert told.value.name == name

    async def test_what_is_not_there_yet_is_pending(self, harness: RailHarness) -> None:
        claim = await harness.user_pays(AMOUNT)
        await harness.finalise()
        assert isinstance(await harness.rail.verify(replace(claim, confirmations=1_000)), Pending)
        assert isinstance(await harness.rail.verify(replace(claim, txid="ab" * 32)), Pending)
        assert isinstance(await harness.rail.verify(replace(claim, height=claim.height + 1_000_000)), Pending)

    async def test_a_payment_that_was_not_made_near_the_height_is_not_taken(
        self, harness: RailHarness
    ) -> None:
        claim = await harness.user_pays(AMOUNT)
        await harness.blocks(8)
        await harness.finalise()
        assert isinstance(await harness.rail.verify(replace(claim, height=claim.height + 2)), Payment)
        assert isinstance(await harness.rail.verify(replace(claim, height=claim.height + 6)), Pending)

    async def test_without_a_node_nothing_is_learned(self, harness: RailHarness) -> None:
        claim = await harness.user_pays(AMOUNT)
        await harness.cut_off()
        with pytest.raises(ReadFailed):
            await harness.rail.verify(claim)
        await harness.reconnect()

    async def test_another_programs_payout_is_found_by_its_id(self, harness: RailHarness) -> None:
        lane = await open_lane(harness)
        await harness.rail.broadcast(lane)
        await harness.blocks()
        seen = await harness.rail.locate(lane)
        assert seen.block is not None
        await harness.finalise()
        order = PayoutOrder(lane.account, lane.recipient, lane.amount, 0, 0)
        found = await harness.rail.find_payout(harness.account, order, lane.latest.tx.txid, seen.block.height)
        assert found is not None
        assert (found.kind, found.final, found.txid) == (SightingKind.IN_BLOCK, True, lane.latest.tx.txid)
        for named in (lane.latest.tx.txid, "not an id"):
            at = seen.block.height
            here = await harness.rail.find_payout(harness.account, order, named, at, at)
            assert here == found
            later = await harness.rail.find_payout(harness.account, order, named, at, at + 1)
            assert later is None, "what was paid before the swap began is not its payout"
        other = replace(order, amount=AMOUNT + 1)
        assert (
            await harness.rail.find_payout(harness.account, other, lane.latest.tx.txid, seen.block.height)
            is None
        )
