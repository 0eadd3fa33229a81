"""Reading what a decision rests on: the store, the contract at a finalised block, the payout's chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from miner.amounts import Chain
from miner.errors import ReadFailed, Refused
from miner.model import (
    Asked,
    Head,
    Payment,
    PaymentClaim,
    PayoutOrder,
    Saga,
    Sighting,
    Swap,
    SwapStatus,
    Terms,
    Verb,
)
from miner.ports import Heads, Rail
from miner.recover.findings import Facts, Found
from miner.saga import State
from miner.settle.desk import Desk, mark_of
from miner.verdict import has_paid
from miner.verify import BLOCK_MS

REACH = 3
"""Blocks around a height in which `Rail.verify` looks."""
FIND_BEFORE = 8
"""Blocks below a height from which `Rail.find_payout` looks."""
_OPEN = tuple(state for state in State if not state.ended)
_MOST_OPEN = 10_000
BTC_BLOCKS_BEFORE = 12
"""Blocks of Bitcoin before the swap began in which a payout is looked for as well: they come in bursts."""


async def gather(desk: Desk, asked: Asked, saga: Saga, heads: Heads) -> Facts:
    """Everything that a decision on `asked` rests on.

    Raises:
        ReadFailed: Something of it could not be learned; nothing is decided then.
    """
    at = heads.finalised
    on_chain = await _on_chain(desk, saga, at)
    facts = Facts(
        saga=saga,
        finalised=at,
        now_ms=await desk.store.now_ms(),
        on_chain=on_chain,
        margin_blocks=desk.policy.margin_blocks(saga.dest),
        imported=await desk.store.imported(saga.key.swap_id) is not None,
        held_above=desk.policy.holds(saga.dest, saga.swap.dest_amount),
        let_go=(await desk.store.approved([saga.key.swap_id])).get(saga.key.swap_id, 0),
        hold_s=asked.hold_s,
    )
    terms = await desk.contract.terms(at)
    owed = _owed(desk, saga, terms)
    facts = replace(facts, owed=owed if isinstance(owed, PayoutOrder) else None)
    if asked.verb in (Verb.RETRY, Verb.MARK):
        facts = replace(facts, mark_refusal=await _mark_refusal(desk, facts, heads.best))
    if asked.verb in (Verb.ADOPT, Verb.MARK):
        facts = replace(facts, found=await _found(desk, asked, facts, owed))
    return facts


async def _on_chain(desk: Desk, saga: Saga, at: Head) -> Swap | None:
    swap_id = saga.key.swap_id
    swaps = await desk.contract.swaps([swap_id], at)
    if swap_id not in swaps:
        raise ReadFailed(f"swap {swap_id}", "it does not decode")
    found = swaps[swap_id]
    if found is None or saga.dest is None or saga.dest not in desk.rails:
        return found
    return replace(found, dest_tx_hash=_canonical(desk.rails[saga.dest], found.dest_tx_hash))


def _canonical(rail: Rail, text: str) -> str:
    try:
        return rail.canonical_txid(text)
    except Refused:
        return text


def _owed(desk: Desk, saga: Saga, terms: Terms) -> PayoutOrder | Refused:
    try:
        return desk.verifier.owed(saga.swap, terms)
    except Refused as refused:
        return refused


async def _mark_refusal(desk: Desk, facts: Facts, best: Head) -> str:
    """The name that a dry run of the saga's mark is refused with; empty when it would be taken."""
    saga, lane = facts.saga, facts.saga.payout
    active = facts.on_chain is not None and facts.on_chain.status is SwapStatus.ACTIVE
    if lane is None or not has_paid(lane) or lane.block is None or not active:
        return ""
    if saga.state not in (State.PAID, State.MARKING, State.HELD):
        return ""
    try:
        await desk.contract.try_mark(mark_of(saga), best)
    except Refused as refused:
        return refused.name
    return ""


# the transaction that is said to be a payout


async def _found(desk: Desk, asked: Asked, facts: Facts, owed: PayoutOrder | Refused) -> Found:
    rail = desk.dest_rail(facts.saga)
    try:
        txid = rail.canonical_txid(asked.txid)
    except Refused:
        return Found(asked.txid, problem=f"it is no transaction id of {rail.chain.upper()}")
    if (lane := facts.saga.payout) is not None and has_paid(lane) and lane.txid == txid:
        return Found(txid, lane.block)
    if isinstance(owed, Refused):
        return Found(txid, problem=f"what the swap owes cannot be told from its terms: {owed.cause}")
    others = await _others(desk, rail, facts.saga, txid)
    return replace(await _examined(desk, rail, facts, owed, txid, asked.block), others=others)


