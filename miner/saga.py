"""The state machine of a swap: states, events, and one table.

`TABLE` is the machine. The store's compare-and-set validates each move by `advance`, the diagram in
ARCHITECTURE.md is printed from it by `diagram`, and the tests of totality and reachability walk it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from miner.errors import InvariantBroken


class State(StrEnum):
    """What is durably true of a swap. The last four are ends."""

    DISCOVERED = "DISCOVERED"
    """A finalised block assigned it to one of our miners."""
    VERIFIED = "VERIFIED"
    """The user's payment was seen: amount, recipient, sender, confirmations, canonical, not used before."""
    RESERVED = "RESERVED"
    """Inventory for payout, fee and mark fee is set aside; a dry run of the mark succeeds."""
    SIGNED = "SIGNED"
    """The pivot: payout bytes, id and lane are stored; they may or may not have left."""
    PAID = "PAID"
    """The payout is in a block; a reorg takes it back to SIGNED."""
    MARKING = "MARKING"
    """Payout deep enough; mark bytes stored; from here the payout's id is frozen."""
    MARKED = "MARKED"
    """The contract shows Fulfilled with our payout id, finalised."""
    WITHDRAWING = "WITHDRAWING"
    """The swap ended while signed bytes may be out: being cancelled in the lane."""
    HELD = "HELD"
    """Evidence contradicts itself, or a person must decide; recovery entry written; still followed."""
    COMPLETED = "COMPLETED"
    """Finalised completion. ■"""
    COMPENSATED = "COMPENSATED"
    """Never paid; reservation released. ■"""
    FAILED = "FAILED"
    """Paid, and the swap ended uncredited; recovery entry written. ■"""
    QUARANTINED = "QUARANTINED"
    """Closed by the operator out of HELD, with reason and evidence. ■"""

    @property
    def ended(self) -> bool:
        """Whether nothing but audit notes can follow."""
        return self in ENDS


class Event(StrEnum):
    """What can happen to a swap; each with the edge it makes."""

    SOURCE_VERIFIED = "SOURCE_VERIFIED"
    """DISCOVERED → VERIFIED: the user's payment is good."""
    REFUSED = "REFUSED"
    """DISCOVERED, VERIFIED, RESERVED → COMPENSATED: it must not be paid, on final evidence."""
    EXPIRED = "EXPIRED"
    """DISCOVERED, VERIFIED, RESERVED → COMPENSATED: the margin gate closed at a finalised height."""
    INVENTORY_RESERVED = "INVENTORY_RESERVED"
    """VERIFIED → RESERVED: money is set aside and the mark would be accepted."""
    RESERVATION_YIELDED = "RESERVATION_YIELDED"
    """RESERVED → VERIFIED: given back to an earlier deadline, or the evidence must be read again."""
    PAYOUT_SIGNED = "PAYOUT_SIGNED"
    """RESERVED → SIGNED: lane and bytes are stored."""
    PAYOUT_RESIGNED = "PAYOUT_RESIGNED"
    """A further attempt in the same lane, after an era died or a runtime upgrade."""
    PAYOUT_INCLUDED = "PAYOUT_INCLUDED"
    """SIGNED → PAID: our attempt is in a block and moved the money."""
    PAYOUT_ADOPTED = "PAYOUT_ADOPTED"
    """SIGNED, HELD → PAID: a finalised stranger in our lane paid this recipient."""
    PAYOUT_REORGED = "PAYOUT_REORGED"
    """PAID → SIGNED: its block is not canonical any more. Later states keep following the lane."""
    PAYOUT_FREED = "PAYOUT_FREED"
    """SIGNED → VERIFIED: finalised evidence that no attempt landed or can land."""
    MARK_SIGNED = "MARK_SIGNED"
    """PAID, HELD, MARKING → MARKING: mark bytes are stored; the payout's id is frozen."""
    MARK_FAILED = "MARK_FAILED"
    """MARKING: a transient failure; the next attempt's time is stored."""
    MARK_FULFILLED = "MARK_FULFILLED"
    """The contract shows Fulfilled with our payout id, finalised → MARKED."""
    SWAP_COMPLETED = "SWAP_COMPLETED"
    """Finalised completion → COMPLETED, unless signed bytes may be out."""
    SWAP_ENDED_UNPAID = "SWAP_ENDED_UNPAID"
    """The swap ended and nothing was ever signed → COMPENSATED."""
    SWAP_ENDED_IN_DOUBT = "SWAP_ENDED_IN_DOUBT"
    """The swap ended while signed bytes may be out → WITHDRAWING."""
    SWAP_ENDED_PAID = "SWAP_ENDED_PAID"
    """The swap ended uncredited after a final payout → FAILED."""
    CANCEL_SIGNED = "CANCEL_SIGNED"
    """SIGNED (too late to pay), WITHDRAWING: a filler is stored in the payout's lane."""
    PAYOUT_WITHDRAWN = "PAYOUT_WITHDRAWN"
    """WITHDRAWING → COMPENSATED: finalised evidence that nothing landed or can land."""
    IMPORTED_SENT = "IMPORTED_SENT"
    """DISCOVERED, VERIFIED, RESERVED → HELD: another program says it has, or may have, paid it."""
    HELD_FOR_OPERATOR = "HELD_FOR_OPERATOR"
    """Evidence contradicts itself, or the chain refuses what it should take → HELD."""
    QUARANTINED = "QUARANTINED"
    """HELD → QUARANTINED: closed by the operator."""
    NOTED = "NOTED"
    """Any state, ends too: an audit note; nothing moves."""


