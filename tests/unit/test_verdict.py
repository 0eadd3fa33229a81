"""Each judgement by its outcome: what is known of a swap and its two lanes, and the one command for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miner.amounts import Chain
from miner.model import (
    EndingKind,
    ImportedSend,
    Lane,
    LanePurpose,
    LaneState,
    Saga,
    SightingKind,
    SwapStatus,
    TakerEffect,
)
from miner.saga import Event, State
from miner.verdict import (
    FULFILLED_ELSEWHERE,
    IMPORTED,
    LANE_MISSING,
    LANE_TAKEN,
    MARK_REFUSED,
    MAYBE_PAID,
    WAIT,
    Command,
    Do,
    decide,
    gate_closed,
)
from tests.unit.cases import (
    CANCELLED,
    MARGINS,
    MARK,
    NOW,
    OUR_TXID,
    PAYOUT,
    POLICY,
    STRANGER,
    TIMEOUT,
    Case,
    a_head,
    a_mark,
    a_payout,
    a_saga,
    a_swap,
    a_tick,
    check,
    due,
    ended,
    fulfilled,
    told,
)

TAO_GATE = TIMEOUT - MARGINS[Chain.TAO]
"""First height at which no first TAO payout is made."""
BTC_GATE = TIMEOUT - MARGINS[Chain.BTC]
MARK_GATE = TIMEOUT - 3
"""First height at which a mark must not wait for its payout's depth."""

L, A, T, K = LaneState, SightingKind, TakerEffect, EndingKind


# before anything is signed

FIRST_STEPS = {State.DISCOVERED: Do.VERIFY, State.VERIFIED: Do.RESERVE, State.RESERVED: Do.PAY}


@pytest.mark.parametrize(("state", "do"), FIRST_STEPS.items())
def test_a_quiet_moment_carries_a_swap_towards_its_payout(state: State, do: Do) -> None:
    assert decide(a_saga(state), a_tick(), POLICY) == Command(do)


@told(
    [
        Case("payment_is_looked_for_while_paused", State.DISCOVERED, Do.VERIFY, tick={"paused": {"all"}}),
        Case(
            "payment_is_looked_for_while_sends_stop", State.DISCOVERED, Do.VERIFY, tick={"sends_stopped": "x"}
        ),
        Case("all_paused_nothing_reserved", State.VERIFIED, tick={"paused": frozenset({"all"})}),
        Case("all_paused_nothing_paid", State.RESERVED, tick={"paused": frozenset({"all"})}),
        Case("its_chain_paused_nothing_paid", State.RESERVED, tick={"paused": frozenset({"tao"})}),
        Case("another_chain_paused_paid", State.RESERVED, Do.PAY, tick={"paused": frozenset({"btc"})}),
        Case("finality_stalls_nothing_reserved", State.VERIFIED, tick={"sends_stopped": "finality stall"}),
        Case("code_changed_nothing_paid", State.RESERVED, tick={"sends_stopped": "code changed"}),
        Case("back_off_not_over_nothing_read", State.DISCOVERED, saga={"next_attempt_ms": NOW + 1}),
        Case("back_off_not_over_nothing_paid", State.RESERVED, saga={"next_attempt_ms": NOW + 1}),
        Case("back_off_over_paid", State.RESERVED, Do.PAY, saga={"next_attempt_ms": NOW}),
    ]
)
def test_first_sends_wait_for(case: Case) -> None:
    check(case)


@pytest.mark.parametrize(
    ("height", "closed"), [(TAO_GATE - 1, False), (TAO_GATE, True), (TAO_GATE + 1, True), (10**9, True)]
)
def test_the_gate_is_closed_at_exactly_the_boundary(height: int, closed: bool) -> None:
    assert gate_closed(height, TIMEOUT, MARGINS[Chain.TAO]) is closed


@pytest.mark.parametrize(("dest", "gate"), [(Chain.TAO, TAO_GATE), (Chain.BTC, BTC_GATE)])
@pytest.mark.parametrize(("state", "do"), [(State.VERIFIED, Do.RESERVE), (State.RESERVED, Do.PAY)])
def test_the_last_block_before_the_rails_margin_pays_and_the_boundary_does_not(
    state: State, do: Do, dest: Chain, gate: int
) -> None:
    saga = a_saga(state, dest=dest)
    for best, expected in ((gate - 1, do), (gate, Do.WAIT), (gate + 1, Do.WAIT)):
        tick = a_tick(gate - 5, best_height=best)
        assert decide(saga, tick, POLICY) == Command(expected), best