async def _others(desk: Desk, rail: Rail, saga: Saga, txid: str) -> tuple[int, ...]:
    """Other swaps that the transaction is credited to, was signed for, or is marked for on the contract."""
    credited = set(await desk.store.credited(rail.chain_id, txid))
    marked = {
        other.key.swap_id
        for other in await desk.store.list_sagas(_OPEN, limit=_MOST_OPEN)
        if other.dest is rail.chain and _canonical(rail, other.swap.dest_tx_hash) == txid
    }
    return tuple(sorted((credited | marked) - {saga.key.swap_id}))


async def _examined(desk: Desk, rail: Rail, facts: Facts, owed: PayoutOrder, txid: str, told: int) -> Found:
    """Final, by our account, exactly the order, not before the swap began; or what of this it is not."""
    claim = _claim(desk, rail, facts, owed, txid)
    heights = await _heights(rail, facts, told)
    seen = await rail.find_payout(owed.account, owed, txid, heights[0] + FIND_BEFORE, heights[0])
    if seen is None:
        located = await _located(rail, claim, heights)
        if not isinstance(located, Payment):
            return Found(txid, problem=located)
        seen = await rail.find_payout(owed.account, owed, txid, located.height, heights[0])
        if seen is None:
            return Found(txid, problem=_not_exact(located, owed, rail, heights[0]))
    return await _judged(rail, claim, txid, seen)


async def _judged(rail: Rail, claim: PaymentClaim, txid: str, seen: Sighting) -> Found:
    """The sender and the time are judged as validators judge them: in the block where it is."""
    if seen.block is None or not seen.final or seen.txid != txid:
        return Found(txid, problem="it is not final yet")
    try:
        paid = await rail.verify(replace(claim, height=seen.block.height))
    except Refused as refused:
        return Found(txid, problem=refused.cause)
    if not isinstance(paid, Payment):
        return Found(txid, problem=paid.why)
    return Found(txid, seen.block)


def _claim(desk: Desk, rail: Rail, facts: Facts, owed: PayoutOrder, txid: str) -> PaymentClaim:
    swap, source_slack_ms = facts.saga.swap, desk.policy.source_slack_s * 1000
    age_ms = max(0, facts.finalised.height - swap.initiated_block) * BLOCK_MS
    return PaymentClaim(
        txid=txid,
        height=swap.initiated_block,
        sender=owed.account,
        recipient=owed.recipient,
        amount=owed.amount,
        confirmations=1,
        not_before_height=swap.initiated_block if rail.chain is Chain.TAO else 0,
        not_before_ms=max(0, facts.now_ms - age_ms - source_slack_ms) if rail.chain is Chain.BTC else 0,
    )


async def _heights(rail: Rail, facts: Facts, told: int) -> tuple[int, int]:
    """Lowest and highest block in which it can be; what the operator says, where that was said."""
    if told:
        return max(told - REACH, 1), told + REACH
    if rail.chain is Chain.TAO:
        return max(facts.saga.swap.initiated_block, 1), facts.finalised.height
    tip = (await rail.tip()).height
    age = max(0, facts.finalised.height - facts.saga.swap.initiated_block)
    return max(tip - age - BTC_BLOCKS_BEFORE, 1), tip


async def _located(rail: Rail, claim: PaymentClaim, heights: tuple[int, int]) -> Payment | str:
    """The payment wherever it is; else why it is none, in words."""
    why = "not_found"
    for height in _steps(*heights):
        try:
            paid = await rail.verify(replace(claim, height=height))
        except Refused as refused:
            return refused.cause
        if isinstance(paid, Payment):
            return paid
        why = paid.why if paid.why != "not_found" else why
    return _WORDS.get(why, why)


def _steps(first: int, last: int) -> Iterator[int]:
    """Heights whose surroundings cover everything, newest first."""
    height = last - REACH
    while height + REACH >= first:
        yield max(height, 1)
        height -= 2 * REACH + 1


_WORDS = {
    "not_found": "it is in no final block since the swap began (--block says where to look)",
    "unconfirmed": "it is in no block yet",
    "at_another_height": "it is in a block from before the swap began (--block says where to look)",
    "too_few_confirmations": "it is not final yet",
}


def _not_exact(paid: Payment, owed: PayoutOrder, rail: Rail, not_before: int) -> str:
    if paid.height < not_before:
        return _WORDS["at_another_height"]
    if paid.amount != owed.amount:
        return f"it paid {paid.amount} {rail.chain.unit}, and {owed.amount} is owed"
    return f"it is not final yet, or not {owed.account} alone has paid it"