S, E = State, Event

ENDS = frozenset({S.COMPLETED, S.COMPENSATED, S.FAILED, S.QUARANTINED})
INITIAL = S.DISCOVERED

BEFORE_PIVOT = frozenset({S.DISCOVERED, S.VERIFIED, S.RESERVED})
"""States in which nothing has ever been signed for the current lane."""

# fmt: off
TABLE: Mapping[State, Mapping[Event, State]] = MappingProxyType({
    S.DISCOVERED: {
        E.SOURCE_VERIFIED:      S.VERIFIED,
        E.REFUSED:              S.COMPENSATED,
        E.EXPIRED:              S.COMPENSATED,
        E.IMPORTED_SENT:        S.HELD,
        E.SWAP_COMPLETED:       S.COMPLETED,
        E.SWAP_ENDED_UNPAID:    S.COMPENSATED,
        E.HELD_FOR_OPERATOR:    S.HELD,
        E.NOTED:                S.DISCOVERED,
    },
    S.VERIFIED: {
        E.INVENTORY_RESERVED:   S.RESERVED,
        E.REFUSED:              S.COMPENSATED,
        E.EXPIRED:              S.COMPENSATED,
        E.IMPORTED_SENT:        S.HELD,
        E.SWAP_COMPLETED:       S.COMPLETED,
        E.SWAP_ENDED_UNPAID:    S.COMPENSATED,
        E.HELD_FOR_OPERATOR:    S.HELD,
        E.NOTED:                S.VERIFIED,
    },
    S.RESERVED: {
        E.PAYOUT_SIGNED:        S.SIGNED,
        E.RESERVATION_YIELDED:  S.VERIFIED,
        E.REFUSED:              S.COMPENSATED,
        E.EXPIRED:              S.COMPENSATED,
        E.IMPORTED_SENT:        S.HELD,
        E.SWAP_COMPLETED:       S.COMPLETED,
        E.SWAP_ENDED_UNPAID:    S.COMPENSATED,
        E.HELD_FOR_OPERATOR:    S.HELD,
        E.NOTED:                S.RESERVED,
    },
    S.SIGNED: {
        E.PAYOUT_INCLUDED:      S.PAID,
        E.PAYOUT_ADOPTED:       S.PAID,
        E.PAYOUT_RESIGNED:      S.SIGNED,
        E.PAYOUT_FREED:         S.VERIFIED,
        E.CANCEL_SIGNED:        S.SIGNED,
        E.SWAP_ENDED_IN_DOUBT:  S.WITHDRAWING,
        E.HELD_FOR_OPERATOR:    S.HELD,
        E.NOTED:                S.SIGNED,
    },
    S.PAID: {
        E.MARK_SIGNED:          S.MARKING,
        E.MARK_FULFILLED:       S.MARKED,
        E.PAYOUT_REORGED:       S.SIGNED,
        E.SWAP_COMPLETED:       S.COMPLETED,
        E.SWAP_ENDED_IN_DOUBT:  S.WITHDRAWING,
        E.SWAP_ENDED_PAID:      S.FAILED,
        E.HELD_FOR_OPERATOR:    S.HELD,
        E.NOTED:                S.PAID,
    },
    S.MARKING: {
        E.MARK_SIGNED:          S.MARKING,
        E.MARK_FAILED:          S.MARKING,
        E.MARK_FULFILLED:       S.MARKED,
        E.PAYOUT_REORGED:       S.MARKING,
        E.PAYOUT_INCLUDED:      S.MARKING,
        E.SWAP_COMPLETED:       S.COMPLETED,
        E.SWAP_ENDED_IN_DOUBT:  S.WITHDRAWING,
        E.SWAP_ENDED_PAID:      S.FAILED,
        E.HELD_FOR_OPERATOR:    S.HELD,
        E.NOTED:                S.MARKING,
    },
    S.MARKED: {
        E.PAYOUT_REORGED:       S.MARKED,
        E.PAYOUT_INCLUDED:      S.MARKED,
        E.SWAP_COMPLETED:       S.COMPLETED,
        E.SWAP_ENDED_IN_DOUBT:  S.WITHDRAWING,
        E.SWAP_ENDED_PAID:      S.FAILED,
        E.HELD_FOR_OPERATOR:    S.HELD,
        E.NOTED:                S.MARKED,
    },
    S.WITHDRAWING: {
        E.CANCEL_SIGNED:        S.WITHDRAWING,
        E.PAYOUT_WITHDRAWN:     S.COMPENSATED,
        E.SWAP_COMPLETED:       S.COMPLETED,
        E.SWAP_ENDED_PAID:      S.FAILED,
        E.HELD_FOR_OPERATOR:    S.HELD,
        E.NOTED:                S.WITHDRAWING,
    },
    S.HELD: {
        E.PAYOUT_ADOPTED:       S.PAID,
        E.MARK_SIGNED:          S.MARKING,
        E.MARK_FAILED:          S.HELD,
        E.MARK_FULFILLED:       S.MARKED,
        E.HELD_FOR_OPERATOR:    S.HELD,
        E.SWAP_COMPLETED:       S.COMPLETED,
        E.SWAP_ENDED_UNPAID:    S.COMPENSATED,
        E.SWAP_ENDED_IN_DOUBT:  S.WITHDRAWING,
        E.SWAP_ENDED_PAID:      S.FAILED,
        E.QUARANTINED:          S.QUARANTINED,
        E.NOTED:                S.HELD,
    },
    S.COMPLETED:   {E.NOTED: S.COMPLETED},
    S.COMPENSATED: {E.NOTED: S.COMPENSATED},
    S.FAILED:      {E.NOTED: S.FAILED},
    S.QUARANTINED: {E.NOTED: S.QUARANTINED},
})
"""State × event → state. What is not here is not possible."""

