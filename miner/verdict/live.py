"""Decisions on a swap that goes on: from its first sight to its mark, and while it is held."""

from __future__ import annotations

from miner.model import Lane, LaneState, Policy, RecoveryEntry, Saga, SightingKind, SwapStatus, TakerEffect
from miner.model.policy import FULFILLMENT_TIMEOUT_MARGIN_BLOCKS
from miner.saga import Event, State
from miner.verdict.command import (
    FULFILLED_ELSEWHERE,
    IMPORTED,
    LANDED,
    MAYBE_PAID,
    UNAPPROVED,
    WAIT,
    Command,
    Do,
    Tick,
    enter,
    gate_closed,
    has_paid,
    hold,
    included,
    is_ours,
    no_lane,
    rebroadcast,
    taken_ambiguously,
    use_mark_nonce,
)


def before_pivot(saga: Saga, tick: Tick, policy: Policy) -> Command:
    """DISCOVERED, VERIFIED, RESERVED: nothing is signed; the deadline, pauses and stops gate what follows."""
    if paid := _paid_elsewhere(saga, tick):
        return paid
    margin = policy.margin_blocks(saga.dest)
    unjudged = saga.state is State.DISCOVERED and not saga.reason  # another program may have paid it: look
    if gate_closed(tick.finalised.height, saga.swap.timeout_block, margin) and not unjudged:
        left = saga.swap.timeout_block - tick.finalised.height
        unapproved = saga.reason == UNAPPROVED
        why = RecoveryEntry(
            "expired_unapproved" if unapproved else "expired_unpaid",
            "nobody approved its payout in time; nothing was paid; the contract may slash the collateral"
            if unapproved
            else "nothing was paid; the swap will time out and the contract may slash the collateral",
            {"blocks_left": left, "margin_blocks": margin, "was": saga.reason or str(saga.state)},
        )
        return enter(Event.EXPIRED, "expired", why)
    if tick.now_ms < saga.next_attempt_ms:
        return WAIT
    if saga.state is State.DISCOVERED:
        return Command(Do.VERIFY)
    if saga.dest is None:
        return WAIT  # no chain to pay on, so no limit of it is known either
    if needs_approval(saga, tick, policy):
        return _ask_a_person(saga, policy)
    if tick.sends_stopped or "all" in tick.paused or saga.dest in tick.paused:
        return WAIT
    if gate_closed(tick.best_height, saga.swap.timeout_block, margin):
        return WAIT
    return Command(Do.RESERVE if saga.state is State.VERIFIED else Do.PAY)


def needs_approval(saga: Saga, tick: Tick, policy: Policy) -> bool:
    """Whether a person has to let the payout go; what was let go for less is not let go for more."""
    let_go = tick.approved.get(saga.key.swap_id, 0) >= saga.swap.dest_amount
    return policy.holds(saga.dest, saga.swap.dest_amount) and not let_go


def _ask_a_person(saga: Saga, policy: Policy) -> Command:
    """Said once, when it begins to wait: in the journal, and in the recovery log, which is told to people."""
    if saga.reason == UNAPPROVED:
        return WAIT
    gate = saga.swap.timeout_block - policy.margin_blocks(saga.dest)
    why = RecoveryEntry(
        UNAPPROVED,
        "its payout is above `hold_above` and waits for a person: `swap-miner approve` lets it go; otherwise "
        "it is not paid, the swap times out, and the contract may slash the collateral",
        {
            "amount": str(saga.swap.dest_amount),
            "before_block": gate,
            "timeout_block": saga.swap.timeout_block,
        },
    )
    return enter(Event.NOTED, UNAPPROVED, why)


def _paid_elsewhere(saga: Saga, tick: Tick) -> Command | None:
    """Whether another program says, or the contract does, that this swap was paid by no lane of ours."""
    if (sent := tick.imported.get(saga.key.swap_id)) is not None:
        why = RecoveryEntry(
            IMPORTED,
            "the program used before says it paid this swap; nothing is sent; the payout is looked for; "
            "where you know its id, `swap-miner adopt-payout` credits it",
            {"txid": sent.txid, "block": sent.block, "marked": sent.marked},
        )
        return enter(Event.IMPORTED_SENT, IMPORTED, why)
    if saga.swap.status is SwapStatus.FULFILLED:
        why = RecoveryEntry(
            FULFILLED_ELSEWHERE,
            "another program marked this swap; nothing is sent; the payout that it names is looked for",
            {"txid": saga.swap.dest_tx_hash, "block": saga.swap.dest_tx_block},
        )
        return enter(Event.HELD_FOR_OPERATOR, FULFILLED_ELSEWHERE, why)
    return None


def signed(saga: Saga, tick: Tick, policy: Policy) -> Command:
    """SIGNED: bytes may be out; look, then the same bytes, whatever the margin.

    Where all of them are dead, nothing was paid: signing again is judged like a first send, by the margin.
    """
    lane = saga.payout
    if lane is None:
        return no_lane()
    if lane.taker is TakerEffect.AMBIGUOUS:
        return taken_ambiguously(saga)
    if has_paid(lane):
        return included(lane)
    if lane.state.closed:
        return enter(Event.PAYOUT_FREED, f"payout_{lane.state}")
    if saga.swap.status is SwapStatus.FULFILLED and not is_ours(lane, saga.swap.dest_tx_hash):
        return _another_id()
    if lane.sighting is SightingKind.EXPIRED:
        late = gate_closed(tick.best_height, saga.swap.timeout_block, policy.margin_blocks(saga.dest))
        return Command(Do.CANCEL_PAYOUT if lane.cancelling or late else Do.RESIGN_PAYOUT)
    return rebroadcast(lane, tick, Do.BROADCAST_PAYOUT)


