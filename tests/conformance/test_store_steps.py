"""A step: one compare-and-set with everything that belongs to it, or nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, update

from miner.errors import InvariantBroken, LeaseLost, Refused, SlotTaken, StaleSaga
from miner.model import (
    Adopted,
    AttemptKind,
    Ending,
    EndingKind,
    LanePurpose,
    LaneState,
    Replacement,
    Saga,
    SagaPatch,
    SightingKind,
    Step,
    TakerEffect,
)
from miner.saga import ENDS, TABLE, Event, State
from miner.store import SqlStore, project
from miner.store.schema import sagas
from tests.conformance import store_fixtures
from tests.conformance.store_builders import (
    AMOUNT,
    BTC,
    HOTKEY,
    MARK_FEE,
    PAYER,
    TAO,
    USER,
    Signer,
    anchor_claim,
    discover,
    filler,
    get,
    head,
    held,
    mark_claim,
    mark_of,
    marking,
    paid,
    payment,
    payout_claim,
    payout_of,
    recovery,
    reservation,
    reserved,
    resigned,
    seen,
    signed,
    swap,
    tx,
    verified,
)
from tests.conformance.store_fixtures import House

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other

NOTED = Step(event=Event.NOTED)


async def unchanged(store: SqlStore, saga: Saga) -> None:
    """The saga, its journal and everything of its lanes are as they were."""
    now = await get(store, saga.key.swap_id)
    assert replace(now, lease_epoch=saga.lease_epoch) == saga
    assert len(await store.journal(saga.id)) == saga.version


class TestCompareAndSet:
    async def test_a_step_moves_the_saga_and_tells_the_journal(self, house: House, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        house.clock.pass_s(2)
        patch = SagaPatch(
            payment=payment(1),
            reason="fine",
            mark_retries=3,
            next_attempt_ms=9,
            swap=swap(1, timeout_block=2),
        )
        ending = Ending(EndingKind.COMPLETED, 5, 0, 2**70, "0xabc")
        patch = replace(patch, ending=ending)
        after = await store.step(
            saga, Step(event=Event.SOURCE_VERIFIED, payload={"x": "1"}, patch=patch), "operator:x"
        )
        assert (after.state, after.version, after.updated_at_ms) == (State.VERIFIED, 2, house.clock.now_ms)
        assert (after.payment, after.reason, after.mark_retries) == (payment(1), "fine", 3)
        assert (after.next_attempt_ms, after.swap, after.ending) == (9, swap(1, timeout_block=2), ending)
        assert after == await get(store, 1)
        entry = (await store.journal(saga.id))[-1]
        assert (entry.seq, entry.event, entry.before, entry.after) == (
            2,
            Event.SOURCE_VERIFIED,
            State.DISCOVERED,
            State.VERIFIED,
        )
        assert (entry.actor, entry.lease_epoch, entry.at_ms) == ("operator:x:one", 1, house.clock.now_ms)
        assert entry.payload["x"] == "1"

    async def test_what_a_patch_leaves_out_stays(self, store: SqlStore) -> None:
        saga = await verified(store, 1)
        after = await store.step(saga, NOTED)
        assert replace(after, version=saga.version) == saga

    async def test_the_slower_of_two_loses(self, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        won = await store.step(saga, NOTED)
        with pytest.raises(StaleSaga):
            await store.step(saga, Step(event=Event.HELD_FOR_OPERATOR, recovery=recovery()))
        await unchanged(store, won)
        assert await store.pending_recovery() == []

    async def test_of_a_race_exactly_one_wins(self, store: SqlStore) -> None:
        saga = await reserved(store, 1)
        signers = [Signer() for _ in range(8)]
        steps = [Step(event=Event.PAYOUT_SIGNED, claim=payout_claim(sign)) for sign in signers]
        results = await asyncio.gather(*(store.step(saga, s) for s in steps), return_exceptions=True)
        won = [r for r in results if isinstance(r, Saga)]
        lost = [r for r in results if isinstance(r, StaleSaga)]
        assert (len(won), len(lost)) == (1, 7)
        assert sum(len(sign.slots) for sign in signers) == 1  # whoever loses signs nothing
        assert len(await store.open_lanes()) == 1

    async def test_another_owners_copy_loses(self, store: SqlStore, other: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        with pytest.raises(LeaseLost, match="held by one"):
            await other.step(saga, NOTED)
        with pytest.raises(LeaseLost):
            await other.step(await get(other, 1), NOTED)
        await unchanged(store, saga)

    async def test_an_expired_lease_writes_nothing(self, house: House, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        house.clock.pass_s(30)
        with pytest.raises(LeaseLost):
            await store.step(saga, NOTED)
        await unchanged(store, saga)

    async def test_an_older_epoch_writes_nothing(self, house: House, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        house.clock.pass_s(31)
        await store.acquire(f"saga/{saga.id}")
        with pytest.raises(LeaseLost):
            await store.step(saga, NOTED)
        await store.step(await get(store, 1), NOTED)

    async def test_a_lost_lease_is_told_before_a_lost_race(self, house: House, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        await store.step(saga, NOTED)
        house.clock.pass_s(31)
        with pytest.raises(LeaseLost):
            await store.step(saga, NOTED)

    async def test_a_copy_that_lies_about_its_state_loses(self, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        with pytest.raises(StaleSaga):
            await store.step(replace(saga, state=State.HELD), Step(event=Event.QUARANTINED))
        await unchanged(store, saga)

    async def test_moves_the_table_does_not_know(self, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        for event in set(Event) - set(TABLE[State.DISCOVERED]):
            with pytest.raises(InvariantBroken):
                await store.step(saga, Step(event=event, claim=payout_claim()))
        await unchanged(store, saga)

    async def test_payloads_that_are_no_json(self, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        bad: Any = {"raw": b"bytes"}
        with pytest.raises(InvariantBroken, match="JSON"):
            await store.step(saga, Step(event=Event.NOTED, payload=bad))
        await unchanged(store, saga)

    async def test_numbers_above_64_bits_are_refused_whole(self, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        with pytest.raises(InvariantBroken):
            await store.step(saga, Step(event=Event.NOTED, patch=SagaPatch(next_attempt_ms=2**63)))
        await unchanged(store, saga)


class TestSourcePayments:
    async def test_a_payment_backs_one_swap(self, store: SqlStore) -> None:
        await verified(store, 1)
        (saga,) = await discover(store, 2)
        for event in (Event.SOURCE_VERIFIED, Event.NOTED):
            with pytest.raises(Refused) as caught:
                await store.step(saga, Step(event=event, patch=SagaPatch(payment=payment(1))))
            assert caught.value.name == "source_tx_used"
        await unchanged(store, saga)

    async def test_also_after_its_swap_has_ended(self, store: SqlStore) -> None:
        await store.step(await verified(store, 1), Step(event=Event.REFUSED))
        (saga,) = await discover(store, 2)
        with pytest.raises(Refused, match="source_tx_used"):
            await store.step(saga, Step(event=Event.SOURCE_VERIFIED, patch=SagaPatch(payment=payment(1))))

    async def test_the_same_swap_may_read_it_again(self, store: SqlStore) -> None:
        saga = await verified(store, 1)
        again = replace(payment(1), tip_hash="22" * 32)
        after = await store.step(saga, Step(event=Event.NOTED, patch=SagaPatch(payment=again)))
        assert after.payment == again


class TestClaims:
    async def test_lane_and_bytes_are_stored_with_the_step(self, house: House, store: SqlStore) -> None:
        sign = Signer()
        saga = await signed(store, 1, payout_claim(sign))
        lane = payout_of(saga)
        assert (saga.state, sign.slots, lane.slot) == (State.SIGNED, ["3"], "3")
        assert (lane.chain, lane.account, lane.recipient, lane.amount) == (TAO, PAYER, USER, AMOUNT)
        assert (lane.purpose, lane.state, lane.saga_id) == (LanePurpose.PAYOUT, LaneState.SIGNED, saga.id)
        assert (lane.earliest_birth, lane.checked_height, lane.sighting) == (5, 0, None)
        assert lane.allotted_at_ms == house.clock.now_ms
        (attempt,) = lane.attempts
        assert (attempt.seq, attempt.kind, attempt.tx.raw) == (0, AttemptKind.PAYMENT, b"secret bytes")
        assert list(await store.open_lanes()) == [lane]
        assert set(await store.slots(TAO, PAYER)) == {"3"}

    async def test_nonces_rise_from_the_larger_of_floor_and_high_water(self, store: SqlStore) -> None:
        for swap_id, floor, slot in ((1, 3, "3"), (2, 3, "4"), (3, 9, "9"), (4, 0, "10")):
            saga = await signed(store, swap_id, payout_claim(nonce_floor=floor))
            assert payout_of(saga).slot == slot
        row = await store.account(TAO, PAYER, 77)
        assert (row.high_water, row.base) == (11, 3)
        assert payout_of(await signed(store, 5, payout_claim(account="5Another"))).slot == "3"

    async def test_marks_take_nonces_of_their_own_account(self, store: SqlStore) -> None:
        saga = await marking(store, 1)
        assert (mark_of(saga).slot, mark_of(saga).account) == ("0", HOTKEY)
        assert mark_of(saga).attempts[0].kind is AttemptKind.MARK
        assert mark_of(await marking(store, 2)).slot == "1"

    async def test_an_anchor_is_the_slot_and_every_input_is_taken(self, store: SqlStore) -> None:
        sign = Signer(further=("b:1", "c:2"), birth=None, death=None)
        saga = await signed(store, 1, anchor_claim("a:0", sign))
        assert payout_of(saga).slot == "a:0"
        assert payout_of(saga).latest.tx.spends == ("a:0", "b:1", "c:2")
        assert set(await store.slots(BTC, "bc1qpayer")) == {"a:0", "b:1", "c:2"}

    @pytest.mark.parametrize("taken", ["a:0", "b:1"])
    async def test_a_taken_outpoint_stores_nothing(self, store: SqlStore, taken: str) -> None:
        await signed(store, 1, anchor_claim(taken))
        saga = await reserved(store, 2)
        sign = Signer(further=("b:1",), birth=None, death=None)
        with pytest.raises(SlotTaken):
            await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=anchor_claim("a:0", sign)))
        assert sign.slots == ([] if taken == "a:0" else ["a:0"])  # what is taken already is not even signed
        await unchanged(store, saga)
        assert set(await store.slots(BTC, "bc1qpayer")) == {taken}

    async def test_slots_are_taken_for_good(self, store: SqlStore) -> None:
        saga = await signed(store, 1, anchor_claim("a:0"))
        nothing = seen(SightingKind.TAKEN, 9, txid="x", block=head(9), taker=TakerEffect.PAYS_NOTHING)
        await store.sight(payout_of(saga), nothing)
        saga = await reserved(store, 2)
        with pytest.raises(SlotTaken):
            await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=anchor_claim("a:0")))

    async def test_when_signing_fails_nothing_is_stored(self, store: SqlStore) -> None:
        saga = await reserved(store, 1)
        sign = Signer(fails=ValueError("no key"))
        with pytest.raises(ValueError, match="no key"):
            await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim(sign)))
        await unchanged(store, saga)
        assert await store.open_lanes() == []
        assert await store.slots(TAO, PAYER) == frozenset()
        assert await store.accounts() == []
        saga = await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim()))
        assert payout_of(saga).slot == "3"

    @pytest.mark.parametrize("spends", [(), ("4",), ("4", "3")])
    async def test_bytes_that_do_not_use_the_slot_are_refused(
        self, store: SqlStore, spends: tuple[str, ...]
    ) -> None:
        saga = await reserved(store, 1)
        with pytest.raises(InvariantBroken):
            await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim(Signer(spends=spends))))
        await unchanged(store, saga)

    async def test_a_txid_is_stored_once(self, store: SqlStore) -> None:
        await signed(store, 1, payout_claim(Signer(txid="0xsame")))
        saga = await reserved(store, 2)
        with pytest.raises(SlotTaken):
            await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim(Signer(txid="0xsame"))))
        await unchanged(store, saga)

    @pytest.mark.parametrize(
        "claim",
        [
            None,
            mark_claim(),
            payout_claim(nonce_floor=None),
            payout_claim(anchor="a:0"),
            payout_claim(amount=-1),
            payout_claim(amount=2**63),
        ],
    )
    async def test_a_payout_needs_a_claim_that_fits(self, store: SqlStore, claim: Any) -> None:
        saga = await reserved(store, 1)
        with pytest.raises(InvariantBroken):
            await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=claim))
        await unchanged(store, saga)

    async def test_a_payout_is_signed_by_its_own_event_alone(self, store: SqlStore) -> None:
        saga = await reserved(store, 1)
        with pytest.raises(InvariantBroken):
            await store.step(saga, Step(event=Event.NOTED, claim=payout_claim()))
        await unchanged(store, saga)

    async def test_no_first_send_from_a_stopped_account(self, store: SqlStore) -> None:
        saga = await reserved(store, 1)
        await store.account(TAO, PAYER, 3)
        await store.stop_account(TAO, PAYER, "nonce 2 was used by no lane")
        sign = Signer()
        with pytest.raises(StaleSaga, match="nonce 2"):
            await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim(sign)))
        assert sign.slots == []
        await unchanged(store, saga)

    async def test_marks_go_on_from_a_stopped_account(self, store: SqlStore) -> None:
        saga = await paid(store, 1)
        await store.stop_account(TAO, HOTKEY, "why")
        await store.step(saga, Step(event=Event.MARK_SIGNED, claim=mark_claim()))


class TestOneLaneAPayout:
    async def test_not_a_second_while_the_first_is_open(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        with pytest.raises(InvariantBroken, match="signed"):
            await store.step(saga, Step(event=Event.PAYOUT_FREED))
        await unchanged(store, saga)

    async def test_not_after_it_landed(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        await store.sight(payout_of(saga), seen(SightingKind.IN_BLOCK, 9, payout_of(saga), final=True))
        with pytest.raises(InvariantBroken, match="landed"):
            await store.step(saga, Step(event=Event.PAYOUT_FREED))

    @pytest.mark.parametrize("landed", [True, False])
    async def test_not_even_if_the_row_says_so(self, store: SqlStore, landed: bool) -> None:
        """A second belt: the row is a projection, and may be wrong; the lanes are what was signed."""
        saga = await signed(store, 1)
        if landed:
            await store.sight(payout_of(saga), seen(SightingKind.IN_BLOCK, 9, payout_of(saga), final=True))

        def spoil(conn: Connection) -> None:
            conn.execute(update(sagas).values(state="RESERVED", payout_lane_id=None))

        await store._db.write(spoil)
        sign = Signer()
        with pytest.raises(InvariantBroken, match="not free"):
            await store.step(await get(store, 1), Step(event=Event.PAYOUT_SIGNED, claim=payout_claim(sign)))
        assert sign.slots == []

    async def test_a_freed_payout_gets_a_new_lane(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        first = payout_of(saga)
        failed = seen(SightingKind.IN_BLOCK, 9, first, final=True, succeeded=False)
        assert (await store.sight(first, failed)).state is LaneState.REVERTED
        saga = await store.step(saga, Step(event=Event.PAYOUT_FREED, release=True))
        assert (saga.state, saga.payout) == (State.VERIFIED, None)
        saga = await store.step(saga, Step(event=Event.INVENTORY_RESERVED, reserve=reservation()))
        saga = await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim()))
        assert (payout_of(saga).slot, payout_of(saga).id > first.id) == ("4", True)
        assert set(await store.slots(TAO, PAYER)) == {"3", "4"}

    async def test_one_open_mark_lane(self, store: SqlStore) -> None:
        saga = await marking(store, 1)
        with pytest.raises(InvariantBroken):
            await store.step(saga, Step(event=Event.MARK_SIGNED, claim=mark_claim()))
        mark = mark_of(saga)
        await store.sight(mark, seen(SightingKind.IN_BLOCK, 9, mark, final=True, succeeded=False))
        saga = await store.step(saga, Step(event=Event.MARK_SIGNED, claim=mark_claim()))
        assert (mark_of(saga).slot, mark_of(saga).state) == ("1", LaneState.SIGNED)

    async def test_never_paid_is_no_end_of_a_payout_that_may_land(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        saga = await store.step(saga, Step(event=Event.SWAP_ENDED_IN_DOUBT))
        with pytest.raises(InvariantBroken):
            await store.step(saga, Step(event=Event.PAYOUT_WITHDRAWN))
        saga = await store.step(saga, Step(event=Event.CANCEL_SIGNED, replacement=filler(payout_of(saga))))
        lane = payout_of(saga)
        assert lane.cancelling
        await store.sight(lane, seen(SightingKind.IN_BLOCK, 9, lane, final=True))
        saga = await store.step(saga, Step(event=Event.PAYOUT_WITHDRAWN))
        assert (saga.state, payout_of(saga).state) == (State.COMPENSATED, LaneState.CANCELLED)


class TestReplacements:
    async def test_a_further_attempt_in_the_lane(self, store: SqlStore) -> None:
        saga = await signed(store, 1, anchor_claim("a:0", Signer(further=("b:1",), birth=None)))
        lane = payout_of(saga)
        more = Replacement(lane.id, AttemptKind.PAYMENT, tx("a:0", "b:1", "c:2", birth=9))
        saga = await store.step(saga, Step(event=Event.PAYOUT_RESIGNED, replacement=more))
        assert [a.seq for a in payout_of(saga).attempts] == [0, 1]
        assert payout_of(saga).latest.tx == more.tx
        assert set(await store.slots(BTC, "bc1qpayer")) == {"a:0", "b:1", "c:2"}
        entry = (await store.journal(saga.id))[-1]
        assert "secret" not in str(entry.payload)

    async def test_the_newest_look_did_not_know_it(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        await store.sight(payout_of(saga), seen(SightingKind.EXPIRED, 600))
        replacement = resigned(payout_of(saga))
        saga = await store.step(saga, Step(event=Event.PAYOUT_RESIGNED, replacement=replacement))
        assert (payout_of(saga).sighting, payout_of(saga).checked_height) == (None, 600)

    async def test_not_in_a_closed_lane(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        lane = payout_of(saga)
        await store.sight(lane, seen(SightingKind.IN_BLOCK, 9, lane, final=True))
        with pytest.raises(StaleSaga, match="landed"):
            await store.step(saga, Step(event=Event.PAYOUT_RESIGNED, replacement=resigned(lane)))
        assert len(await store.journal(saga.id)) == saga.version

    async def test_not_in_a_strangers_lane_nor_another_slot(self, store: SqlStore) -> None:
        one, two = await signed(store, 1), await signed(store, 2)
        wrong = [
            resigned(payout_of(two)),
            Replacement(payout_of(one).id, AttemptKind.PAYMENT, tx("9")),
            Replacement(4711, AttemptKind.PAYMENT, tx("3")),
            None,
        ]
        for replacement in wrong:
            with pytest.raises(InvariantBroken):
                await store.step(one, Step(event=Event.PAYOUT_RESIGNED, replacement=replacement))
        await unchanged(store, one)

    async def test_it_spends_nothing_that_belongs_to_another_lane(self, store: SqlStore) -> None:
        await signed(store, 1, anchor_claim("z:0"))
        saga = await signed(store, 2, anchor_claim("a:0"))
        replacement = resigned(payout_of(saga), "z:0")
        with pytest.raises(SlotTaken):
            await store.step(saga, Step(event=Event.PAYOUT_RESIGNED, replacement=replacement))
        await unchanged(store, saga)

    async def test_an_ended_saga_still_fills_its_lane(self, store: SqlStore) -> None:
        """A mark that never landed leaves a nonce unused, which blocks those after it."""
        saga = await marking(store, 1)
        saga = await store.step(saga, Step(event=Event.SWAP_COMPLETED))
        assert [s.id for s in await store.open_sagas()] == [saga.id]
        saga = await store.step(saga, Step(event=Event.NOTED, replacement=filler(mark_of(saga))))
        lane = mark_of(saga)
        assert (saga.state, lane.cancelling) == (State.COMPLETED, True)
        await store.sight(lane, seen(SightingKind.IN_BLOCK, 300, lane, final=True))
        assert await store.open_sagas() == []
        assert [lease.resource for lease in await store.leases()] == ["watch"]


class TestAdoption:
    def adopted(self, txid: str = "0xtheirs") -> Adopted:
        return Adopted(TAO, PAYER, txid, head(90), USER, AMOUNT)

    async def adopt(self, store: SqlStore, saga: Saga, txid: str = "0xtheirs") -> Saga:
        return await store.step(saga, Step(event=Event.PAYOUT_ADOPTED, adopt=self.adopted(txid)))

    async def test_a_payout_made_elsewhere_stands_as_a_landed_lane(self, store: SqlStore) -> None:
        saga = await self.adopt(store, await held(store, 1))
        lane = payout_of(saga)
        assert (saga.state, lane.state, lane.purpose) == (State.PAID, LaneState.LANDED, LanePurpose.IMPORTED)
        assert (lane.slot, lane.txid, lane.block) == ("adopted:0xtheirs", "0xtheirs", head(90))
        assert (lane.attempts, await store.open_lanes()) == ((), [])
        assert set(await store.slots(TAO, PAYER)) == {"adopted:0xtheirs"}

    async def test_it_is_credited_to_one_swap(self, store: SqlStore) -> None:
        await self.adopt(store, await held(store, 1))
        saga = await held(store, 2)
        with pytest.raises(Refused) as caught:
            await self.adopt(store, saga)
        assert caught.value.name == "payout_credited_elsewhere"
        await unchanged(store, saga)

    @pytest.mark.parametrize("final", [True, False])
    async def test_our_own_payout_of_another_swap_is_not_adopted(self, store: SqlStore, final: bool) -> None:
        await paid(store, 1, payout_claim(Signer(txid="0xours")), final=final)
        saga = await held(store, 2)
        with pytest.raises(Refused, match="payout_credited_elsewhere"):
            await self.adopt(store, saga, "0xours")

    async def test_not_while_a_lane_of_ours_may_pay(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        saga = await store.step(saga, Step(event=Event.HELD_FOR_OPERATOR, recovery=recovery()))
        with pytest.raises(InvariantBroken):
            await self.adopt(store, saga)

    async def test_the_taker_of_our_lane_is_adopted_as_it_stands(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        taken = seen(SightingKind.TAKEN, 90, txid="0xtheirs", block=head(90), taker=TakerEffect.PAYS)
        lane = await store.sight(payout_of(saga), taken)
        saga = await self.adopt(store, saga)
        assert payout_of(saga) == lane

    async def test_no_second_payout_after_an_adopted_one(self, store: SqlStore) -> None:
        saga = await self.adopt(store, await held(store, 1))
        saga = await store.step(saga, Step(event=Event.PAYOUT_REORGED))
        with pytest.raises(InvariantBroken, match="landed"):
            await store.step(saga, Step(event=Event.PAYOUT_FREED))


class TestEnds:
    async def test_failed_needs_a_recovery_entry(self, store: SqlStore) -> None:
        saga = await paid(store, 1)
        with pytest.raises(InvariantBroken, match="recovery"):
            await store.step(saga, Step(event=Event.SWAP_ENDED_PAID))
        await unchanged(store, saga)
        saga = await store.step(saga, Step(event=Event.SWAP_ENDED_PAID, recovery=recovery()))
        assert saga.state is State.FAILED
        (pending,) = await store.pending_recovery()
        assert (pending.state, pending.saga) == (State.FAILED, saga.key)

    async def test_an_earlier_entry_will_do(self, store: SqlStore) -> None:
        saga = await paid(store, 1)
        saga = await store.step(saga, Step(event=Event.NOTED, recovery=recovery("earlier")))
        await store.step(saga, Step(event=Event.SWAP_ENDED_PAID))

    async def test_an_end_is_an_end(self, store: SqlStore) -> None:
        saga = await store.step(await verified(store, 1), Step(event=Event.REFUSED))
        assert saga.state in ENDS
        assert await store.open_sagas() == []
        await store.acquire(f"saga/{saga.id}")
        saga = await get(store, 1)
        for event in set(Event) - {Event.NOTED}:
            with pytest.raises(InvariantBroken):
                await store.step(saga, Step(event=event))
        noted = await store.step(saga, Step(event=Event.NOTED, payload={"by": "me"}))
        assert (noted.state, noted.version) == (saga.state, saga.version + 1)
        assert project(await store.journal(saga.id)).state is State.COMPENSATED

    async def test_its_lease_is_given_back(self, store: SqlStore, other: SqlStore) -> None:
        saga = await store.step(await verified(store, 1), Step(event=Event.REFUSED))
        assert await store.heartbeat() == []
        assert (await other.acquire(f"saga/{saga.id}")).epoch == 2


class TestMoney:
    async def test_what_is_reserved_is_counted_until_it_landed(self, store: SqlStore) -> None:
        await verified(store, 9)
        saga = await reserved(store, 1)
        assert await store.reserved(TAO, PAYER) == AMOUNT + 1000
        assert await store.reserved(TAO, HOTKEY) == MARK_FEE
        assert await store.reserved(BTC, PAYER) == 0
        saga = await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim()))
        lane = payout_of(saga)
        await store.sight(lane, seen(SightingKind.IN_BLOCK, 9, lane, final=False))
        assert await store.reserved(TAO, PAYER) == AMOUNT + 1000
        await store.sight(lane, seen(SightingKind.IN_BLOCK, 9, lane, final=True))
        assert await store.reserved(TAO, PAYER) == 0
        assert await store.reserved(TAO, HOTKEY) == MARK_FEE
        saga = await store.step(saga, Step(event=Event.PAYOUT_INCLUDED))
        saga = await store.step(saga, Step(event=Event.MARK_SIGNED, claim=mark_claim()))
        await store.sight(mark_of(saga), seen(SightingKind.IN_BLOCK, 9, mark_of(saga), final=True))
        assert await store.reserved(TAO, HOTKEY) == 0

    async def test_it_is_given_back_and_reserved_again(self, store: SqlStore) -> None:
        saga = await reserved(store, 1)
        saga = await store.step(saga, Step(event=Event.RESERVATION_YIELDED, release=True))
        assert (await store.reserved(TAO, PAYER), await store.reserved(TAO, HOTKEY)) == (0, 0)
        more = reservation(amount=5, fee=6)
        saga = await store.step(saga, Step(event=Event.INVENTORY_RESERVED, reserve=more))
        assert await store.reserved(TAO, PAYER) == 11
        await store.step(saga, Step(event=Event.NOTED, reserve=reservation(amount=6, fee=6)))
        assert await store.reserved(TAO, PAYER) == 12

    async def test_an_end_settles_it(self, store: SqlStore) -> None:
        saga = await reserved(store, 1)
        await store.step(saga, Step(event=Event.EXPIRED))
        assert (await store.reserved(TAO, PAYER), await store.reserved(TAO, HOTKEY)) == (0, 0)

    async def test_other_steps_do_not(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        await store.step(saga, Step(event=Event.HELD_FOR_OPERATOR, recovery=recovery()))
        assert await store.reserved(TAO, PAYER) == AMOUNT + 1000

    async def test_adoption_captures_it(self, store: SqlStore) -> None:
        saga = await reserved(store, 1)
        saga = await store.step(saga, Step(event=Event.HELD_FOR_OPERATOR, recovery=recovery()))
        adopt = Adopted(TAO, PAYER, "0xtheirs", head(90), USER, AMOUNT)
        await store.step(saga, Step(event=Event.PAYOUT_ADOPTED, adopt=adopt))
        assert (await store.reserved(TAO, PAYER), await store.reserved(TAO, HOTKEY)) == (0, MARK_FEE)

    async def test_negative_amounts_are_refused(self, store: SqlStore) -> None:
        saga = await verified(store, 1)
        for bad in (reservation(amount=-1), reservation(fee=-1), reservation(amount=2**63)):
            with pytest.raises(InvariantBroken):
                await store.step(saga, Step(event=Event.INVENTORY_RESERVED, reserve=bad))

    async def test_outflow_counts_what_was_signed_and_not_withdrawn(
        self, house: House, store: SqlStore
    ) -> None:
        await marking(store, 1)
        house.clock.pass_s(10)
        since = house.clock.now_ms
        gone = payout_of(await signed(store, 2))
        await signed(store, 3, anchor_claim("a:0"))
        assert await store.outflow(TAO, 0) == 2 * AMOUNT
        assert await store.outflow(TAO, since) == AMOUNT
        assert await store.outflow(BTC, 0) == 50_000
        await store.sight(gone, seen(SightingKind.IN_BLOCK, 9, gone, final=True, succeeded=False))
        assert await store.outflow(TAO, since + 1) == AMOUNT, "still set aside: it will be signed again"
        await store.step(await get(store, 2), Step(event=Event.PAYOUT_FREED, release=True))
        assert await store.outflow(TAO, 0) == AMOUNT
        assert await store.outflow(TAO, since + 1) == 0
