"""Observation → command: what to do next with one saga. Pure; the whole of the judgement is here.

`decide` looks at a saga as stored (its swap as last read at a finalised block, its two lanes as last
sighted) and at the tick, and names one command. Executing it is `miner.settle`'s business, and leads to
a new saga, for which `decide` is asked again, until it says `WAIT`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from miner.model import (
    AttemptKind,
    Ending,
    EndingKind,
    Head,
    ImportedSend,
    Lane,
    LaneState,
    Policy,
    RecoveryEntry,
    Saga,
    SightingKind,
    SwapStatus,
    TakerEffect,
)
from miner.model.policy import FULFILLMENT_TIMEOUT_MARGIN_BLOCKS
from miner.saga import BEFORE_PIVOT, Event, State


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
        due: Ids of lanes whose newest bytes are due for (re)broadcast.
        imported: What the program used before says it sent, by swap id.
    """

    finalised: Head
    best_height: int
    now_ms: int
    paused: frozenset[str] = frozenset()
    sends_stopped: str = ""
    sweep: bool = False
    due: frozenset[int] = frozenset()
    imported: Mapping[int, ImportedSend] = field(default_factory=dict)


WAIT = Command(Do.WAIT)
LANDED = (LaneState.IN_BLOCK, LaneState.LANDED)


def gate_closed(height: int, timeout_block: int, margin_blocks: int) -> bool:
    """Law 7: whether a first send is refused at this height; exactly at the boundary it is."""
    return height + margin_blocks >= timeout_block


def decide(saga: Saga, tick: Tick, policy: Policy) -> Command:
    """The next command for a saga; total: every saga gets one."""
    if saga.state.ended:
        return _linger(saga, tick)
    if saga.ending is not None:
        return _after_end(saga, saga.ending, tick)
    if saga.state in BEFORE_PIVOT:
        return _before_pivot(saga, tick, policy)
    if saga.state is State.SIGNED:
        return _signed(saga, tick)
    if saga.state is State.PAID:
        return _paid(saga, tick, policy)
    if saga.state is State.MARKING:
        return _marking(saga, tick)
    if saga.state is State.MARKED:
        return _marked(saga, tick)
    if saga.state is State.WITHDRAWING:
        return _hold("withdrawing_a_live_swap", "the swap is live again; look at `swap-miner show`")
    return _held(saga, tick, policy)


def _enter(event: Event, reason: str = "", recovery: RecoveryEntry | None = None) -> Command:
    return Command(Do.ENTER, event, reason, recovery)


def _hold(cause: str, what_to_do: str) -> Command:
    return _enter(Event.HELD_FOR_OPERATOR, cause, RecoveryEntry(cause, what_to_do))


def _before_pivot(saga: Saga, tick: Tick, policy: Policy) -> Command:
    if paid := _paid_elsewhere(saga, tick):
        return paid
    margin = policy.margin_blocks(saga.dest)
    unjudged = saga.state is State.DISCOVERED and not saga.reason  # another program may have paid it: look
    if gate_closed(tick.finalised.height, saga.swap.timeout_block, margin) and not unjudged:
        left = saga.swap.timeout_block - tick.finalised.height
        why = RecoveryEntry(
            "expired_unpaid",
            "nothing was paid; the swap will time out and the contract may slash the collateral",
            {"blocks_left": left, "margin_blocks": margin, "was": saga.reason or str(saga.state)},
        )
        return _enter(Event.EXPIRED, "expired", why)
    if tick.now_ms < saga.next_attempt_ms:
        return WAIT
    if saga.state is State.DISCOVERED:
        return Command(Do.VERIFY)
    if tick.sends_stopped or "all" in tick.paused or saga.dest in tick.paused:
        return WAIT
    if gate_closed(tick.best_height, saga.swap.timeout_block, margin):
        return WAIT
    return Command(Do.RESERVE if saga.state is State.VERIFIED else Do.PAY)