def paid(saga: Saga, tick: Tick, policy: Policy) -> Command:
    """PAID: wait for the mark's depth, then mark."""
    lane = saga.payout
    if lane is None or not has_paid(lane):
        return enter(Event.PAYOUT_REORGED, "payout_not_in_a_block")
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
    if is_ours(lane, saga.swap.dest_tx_hash):
        return enter(Event.MARK_FULFILLED)
    return WAIT if saga.state is State.HELD else _another_id()


def _another_id() -> Command:
    return hold(
        "fulfilled_with_another_id",
        "the contract holds another payout id than ours; a mark cannot be corrected; give the validators "
        "`swap-miner evidence`",
    )


def marking(saga: Saga, tick: Tick) -> Command:
    """MARKING: follow both lanes; the payout's id is frozen."""
    payout, mark = saga.payout, saga.mark
    if payout is None or mark is None:
        return no_lane()
    if saga.swap.status is SwapStatus.FULFILLED:
        return _fulfilled(saga, payout)
    if gone := _payout_gone(saga, payout):
        return gone
    return _next_mark(saga, payout, mark, tick) or _follow_payout(payout, tick)


def _next_mark(saga: Saga, payout: Lane, mark: Lane, tick: Tick) -> Command | None:
    """What the mark's lane asks for. A mark names the payout's block, so new bytes wait for that."""
    if mark.state in LANDED:
        return None
    if not mark.state.closed and mark.sighting is not SightingKind.EXPIRED:
        return Command(Do.BROADCAST_MARK) if mark.id in tick.due else None
    if not mark.state.closed:
        return Command(Do.RESIGN_MARK if has_paid(payout) else Do.FILL_MARK)
    if not has_paid(payout):
        return None
    if tick.now_ms < saga.next_attempt_ms:
        return None
    return Command(Do.JUDGE_MARK if mark.state is LaneState.REVERTED else Do.MARK)


def marked(saga: Saga, tick: Tick) -> Command:
    """MARKED: keep the payout where it is until the swap ends."""
    if saga.payout is None:
        return WAIT
    if used := use_mark_nonce(saga, tick):
        return used
    if gone := _payout_gone(saga, saga.payout):
        return gone
    if saga.swap.status is SwapStatus.ACTIVE:  # the block that held the mark was taken back
        return hold(
            "mark_is_gone", "the contract does not hold the mark any more; it is made again by itself"
        )
    return _follow_payout(saga.payout, tick)


def _payout_gone(saga: Saga, lane: Lane) -> Command | None:
    """After the mark the payout's id is frozen: whatever else took its lane is for a person."""
    if lane.taker is TakerEffect.AMBIGUOUS:
        return taken_ambiguously(saga)
    expired = lane.state is LaneState.SIGNED and lane.sighting is SightingKind.EXPIRED
    if expired or (lane.state.closed and lane.state is not LaneState.LANDED):
        return hold(
            "marked_payout_is_gone",
            "the payout that was marked cannot land any more; pay by hand only after `swap-miner evidence`",
        )
    return None


def _follow_payout(lane: Lane, tick: Tick) -> Command:
    if lane.state is LaneState.SIGNED and not lane.cancelling:
        return rebroadcast(lane, tick, Do.BROADCAST_PAYOUT)
    return WAIT


def held(saga: Saga, tick: Tick, policy: Policy) -> Command:
    """HELD: never a payment; marks, rebroadcasts and looks go on."""
    lane, mark = saga.payout, saga.mark
    if lane is None:
        return _locate_imported(saga, tick, policy)
    fulfilled = saga.swap.status is SwapStatus.FULFILLED
    if lane.taker is TakerEffect.AMBIGUOUS:
        return use_mark_nonce(saga, tick) or taken_ambiguously(saga)
    if (fulfilled or not has_paid(lane)) and (used := use_mark_nonce(saga, tick)):
        return used
    if not has_paid(lane):
        doubtful = fulfilled and not is_ours(lane, saga.swap.dest_tx_hash)
        return WAIT if doubtful else _free_nonce(lane, tick) or _follow_payout(lane, tick)
    if fulfilled:
        return _fulfilled(saga, lane)
    if mark is not None and not mark.state.closed:
        return _next_mark(saga, lane, mark, tick) or WAIT
    if tick.tries_again(saga.key.swap_id) and _deep_enough(saga, lane, tick, policy):
        return Command(Do.MARK)  # whatever it is held for: an unmarked payout costs the collateral
    return WAIT


def _free_nonce(lane: Lane, tick: Tick) -> Command | None:
    """A filler where a held payout's bytes are dead: its unused nonce would block all later payouts."""
    if lane.state is not LaneState.SIGNED:
        return None
    if lane.sighting is SightingKind.EXPIRED:
        return Command(Do.CANCEL_PAYOUT)
    return rebroadcast(lane, tick, Do.BROADCAST_PAYOUT) if lane.cancelling else None


def _locate_imported(saga: Saga, tick: Tick, policy: Policy) -> Command:
    """At each sweep, and in every round once the deadline is near: what is found has to be marked in time."""
    margin = policy.margin_blocks(saga.dest)
    near = tick.tries_again(saga.key.swap_id) or gate_closed(
        tick.best_height, saga.swap.timeout_block, margin
    )
    return Command(Do.LOCATE_IMPORTED) if saga.reason in MAYBE_PAID and near else WAIT
