"""Observation → command: what to do next with one saga. Pure; the whole of the judgement is here.

`decide` looks at a saga as stored (its swap as last read at a finalised block, its two lanes as last
sighted) and at the tick, and names one command. Executing it is `miner.settle`'s business, and leads to
a new saga, for which `decide` is asked again, until it says `WAIT`.
"""

from __future__ import annotations

from miner.model import Policy, Saga
from miner.saga import BEFORE_PIVOT, State
from miner.verdict.command import (
    FULFILLED_ELSEWHERE,
    IMPORTED,
    LANE_MISSING,
    LANE_TAKEN,
    MARK_REFUSED,
    MAYBE_PAID,
    SPENT_BEFORE,
    UNAPPROVED,
    WAIT,
    Command,
    Do,
    Tick,
    gate_closed,
    has_paid,
    hold,
    use_mark_nonce,
)
from miner.verdict.ended import after_end, linger, slash_note
from miner.verdict.live import before_pivot, held, marked, marking, needs_approval, paid, signed

__all__ = [
    "FULFILLED_ELSEWHERE",
    "IMPORTED",
    "LANE_MISSING",
    "LANE_TAKEN",
    "MARK_REFUSED",
    "MAYBE_PAID",
    "SPENT_BEFORE",
    "UNAPPROVED",
    "WAIT",
    "Command",
    "Do",
    "Tick",
    "decide",
    "gate_closed",
    "has_paid",
    "needs_approval",
    "slash_note",
]


def decide(saga: Saga, tick: Tick, policy: Policy) -> Command:
    """The next command for a saga; total: every saga gets one."""
    if saga.state.ended:
        return linger(saga, tick)
    if saga.ending is not None:
        found = after_end(saga, saga.ending, tick)
        return found if found.do is not Do.WAIT else use_mark_nonce(saga, tick) or WAIT
    if saga.state in BEFORE_PIVOT:
        return before_pivot(saga, tick, policy)
    if saga.state is State.SIGNED:
        return signed(saga, tick, policy)
    if saga.state is State.PAID:
        return paid(saga, tick, policy)
    if saga.state is State.MARKING:
        return marking(saga, tick)
    if saga.state is State.MARKED:
        return marked(saga, tick)
    if saga.state is State.WITHDRAWING:
        return hold("withdrawing_a_live_swap", "the swap is live again; look at `swap-miner show`")
    return held(saga, tick, policy)
