"""Once the swap or its saga has ended: nothing that pays is sent again, and nothing ends by a guess."""

from __future__ import annotations

import pytest

from miner.model import AttemptKind, EndingKind, LaneState, SightingKind, TakerEffect
from miner.saga import BEFORE_PIVOT, ENDS, Event, State
from miner.verdict import IMPORTED, LANE_MISSING, LANE_TAKEN, WAIT, Do, decide
from tests.unit.cases import (
    CANCELLED,
    MARK,
    OUR_TXID,
    PAYOUT,
    POLICY,
    STRANGER,
    TIMEOUT,
    Case,
    a_mark,
    a_payout,
    a_saga,
    a_tick,
    check,
    due,
    ended,
    fulfilled,
    told,
)

L, A, T, K = LaneState, SightingKind, TakerEffect, EndingKind
HELD = (Do.ENTER, Event.HELD_FOR_OPERATOR)
AMBIGUOUS = a_payout(sighting=A.TAKEN, taker=T.AMBIGUOUS)


@pytest.mark.parametrize("state", sorted(BEFORE_PIVOT))
@pytest.mark.parametrize("kind", K)
def test_a_swap_that_ended_before_anything_was_signed_is_closed(state: State, kind: EndingKind) -> None:
    command = decide(a_saga(state, ending=ended(kind)), a_tick(TIMEOUT), POLICY)
    completed = kind is K.COMPLETED
    assert command.event is (Event.SWAP_COMPLETED if completed else Event.SWAP_ENDED_UNPAID)
    assert command.reason == f"swap_{kind}"


COMPLETED, TIMED_OUT, UNKNOWN = ({"ending": ended(kind)} for kind in (K.COMPLETED, K.TIMED_OUT, K.UNKNOWN))
OPEN, IN_BLOCK, LANDED, GONE = (
    {"payout": a_payout(state)} for state in (L.SIGNED, L.IN_BLOCK, L.LANDED, L.CANCELLED)
)
FILLED = {"payout": a_payout(kinds=CANCELLED)}
CLOSED = Event.SWAP_COMPLETED
DOUBT = Event.SWAP_ENDED_IN_DOUBT
LOST = Event.SWAP_ENDED_PAID