@pytest.mark.parametrize("state", [State.VERIFIED, State.RESERVED])
def test_at_a_finalised_boundary_the_swap_expires_with_what_was_left(state: State) -> None:
    saga = a_saga(state, reason="insufficient_funds")
    assert decide(saga, a_tick(TAO_GATE - 1, best_height=TAO_GATE), POLICY) is WAIT, "not finalised: wait"
    command = decide(saga, a_tick(TAO_GATE), POLICY)
    assert (command.event, command.reason) == (Event.EXPIRED, "expired")
    assert command.recovery is not None
    assert command.recovery.cause == "expired_unpaid"
    assert command.recovery.detail == {"blocks_left": 9, "margin_blocks": 9, "was": "insufficient_funds"}


@told(
    [
        Case("another_program_may_have_paid_it_looked_at_once", State.DISCOVERED, Do.VERIFY),
        Case(
            "looked_at_and_still_unpaid_expires",
            State.DISCOVERED,
            Do.ENTER,
            Event.EXPIRED,
            "expired_unpaid",
            saga={"reason": "unconfirmed"},
        ),
    ]
)
def test_a_swap_found_past_its_gate(case: Case) -> None:
    check(replace(case, height=TAO_GATE))


def test_what_was_found_late_and_never_given_a_reason_says_its_state() -> None:
    command = decide(a_saga(State.VERIFIED), a_tick(TIMEOUT + 50), POLICY)
    assert command.recovery is not None
    assert command.recovery.detail["was"] == "VERIFIED"
    assert command.recovery.detail["blocks_left"] == -50


@pytest.mark.parametrize("state", FIRST_STEPS)
@pytest.mark.parametrize("height", [620, TAO_GATE, TIMEOUT])
def test_what_another_program_says_it_paid_is_held_even_past_the_gate(state: State, height: int) -> None:
    sent = ImportedSend(7, STRANGER, 600, marked=True)
    command = decide(a_saga(state), a_tick(height, imported={7: sent}), POLICY)
    assert (command.event, command.reason) == (Event.IMPORTED_SENT, IMPORTED)
    assert command.recovery is not None
    assert command.recovery.cause == IMPORTED
    assert command.recovery.detail == {"txid": STRANGER, "block": 600, "marked": True}
    other = replace(sent, swap_id=8)
    assert decide(a_saga(state), a_tick(imported={8: other}), POLICY).do is FIRST_STEPS[state]


@pytest.mark.parametrize("state", FIRST_STEPS)
@pytest.mark.parametrize("height", [620, TAO_GATE, TIMEOUT])
def test_what_another_program_marked_is_held_even_past_the_gate(state: State, height: int) -> None:
    command = decide(a_saga(state, swap=fulfilled(STRANGER)), a_tick(height), POLICY)
    assert (command.event, command.reason) == (Event.HELD_FOR_OPERATOR, FULFILLED_ELSEWHERE)
    assert command.recovery is not None
    assert command.recovery.detail == {"txid": STRANGER, "block": 600}


# signed: bytes may have left

AMBIGUOUS = a_payout(sighting=A.TAKEN, taker=T.AMBIGUOUS)
HELD = (Do.ENTER, Event.HELD_FOR_OPERATOR)

