"""What can be decided, what it is decided on, and the questions that every decision asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from miner.model import (
    AttemptKind,
    Head,
    ImportedSend,
    Lane,
    LaneState,
    RecoveryEntry,
    Saga,
    SightingKind,
    TakerEffect,
)
from miner.saga import Event, State


class Do(StrEnum):
    """What to do. Only `ENTER` needs no port but the store."""

    WAIT = "wait"
    ENTER = "enter"
    """Write the event; nothing else."""
    VERIFY = "verify"
    """Check the swap's terms and look for the user's payment."""
    RESERVE = "reserve"
    """Dry-run the mark and set inventory aside."""
    PAY = "pay"
    """Read again, gate, sign and store the payout."""
    BROADCAST_PAYOUT = "broadcast_payout"
    RESIGN_PAYOUT = "resign_payout"
    """The payout again in its lane; where no era fits any more, a filler."""
    CANCEL_PAYOUT = "cancel_payout"
    """A filler in the payout's lane."""
    MARK = "mark"
    """Dry-run, sign and store the mark in a new lane."""
    BROADCAST_MARK = "broadcast_mark"
    RESIGN_MARK = "resign_mark"
    FILL_MARK = "fill_mark"
    """A filler in the mark's lane, whose nonce would block the next mark."""
    JUDGE_MARK = "judge_mark"
    """Ask why a finalised mark did not take effect."""
    LOCATE_IMPORTED = "locate_imported"
    """Look for the payout that another program says it made."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        do: What.
        event: For `ENTER`: which event to write.
        reason: Stored with it; a short name.
        recovery: For the recovery log, written with it.
    """

    do: Do
    event: Event | None = None
    reason: str = ""
    recovery: RecoveryEntry | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """What is true of the world while one round is decided.

    Attributes:
        finalised: Finalised head of the contract's chain, up to which the sagas are current.
        best_height: Highest fresh best head known.
        now_ms: Database time.
        paused: `all` or chain names whose first sends are paused.
        sends_stopped: Why no first send may be made at all (finality stall or violation, code changed);
            empty when they may.
        sweep: Whether this round is a sweep's: what was refused is tried again.
        asked: Swaps for which an operator asks that what was refused is tried again.
        due: Ids of lanes whose newest bytes are due for (re)broadcast.
        imported: What the program used before says it sent, by swap id.
        approved: Swaps that a person let go on, with the amount that was let go.
    """

    finalised: Head
    best_height: int
    now_ms: int
    paused: frozenset[str] = frozenset()
    sends_stopped: str = ""
    sweep: bool = False
    asked: frozenset[int] = frozenset()
    due: frozenset[int] = frozenset()
    imported: Mapping[int, ImportedSend] = field(default_factory=dict)
    approved: Mapping[int, int] = field(default_factory=dict)

    def tries_again(self, swap_id: int) -> bool:
        """Whether what was refused of a swap is tried again in this round."""
        return self.sweep or swap_id in self.asked


WAIT = Command(Do.WAIT)
LANDED = (LaneState.IN_BLOCK, LaneState.LANDED)


def gate_closed(height: int, timeout_block: int, margin_blocks: int) -> bool:
    """Law 7: whether a first send is refused at this height; exactly at the boundary it is."""
    return height + margin_blocks >= timeout_block


def enter(event: Event, reason: str = "", recovery: RecoveryEntry | None = None) -> Command:
    """Write an event, with its reason and what the recovery log must say."""
    return Command(Do.ENTER, event, reason, recovery)


def hold(cause: str, what_to_do: str) -> Command:
    """Hold for a person, with a line in the recovery log."""
    return enter(Event.HELD_FOR_OPERATOR, cause, RecoveryEntry(cause, what_to_do))


LANE_MISSING = "lane_missing"
"""Reason of a saga held since it is past the pivot and has no lane."""