ENDED = [
    # bytes may be out: to be cancelled in their lane, and never sent again
    Case("timed_out_with_bytes_out", State.SIGNED, Do.ENTER, DOUBT, saga=OPEN | TIMED_OUT, tick=due(PAYOUT)),
    Case("timed_out_with_a_payout_reorged", State.PAID, Do.ENTER, DOUBT, saga=OPEN | TIMED_OUT),
    Case("timed_out_with_a_payout_reorged", State.MARKING, Do.ENTER, DOUBT,
         saga=OPEN | TIMED_OUT, tick=due(PAYOUT)),
    Case("timed_out_with_a_payout_reorged", State.MARKED, Do.ENTER, DOUBT,
         saga=OPEN | TIMED_OUT, tick=due(PAYOUT)),
    Case("timed_out_with_bytes_out", State.HELD, Do.ENTER, DOUBT, saga=OPEN | TIMED_OUT, tick=due(PAYOUT)),
    Case("timed_out_with_a_payout_not_final", State.PAID, Do.ENTER, DOUBT, saga=IN_BLOCK | TIMED_OUT),
    Case("gone_with_a_payout_not_final", State.HELD, Do.ENTER, DOUBT, saga=IN_BLOCK | UNKNOWN),
    Case("completed_by_another_with_bytes_out", State.SIGNED, Do.ENTER, DOUBT, saga=OPEN | COMPLETED),
    Case("completed_by_another_with_a_payout_reorged", State.PAID, Do.ENTER, DOUBT, saga=OPEN | COMPLETED),
    Case("completed_by_another_with_a_mark_out", State.MARKING, Do.ENTER, DOUBT,
         saga=OPEN | {"ending": ended(K.COMPLETED, dest_tx_hash=STRANGER)}),
    Case("completed_by_another_with_bytes_out", State.HELD, Do.ENTER, DOUBT,
         saga=OPEN | COMPLETED | {"swap": fulfilled(STRANGER)}),
    Case("the_lane_was_freed_and_the_swap_timed_out", State.SIGNED, Do.ENTER, DOUBT, saga=GONE | TIMED_OUT),
    # withdrawing
    Case("nothing_cancels_yet_a_filler_is_signed", State.WITHDRAWING, Do.CANCEL_PAYOUT,
         saga=OPEN | TIMED_OUT, tick=due(PAYOUT)),
    Case("the_filler_is_sent", State.WITHDRAWING, Do.BROADCAST_PAYOUT,
         saga=FILLED | TIMED_OUT, tick=due(PAYOUT)),
    Case("the_filler_is_waited_for", State.WITHDRAWING, saga=FILLED | TIMED_OUT),
    Case("the_fillers_era_died_another_is_signed", State.WITHDRAWING, Do.CANCEL_PAYOUT,
         saga=TIMED_OUT | {"payout": a_payout(kinds=CANCELLED, sighting=A.EXPIRED)}),
    Case("the_filler_is_in_a_block_and_waited_for", State.WITHDRAWING,
         saga=TIMED_OUT | {"payout": a_payout(L.IN_BLOCK, kinds=CANCELLED)}),
    Case("withdrawn", State.WITHDRAWING, Do.ENTER, Event.PAYOUT_WITHDRAWN, "slashed", saga=GONE | TIMED_OUT),
    Case("the_payout_was_faster_and_is_not_final", State.WITHDRAWING,
         saga=TIMED_OUT | {"payout": a_payout(L.IN_BLOCK, kinds=CANCELLED, txid=OUR_TXID)}),
    Case("the_payout_was_faster", State.WITHDRAWING, Do.ENTER, LOST, "timed_out_after_payout",
         saga=TIMED_OUT | {"payout": a_payout(L.LANDED, kinds=CANCELLED, txid=OUR_TXID)}),
    Case("the_payout_was_faster_and_credited", State.WITHDRAWING, Do.ENTER, CLOSED, saga=LANDED | COMPLETED),
    Case("a_stranger_may_have_paid", State.WITHDRAWING, *HELD, "lane_taken_ambiguously",
         saga=TIMED_OUT | {"payout": AMBIGUOUS}),
    Case("the_swap_is_live_again", State.WITHDRAWING, *HELD, "withdrawing_a_live_swap", saga=OPEN),
    # paid, and the swap ended
    Case("in_a_block_is_taken_in_first", State.SIGNED, Do.ENTER, Event.PAYOUT_INCLUDED,
         saga=IN_BLOCK | TIMED_OUT),
    Case("a_stranger_paid_is_taken_in_first", State.SIGNED, Do.ENTER, Event.PAYOUT_ADOPTED,
         saga=TIMED_OUT | {"payout": a_payout(L.LANDED, taker=T.PAYS, txid=STRANGER)}),
    *(Case("completed", state, Do.ENTER, CLOSED, saga=LANDED | COMPLETED)
      for state in (State.PAID, State.MARKING, State.MARKED, State.HELD)),
    *(Case("paid_and_slashed", state, Do.ENTER, LOST, "timed_out_after_payout", saga=LANDED | TIMED_OUT)
      for state in (State.PAID, State.MARKING, State.MARKED, State.HELD)),
    *(Case("paid_and_nothing_says_how_it_ended", state, *HELD, "ended_unknown_after_payout",
           saga=LANDED | UNKNOWN)
      for state in (State.PAID, State.MARKING, State.MARKED, State.WITHDRAWING)),
    Case("paid_and_nothing_says_how_it_ended_waits", State.HELD, saga=LANDED | UNKNOWN),
    Case("completed_with_our_marked_payout_reorged", State.MARKED, Do.ENTER, CLOSED, saga=OPEN | COMPLETED),
    Case("completed_with_our_id_while_reorged", State.MARKING, Do.ENTER, CLOSED,
         saga=OPEN | COMPLETED | {"swap": fulfilled(OUR_TXID)}),
    Case("completed_with_our_id_while_reorged", State.HELD, Do.ENTER, CLOSED,
         saga=OPEN | {"ending": ended(K.COMPLETED, dest_tx_hash=OUR_TXID)}),
    *(Case("completed_by_our_mark_that_nobody_saw_final", State.MARKING, Do.ENTER, CLOSED,
           saga=OPEN | COMPLETED | {"mark": a_mark(state)}) for state in (L.IN_BLOCK, L.LANDED)),
    *(Case("completed_though_our_mark_took_no_effect", State.MARKING, Do.ENTER, DOUBT,
           saga=OPEN | COMPLETED | {"mark": a_mark(state)}) for state in (L.SIGNED, L.REVERTED)),
    Case("completed_though_nothing_of_ours_can_land", State.HELD, Do.ENTER, CLOSED, saga=GONE | COMPLETED),
    # a stranger in the lane
    *(Case("a_stranger_may_have_paid", state, *HELD, "lane_taken_ambiguously",
           saga=TIMED_OUT | {"payout": AMBIGUOUS})
      for state in (State.SIGNED, State.PAID, State.MARKING, State.MARKED)),
    Case("a_stranger_may_have_paid_stays_with_the_operator", State.HELD,
         saga=TIMED_OUT | {"payout": AMBIGUOUS, "reason": LANE_TAKEN}),
    Case("a_stranger_may_have_paid_is_told_whatever_it_is_held_for", State.HELD, *HELD, LANE_TAKEN,
         saga=TIMED_OUT | {"payout": AMBIGUOUS, "reason": "fulfilled_with_another_id"}),
    Case("what_waits_for_a_person_uses_its_marks_nonce", State.HELD, Do.BROADCAST_MARK,
         saga=TIMED_OUT | {"payout": AMBIGUOUS, "reason": LANE_TAKEN, "mark": a_mark()}, tick=due(MARK)),
    Case("what_is_withdrawn_uses_its_marks_nonce", State.WITHDRAWING, Do.FILL_MARK,
         saga=TIMED_OUT | FILLED | {"mark": a_mark(sighting=A.EXPIRED)}),
    Case("completed_while_only_a_filler_of_ours_was_in_the_marks_lane", State.MARKING, Do.ENTER, DOUBT,
         saga=OPEN | COMPLETED | {"mark": a_mark(L.IN_BLOCK, kinds=(AttemptKind.MARK, AttemptKind.FILLER))}),
    Case("a_stranger_may_have_paid_and_it_completed", State.HELD, Do.ENTER, CLOSED,
         saga=COMPLETED | {"payout": AMBIGUOUS}),
    # no lane
    Case("nothing_was_ever_signed", State.HELD, Do.ENTER, Event.SWAP_ENDED_UNPAID, "slashed", saga=TIMED_OUT),
    Case("completed_without_us", State.HELD, Do.ENTER, CLOSED, saga=COMPLETED),
    Case("another_program_may_have_paid", State.HELD, Do.ENTER, LOST, "ended_maybe_paid",
         saga=TIMED_OUT | {"reason": IMPORTED}),
    Case("a_lane_that_is_missing_is_never_taken_for_unpaid", State.HELD,
         saga=TIMED_OUT | {"reason": LANE_MISSING}),
    *(Case("a_lane_that_is_missing_is_for_a_person", state, *HELD, LANE_MISSING, saga=TIMED_OUT)
      for state in (State.SIGNED, State.PAID, State.MARKING, State.MARKED, State.WITHDRAWING)),
    Case("completed_and_the_lane_is_missing", State.SIGNED, *HELD, LANE_MISSING, saga=COMPLETED),
    Case("completed_and_the_lane_is_missing", State.MARKED, Do.ENTER, CLOSED, saga=COMPLETED),
]  # fmt: skip


