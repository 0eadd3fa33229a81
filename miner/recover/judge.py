"""May this be done, and what is at stake? Pure: everything it rests on is in `Facts`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from miner.model import Came, Lane, LaneState, SwapStatus, Verb
from miner.recover.findings import Act, Facts, Ruling, amounts, at_stake, lane_words
from miner.saga import BEFORE_PIVOT, State
from miner.verdict import LANE_MISSING, MAYBE_PAID, gate_closed, has_paid

BLOCK_S = 12
"""Block time of the contract's chain, by which a release is kept from costing the deadline."""


def judge(verb: Verb, facts: Facts) -> Ruling:
    """Decide one request; total: every swap in every state gets an answer."""
    ruling = _JUDGES[verb](facts)
    return replace(ruling, detail={**amounts(facts), **ruling.detail})


def _may(act: Act, text: str, stake: str = "") -> Ruling:
    return Ruling(came=Came.WOULD, act=act, text=text, stake=stake)


def _nothing(text: str, remedy: str = "") -> Ruling:
    return Ruling(came=Came.NOTHING, text=text, remedy=remedy)


def _refused(text: str, stake: str = "", remedy: str = "") -> Ruling:
    return Ruling(came=Came.REFUSED, text=text, stake=stake, remedy=remedy)


def _show(facts: Facts) -> str:
    return f"swap-miner recovery show --swap {facts.saga.key.swap_id}"


def _ended(facts: Facts) -> Ruling:
    saga = facts.saga
    return _refused(f"the swap has ended: {saga.state} ({saga.reason or 'no reason'})", "", _show(facts))


def _paid(lane: Lane | None) -> Lane | None:
    return lane if lane is not None and has_paid(lane) else None


def _open(lane: Lane | None) -> Lane | None:
    return lane if lane is not None and not lane.state.closed else None


# retry


def _retry(facts: Facts) -> Ruling:
    saga = facts.saga
    if saga.state.ended:
        return _ended(facts)
    if saga.ending is not None or facts.on_chain is None:
        return _nothing(
            "the swap has ended on the contract; what is left is followed by itself", _show(facts)
        )
    if facts.now_ms < saga.next_attempt_ms:
        return _may(Act.TRY_AGAIN, "its next attempt is made now")
    if saga.state is State.HELD:
        return _retry_held(facts)
    why = saga.reason or "its turn, or its chains"
    return _nothing(
        f"nothing to clear: {saga.state} is tried at every block; it waits for {why}", _show(facts)
    )


def _retry_held(facts: Facts) -> Ruling:
    saga = facts.saga
    if saga.payout is None and saga.reason in MAYBE_PAID:
        adopt = f"swap-miner adopt-payout {saga.key.swap_id} TX"
        ruling = _may(Act.TRY_AGAIN, "its payout is looked for now")
        return replace(ruling, remedy=f"where you know the payout: {adopt}")
    if _paid(saga.payout) is None or facts.on_chain is None:
        return _nothing(f"held for {saga.reason}: there is nothing that a retry could do", _show(facts))
    return _try_mark(facts)


def _try_mark(facts: Facts) -> Ruling:
    """A payout is in a block: would the contract take its mark?"""
    saga, on_chain = facts.saga, facts.on_chain
    if on_chain is not None and on_chain.status is SwapStatus.FULFILLED:
        return _nothing(f"the contract shows it Fulfilled with {on_chain.dest_tx_hash}", _show(facts))
    if mark := _open(saga.mark):
        return _nothing(f"its mark is under way: {mark.latest.tx.txid}", _show(facts))
    stake = at_stake(facts, payout="is paid", collateral="is lost if the mark does not land in time")
    if facts.mark_refusal:
        evidence = f"swap-miner evidence {saga.key.swap_id}"
        text = f"the contract still refuses its mark: {facts.mark_refusal}"
        return _refused(text, stake, f"clear the cause, then ask again; for the validators: {evidence}")
    deep = saga.payout is None or saga.payout.state is not LaneState.IN_BLOCK
    when = "now" if deep else "as soon as the payout is deep enough"
    return _may(Act.TRY_AGAIN, f"the contract would take its mark; it is made {when}", stake)


# release


