"""The laws, over any saga at any moment: contradictions and what cannot happen included.

What is not generated is what the store's own rules rule out: a payment after a filler in one lane, and an
open lane of another program's payout.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from miner.amounts import Chain
from miner.model import (
    AttemptKind,
    Ending,
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
from miner.saga import BEFORE_PIVOT, ENDS, TABLE, Event, State, advance
from miner.verdict import LANE_MISSING, LANE_TAKEN, MARK_REFUSED, MAYBE_PAID, WAIT, Command, Do, Tick, decide
from tests.unit.cases import (
    MARK,
    NOW,
    OTHER_MARK,
    PAYOUT,
    POLICY,
    STRANGER,
    TIMEOUT,
    a_hash,
    a_head,
    a_mark,
    a_payout,
    a_saga,
    a_swap,
    attempts,
)

IDS = ["", *(a_hash(n) for n in (1, 2, 3)), STRANGER]
MARGINS_AND_EDGES = (-120, -104, -103, -102, -50, -10, -9, -8, -4, -3, -2, -1, 0, 1, 20)
HEIGHTS = st.sampled_from([TIMEOUT + d for d in MARGINS_AND_EDGES])
REASONS = st.sampled_from(
    ["", *sorted(MAYBE_PAID), LANE_MISSING, f"{MARK_REFUSED}:X", "invariant_broken", "unconfirmed"]
)


def every(like: Lane, does: AttemptKind) -> list[Lane]:
    """Every lane like this one: each state, look, taker and transaction, with and without fillers."""
    fillers = (AttemptKind.FILLER,)
    found = []
    for kinds in ((does,), (does, does), (does, *fillers), (does, does, *fillers * 2)):
        signed = attempts(*kinds)
        shapes = product(
            LaneState,
            [None, *SightingKind],
            [None, *TakerEffect],
            [None, STRANGER, signed[0].tx.txid, signed[-1].tx.txid],
            [None, a_head(TIMEOUT - 50)],
        )
        found += [
            replace(
                like, attempts=signed, state=state, sighting=sighting, taker=taker, txid=txid, block=block
            )
            for state, sighting, taker, txid, block in shapes
        ]
    return found


ADOPTED = replace(
    a_payout(LaneState.LANDED, txid=STRANGER), attempts=(), purpose=LanePurpose.IMPORTED, slot="adopted"
)
CHECKED = TIMEOUT - 49
EVERY_PAYOUT = every(a_payout(checked=CHECKED), AttemptKind.PAYMENT)
PAYOUTS = st.sampled_from(EVERY_PAYOUT) | st.sampled_from([None, ADOPTED])
MARKS = st.sampled_from(every(a_mark(), AttemptKind.MARK)) | st.none()
MAY_BE_OUT = st.sampled_from(
    [lane for lane in EVERY_PAYOUT if lane.state is LaneState.SIGNED and not lane.txid and not lane.taker]
)
"""Lanes whose bytes may have left and are in no block."""
ENDINGS = st.sampled_from(
    [Ending(kind, TIMEOUT, dest_tx_hash=txid) for kind in EndingKind for txid in (None, *IDS[1:])]
)
SWAPS = st.sampled_from(
    [
        a_swap(status=status, dest_tx_hash=txid)
        for status, txid in product((SwapStatus.ACTIVE, SwapStatus.FULFILLED), IDS)
    ]
)
SAGAS = st.builds(
    a_saga,
    st.sampled_from(State),
    swap=SWAPS,
    dest=st.sampled_from([None, *Chain]),
    reason=REASONS,
    ending=st.none() | ENDINGS,
    payout=PAYOUTS,
    mark=MARKS,
    next_attempt_ms=st.sampled_from([0, NOW + 1]),
)
LIVE = SAGAS.map(lambda saga: replace(saga, ending=None))
READY = st.builds(
    a_saga, st.sampled_from([State.VERIFIED, State.RESERVED]), dest=st.sampled_from(Chain), payout=PAYOUTS
)
"""Sagas about to make a first send."""
PAUSES = [frozenset(some) for n in range(4) for some in combinations(("all", "tao", "btc"), n)]
DUES = [frozenset(some) for n in range(4) for some in combinations((PAYOUT, MARK, OTHER_MARK), n)]
TICKS = st.builds(
    Tick,
    finalised=HEIGHTS.map(a_head),
    best_height=HEIGHTS,
    now_ms=st.sampled_from([NOW, NOW + 1]),
    paused=st.sampled_from(PAUSES),
    sends_stopped=st.sampled_from(["", "finality stall"]),
    sweep=st.booleans(),
    due=st.sampled_from(DUES),
    imported=st.sampled_from([{}, {}, {}, {7: ImportedSend(7, STRANGER, TIMEOUT - 60)}]),
)
OPEN_TICKS = TICKS.map(lambda tick: replace(tick, paused=frozenset(), sends_stopped="", imported={}))

FIRST_SENDS = {Do.RESERVE, Do.PAY}
ON_PAYOUT = {Do.BROADCAST_PAYOUT, Do.RESIGN_PAYOUT, Do.CANCEL_PAYOUT}
ON_MARK = {Do.BROADCAST_MARK, Do.RESIGN_MARK, Do.FILL_MARK, Do.JUDGE_MARK}

any_round = settings(max_examples=200)


def decided(saga: Saga, tick: Tick) -> Command:
    return decide(saga, tick, POLICY)


def sends_a_filler(command: Command, saga: Saga) -> bool:
    lane = saga.payout if command.do is Do.BROADCAST_PAYOUT else saga.mark
    return lane is not None and lane.latest.kind is AttemptKind.FILLER


def pays(command: Command, saga: Saga) -> bool:
    """Whether the command leads to bytes that pay, new or old."""
    if command.do is Do.BROADCAST_PAYOUT:
        return not sends_a_filler(command, saga)
    return command.do in {Do.VERIFY, Do.RESERVE, Do.PAY, Do.RESIGN_PAYOUT}


def filler_in_a_block(lane: Lane) -> bool:
    seen = lane.attempt(lane.txid) if lane.txid else None
    return lane.state is LaneState.IN_BLOCK and seen is not None and seen.kind is AttemptKind.FILLER


def landed(lane: Lane | None) -> bool:
    return lane is not None and lane.state in {LaneState.IN_BLOCK, LaneState.LANDED}


# totality


@any_round
@given(SAGAS, TICKS)
def test_every_saga_gets_a_command_whose_move_is_in_the_table(saga: Saga, tick: Tick) -> None:
    command = decided(saga, tick)
    assert (command.do is Do.ENTER) is (command.event is not None)
    if command.event is not None:
        assert command.event in TABLE[saga.state]
    assert command.do is Do.ENTER or command.recovery is None


@any_round
@given(SAGAS, TICKS)
def test_a_lane_is_commanded_only_where_there_is_one(saga: Saga, tick: Tick) -> None:
    command = decided(saga, tick)
    for lane, commands in ((saga.payout, ON_PAYOUT), (saga.mark, ON_MARK)):
        if command.do in commands:
            assert lane is not None
            assert lane.attempts
            assert not lane.state.closed or command.do is Do.JUDGE_MARK


@any_round
@given(SAGAS, TICKS)
def test_only_what_is_due_is_broadcast(saga: Saga, tick: Tick) -> None:
    command = decided(saga, tick)
    if command.do is Do.BROADCAST_PAYOUT:
        assert PAYOUT in tick.due
    if command.do is Do.BROADCAST_MARK:
        assert MARK in tick.due


@any_round
@given(SAGAS, TICKS)
def test_a_round_never_goes_in_circles(saga: Saga, tick: Tick) -> None:
    """Writing events alone, a saga comes to rest without passing through a state twice."""
    passed: list[State] = []
    for _ in range(len(State)):
        command = decided(saga, tick)
        if command.event is None:
            return
        assert saga.state not in passed, f"{' → '.join(passed)} → {saga.state}"
        passed.append(saga.state)
        freed = command.event is Event.PAYOUT_FREED
        saga = replace(
            saga,
            state=advance(saga.state, command.event),
            reason=command.reason,
            payout=None if freed else saga.payout,
        )
    pytest.fail(" → ".join(passed))


# law 7: the gate, and the swap's end


@any_round
@given(SAGAS | READY, TICKS)
def test_a_first_send_is_made_only_before_the_margin_and_when_nothing_stops_it(
    saga: Saga, tick: Tick
) -> None:
    command = decided(saga, tick)
    margin = POLICY.margin_blocks(saga.dest)
    if command.do in {*FIRST_SENDS, Do.RESIGN_PAYOUT}:
        assert tick.best_height + margin < saga.swap.timeout_block
    if command.do not in FIRST_SENDS:
        return
    assert tick.finalised.height + margin < saga.swap.timeout_block
    assert not tick.paused & {"all", str(saga.dest)}
    assert not tick.sends_stopped
    assert tick.now_ms >= saga.next_attempt_ms
    assert saga.ending is None
    assert saga.state is {Do.RESERVE: State.VERIFIED, Do.PAY: State.RESERVED}[command.do]


@given(
    st.sampled_from([State.VERIFIED, State.RESERVED]), st.sampled_from(Chain), OPEN_TICKS, st.integers(-2, 2)
)
def test_exactly_at_the_boundary_nothing_is_sent(state: State, dest: Chain, tick: Tick, beyond: int) -> None:
    boundary = TIMEOUT - POLICY.margin_blocks(dest)
    saga = a_saga(state, dest=dest)
    tick = replace(tick, best_height=boundary + beyond, finalised=a_head(boundary - 5), now_ms=NOW)
    assert (decided(saga, tick).do in FIRST_SENDS) is (beyond < 0)


@any_round
@given(LIVE, OPEN_TICKS, st.integers(0, 10**6))
def test_the_deadline_and_a_pause_stop_first_sends_only(saga: Saga, tick: Tick, late: int) -> None:
    """Past the pivot, a later best head, a pause or a stall stop neither a broadcast nor a mark."""
    assume(saga.state not in BEFORE_PIVOT)
    now = decided(saga, tick)
    worse = replace(
        tick,
        best_height=max(tick.best_height, saga.swap.timeout_block) + late,
        paused=frozenset({"all", "tao", "btc"}),
        sends_stopped="finality stall",
    )
    then = decided(saga, worse)
    sooner = now is WAIT and then.do in {Do.MARK, Do.LOCATE_IMPORTED}
    anew = now.do is Do.RESIGN_PAYOUT and then.do is Do.CANCEL_PAYOUT
    assert then == now or sooner or anew, (
        "only what has to be marked is marked sooner, and dead bytes stay dead"
    )


@any_round
@given(SAGAS | READY, OPEN_TICKS, st.sampled_from(["all", "tao", "btc"]))
def test_a_pause_turns_first_sends_into_waiting_and_changes_nothing_else(
    saga: Saga, tick: Tick, what: str
) -> None:
    now, paused = decided(saga, tick), decided(saga, replace(tick, paused=frozenset({what})))
    if now.do in FIRST_SENDS and what in ("all", saga.dest):
        assert paused is WAIT
    else:
        assert paused == now


@any_round
@given(SAGAS, ENDINGS, TICKS)
def test_once_the_swap_has_ended_nothing_that_pays_is_sent(saga: Saga, ending: Ending, tick: Tick) -> None:
    saga = replace(saga, ending=ending)
    command = decided(saga, tick)
    assert not pays(command, saga)
    assert command.do not in {Do.MARK, Do.RESIGN_MARK, Do.JUDGE_MARK, Do.LOCATE_IMPORTED}


@any_round
@given(SAGAS, st.sampled_from(sorted(ENDS)), TICKS)
def test_an_ended_saga_only_frees_its_lanes(saga: Saga, end: State, tick: Tick) -> None:
    saga = replace(saga, state=end)
    command = decided(saga, tick)
    if command.do is Do.BROADCAST_PAYOUT:
        assert sends_a_filler(command, saga)
    else:
        assert command.do in {Do.WAIT, Do.BROADCAST_MARK, Do.FILL_MARK, Do.CANCEL_PAYOUT}


# law 1: one lane, and what was cancelled stays cancelled


@any_round
@given(SAGAS, TICKS)
def test_a_lane_is_freed_only_when_nothing_of_it_can_land_and_nobody_may_have_paid(
    saga: Saga, tick: Tick
) -> None:
    command = decided(saga, tick)
    if command.event in {Event.PAYOUT_FREED, Event.PAYOUT_WITHDRAWN}:
        assert saga.payout is not None
        assert saga.payout.state.closed
        assert saga.payout.state is not LaneState.LANDED
        assert saga.payout.taker is not TakerEffect.AMBIGUOUS


@any_round
@given(SAGAS, TICKS)
def test_past_the_pivot_nothing_ends_as_unpaid_without_its_lane_being_freed(saga: Saga, tick: Tick) -> None:
    command = decided(saga, tick)
    if command.event is None or saga.state in BEFORE_PIVOT | ENDS:
        return
    if advance(saga.state, command.event) is State.COMPENSATED:
        freed = command.event is Event.PAYOUT_WITHDRAWN
        assert freed or (saga.state is State.HELD and saga.payout is None)
        assert freed or saga.reason not in MAYBE_PAID | {LANE_MISSING}


@any_round
@given(LIVE, MAY_BE_OUT.filter(lambda lane: lane.cancelling), TICKS)
def test_a_lane_with_a_filler_never_gets_a_payment_again(saga: Saga, lane: Lane, tick: Tick) -> None:
    for state in (saga.state, State.SIGNED):
        assert decided(replace(saga, state=state, payout=lane), tick).do is not Do.RESIGN_PAYOUT


@any_round
@given(SAGAS, MAY_BE_OUT, TICKS)
def test_bytes_that_may_be_out_are_withdrawn_when_another_payout_completed_the_swap(
    saga: Saga, lane: Lane, tick: Tick
) -> None:
    assume(saga.state in {State.SIGNED, State.PAID, State.MARKING, State.WITHDRAWING, State.HELD})
    saga = replace(saga, payout=lane, ending=Ending(EndingKind.COMPLETED, TIMEOUT, dest_tx_hash=STRANGER))
    event = decided(saga, tick).event
    assert event is (None if saga.state is State.WITHDRAWING else Event.SWAP_ENDED_IN_DOUBT)


@any_round
@given(SAGAS, TICKS)
def test_a_filler_on_its_way_is_never_taken_for_the_payout(saga: Saga, tick: Tick) -> None:
    if saga.payout is None or not filler_in_a_block(saga.payout):
        return
    command = decided(saga, tick)
    assert command.do not in {Do.MARK, Do.RESIGN_MARK, Do.JUDGE_MARK}
    assert command.event not in {Event.PAYOUT_INCLUDED, Event.PAYOUT_ADOPTED, Event.SWAP_ENDED_PAID}


@any_round
@given(LIVE, MAY_BE_OUT, TICKS)
def test_nothing_pays_a_swap_that_was_marked_with_another_id(saga: Saga, lane: Lane, tick: Tick) -> None:
    assume(saga.state is not State.MARKED)
    swap = replace(saga.swap, status=SwapStatus.FULFILLED, dest_tx_hash=STRANGER)
    saga = replace(saga, swap=swap, payout=None if saga.state in BEFORE_PIVOT else lane)
    assert not pays(decided(saga, tick), saga)


@any_round
@given(READY | LIVE, TICKS)
def test_nothing_is_begun_for_a_swap_that_another_program_says_it_paid(saga: Saga, tick: Tick) -> None:
    assume(saga.state in BEFORE_PIVOT)
    tick = replace(tick, imported={saga.key.swap_id: ImportedSend(saga.key.swap_id, "tao_transfer", 0)})
    assert decided(saga, tick).event is Event.IMPORTED_SENT


# marks


@any_round
@given(SAGAS, st.sampled_from([State.MARKING, State.MARKED]), TICKS)
def test_after_the_mark_the_payout_is_not_signed_again(saga: Saga, state: State, tick: Tick) -> None:
    command = decided(replace(saga, state=state), tick)
    assert command.do not in {Do.PAY, Do.RESIGN_PAYOUT, Do.CANCEL_PAYOUT}
    assert command.event is not Event.PAYOUT_FREED


@any_round
@given(SAGAS, TICKS)
def test_only_a_payout_in_a_block_of_a_live_swap_is_marked(saga: Saga, tick: Tick) -> None:
    if decided(saga, tick).do in {Do.MARK, Do.RESIGN_MARK, Do.JUDGE_MARK}:
        assert landed(saga.payout)
        assert saga.swap.status is not SwapStatus.FULFILLED
        assert saga.ending is None
        assert (
            saga.mark is None or saga.state is State.PAID or not landed(saga.mark) or saga.mark.state.closed
        )


@any_round
@given(LIVE, TICKS)
def test_a_paid_swap_that_is_held_is_marked_at_a_sweep_whatever_the_reason(saga: Saga, tick: Tick) -> None:
    saga = replace(
        saga,
        state=State.HELD,
        payout=a_payout(LaneState.LANDED),
        swap=replace(saga.swap, status=SwapStatus.ACTIVE),
    )
    assume(saga.mark is None or saga.mark.state.closed)
    assert decided(saga, replace(tick, sweep=True)).do is Do.MARK


# held, and what a person is told


@any_round
@given(SAGAS, TICKS)
def test_held_signs_no_payout(saga: Saga, tick: Tick) -> None:
    saga = replace(saga, state=State.HELD)
    command = decided(saga, tick)
    assert command.do not in {Do.VERIFY, Do.RESERVE, Do.PAY, Do.RESIGN_PAYOUT}
    if command.do is Do.CANCEL_PAYOUT:
        assert saga.payout is not None
        assert saga.payout.sighting is SightingKind.EXPIRED, "its bytes may still land"
    assert command.event is not Event.QUARANTINED
    if command.event is Event.HELD_FOR_OPERATOR:
        assert command.reason == LANE_TAKEN != saga.reason, "it is held already"


@any_round
@given(SAGAS, TICKS)
def test_a_hold_a_failure_and_an_expiry_are_written_to_the_recovery_log(saga: Saga, tick: Tick) -> None:
    command = decided(saga, tick)
    if command.event in {Event.HELD_FOR_OPERATOR, Event.SWAP_ENDED_PAID, Event.EXPIRED}:
        assert command.recovery is not None
        assert command.recovery.what_to_do
        assert command.reason


@any_round
@given(SAGAS, TICKS)
def test_an_ambiguous_taker_is_never_decided_by_the_daemon(saga: Saga, tick: Tick) -> None:
    """Until the swap completes, or a later look says more, it stays with the operator."""
    assume(saga.state not in BEFORE_PIVOT | ENDS)
    doubtful = replace(a_payout(), sighting=SightingKind.TAKEN, taker=TakerEffect.AMBIGUOUS)
    saga = replace(saga, payout=doubtful)
    for _ in range(3):
        command = decided(saga, tick)
        if command.do in {Do.BROADCAST_MARK, Do.FILL_MARK}:
            saga = replace(saga, mark=None)
            continue
        if command.event is None:
            break
        saga = replace(saga, state=advance(saga.state, command.event), reason=command.reason)
    completed = saga.ending is not None and saga.ending.kind is EndingKind.COMPLETED
    marked = saga.swap.status is SwapStatus.FULFILLED
    assert saga.state is State.HELD or (completed and saga.state is State.COMPLETED) or marked