RESUME: Mapping[State, str] = MappingProxyType({
    S.DISCOVERED:  "run",
    S.VERIFIED:    "read the user's payment again",
    S.RESERVED:    "run",
    S.SIGNED:      "look first, then the same bytes",
    S.PAID:        "look whether it is still canonical",
    S.MARKING:     "look first, then the same bytes",
    S.MARKED:      "follow",
    S.WITHDRAWING: "look first, then cancel",
    S.HELD:        "follow",
    S.COMPLETED:   "–",
    S.COMPENSATED: "–",
    S.FAILED:      "–",
    S.QUARANTINED: "–",
})
"""What a restarted daemon does with a saga it finds in a state."""
# fmt: on


def advance(state: State, event: Event) -> State:
    """The state after `event`.

    Raises:
        InvariantBroken: The table knows no such move.
    """
    try:
        return TABLE[state][event]
    except KeyError:
        raise InvariantBroken(f"{event} cannot happen in {state}") from None


def diagram() -> str:
    """The machine as a Mermaid state diagram, audit notes left out; the same text at each call."""
    lines = ["stateDiagram-v2", f"    [*] --> {INITIAL}: assigned"]
    for state, moves in TABLE.items():
        by_target: dict[State, list[str]] = {}
        for event, target in moves.items():
            if event is not E.NOTED:
                by_target.setdefault(target, []).append(event.value)
        lines += [f"    {state} --> {target}: {', '.join(events)}" for target, events in by_target.items()]
    lines += [f"    {state} --> [*]" for state in TABLE if state.ended]
    return "\n".join(lines) + "\n"