SIGNED = [
    Case("not_seen_and_due_the_same_bytes_again", State.SIGNED, Do.BROADCAST_PAYOUT,
         saga={"payout": a_payout(sighting=A.UNSEEN)}, tick=due(PAYOUT)),
    Case("another_lane_is_due_waits", State.SIGNED, saga={"payout": a_payout()}, tick=due(MARK)),
    Case("in_the_pool_waits", State.SIGNED, saga={"payout": a_payout(sighting=A.IN_POOL)}),
    Case("in_a_block_is_paid", State.SIGNED, Do.ENTER, Event.PAYOUT_INCLUDED,
         saga={"payout": a_payout(L.IN_BLOCK)}),
    Case("final_is_paid", State.SIGNED, Do.ENTER, Event.PAYOUT_INCLUDED, saga={"payout": a_payout(L.LANDED)}),
    Case("a_stranger_paid_the_user_is_adopted", State.SIGNED, Do.ENTER, Event.PAYOUT_ADOPTED,
         saga={"payout": a_payout(L.LANDED, sighting=A.TAKEN, taker=T.PAYS, txid=STRANGER)}),
    Case("a_stranger_may_have_paid_is_held", State.SIGNED, *HELD, "lane_taken_ambiguously",
         saga={"payout": AMBIGUOUS}),
    Case("era_died_unused_signed_again_in_its_lane", State.SIGNED, Do.RESIGN_PAYOUT,
         saga={"payout": a_payout(sighting=A.EXPIRED)}),
    Case("era_died_unused_too_late_to_pay_is_cancelled", State.SIGNED, Do.CANCEL_PAYOUT,
         saga={"payout": a_payout(sighting=A.EXPIRED)}, height=TAO_GATE - 2),
    Case("era_died_unused_just_in_time_is_signed_again", State.SIGNED, Do.RESIGN_PAYOUT,
         saga={"payout": a_payout(sighting=A.EXPIRED)}, height=TAO_GATE - 3),
    Case("a_cancelled_lane_never_pays_again", State.SIGNED, Do.CANCEL_PAYOUT,
         saga={"payout": a_payout(kinds=CANCELLED, sighting=A.EXPIRED)}),
    Case("a_filler_in_a_block_is_no_payout", State.SIGNED,
         saga={"payout": a_payout(L.IN_BLOCK, kinds=CANCELLED)}),
    Case("our_payment_in_a_block_though_a_filler_was_signed", State.SIGNED, Do.ENTER, Event.PAYOUT_INCLUDED,
         saga={"payout": a_payout(L.IN_BLOCK, kinds=CANCELLED, txid=OUR_TXID)}),
    Case("no_lane_is_held", State.SIGNED, *HELD, LANE_MISSING),
    Case("marked_with_another_id_is_not_sent_again", State.SIGNED, *HELD, "fulfilled_with_another_id",
         saga={"payout": a_payout(), "swap": fulfilled(STRANGER)}, tick=due(PAYOUT)),
    Case("marked_with_our_id_and_reorged_is_sent_again", State.SIGNED, Do.BROADCAST_PAYOUT,
         saga={"payout": a_payout(), "swap": fulfilled(OUR_TXID)}, tick=due(PAYOUT)),
]  # fmt: skip


