"""A payout above `hold_above` waits for a person: before the pivot, told once, until the gate."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miner.model import Policy, Saga
from miner.saga import BEFORE_PIVOT, Event, State
from miner.verdict import UNAPPROVED, WAIT, Command, Do, Tick, decide, needs_approval
from tests.unit.cases import NOW, POLICY, TIMEOUT, a_head, a_saga
from tests.unit.test_verdict_laws import FIRST_SENDS, LIVE, READY, SAGAS, TICKS, pays

AMOUNT = a_saga(State.VERIFIED).swap.dest_amount
READY_STATES = pytest.mark.parametrize("state", [State.VERIFIED, State.RESERVED])


def holding(above: int | None) -> Policy:
    rails = {chain: replace(rail, hold_above=above) for chain, rail in POLICY.rails.items()}
    return replace(POLICY, rails=rails)


def tick(**changes: object) -> Tick:
    early = Tick(finalised=a_head(TIMEOUT - 200), best_height=TIMEOUT - 200, now_ms=NOW)
    return replace(early, **changes)  # type: ignore[arg-type]


@READY_STATES
def test_it_waits_and_says_so_once(state: State) -> None:
    saga = a_saga(state)
    first = decide(saga, tick(), holding(AMOUNT - 1))
    assert (first.do, first.event, first.reason) == (Do.ENTER, Event.NOTED, UNAPPROVED)
    assert first.recovery is not None
    assert "swap-miner approve" in first.recovery.what_to_do
    assert first.recovery.detail["before_block"] == TIMEOUT - POLICY.margin_blocks(saga.dest)
    assert decide(replace(saga, reason=UNAPPROVED), tick(), holding(AMOUNT - 1)) is WAIT


@READY_STATES
def test_exactly_the_limit_needs_nobody(state: State) -> None:
    goes_on = Do.RESERVE if state is State.VERIFIED else Do.PAY
    assert decide(a_saga(state), tick(), holding(AMOUNT)).do is goes_on
    assert decide(a_saga(state), tick(), holding(None)).do is goes_on


@READY_STATES
def test_once_let_go_it_goes_on(state: State) -> None:
    saga = replace(a_saga(state), reason=UNAPPROVED)
    goes_on = Do.RESERVE if state is State.VERIFIED else Do.PAY
    assert decide(saga, tick(approved={saga.key.swap_id: AMOUNT}), holding(0)).do is goes_on
    assert decide(saga, tick(approved={saga.key.swap_id: AMOUNT - 1}), holding(0)) is WAIT
    assert decide(saga, tick(approved={saga.key.swap_id + 1: AMOUNT}), holding(0)) is WAIT


def test_the_users_payment_is_looked_for_meanwhile() -> None:
    assert decide(a_saga(State.DISCOVERED), tick(), holding(0)).do is Do.VERIFY


@READY_STATES
def test_unapproved_it_expires_loudly_before_the_deadline(state: State) -> None:
    saga = replace(a_saga(state), reason=UNAPPROVED)
    gate = TIMEOUT - POLICY.margin_blocks(saga.dest)
    assert decide(saga, tick(finalised=a_head(gate - 1), best_height=gate - 1), holding(0)) is WAIT
    late = decide(saga, tick(finalised=a_head(gate), best_height=gate), holding(0))
    assert (late.event, late.recovery and late.recovery.cause) == (Event.EXPIRED, "expired_unapproved")
    at_gate = tick(finalised=a_head(gate), best_height=gate)
    other = decide(replace(saga, reason="unconfirmed"), at_gate, POLICY)
    assert other.recovery is not None
    assert other.recovery.cause == "expired_unpaid"


APPROVALS = st.dictionaries(st.sampled_from([7, 8]), st.sampled_from([0, AMOUNT - 1, AMOUNT, 10**18]))
LIMITS = st.sampled_from([None, 0, AMOUNT - 1, AMOUNT, 10**18])


@settings(max_examples=300)
@given(SAGAS | READY, TICKS, LIMITS, APPROVALS)
def test_no_payout_is_begun_above_the_limit_that_nobody_let_go(
    saga: Saga, now: Tick, above: int | None, approved: dict[int, int]
) -> None:
    policy, now = holding(above), replace(now, approved=approved)
    command = decide(saga, now, policy)
    if command.do not in FIRST_SENDS:
        return
    let_go = approved.get(saga.key.swap_id, 0) >= saga.swap.dest_amount
    assert above is None or saga.swap.dest_amount <= above or let_go
    assert not needs_approval(saga, now, policy)


@settings(max_examples=300)
@given(SAGAS | READY, TICKS, LIMITS)
def test_a_limit_changes_nothing_but_first_sends(saga: Saga, now: Tick, above: int | None) -> None:
    without, held = decide(saga, now, POLICY), decide(saga, now, holding(above))
    if held == without or without.do in FIRST_SENDS:
        return
    asked_first = saga.state in BEFORE_PIVOT and held.reason == UNAPPROVED and without is WAIT
    assert asked_first, (without, held)


@settings(max_examples=300)
@given(LIVE, TICKS)
def test_what_waits_for_a_person_pays_nothing(saga: Saga, now: Tick) -> None:
    saga = replace(saga, reason=UNAPPROVED)
    command: Command = decide(saga, replace(now, approved={}), holding(0))
    if saga.state in (State.VERIFIED, State.RESERVED) and saga.dest is not None:
        assert not pays(command, saga)