def _paid_elsewhere(saga: Saga, tick: Tick) -> Command | None:
    """Whether another program says, or the contract does, that this swap was paid by no lane of ours."""
    if (sent := tick.imported.get(saga.key.swap_id)) is not None:
        why = RecoveryEntry(
            IMPORTED,
            "the program used before says it paid this swap; nothing is sent; the payout is looked for",
            {"txid": sent.txid, "block": sent.block, "marked": sent.marked},
        )
        return _enter(Event.IMPORTED_SENT, IMPORTED, why)
    if saga.swap.status is SwapStatus.FULFILLED:
        why = RecoveryEntry(
            FULFILLED_ELSEWHERE,
            "another program marked this swap; nothing is sent; the payout that it names is looked for",
            {"txid": saga.swap.dest_tx_hash, "block": saga.swap.dest_tx_block},
        )
        return _enter(Event.HELD_FOR_OPERATOR, FULFILLED_ELSEWHERE, why)
    return None


LANE_MISSING = "lane_missing"
"""Reason of a saga held since it is past the pivot and has no lane."""


def _no_lane() -> Command:
    return _hold(LANE_MISSING, "the store contradicts itself; run `swap-miner show`")


def _taken_ambiguously() -> Command:
    return _hold(
        "lane_taken_ambiguously",
        "another transaction took the payout's lane and may have paid the user; compare it with the swap",
    )


def _has_paid(lane: Lane) -> bool:
    """Whether what is in a block pays the user; neither a filler nor a stranger in doubt does."""
    seen = lane.attempt(lane.txid) if lane.txid else None
    filler = seen is not None and seen.kind is AttemptKind.FILLER
    in_doubt = lane.taker is TakerEffect.AMBIGUOUS or (lane.state is LaneState.IN_BLOCK and filler)
    return lane.state in LANDED and not in_doubt


def _is_ours(lane: Lane, txid: str) -> bool:
    """Whether a payout id is the lane's; while nothing is in a block, any attempt's."""
    return txid == lane.txid if lane.txid else lane.attempt(txid) is not None


def _signed(saga: Saga, tick: Tick) -> Command:
    lane = saga.payout
    if lane is None:
        return _no_lane()
    if lane.taker is TakerEffect.AMBIGUOUS:
        return _taken_ambiguously()
    if _has_paid(lane):
        return _included(lane)
    if lane.state.closed:
        return _enter(Event.PAYOUT_FREED, f"payout_{lane.state}")
    if saga.swap.status is SwapStatus.FULFILLED and not _is_ours(lane, saga.swap.dest_tx_hash):
        return _another_id()
    if lane.sighting is SightingKind.EXPIRED:
        return Command(Do.CANCEL_PAYOUT if lane.cancelling else Do.RESIGN_PAYOUT)
    return _rebroadcast(lane, tick, Do.BROADCAST_PAYOUT)


def _included(lane: Lane) -> Command:
    return _enter(Event.PAYOUT_ADOPTED if lane.taker is TakerEffect.PAYS else Event.PAYOUT_INCLUDED)


def _paid(saga: Saga, tick: Tick, policy: Policy) -> Command:
    lane = saga.payout
    if lane is None or not _has_paid(lane):
        return _enter(Event.PAYOUT_REORGED, "payout_not_in_a_block")
    if saga.swap.status is SwapStatus.FULFILLED:
        return _fulfilled(saga, lane)
    if tick.now_ms < saga.next_attempt_ms or not _deep_enough(saga, lane, tick, policy):
        return WAIT
    return Command(Do.MARK)


def _deep_enough(saga: Saga, lane: Lane, tick: Tick, policy: Policy) -> bool:
    """Mark depth reached, or the deadline would be lost by waiting for it."""
    if lane.state is LaneState.LANDED:
        return True
    if gate_closed(tick.best_height, saga.swap.timeout_block, FULFILLMENT_TIMEOUT_MARGIN_BLOCKS):
        return True
    wanted = policy.mark_confirmations(saga.dest)
    seen = lane.checked_height - lane.block.height + 1 if lane.block else 0
    return wanted > 0 and seen >= wanted


def _fulfilled(saga: Saga, lane: Lane) -> Command:
    if _is_ours(lane, saga.swap.dest_tx_hash):
        return _enter(Event.MARK_FULFILLED)
    return WAIT if saga.state is State.HELD else _another_id()


def _another_id() -> Command:
    return _hold(
        "fulfilled_with_another_id",
        "the contract holds another payout id than ours; a mark cannot be corrected; tell the validators",
    )


def _marking(saga: Saga, tick: Tick) -> Command:
    payout, mark = saga.payout, saga.mark
    if payout is None or mark is None:
        return _no_lane()
    if saga.swap.status is SwapStatus.FULFILLED:
        return _fulfilled(saga, payout)
    if gone := _payout_gone(payout):
        return gone
    return _next_mark(saga, payout, mark, tick) or _follow_payout(payout, tick)