def _release(facts: Facts) -> Ruling:
    saga, lane = facts.saga, facts.saga.payout
    if saga.state.ended or saga.state in (State.DISCOVERED, State.VERIFIED):
        return _nothing(f"nothing is set aside for it: {saga.state}")
    if saga.state is State.RESERVED:
        stake = at_stake(facts, payout="is free again", collateral="is lost if it is not paid in time")
        held = _held_back_s(facts)
        text = (
            f"its reservation is given back, and set aside again after {held} s, if the money is there then"
        )
        return replace(_may(Act.YIELD, text, stake), detail={"hold_s": held})
    if saga.state is State.SIGNED and lane is not None and lane.state.closed and not has_paid(lane):
        return _may(Act.FREE, f"its lane is finalised as freed: {lane_words(lane, facts)}")
    stake = at_stake(facts, payout="is signed and may be paid, or is")
    text = "its payout is signed: what is set aside belongs to it until its lane is final"
    if lane is not None:
        text += f" ({lane_words(lane, facts)})"
    return _refused(text, stake, _show(facts))


def _held_back_s(facts: Facts) -> int:
    """As long as asked, and never beyond half the time that is left to begin the payout."""
    left = facts.saga.swap.timeout_block - facts.margin_blocks - facts.finalised.height
    return max(0, min(facts.hold_s, left // 2 * BLOCK_S))


# approve


def _approve(facts: Facts) -> Ruling:
    saga = facts.saga
    if saga.state.ended:
        return _ended(facts)
    if saga.state not in BEFORE_PIVOT:
        return _nothing(f"its payout is begun already: {saga.state}", _show(facts))
    if not facts.held_above:
        return _nothing("its payout is not above `hold_above`: it goes by itself")
    if facts.let_go >= saga.swap.dest_amount:
        return _nothing("its payout was let go already")
    if saga.ending is not None or facts.on_chain is None:
        return _refused("the swap has ended on the contract", "", _show(facts))
    if gate_closed(facts.finalised.height, saga.swap.timeout_block, facts.margin_blocks):
        stake = at_stake(facts, collateral="is lost when it times out, as nothing was paid")
        return _refused("its deadline is too near to begin a payout", stake, _show(facts))
    left = saga.swap.timeout_block - facts.margin_blocks - facts.finalised.height
    stake = at_stake(facts, payout="leaves", collateral="is lost if it is not paid in time")
    return _may(Act.APPROVE, f"its payout is let go, with {left} blocks left to begin it", stake)


# quarantine


def _quarantine(facts: Facts) -> Ruling:
    saga = facts.saga
    if saga.state is State.QUARANTINED:
        return _nothing(f"it is quarantined already ({saga.reason})")
    if saga.state is not State.HELD:
        text = f"only a held swap is closed by hand; this one is {saga.state}"
        return _refused(text + ("" if saga.state.ended else " and goes on by itself"), "", _show(facts))
    if lane := _open(saga.payout):
        stake = at_stake(facts, payout="may be on its way to the user")
        return _refused(f"its payout may still land: {lane_words(lane, facts)}", stake, _show(facts))
    if saga.ending is None:
        return _quarantine_live(facts)
    stake = at_stake(facts, payout="was paid") if _paid(saga.payout) else ""
    if saga.payout is None and saga.reason in MAYBE_PAID:
        stake = at_stake(facts, payout="may have been paid by another program")
    return _may(Act.QUARANTINE, f"the swap ended ({saga.ending.kind}) and nothing of it can land", stake)


def _quarantine_live(facts: Facts) -> Ruling:
    """The store knows of no end yet. What can still earn or lose money is not closed."""
    saga, swap_id = facts.saga, facts.saga.key.swap_id
    if facts.on_chain is None:
        text = "the contract holds it no more, and how it ended is not taken in yet: ask again after a block"
        return _refused(text, "", _show(facts))
    collateral = "is lost if it times out"
    if _paid(saga.payout):
        stake = at_stake(facts, payout="is paid", collateral=collateral)
        text = (
            f"it was paid and is {facts.on_chain.status} on the contract: its mark, or its end, is followed"
        )
        return _refused(text, stake, f"swap-miner retry {swap_id}")
    if facts.on_chain.status is SwapStatus.FULFILLED:
        stake = at_stake(facts, payout="is claimed as paid", collateral=collateral)
        text = f"the contract shows it Fulfilled with {facts.on_chain.dest_tx_hash}: validators decide on it"
        return _refused(text, stake, _show(facts))
    if saga.reason in MAYBE_PAID or saga.reason == LANE_MISSING or facts.imported:
        stake = at_stake(facts, payout="may have been paid", collateral=collateral)
        text = f"it may have been paid ({saga.reason}) and is Active on the contract"
        return _refused(text, stake, f"swap-miner adopt-payout {swap_id} TX")
    stake = at_stake(facts, collateral="is lost when it times out, as nothing was paid")
    return _may(
        Act.QUARANTINE, "nothing was paid for it and nothing can be; it is not followed further", stake
    )


# adopt-payout and mark


def _adopt(facts: Facts) -> Ruling:
    saga, found = facts.saga, facts.found
    if found is None:
        return _refused("no transaction was named")
    if saga.state.ended:
        return _ended(facts)
    if paid := _paid(saga.payout):
        if paid.txid == found.txid:
            return _nothing(f"{found.txid} is its payout already")
        stake = at_stake(facts, payout="would count as paid twice")
        return _refused(f"its payout is {paid.txid} already", stake, _show(facts))
    return _lane_in_the_way(facts) or _not_this_payout(facts, found.txid) or _adoptable(facts)


def _lane_in_the_way(facts: Facts) -> Ruling | None:
    saga = facts.saga
    if lane := _open(saga.payout):
        stake = at_stake(facts, payout="may be paid twice")
        return _refused(f"its own payout may still land: {lane_words(lane, facts)}", stake, _show(facts))
    if saga.payout is not None and facts.found is not None and saga.payout.txid == facts.found.txid:
        return _refused(f"it took this swap's lane and paid the user nothing: {saga.payout.state}")
    if saga.state in (*BEFORE_PIVOT, State.HELD, State.SIGNED):
        return None
    return _refused(f"{saga.state} has its own course, which no adoption fits into", "", _show(facts))


def _not_this_payout(facts: Facts, txid: str) -> Ruling | None:
    found, on_chain = facts.found, facts.on_chain
    if on_chain is not None and on_chain.status is SwapStatus.FULFILLED and on_chain.dest_tx_hash != txid:
        stake = at_stake(facts, payout="is paid", collateral="depends on the validators")
        text = f"the contract shows it Fulfilled with {on_chain.dest_tx_hash}; a mark cannot be corrected"
        return _refused(text, stake, f"swap-miner evidence {facts.saga.key.swap_id}")
    if found is not None and found.problem:
        stake = at_stake(facts, payout="is owed to the user")
        return _refused(f"{txid} is not this swap's payout: {found.problem}", stake)
    if found is not None and found.others:
        swaps = ", ".join(map(str, found.others))
        stake = at_stake(facts, payout="would count as paid by another swap's payment")
        return _refused(f"{txid} belongs to swap {swaps}", stake, f"swap-miner show {found.others[0]}")
    return None


def _adoptable(facts: Facts) -> Ruling:
    found = facts.found
    if found is None or found.block is None or facts.owed is None:
        return _refused("what it owes, or what was paid, cannot be told", "", _show(facts))
    stake = at_stake(facts, payout="is credited", collateral="is lost if it is not marked in time")
    text = f"{found.txid} in block {found.block.height} paid {facts.owed.recipient} exactly what is owed"
    return _may(Act.ADOPT, text, stake)


def _mark(facts: Facts) -> Ruling:
    saga, found, on_chain = facts.saga, facts.found, facts.on_chain
    if found is None:
        return _refused("no transaction was named")
    if saga.state.ended:
        return _ended(facts)
    if on_chain is None or saga.ending is not None:
        stake = at_stake(facts, payout="is past crediting on the contract") if _paid(saga.payout) else ""
        return _refused("the contract does not hold the swap any more", stake, _show(facts))
    if on_chain.status is SwapStatus.FULFILLED and on_chain.dest_tx_hash == found.txid:
        return _nothing(f"it is Fulfilled with {found.txid} already, in block {on_chain.fulfilled_block}")
    paid = _paid(saga.payout)
    if paid is None or paid.txid != found.txid:
        return _mark_adopted(facts)
    if on_chain.status is SwapStatus.FULFILLED:
        return _not_this_payout(facts, found.txid) or _nothing("it is Fulfilled")
    return _try_mark(facts)


def _mark_adopted(facts: Facts) -> Ruling:
    ruling = _adopt(facts)
    if ruling.act is not Act.ADOPT or not _too_late_to_mark(facts):
        return ruling
    return replace(ruling, text=ruling.text + "; the deadline has passed, so the mark may come too late")


def _too_late_to_mark(facts: Facts) -> bool:
    return gate_closed(facts.finalised.height, facts.saga.swap.timeout_block, 0)


_JUDGES: Mapping[Verb, Callable[[Facts], Ruling]] = {  # a miner's affairs: see miner.affairs.judge
    Verb.RETRY: _retry,
    Verb.RELEASE: _release,
    Verb.QUARANTINE: _quarantine,
    Verb.ADOPT: _adopt,
    Verb.MARK: _mark,
    Verb.APPROVE: _approve,
}
