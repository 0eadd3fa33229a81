"""May an operator do this, and what is at stake? Each ruling, and properties of all."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from miner.amounts import Chain
from miner.model import Came, EndingKind, LaneState, PayoutOrder, SwapStatus, TakerEffect, Verb
from miner.recover.findings import Act, Facts, Found, Ruling
from miner.recover.judge import judge
from miner.saga import TABLE, Event, State
from miner.verdict import IMPORTED, LANE_MISSING, SPENT_BEFORE, Do, decide
from miner.verdict.remedies import REMEDIES, command_for, remedy_of
from tests.unit.cases import (
    MINER,
    NOW,
    OUR_TXID,
    POLICY,
    STRANGER,
    USER,
    a_head,
    a_mark,
    a_payout,
    a_saga,
    a_swap,
    a_tick,
    ended,
    fulfilled,
)

ORDER = PayoutOrder(MINER, USER, 3_415_500_000, 10**6, 1000)
GOOD = Found(STRANGER, a_head(600))
LATER = {"next_attempt_ms": NOW + 60_000}


def facts(state: State, saga: dict[str, Any] | None = None, **known: Any) -> Facts:
    """A live, unpaid swap in a state, unless the case says otherwise."""
    values: dict[str, Any] = {
        "saga": a_saga(state, **(saga or {})),
        "finalised": a_head(620),
        "now_ms": NOW,
        "on_chain": a_swap(),
        "margin_blocks": 9,
        "owed": ORDER,
    }
    return Facts(**(values | known))


@dataclass(frozen=True)
class Case:
    """A request, what is known, and what is ruled."""

    outcome: str
    verb: Verb
    state: State
    came: Came
    act: Act = Act.NOTHING
    says: str = ""
    stake: str = ""
    saga: dict[str, Any] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)


LANDED = {"payout": a_payout(LaneState.LANDED)}
OPEN = {"payout": a_payout(LaneState.SIGNED)}
FREED = {"payout": a_payout(LaneState.TAKEN, txid=STRANGER)}
GONE: dict[str, Any] = {"on_chain": None}
TIMED_OUT = {"ending": ended(EndingKind.TIMED_OUT)}
FULFILLED_BY_OTHER = {"on_chain": fulfilled(STRANGER)}
NAMED = {"found": GOOD}

CASES = [
    # retry
    Case("a back-off is cleared", Verb.RETRY, State.MARKING, Came.WOULD, Act.TRY_AGAIN, saga=LANDED | LATER),
    Case("a source check is made now", Verb.RETRY, State.VERIFIED, Came.WOULD, Act.TRY_AGAIN, saga=LATER),
    Case("nothing waits", Verb.RETRY, State.SIGNED, Came.NOTHING, says="nothing to clear", saga=OPEN),
    Case("a held mark is tried", Verb.RETRY, State.HELD, Came.WOULD, Act.TRY_AGAIN, saga=LANDED),
    Case(
        "a mark still refused is told",
        Verb.RETRY,
        State.HELD,
        Came.REFUSED,
        says="MinerNotActive",
        stake="3.4155 TAO is paid; up to 3.45 TAO of collateral is lost if the mark does not land in time",
        saga=LANDED,
        known={"mark_refusal": "MinerNotActive"},
    ),
    Case(
        "a payout is looked for now",
        Verb.RETRY,
        State.HELD,
        Came.WOULD,
        Act.TRY_AGAIN,
        saga={"reason": IMPORTED},
    ),
    Case(
        "a mark under way is left", Verb.RETRY, State.HELD, Came.NOTHING, says="under way",
        saga=LANDED | {"mark": a_mark()},
    ),
    Case("held for another reason", Verb.RETRY, State.HELD, Came.NOTHING,
         saga={"reason": "invariant_broken"}),
    Case("an ended one is not retried", Verb.RETRY, State.FAILED, Came.REFUSED, says="has ended"),
    Case("gone on the contract", Verb.RETRY, State.MARKED, Came.NOTHING, says="ended on", known=GONE),
    # release
    Case(
        "what is set aside is given back", Verb.RELEASE, State.RESERVED, Came.WOULD, Act.YIELD,
        stake="3.4155 TAO is free again; up to 3.45 TAO of collateral is lost if it is not paid in time",
    ),
    Case("nothing is set aside", Verb.RELEASE, State.VERIFIED, Came.NOTHING),
    Case(
        "signed bytes keep it", Verb.RELEASE, State.SIGNED, Came.REFUSED, saga=OPEN,
        stake="3.4155 TAO is signed and may be paid, or is", says=OUR_TXID,
    ),
    Case("a freed lane gives it back", Verb.RELEASE, State.SIGNED, Came.WOULD, Act.FREE, saga=FREED),
    Case("a landed payout keeps it", Verb.RELEASE, State.PAID, Came.REFUSED, saga=LANDED),
    Case("a held payout keeps it", Verb.RELEASE, State.HELD, Came.REFUSED, saga=OPEN),
    # quarantine
    Case("only what is held", Verb.QUARANTINE, State.PAID, Came.REFUSED, says="only a held swap",
         saga=LANDED),
    Case(
        "not with a payout on its way", Verb.QUARANTINE, State.HELD, Came.REFUSED, saga=OPEN,
        stake="3.4155 TAO may be on its way to the user",
    ),
    Case(
        "not even after the end", Verb.QUARANTINE, State.HELD, Came.REFUSED, known=GONE,
        saga=OPEN | TIMED_OUT,
        stake="3.4155 TAO may be on its way to the user",
    ),
    Case(
        "not with an ambiguous taker", Verb.QUARANTINE, State.HELD, Came.REFUSED, known=GONE,
        saga={"payout": a_payout(LaneState.SIGNED, taker=TakerEffect.AMBIGUOUS)} | TIMED_OUT,
        stake="3.4155 TAO may be on its way to the user",
    ),
    Case(
        "not when paid and live", Verb.QUARANTINE, State.HELD, Came.REFUSED, saga=LANDED,
        stake="3.4155 TAO is paid; up to 3.45 TAO of collateral is lost if it times out",
    ),
    Case(
        "not when it may be paid", Verb.QUARANTINE, State.HELD, Came.REFUSED, saga={"reason": SPENT_BEFORE},
        stake="3.4155 TAO may have been paid; up to 3.45 TAO of collateral is lost if it times out",
    ),
    Case("not past the pivot without a lane", Verb.QUARANTINE, State.HELD, Came.REFUSED,
         saga={"reason": LANE_MISSING}),
    Case("not while validators decide", Verb.QUARANTINE, State.HELD, Came.REFUSED, known=FULFILLED_BY_OTHER),
    Case("not before the end is taken in", Verb.QUARANTINE, State.HELD, Came.REFUSED, known=GONE,
         says="ask again"),
    Case("never paid, never to be", Verb.QUARANTINE, State.HELD, Came.WOULD, Act.QUARANTINE,
         saga={"reason": "invariant_broken"},
         stake="up to 3.45 TAO of collateral is lost when it times out, as nothing was paid"),
    Case("ended, nothing can land", Verb.QUARANTINE, State.HELD, Came.WOULD, Act.QUARANTINE,
         saga=LANDED | {"ending": ended(EndingKind.UNKNOWN)}, known=GONE, stake="3.4155 TAO was paid"),
    Case("already closed", Verb.QUARANTINE, State.QUARANTINED, Came.NOTHING),
    # adopt-payout
    Case("a good payout is adopted", Verb.ADOPT, State.HELD, Came.WOULD, Act.ADOPT, known=NAMED,
         saga={"reason": IMPORTED}, says="exactly what is owed"),
    Case("before the pivot", Verb.ADOPT, State.VERIFIED, Came.WOULD, Act.ADOPT, known=NAMED),
    Case("after its lane was freed", Verb.ADOPT, State.SIGNED, Came.WOULD, Act.ADOPT, saga=FREED,
         known={"found": Found("0x" + "99" * 32, a_head(600))}),
    Case("not beside its own payout", Verb.ADOPT, State.SIGNED, Came.REFUSED, saga=OPEN, known=NAMED,
         stake="3.4155 TAO may be paid twice"),
    Case("not beside an ambiguous one", Verb.ADOPT, State.HELD, Came.REFUSED, known=NAMED,
         saga={"payout": a_payout(LaneState.SIGNED, taker=TakerEffect.AMBIGUOUS)}),
    Case("not a second one", Verb.ADOPT, State.HELD, Came.REFUSED, saga=LANDED, known=NAMED,
         stake="3.4155 TAO would count as paid twice"),
    Case("its own already", Verb.ADOPT, State.PAID, Came.NOTHING, saga=LANDED,
         known={"found": Found(OUR_TXID, a_head(600))}),
    Case("not one that is wrong", Verb.ADOPT, State.HELD, Came.REFUSED,
         known={"found": Found(STRANGER, problem="wrong_amount")}, says="wrong_amount"),
    Case("not another swap's", Verb.ADOPT, State.HELD, Came.REFUSED,
         known={"found": Found(STRANGER, a_head(600), others=(3,))}, says="belongs to swap 3"),
    Case("not against the contract's id", Verb.ADOPT, State.HELD, Came.REFUSED,
         known={"found": GOOD, "on_chain": fulfilled("0x" + "11" * 32)}, says="cannot be corrected"),
    Case("not into an end", Verb.ADOPT, State.FAILED, Came.REFUSED, known=NAMED, says="has ended"),
    Case("not while withdrawing", Verb.ADOPT, State.WITHDRAWING, Came.REFUSED, saga=FREED, known=NAMED),
    Case("the end of a maybe-paid swap", Verb.ADOPT, State.HELD, Came.WOULD, Act.ADOPT,
         saga={"reason": IMPORTED}, known=GONE | NAMED),
    Case("not what took its lane", Verb.ADOPT, State.HELD, Came.REFUSED, saga=FREED, known=NAMED,
         says="paid the user nothing"),
    # mark
    Case("credited and marked", Verb.MARK, State.HELD, Came.WOULD, Act.ADOPT, known=NAMED),
    Case("marked with its payout", Verb.MARK, State.HELD, Came.WOULD, Act.TRY_AGAIN, saga=LANDED,
         known={"found": Found(OUR_TXID, a_head(600))}),
    Case("marked already", Verb.MARK, State.MARKED, Came.NOTHING, saga=LANDED, says="already, in block 602",
         known={"found": Found(OUR_TXID), "on_chain": fulfilled(OUR_TXID)}),
    Case("marked with another id", Verb.MARK, State.HELD, Came.REFUSED, saga=LANDED,
         known={"found": Found(OUR_TXID)} | FULFILLED_BY_OTHER, says="cannot be corrected"),
    Case("ended before the mark", Verb.MARK, State.HELD, Came.REFUSED, saga=LANDED,
         known={"found": Found(OUR_TXID)} | GONE, stake="3.4155 TAO is past crediting on the contract"),
    Case("a mark still refused", Verb.MARK, State.HELD, Came.REFUSED, saga=LANDED,
         known={"found": Found(OUR_TXID), "mark_refusal": "InvalidAmount"}, says="InvalidAmount"),
    Case("a mark of another's payout", Verb.MARK, State.HELD, Came.REFUSED, saga=LANDED, known=NAMED,
         says=OUR_TXID),
    Case("a mark past the deadline says so", Verb.MARK, State.HELD, Came.WOULD, Act.ADOPT, says="too late",
         known=NAMED | {"finalised": a_head(1000)}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{c.verb}-{c.outcome}" for c in CASES])
def test_it_is_ruled_so(case: Case) -> None:
    found = judge(case.verb, facts(case.state, case.saga, **case.known))
    assert (found.came, found.act) == (case.came, case.act), found
    assert case.says in found.text
    if case.stake:
        assert found.stake == case.stake
    assert found.detail["payout_amount"] == "3415500000"
    assert found.detail["collateral_rao"] == "3450000000"


def test_a_release_never_keeps_back_more_than_half_of_what_is_left() -> None:
    def held(height: int, asked_s: int) -> object:
        ruling = judge(Verb.RELEASE, facts(State.RESERVED, finalised=a_head(height), hold_s=asked_s))
        return ruling.detail["hold_s"]

    assert held(620, 600) == 600
    assert held(981, 600) == 5 * 12
    assert held(990, 600) == 0
    assert held(999, 600) == 0


# every request × state × lane × contract


LANES = [
    None,
    *(a_payout(state) for state in LaneState),
    a_payout(LaneState.SIGNED, taker=TakerEffect.AMBIGUOUS),
    a_payout(LaneState.LANDED, taker=TakerEffect.PAYS, txid=STRANGER),
]
SEEN = [None, a_swap(), fulfilled(OUR_TXID), fulfilled(STRANGER)]
FOUND = [
    GOOD,
    Found(OUR_TXID, a_head(600)),
    Found(STRANGER, problem="wrong_amount"),
    Found(STRANGER, others=(1,)),
]
REASONS = ["", IMPORTED, "mark_refused:MinerNotActive", LANE_MISSING]
EVENT_OF = {
    Act.YIELD: Event.RESERVATION_YIELDED,
    Act.FREE: Event.PAYOUT_FREED,
    Act.QUARANTINE: Event.QUARANTINED,
    Act.TRY_AGAIN: Event.NOTED,
}


SWAP_VERBS = [verb for verb in Verb if not verb.is_affair]


def every() -> list[tuple[Verb, Facts, Ruling]]:
    out = []
    for verb, state, lane, seen, found, reason, ending in itertools.product(
        SWAP_VERBS, State, LANES, SEEN, FOUND, REASONS, [None, ended(EndingKind.TIMED_OUT)]
    ):
        if reason and state is not State.HELD:
            continue
        known = facts(
            state,
            {"payout": lane, "reason": reason, "ending": ending},
            on_chain=seen if ending is None else None,
            found=found,
        )
        out.append((verb, known, judge(verb, known)))
    return out


@pytest.fixture(scope="module")
def rulings() -> list[tuple[Verb, Facts, Ruling]]:
    return every()


def test_every_request_gets_an_answer_and_only_permissions_act(rulings: list[Any]) -> None:
    for _, _, ruling in rulings:
        assert ruling.text
        assert (ruling.act is not Act.NOTHING) == (ruling.came is Came.WOULD)


def test_what_is_permitted_is_a_move_that_the_table_knows(rulings: list[Any]) -> None:
    for verb, known, ruling in rulings:
        state = known.saga.state
        if ruling.act is Act.ADOPT:
            by_way = TABLE[state].get(Event.HELD_FOR_OPERATOR)
            assert Event.PAYOUT_ADOPTED in TABLE[state] or by_way is State.HELD, (verb, state)
        elif ruling.act is not Act.NOTHING:
            assert EVENT_OF[ruling.act] in TABLE[state], (verb, state)


def test_while_a_lane_is_open_nothing_is_adopted_closed_or_given_back(rulings: list[Any]) -> None:
    for _verb, known, ruling in rulings:
        lane = known.saga.payout
        if lane is not None and not lane.state.closed and known.saga.state is not State.RESERVED:
            assert ruling.act in (Act.NOTHING, Act.TRY_AGAIN), (known.saga.state, lane.state, ruling)


def test_a_live_paid_swap_is_never_closed(rulings: list[Any]) -> None:
    for verb, known, ruling in rulings:
        lane = known.saga.payout
        paid = lane is not None and lane.state is LaneState.LANDED
        if verb is Verb.QUARANTINE and paid and known.saga.ending is None:
            assert ruling.act is Act.NOTHING
            if known.saga.state is State.HELD and known.on_chain is not None:
                assert "3.4155 TAO is paid" in ruling.stake


def test_ends_are_never_moved(rulings: list[Any]) -> None:
    for _, known, ruling in rulings:
        if known.saga.state.ended:
            assert ruling.act is Act.NOTHING


def test_nothing_is_adopted_that_is_wrong_or_anothers(rulings: list[Any]) -> None:
    for _, known, ruling in rulings:
        if ruling.act is not Act.ADOPT:
            continue
        found, on_chain = known.found, known.on_chain
        assert found is not None
        assert not found.problem
        assert not found.others
        assert known.saga.payout is None or known.saga.payout.txid != found.txid
        if on_chain is not None and on_chain.status is SwapStatus.FULFILLED:
            assert on_chain.dest_tx_hash == found.txid


def test_an_unknown_dest_chain_is_judged_all_the_same() -> None:
    known = facts(State.HELD, {"dest": None, "payout": a_payout(LaneState.SIGNED)})
    assert judge(Verb.QUARANTINE, known).stake == "3415500000 may be on its way to the user"
    assert replace(known, owed=None).owed is None
    assert judge(Verb.ADOPT, facts(State.HELD, found=GOOD, owed=None)).came is Came.REFUSED
    assert judge(Verb.ADOPT, facts(State.HELD)).came is Came.REFUSED
    assert judge(Verb.MARK, facts(State.HELD)).came is Came.REFUSED
    assert Chain.TAO.unit == "rao"


def test_what_an_operator_asks_for_is_tried_again_outside_a_sweep() -> None:
    paid, lost = a_saga(State.HELD, **LANDED), a_saga(State.HELD, reason=IMPORTED)
    assert [decide(each, a_tick(), POLICY).do for each in (paid, lost)] == [Do.WAIT, Do.WAIT]
    asked = a_tick(asked=frozenset({7}))
    assert [decide(each, asked, POLICY).do for each in (paid, lost)] == [Do.MARK, Do.LOCATE_IMPORTED]
    others = a_tick(asked=frozenset({8}))
    assert [decide(each, others, POLICY).do for each in (paid, lost)] == [Do.WAIT, Do.WAIT]


def test_each_cause_has_its_remedy_and_an_unknown_one_leads_to_a_look() -> None:
    assert remedy_of("mark_refused:MinerNotActive") is REMEDIES["mark_refused"]
    assert command_for("mark_refused:MinerNotActive", 7) == "swap-miner retry 7"
    assert command_for("what nobody thought of", 7) == "swap-miner recovery show --swap 7"