def _next_mark(saga: Saga, payout: Lane, mark: Lane, tick: Tick) -> Command | None:
    """What the mark's lane asks for. A mark names the payout's block, so new bytes wait for that."""
    if mark.state in LANDED:
        return None
    if not mark.state.closed and mark.sighting is not SightingKind.EXPIRED:
        return Command(Do.BROADCAST_MARK) if mark.id in tick.due else None
    if not _has_paid(payout):
        return None
    if not mark.state.closed:
        return Command(Do.RESIGN_MARK)
    if tick.now_ms < saga.next_attempt_ms:
        return None
    return Command(Do.JUDGE_MARK if mark.state is LaneState.REVERTED else Do.MARK)


def _marked(saga: Saga, tick: Tick) -> Command:
    if saga.payout is None:
        return WAIT
    if gone := _payout_gone(saga.payout):
        return gone
    if saga.swap.status is SwapStatus.ACTIVE:  # the block that held the mark was taken back
        return _hold(
            "mark_is_gone", "the contract does not hold the mark any more; it is made again by itself"
        )
    return _follow_payout(saga.payout, tick)


def _payout_gone(lane: Lane) -> Command | None:
    """After the mark the payout's id is frozen: whatever else took its lane is for a person."""
    if lane.taker is TakerEffect.AMBIGUOUS:
        return _taken_ambiguously()
    expired = lane.state is LaneState.SIGNED and lane.sighting is SightingKind.EXPIRED
    if expired or (lane.state.closed and lane.state is not LaneState.LANDED):
        return _hold(
            "marked_payout_is_gone",
            "the payout that was marked cannot land any more; pay by hand only after `swap-miner evidence`",
        )
    return None


def _follow_payout(lane: Lane, tick: Tick) -> Command:
    if lane.state is LaneState.SIGNED and not lane.cancelling:
        return _rebroadcast(lane, tick, Do.BROADCAST_PAYOUT)
    return WAIT


def _rebroadcast(lane: Lane, tick: Tick, do: Do) -> Command:
    return Command(do) if lane.id in tick.due else WAIT


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


def _held(saga: Saga, tick: Tick, policy: Policy) -> Command:
    lane, mark = saga.payout, saga.mark
    if lane is None:
        return _locate_imported(saga, tick, policy)
    fulfilled = saga.swap.status is SwapStatus.FULFILLED
    if not _has_paid(lane):
        doubtful = lane.taker is TakerEffect.AMBIGUOUS or (
            fulfilled and not _is_ours(lane, saga.swap.dest_tx_hash)
        )
        return WAIT if doubtful else _free_nonce(lane, tick) or _follow_payout(lane, tick)
    if fulfilled:
        return _fulfilled(saga, lane)
    if mark is not None and not mark.state.closed:
        return _next_mark(saga, lane, mark, tick) or WAIT
    if tick.sweep and _deep_enough(saga, lane, tick, policy):
        return Command(Do.MARK)  # whatever it is held for: an unmarked payout costs the collateral
    return WAIT


def _free_nonce(lane: Lane, tick: Tick) -> Command | None:
    """A filler where a held payout's bytes are dead: its unused nonce would block all later payouts."""
    if lane.state is not LaneState.SIGNED:
        return None
    if lane.sighting is SightingKind.EXPIRED:
        return Command(Do.CANCEL_PAYOUT)
    return _rebroadcast(lane, tick, Do.BROADCAST_PAYOUT) if lane.cancelling else None


def _locate_imported(saga: Saga, tick: Tick, policy: Policy) -> Command:
    """At each sweep, and in every round once the deadline is near: what is found has to be marked in time."""
    margin = policy.margin_blocks(saga.dest)
    near = tick.sweep or gate_closed(tick.best_height, saga.swap.timeout_block, margin)
    return Command(Do.LOCATE_IMPORTED) if saga.reason in MAYBE_PAID and near else WAIT


