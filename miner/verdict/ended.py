"""Decisions after the swap's end: nothing that pays is sent again, and what may be out is called back."""

from __future__ import annotations

from miner.model import (
    AttemptKind,
    Ending,
    EndingKind,
    Lane,
    LaneState,
    RecoveryEntry,
    Saga,
    SightingKind,
    TakerEffect,
)
from miner.saga import BEFORE_PIVOT, Event, State
from miner.verdict.command import (
    LANDED,
    LANE_MISSING,
    MAYBE_PAID,
    WAIT,
    Command,
    Do,
    Tick,
    enter,
    has_paid,
    hold,
    included,
    is_ours,
    no_lane,
    rebroadcast,
    taken_ambiguously,
    use_mark_nonce,
)


def after_end(saga: Saga, ending: Ending, tick: Tick) -> Command:
    """The swap is finalised as ended: nothing that pays is sent again."""
    completed = ending.kind is EndingKind.COMPLETED
    lane = saga.payout
    if saga.state in BEFORE_PIVOT:
        event = Event.SWAP_COMPLETED if completed else Event.SWAP_ENDED_UNPAID
        return enter(event, f"swap_{ending.kind}", slash_note(ending))
    if lane is None:
        return _ended_without_lane(saga, ending)
    if has_paid(lane):
        return _ended_and_landed(saga, ending, lane)
    if lane.taker is TakerEffect.AMBIGUOUS and saga.state is not State.HELD:
        return taken_ambiguously(saga)
    if completed and _credited(saga, ending, lane):
        return enter(Event.SWAP_COMPLETED)
    if lane.taker is TakerEffect.AMBIGUOUS:
        return taken_ambiguously(saga)
    if saga.state is State.WITHDRAWING:
        return _withdraw(ending, lane, tick)
    return enter(Event.SWAP_ENDED_IN_DOUBT, f"swap_{ending.kind}")


def _credited(saga: Saga, ending: Ending, lane: Lane) -> bool:
    """Whether a completed swap's payout was ours, so that what is not in a block need not be withdrawn."""
    if saga.state is State.HELD and (lane.state.closed or lane.taker is TakerEffect.AMBIGUOUS):
        return True  # nothing of ours can land any more
    if saga.state is State.MARKED:
        return True
    theirs = ending.dest_tx_hash or saga.swap.dest_tx_hash
    ours = is_ours(lane, theirs) or (not theirs and _marked_by_us(saga))
    return ours and saga.state in (State.PAID, State.MARKING, State.HELD)


def _marked_by_us(saga: Saga) -> bool:
    """Whether a mark of ours took effect, though nobody saw the swap Fulfilled before it was deleted."""
    mark = saga.mark
    if mark is None or mark.state not in LANDED:
        return False
    seen = mark.attempt(mark.txid) if mark.txid else None
    return seen is None or seen.kind is not AttemptKind.FILLER


def slash_note(ending: Ending | None) -> RecoveryEntry | None:
    """For the recovery log: what the end of a swap cost that was not paid by us; None when nothing."""
    if ending is None or ending.kind is not EndingKind.TIMED_OUT or not ending.slash_amount:
        return None
    return RecoveryEntry(
        "slashed",
        "the swap timed out and collateral was taken; nothing is left to do for the user's payout",
        {"slash_rao": str(ending.slash_amount), "block": ending.block},
    )


def _ended_without_lane(saga: Saga, ending: Ending) -> Command:
    if ending.kind is EndingKind.COMPLETED and saga.state is not State.SIGNED:
        return enter(Event.SWAP_COMPLETED)
    if saga.state is not State.HELD:
        return no_lane()
    if saga.reason == LANE_MISSING:
        return WAIT
    if saga.reason in MAYBE_PAID:
        why = RecoveryEntry(
            "ended_maybe_paid",
            "the program used before may have paid this swap; look for the payout in its wallet's history",
        )
        return enter(Event.SWAP_ENDED_PAID, "ended_maybe_paid", why)
    return enter(Event.SWAP_ENDED_UNPAID, f"swap_{ending.kind}", slash_note(ending))


def _ended_and_landed(saga: Saga, ending: Ending, lane: Lane) -> Command:
    if saga.state is State.SIGNED:
        return included(lane)
    if ending.kind is EndingKind.COMPLETED:
        return enter(Event.SWAP_COMPLETED)
    if lane.state is LaneState.IN_BLOCK:
        doubt = enter(Event.SWAP_ENDED_IN_DOUBT, f"swap_{ending.kind}")
        return WAIT if saga.state is State.WITHDRAWING else doubt
    if ending.kind is EndingKind.UNKNOWN:
        unknown = hold(
            "ended_unknown_after_payout",
            "the swap is gone, nothing says how; look at the collateral; `swap-miner quarantine` closes it",
        )
        return WAIT if saga.state is State.HELD else unknown
    why = RecoveryEntry(
        "timed_out_after_payout",
        "the user was paid and the swap timed out; show `swap-miner evidence` to the validators",
        {"payout_txid": lane.txid, "slash_rao": str(ending.slash_amount)},
    )
    return enter(Event.SWAP_ENDED_PAID, "timed_out_after_payout", why)


def _withdraw(ending: Ending, lane: Lane, tick: Tick) -> Command:
    if lane.state.closed:
        return enter(Event.PAYOUT_WITHDRAWN, f"payout_{lane.state}", slash_note(ending))
    if not lane.cancelling or lane.sighting is SightingKind.EXPIRED:
        return Command(Do.CANCEL_PAYOUT)
    return rebroadcast(lane, tick, Do.BROADCAST_PAYOUT)


def linger(saga: Saga, tick: Tick) -> Command:
    """The saga has ended; a lane of its may not have. An unused nonce would block those after it."""
    if used := use_mark_nonce(saga, tick):
        return used
    lane = saga.payout
    if lane is not None and lane.state is LaneState.SIGNED:
        if lane.sighting is SightingKind.EXPIRED:
            return Command(Do.CANCEL_PAYOUT)
        if lane.cancelling:
            return rebroadcast(lane, tick, Do.BROADCAST_PAYOUT)
    return WAIT