@told(ENDED)
def test_the_swap_has_ended(case: Case) -> None:
    check(case)


def test_a_slash_after_a_payout_says_what_was_lost_and_for_which_payout() -> None:
    saga = a_saga(State.MARKED, payout=a_payout(L.LANDED), ending=ended(K.TIMED_OUT))
    recovery = decide(saga, a_tick(TIMEOUT), POLICY).recovery
    assert recovery is not None
    assert recovery.detail == {"payout_txid": OUR_TXID, "slash_rao": "3450000000"}


# the saga has ended, a lane may not have

LINGERING = [
    Case("a_dead_marks_nonce_is_filled", State.COMPENSATED, Do.FILL_MARK,
         saga={"mark": a_mark(sighting=A.EXPIRED)}),
    Case("the_filler_is_sent", State.FAILED, Do.BROADCAST_MARK,
         saga={"mark": a_mark(kinds=(AttemptKind.MARK, AttemptKind.FILLER))}, tick=due(MARK)),
    Case("the_filler_is_waited_for", State.FAILED,
         saga={"mark": a_mark(kinds=(AttemptKind.MARK, AttemptKind.FILLER))}),
    Case("a_mark_is_sent_again_for_its_nonce", State.FAILED, Do.BROADCAST_MARK,
         saga={"mark": a_mark()}, tick=due(MARK)),
    Case("a_mark_that_is_on_its_way_is_waited_for", State.FAILED, saga={"mark": a_mark()}),
    Case("a_closed_mark_is_left", State.COMPLETED, saga={"mark": a_mark(L.TAKEN, sighting=A.EXPIRED)}),
    Case("a_payment_is_not_sent_again", State.COMPLETED, saga=OPEN | COMPLETED, tick=due(PAYOUT)),
    Case("a_dead_payouts_nonce_is_filled", State.COMPLETED, Do.CANCEL_PAYOUT,
         saga={"payout": a_payout(sighting=A.EXPIRED)}),
    Case("the_payouts_filler_is_sent", State.QUARANTINED, Do.BROADCAST_PAYOUT, saga=FILLED, tick=due(PAYOUT)),
    Case("a_payout_in_a_block_is_left", State.COMPLETED, saga=IN_BLOCK, tick=due(PAYOUT)),
]  # fmt: skip


@told(LINGERING)
def test_an_ended_saga_pays_nothing_and_frees_its_lanes(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("state", sorted(ENDS))
def test_an_ended_saga_waits(state: State) -> None:
    assert decide(a_saga(state), a_tick(TIMEOUT, sweep=True), POLICY) is WAIT