def _after_end(saga: Saga, ending: Ending, tick: Tick) -> Command:
    """The swap is finalised as ended: nothing that pays is sent again."""
    completed = ending.kind is EndingKind.COMPLETED
    lane = saga.payout
    if saga.state in BEFORE_PIVOT:
        return _enter(Event.SWAP_COMPLETED if completed else Event.SWAP_ENDED_UNPAID, f"swap_{ending.kind}")
    if lane is None:
        return _ended_without_lane(saga, ending)
    if _has_paid(lane):
        return _ended_and_landed(saga, ending, lane)
    if lane.taker is TakerEffect.AMBIGUOUS and saga.state is not State.HELD:
        return _taken_ambiguously()
    if completed and _credited(saga, ending, lane):
        return _enter(Event.SWAP_COMPLETED)
    if lane.taker is TakerEffect.AMBIGUOUS:
        return WAIT
    if saga.state is State.WITHDRAWING:
        return _withdraw(lane, tick)
    return _enter(Event.SWAP_ENDED_IN_DOUBT, f"swap_{ending.kind}")


def _credited(saga: Saga, ending: Ending, lane: Lane) -> bool:
    """Whether a completed swap's payout was ours, so that what is not in a block need not be withdrawn."""
    if saga.state is State.HELD and (lane.state.closed or lane.taker is TakerEffect.AMBIGUOUS):
        return True  # nothing of ours can land any more
    known = saga.state in (State.PAID, State.MARKING, State.HELD)
    theirs = ending.dest_tx_hash or saga.swap.dest_tx_hash
    return saga.state is State.MARKED or (known and _is_ours(lane, theirs))


def _ended_without_lane(saga: Saga, ending: Ending) -> Command:
    if ending.kind is EndingKind.COMPLETED and saga.state is not State.SIGNED:
        return _enter(Event.SWAP_COMPLETED)
    if saga.state is not State.HELD:
        return _no_lane()
    if saga.reason == LANE_MISSING:
        return WAIT
    if saga.reason in MAYBE_PAID:
        why = RecoveryEntry(
            "ended_maybe_paid",
            "the program used before may have paid this swap; look for the payout in its wallet's history",
        )
        return _enter(Event.SWAP_ENDED_PAID, "ended_maybe_paid", why)
    return _enter(Event.SWAP_ENDED_UNPAID, f"swap_{ending.kind}")


def _ended_and_landed(saga: Saga, ending: Ending, lane: Lane) -> Command:
    if saga.state is State.SIGNED:
        return _included(lane)
    if ending.kind is EndingKind.COMPLETED:
        return _enter(Event.SWAP_COMPLETED)
    if lane.state is LaneState.IN_BLOCK:
        doubt = _enter(Event.SWAP_ENDED_IN_DOUBT, f"swap_{ending.kind}")
        return WAIT if saga.state is State.WITHDRAWING else doubt
    if ending.kind is EndingKind.UNKNOWN:
        unknown = _hold(
            "ended_unknown_after_payout", "the swap is gone, nothing says how; look at the collateral"
        )
        return WAIT if saga.state is State.HELD else unknown
    why = RecoveryEntry(
        "timed_out_after_payout",
        "the user was paid and the swap timed out; show `swap-miner evidence` to the validators",
        {"payout_txid": lane.txid, "slash_rao": str(ending.slash_amount)},
    )
    return _enter(Event.SWAP_ENDED_PAID, "timed_out_after_payout", why)


def _withdraw(lane: Lane, tick: Tick) -> Command:
    if lane.state.closed:
        return _enter(Event.PAYOUT_WITHDRAWN, f"payout_{lane.state}")
    if not lane.cancelling or lane.sighting is SightingKind.EXPIRED:
        return Command(Do.CANCEL_PAYOUT)
    return _rebroadcast(lane, tick, Do.BROADCAST_PAYOUT)


def _linger(saga: Saga, tick: Tick) -> Command:
    """The saga has ended; a lane of its may not have. An unused nonce would block those after it."""
    mark, lane = saga.mark, saga.payout
    if mark is not None and not mark.state.closed:
        if mark.sighting is SightingKind.EXPIRED:
            return Command(Do.FILL_MARK)
        if mark.cancelling and mark.id in tick.due:
            return Command(Do.BROADCAST_MARK)
    if lane is not None and lane.state is LaneState.SIGNED:
        if lane.sighting is SightingKind.EXPIRED:
            return Command(Do.CANCEL_PAYOUT)
        if lane.cancelling:
            return _rebroadcast(lane, tick, Do.BROADCAST_PAYOUT)
    return WAIT