@told(SIGNED)
def test_signed(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("state", [L.REVERTED, L.CANCELLED, L.TAKEN])
def test_finalised_evidence_that_nothing_landed_frees_the_payout(state: LaneState) -> None:
    taker = T.PAYS_NOTHING if state is L.TAKEN else None
    command = decide(a_saga(State.SIGNED, payout=a_payout(state, taker=taker)), a_tick(), POLICY)
    assert (command.event, command.reason) == (Event.PAYOUT_FREED, f"payout_{state}")


@pytest.mark.parametrize("height", [TAO_GATE, TIMEOUT, TIMEOUT + 100])
def test_past_the_deadline_what_may_have_left_is_still_followed(height: int) -> None:
    tick = a_tick(height, due=frozenset({PAYOUT}), paused=frozenset({"all"}), sends_stopped="stall")
    signed = a_saga(State.SIGNED, payout=a_payout())
    assert decide(signed, tick, POLICY).do is Do.BROADCAST_PAYOUT
    paid = a_saga(State.PAID, payout=a_payout(L.LANDED))
    assert decide(paid, tick, POLICY).do is Do.MARK


# paid

PAID = [
    Case("final_is_marked", State.PAID, Do.MARK, saga={"payout": a_payout(L.LANDED)}),
    Case("a_payout_adopted_from_another_program_is_marked", State.PAID, Do.MARK,
         saga={"payout": replace(a_payout(L.LANDED, txid=STRANGER), attempts=(),
         purpose=LanePurpose.IMPORTED)}),
    Case("not_final_on_tao_waits", State.PAID, saga={"payout": a_payout(L.IN_BLOCK, checked=10**6)}),
    Case("not_final_on_tao_is_marked_when_time_runs_out", State.PAID, Do.MARK,
         saga={"payout": a_payout(L.IN_BLOCK)}, tick={"best_height": MARK_GATE}),
    Case("not_final_on_tao_waits_while_there_is_time", State.PAID,
         saga={"payout": a_payout(L.IN_BLOCK)}, tick={"best_height": MARK_GATE - 1}),
    Case("one_confirmation_short_on_btc_waits", State.PAID,
         saga={"dest": Chain.BTC, "payout": a_payout(L.IN_BLOCK, height=600, checked=600)}),
    Case("deep_enough_on_btc_is_marked", State.PAID, Do.MARK,
         saga={"dest": Chain.BTC, "payout": a_payout(L.IN_BLOCK, height=600, checked=601)}),
    Case("a_block_unknown_is_no_depth", State.PAID,
         saga={"dest": Chain.BTC, "payout": replace(a_payout(L.IN_BLOCK), block=None)}),
    Case("back_off_not_over_waits", State.PAID,
         saga={"payout": a_payout(L.LANDED), "next_attempt_ms": NOW + 1}),
    Case("reorged_goes_back", State.PAID, Do.ENTER, Event.PAYOUT_REORGED, saga={"payout": a_payout()}),
    Case("no_lane_goes_back", State.PAID, Do.ENTER, Event.PAYOUT_REORGED),
    Case("a_filler_in_a_block_is_never_marked", State.PAID, Do.ENTER, Event.PAYOUT_REORGED,
         saga={"payout": a_payout(L.IN_BLOCK, kinds=CANCELLED)}, tick={"best_height": MARK_GATE}),
    Case("marked_already_with_our_id", State.PAID, Do.ENTER, Event.MARK_FULFILLED,
         saga={"payout": a_payout(L.LANDED), "swap": fulfilled(OUR_TXID)}),
    Case("marked_already_with_our_id_spelt_otherwise", State.PAID, Do.ENTER, Event.MARK_FULFILLED,
         saga={"payout": a_payout(L.LANDED), "swap": fulfilled(OUR_TXID.upper().replace("0X", ""))}),
    Case("marked_with_another_id_is_held", State.PAID, *HELD, "fulfilled_with_another_id",
         saga={"payout": a_payout(L.LANDED), "swap": fulfilled(STRANGER)}),
]  # fmt: skip


@told(PAID)
def test_paid(case: Case) -> None:
    check(case)


# marking and marked


def marking(mark: Lane | None = None, payout: Lane | None = None, **changes: Any) -> dict[str, Any]:
    return {"mark": mark or a_mark(), "payout": payout or a_payout(L.LANDED), **changes}


MARKINGS = [
    Case("not_seen_and_due_the_same_mark_again", State.MARKING, Do.BROADCAST_MARK,
         saga=marking(a_mark(sighting=A.UNSEEN)), tick=due(MARK)),
    Case("in_the_pool_waits", State.MARKING, saga=marking(a_mark(sighting=A.IN_POOL))),
    Case("mark_in_a_block_waits_for_the_contracts_word", State.MARKING, saga=marking(a_mark(L.IN_BLOCK))),
    Case("mark_final_waits_for_the_contracts_word", State.MARKING, saga=marking(a_mark(L.LANDED))),
    Case("mark_reverted_is_judged", State.MARKING, Do.JUDGE_MARK, saga=marking(a_mark(L.REVERTED))),
    Case("mark_reverted_waits_for_its_back_off", State.MARKING,
         saga=marking(a_mark(L.REVERTED), next_attempt_ms=NOW + 1)),
    Case("mark_died_is_marked_in_a_new_lane", State.MARKING, Do.MARK, saga=marking(a_mark(L.TAKEN))),
    Case("marks_nonce_was_taken_is_marked_in_a_new_lane", State.MARKING, Do.MARK,
         saga=marking(a_mark(L.TAKEN))),
    Case("mark_died_waits_for_its_back_off", State.MARKING,
         saga=marking(a_mark(L.TAKEN), next_attempt_ms=NOW + 1)),
    Case("marks_era_died_is_signed_again", State.MARKING, Do.RESIGN_MARK,
         saga=marking(a_mark(sighting=A.EXPIRED))),
    Case("marks_era_died_while_the_payout_is_reorged_its_nonce_is_filled", State.MARKING, Do.FILL_MARK,
         saga=marking(a_mark(sighting=A.EXPIRED), a_payout())),
    Case("fulfilled_with_our_id_is_marked", State.MARKING, Do.ENTER, Event.MARK_FULFILLED,
         saga=marking(swap=fulfilled(OUR_TXID))),
    Case("fulfilled_with_our_id_while_the_payout_is_reorged", State.MARKING, Do.ENTER, Event.MARK_FULFILLED,
         saga=marking(payout=a_payout(), swap=fulfilled(OUR_TXID))),
    Case("fulfilled_with_another_id_is_held", State.MARKING, *HELD, "fulfilled_with_another_id",
         saga=marking(swap=fulfilled(STRANGER))),
    Case("payout_reorged_under_a_mark_in_a_block_is_sent_again", State.MARKING, Do.BROADCAST_PAYOUT,
         saga=marking(a_mark(L.IN_BLOCK), a_payout()), tick=due(PAYOUT)),
    Case("payout_reorged_during_the_back_off_is_sent_again", State.MARKING, Do.BROADCAST_PAYOUT,
         saga=marking(a_mark(L.TAKEN), a_payout(), next_attempt_ms=NOW + 1), tick=due(PAYOUT)),
    Case("no_mark_of_a_payout_that_is_in_no_block", State.MARKING, Do.BROADCAST_PAYOUT,
         saga=marking(a_mark(L.TAKEN), a_payout()), tick=due(PAYOUT)),
    Case("both_due_the_mark_goes_first", State.MARKING, Do.BROADCAST_MARK,
         saga=marking(payout=a_payout()), tick=due(MARK, PAYOUT)),
    Case("payout_expired_after_the_mark_is_held", State.MARKING, *HELD, "marked_payout_is_gone",
         saga=marking(payout=a_payout(sighting=A.EXPIRED))),
    Case("a_stranger_may_have_paid_is_held", State.MARKING, *HELD, "lane_taken_ambiguously",
         saga=marking(payout=AMBIGUOUS)),
    Case("no_mark_lane_is_held", State.MARKING, *HELD, LANE_MISSING, saga={"payout": a_payout(L.LANDED)}),
    Case("no_payout_lane_is_held", State.MARKING, *HELD, LANE_MISSING, saga={"mark": a_mark()}),
    Case("final_waits_for_the_validators", State.MARKED, saga=marking(swap=fulfilled(OUR_TXID))),
    Case("reorged_is_sent_again", State.MARKED, Do.BROADCAST_PAYOUT,
         saga=marking(payout=a_payout(), swap=fulfilled(OUR_TXID)), tick=due(PAYOUT)),
    Case("marked_by_another_program_our_marks_nonce_is_used", State.MARKED, Do.BROADCAST_MARK,
         saga=marking(swap=fulfilled(OUR_TXID)), tick=due(MARK)),
    Case("reorged_and_not_due_waits", State.MARKED,
         saga=marking(payout=a_payout(), swap=fulfilled(OUR_TXID))),
    Case("a_cancelled_payout_is_not_sent_again", State.MARKED,
         saga=marking(payout=a_payout(kinds=CANCELLED), swap=fulfilled(OUR_TXID)), tick=due(PAYOUT)),
    Case("a_mark_that_was_taken_back_is_held_and_made_again", State.MARKED, *HELD, "mark_is_gone",
         saga=marking(payout=a_payout(L.LANDED))),
    Case("a_stranger_may_have_paid_is_held", State.MARKED, *HELD, "lane_taken_ambiguously",
         saga=marking(payout=AMBIGUOUS)),
    Case("without_a_lane_waits_for_the_validators", State.MARKED),
]  # fmt: skip


@told(MARKINGS)
def test_marking_and_marked(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("state", [State.MARKING, State.MARKED])
@pytest.mark.parametrize("gone", [L.REVERTED, L.CANCELLED, L.TAKEN])
def test_a_marked_payout_that_cannot_land_is_for_a_person(state: State, gone: LaneState) -> None:
    command = decide(a_saga(state, **marking(payout=a_payout(gone))), a_tick(), POLICY)
    assert (command.event, command.reason) == (Event.HELD_FOR_OPERATOR, "marked_payout_is_gone")


# held

REFUSED = f"{MARK_REFUSED}:MinerNotActive"

HELDS = [
    Case("nothing_signed_waits_for_a_person", State.HELD, saga={"reason": "invariant_broken"}),
    *(Case(f"{reason}_is_looked_for_at_each_sweep", State.HELD, Do.LOCATE_IMPORTED,
           saga={"reason": reason}, tick={"sweep": True}) for reason in sorted(MAYBE_PAID)),
    Case("another_programs_payout_is_not_looked_for_between_sweeps", State.HELD, saga={"reason": IMPORTED}),
    Case("another_programs_payout_is_looked_for_in_each_round_near_the_deadline", State.HELD,
         Do.LOCATE_IMPORTED, saga={"reason": IMPORTED}, height=TIMEOUT - 11),
    Case("a_payout_that_the_contract_names_is_looked_for", State.HELD, Do.LOCATE_IMPORTED,
         saga={"reason": FULFILLED_ELSEWHERE, "swap": fulfilled(STRANGER)}, tick={"sweep": True}),
    Case("nothing_signed_and_not_imported_is_not_looked_for", State.HELD,
         saga={"reason": "invariant_broken"}, tick={"sweep": True}),
    Case("payout_reorged_the_same_bytes_again", State.HELD, Do.BROADCAST_PAYOUT,
         saga={"payout": a_payout(), "reason": REFUSED}, tick=due(PAYOUT)),
    Case("a_stranger_may_have_paid_nothing_is_sent", State.HELD,
         saga={"payout": AMBIGUOUS, "reason": LANE_TAKEN}, tick=due(PAYOUT)),
    Case("a_stranger_may_have_paid_is_told_whatever_it_is_held_for", State.HELD, *HELD, LANE_TAKEN,
         saga={"payout": AMBIGUOUS, "reason": "mark_is_gone"}),
    Case("a_stranger_took_the_payouts_lane_the_marks_nonce_is_filled", State.HELD, Do.FILL_MARK,
         saga=marking(payout=AMBIGUOUS, reason=LANE_TAKEN), tick=due(MARK)),
    Case("a_dead_payout_is_not_marked_its_marks_nonce_is_filled", State.HELD, Do.FILL_MARK,
         saga=marking(payout=a_payout(L.TAKEN)), tick=due(MARK)),
    Case("a_reorged_payout_keeps_its_mark_on_the_way", State.HELD, Do.BROADCAST_MARK,
         saga=marking(payout=a_payout()), tick=due(MARK)),
    Case("a_reorged_payout_whose_mark_died_gives_the_nonce_back", State.HELD, Do.FILL_MARK,
         saga=marking(a_mark(sighting=A.EXPIRED), a_payout())),
    Case("marked_with_another_id_our_marks_nonce_is_used", State.HELD, Do.BROADCAST_MARK,
         saga=marking(swap=fulfilled(STRANGER)), tick=due(MARK)),
    Case("marked_with_another_id_our_dead_marks_nonce_is_filled", State.HELD, Do.FILL_MARK,
         saga=marking(a_mark(sighting=A.EXPIRED), swap=fulfilled(STRANGER))),
    Case("marked_with_another_id_our_mark_in_a_block_is_left", State.HELD,
         saga=marking(a_mark(L.IN_BLOCK), swap=fulfilled(STRANGER)), tick=due(MARK)),
    Case("marked_with_another_id_nothing_is_sent", State.HELD,
         saga={"payout": a_payout(), "swap": fulfilled(STRANGER)}, tick=due(PAYOUT)),
    Case("marked_with_another_id_waits", State.HELD,
         saga={"payout": a_payout(L.LANDED), "swap": fulfilled(STRANGER)}, tick={"sweep": True}),
    Case("marked_with_our_id_goes_on_by_itself", State.HELD, Do.ENTER, Event.MARK_FULFILLED,
         saga={"payout": a_payout(L.LANDED), "swap": fulfilled(OUR_TXID)}),
    Case("a_freed_payout_is_not_paid_again", State.HELD,
         saga={"payout": a_payout(L.TAKEN)}, tick={"sweep": True}),
    Case("an_expired_payout_gives_its_nonce_back", State.HELD, Do.CANCEL_PAYOUT,
         saga={"payout": a_payout(sighting=A.EXPIRED)}),
    Case("a_filler_is_sent_until_it_lands", State.HELD, Do.BROADCAST_PAYOUT,
         saga={"payout": a_payout(kinds=CANCELLED)}, tick=due(PAYOUT)),
    Case("a_refused_mark_is_tried_at_each_sweep", State.HELD, Do.MARK,
         saga=marking(a_mark(L.REVERTED), reason=REFUSED), tick={"sweep": True}),
    Case("a_refused_mark_is_not_tried_between_sweeps", State.HELD,
         saga=marking(a_mark(L.REVERTED), reason=REFUSED)),
    Case("a_payout_found_final_is_marked_whatever_it_is_held_for", State.HELD, Do.MARK,
         saga={"payout": a_payout(L.LANDED, taker=T.PAYS, txid=STRANGER), "reason": "lane_taken_ambiguously"},
         tick={"sweep": True}),
    Case("a_filler_in_a_block_is_not_marked", State.HELD,
         saga={"payout": a_payout(L.IN_BLOCK, kinds=CANCELLED)},
         tick={"sweep": True, "best_height": MARK_GATE}),
    Case("a_payout_not_deep_enough_is_not_marked", State.HELD,
         saga={"payout": a_payout(L.IN_BLOCK)}, tick={"sweep": True}),
    Case("an_open_mark_is_sent_again", State.HELD, Do.BROADCAST_MARK, saga=marking(), tick=due(MARK)),
    Case("an_open_mark_is_waited_for", State.HELD, saga=marking(), tick={"sweep": True}),
    Case("a_mark_in_a_block_is_waited_for", State.HELD,
         saga=marking(a_mark(L.IN_BLOCK)), tick={"sweep": True}),
    Case("an_open_mark_whose_era_died_is_signed_again", State.HELD, Do.RESIGN_MARK,
         saga=marking(a_mark(sighting=A.EXPIRED))),
]  # fmt: skip


@told(HELDS)
def test_held(case: Case) -> None:
    check(case)


# the way of one swap


def test_a_swap_from_assignment_to_completion() -> None:
    """Each command in its turn, as the lanes and the contract move."""
    saga: Saga = a_saga(State.DISCOVERED)
    seen = []
    for changes in (
        {},
        {"state": State.VERIFIED},
        {"state": State.RESERVED},
        {"state": State.SIGNED, "payout": a_payout()},
        {"payout": a_payout(L.IN_BLOCK)},
        {"state": State.PAID},
        {"payout": a_payout(L.LANDED)},
        {"state": State.MARKING, "mark": a_mark()},
        {"mark": a_mark(L.IN_BLOCK)},
        {"swap": fulfilled(OUR_TXID)},
        {"state": State.MARKED, "mark": a_mark(L.LANDED)},
        {"ending": ended(K.COMPLETED)},
        {"state": State.COMPLETED},
    ):
        saga = replace(saga, **changes)
        command = decide(saga, a_tick(due=frozenset({PAYOUT, MARK})), POLICY)
        seen.append(str(command.event or command.do))
    assert seen == [
        "verify",
        "reserve",
        "pay",
        "broadcast_payout",
        "PAYOUT_INCLUDED",
        "wait",
        "mark",
        "broadcast_mark",
        "wait",
        "MARK_FULFILLED",
        "wait",
        "SWAP_COMPLETED",
        "wait",
    ]


def test_the_contracts_status_and_heights_are_taken_from_the_saga() -> None:
    extended = a_saga(State.RESERVED, swap=a_swap(timeout_block=TIMEOUT + 500, status=SwapStatus.ACTIVE))
    tick = a_tick(TIMEOUT, finalised=a_head(TIMEOUT))
    assert decide(extended, tick, POLICY).do is Do.PAY