def no_lane() -> Command:
    """Hold a saga past the pivot that has no lane."""
    return hold(LANE_MISSING, "the store contradicts itself; run `swap-miner show`")


LANE_TAKEN = "lane_taken_ambiguously"
"""Reason of a saga held since what took its payout's lane may have paid the user."""


def taken_ambiguously(saga: Saga) -> Command:
    """Hold a saga for what took its payout's lane and may have paid the user, whatever it was held for."""
    if saga.state is State.HELD and saga.reason == LANE_TAKEN:
        return WAIT
    return hold(
        LANE_TAKEN,
        "another transaction took the payout's lane and may have paid the user; compare it with the swap: "
        "`swap-miner recovery show`",
    )


def has_paid(lane: Lane) -> bool:
    """Whether what is in a block pays the user; neither a filler nor a stranger in doubt does."""
    seen = lane.attempt(lane.txid) if lane.txid else None
    filler = seen is not None and seen.kind is AttemptKind.FILLER
    in_doubt = lane.taker is TakerEffect.AMBIGUOUS or (lane.state is LaneState.IN_BLOCK and filler)
    return lane.state in LANDED and not in_doubt


def is_ours(lane: Lane, txid: str) -> bool:
    """Whether a payout id is the lane's, however it is spelt; while nothing is in a block, any attempt's."""
    ours = [lane.txid] if lane.txid else [attempt.tx.txid for attempt in lane.attempts]
    return _plain(txid) in map(_plain, ours)


def _plain(txid: str) -> str:
    """Hex digits of an id alone: another program may have written them in capitals, or with `0x`."""
    return txid.lower().removeprefix("0x")


def included(lane: Lane) -> Command:
    """Enter that the payout is in a block: ours, or one adopted."""
    return enter(Event.PAYOUT_ADOPTED if lane.taker is TakerEffect.PAYS else Event.PAYOUT_INCLUDED)


def rebroadcast(lane: Lane, tick: Tick, do: Do) -> Command:
    """Send a lane's newest bytes, if they are due."""
    return Command(do) if lane.id in tick.due else WAIT


def use_mark_nonce(saga: Saga, tick: Tick) -> Command | None:
    """What uses the nonce of a mark that is of no use any more: unused, it blocks the hotkey's later marks.

    A mark pays nobody, so the stored one is sent again: refused by the contract or not, its nonce is used.
    While the swap goes on, a payout that cannot land any more is not marked: there it is a filler.
    """
    mark, payout = saga.mark, saga.payout
    if mark is None or mark.state is not LaneState.SIGNED:
        return None
    if mark.sighting is SightingKind.EXPIRED:
        return Command(Do.FILL_MARK)
    if mark.id not in tick.due:
        return None
    over = saga.state.ended or saga.ending is not None
    fit = mark.cancelling or over or (payout is not None and _can_land(payout))
    return Command(Do.BROADCAST_MARK if fit else Do.FILL_MARK)


def _can_land(payout: Lane) -> bool:
    dead = payout.state.closed and payout.state is not LaneState.LANDED
    return not dead and payout.taker is not TakerEffect.AMBIGUOUS


UNAPPROVED = "waits_for_approval"
"""Reason of a swap that waits for a person before its payout is begun."""
IMPORTED = "imported_maybe_paid"
"""Reason of a saga held since another program may have paid it."""
FULFILLED_ELSEWHERE = "fulfilled_elsewhere"
"""Reason of a saga held since the contract shows a mark for it that none of our lanes made."""
SPENT_BEFORE = "account_spent_before"
"""Reason of a saga held since its account spent between the swap's birth and where accounting begins."""
MAYBE_PAID = frozenset({IMPORTED, FULFILLED_ELSEWHERE, SPENT_BEFORE})
"""Reasons of sagas without a lane whose payout is looked for: it may exist."""
MARK_REFUSED = "mark_refused"
"""Reason prefix of a saga held since the contract refuses its mark."""
