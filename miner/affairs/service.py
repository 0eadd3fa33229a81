"""Reads what a miner's business rests on, and does it: one lane, stored before it is sent (law 2)."""

from __future__ import annotations

import asyncio

import structlog

from miner.affairs.judge import AffairFacts, AffairRuling, QuoteFacts, judge_affair, seen_by
from miner.affairs.quotes import in_words, problems_of
from miner.amounts import Chain
from miner.errors import EffectError, InvariantBroken, Refused
from miner.lease import WATCH
from miner.model import Affair, AffairKind, Asked, Came, Lane, LanePurpose, Outcome, Verb
from miner.model.quote import parse_quote
from miner.ports import Affairs, Heads
from miner.settle.affairs import send
from miner.settle.desk import Desk

log = structlog.get_logger("affairs")

KINDS = {
    Verb.DEPOSIT: AffairKind.DEPOSIT,
    Verb.WITHDRAW: AffairKind.WITHDRAW,
    Verb.DEACTIVATE: AffairKind.DEACTIVATE,
    Verb.QUOTE: AffairKind.QUOTE,
}


async def look(desk: Desk, asked: Asked, heads: Heads) -> Outcome:
    """What would come of a request; nothing is changed.

    Raises:
        ReadFailed: Something that it rests on could not be learned.
    """
    return _told(asked, await _judged(desk, asked, heads))


async def do(desk: Desk, asked: Asked, heads: Heads, within_s: float) -> Outcome:
    """Judge it again and do it, where it may be done.

    Args:
        desk: Where it is done.
        asked: What is asked.
        heads: The chain's heads.
        within_s: How long the chains may take to answer, before anything is stored and again after it.

    Raises:
        TimeoutError: The chains did not answer in time; nothing was signed.
        ReadFailed: Something could not be learned; nothing was signed.
        StoreError: The store refuses; nothing was sent.
    """
    async with asyncio.timeout(within_s):
        ruling = await _judged(desk, asked, heads)
        if ruling.came is not Came.WOULD:
            return _told(asked, ruling)
        lease = await desk.store.acquire(WATCH)
        claim = await _port(desk).prepare_affair(_affair(asked), heads.best)
    detail = {"verb": asked.verb.value, "amount": str(asked.amount), "reason": asked.reason}
    detail |= {"quote": asked.text} if asked.text else {}
    lane = await desk.store.begin_affair(claim, lease, asked.actor, detail)
    await _send(desk, lane, heads, within_s)
    told = _told(asked, ruling)
    txid = lane.latest.tx.txid
    text = f"{told.text}; sent as {txid} (nonce {lane.slot}), followed until it is final"
    return Outcome(
        swap_id=asked.swap_id,
        came=Came.DONE,
        text=text,
        remedy=f"see what became of it: {seen_by(asked.verb)}",
        detail={**told.detail, "txid": txid, "nonce": lane.slot},
    )


async def _send(desk: Desk, lane: Lane, heads: Heads, within_s: float) -> None:
    """Send what is stored. Whatever the answer, the next look tells what became of it (law 3)."""
    try:
        async with asyncio.timeout(within_s):
            await send(desk, lane, heads)
    except (EffectError, TimeoutError) as error:
        log.warning("broadcast_unsure", lane=lane.id, outcome=type(error).__name__, cause=str(error))


async def _judged(desk: Desk, asked: Asked, heads: Heads) -> AffairRuling:
    facts = await gather(desk, asked, heads)
    ruling = judge_affair(asked.verb, facts)
    if ruling.came is not Came.WOULD:
        return ruling
    try:
        await _port(desk).try_affair(_affair(asked), heads.best)
    except Refused as refused:
        return AffairRuling(
            came=Came.REFUSED,
            text=f"the contract would refuse it: {refused.cause}",
            conditions=ruling.conditions,
        )
    return ruling


async def gather(desk: Desk, asked: Asked, heads: Heads) -> AffairFacts:
    """Everything that a decision rests on, but for the contract's own word.

    Raises:
        ReadFailed: Something of it could not be learned.
    """
    miner = desk.verifier.miner(asked.account)
    tao = desk.rails[Chain.TAO]
    stopped = {(row.chain, row.account): row.stopped for row in await desk.store.accounts()}
    return AffairFacts(
        name=miner.name if miner is not None else asked.account,
        standing=await _port(desk).standing(asked.account, heads.best),
        amount=asked.amount,
        spendable=await tao.spendable(asked.account),
        reserved=await desk.store.reserved(tao.chain_id, asked.account),
        fee=desk.policy.mark_fee,
        under_way=await _under_way(desk, asked.account),
        stopped=stopped.get((tao.chain_id, asked.account), ""),
        quote=await _quote(desk, asked, heads) if asked.verb is Verb.QUOTE else None,
    )


async def _quote(desk: Desk, asked: Asked, heads: Heads) -> QuoteFacts:
    """The quote as users would read it, beside the one that they read now."""
    miner = desk.verifier.miner(asked.account)
    now = await _port(desk).committed(asked.account, heads.finalised)
    committed = None if now is None else now.text
    try:
        quoted = parse_quote(asked.text)
    except Refused as refused:
        return QuoteFacts(text=asked.text, committed=committed, problems=(refused.cause,))
    divisor = (await desk.contract.terms(heads.finalised)).fee_divisor
    problems = problems_of(quoted, miner.accounts if miner is not None else {})
    return QuoteFacts(
        text=asked.text, committed=committed, problems=tuple(problems), means=in_words(quoted, divisor)
    )


async def _under_way(desk: Desk, account: str) -> str:
    for lane in await desk.store.open_lanes():
        if lane.purpose is LanePurpose.AFFAIR and lane.account == account:
            return f"{lane.latest.tx.txid} (nonce {lane.slot}, {lane.state})"
    return ""


def _affair(asked: Asked) -> Affair:
    return Affair(KINDS[asked.verb], asked.account, asked.amount, asked.text)


def _port(desk: Desk) -> Affairs:
    if desk.affairs is None:
        raise InvariantBroken("no miner's business is done here")
    return desk.affairs


def _told(asked: Asked, ruling: AffairRuling) -> Outcome:
    return Outcome(
        swap_id=asked.swap_id, came=ruling.came, text=ruling.text, remedy=ruling.remedy, detail=ruling.detail
    )
