"""Doing what was judged: each a step of the store's compare-and-set, with the operator's name and reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from miner.errors import InvariantBroken
from miner.model import Adopted, Asked, Json, RecoveryEntry, Saga, SagaPatch, Step
from miner.recover.findings import Act, Facts, Ruling
from miner.saga import BEFORE_PIVOT, Event, State
from miner.settle.desk import Desk
from miner.verdict import UNAPPROVED

BY_OPERATOR = "adopted_by_operator"
"""Reason of a swap that is held on the way from before its pivot to an adopted payout."""


async def carry_out(desk: Desk, asked: Asked, facts: Facts, ruling: Ruling) -> Saga:
    """Write what a ruling leads to; nothing is sent.

    Raises:
        StaleSaga: The swap moved on since it was judged.
        LeaseLost: Another holds its lease.
        Refused: `payout_credited_elsewhere`.
    """
    acts: Mapping[Act, Callable[[], Awaitable[Saga]]] = {
        Act.TRY_AGAIN: lambda: _try_again(desk, asked, facts, ruling),
        Act.YIELD: lambda: _yield(desk, asked, facts, ruling),
        Act.FREE: lambda: _free(desk, asked, facts, ruling),
        Act.QUARANTINE: lambda: _quarantine(desk, asked, facts, ruling),
        Act.APPROVE: lambda: _approve(desk, asked, facts, ruling),
        Act.ADOPT: lambda: _adopt(desk, asked, facts, ruling),
    }
    if ruling.act not in acts:
        raise InvariantBroken(f"nobody carries out {ruling.act}")
    return await acts[ruling.act]()


def _payload(asked: Asked, facts: Facts, ruling: Ruling) -> dict[str, Json]:
    swap = facts.on_chain
    return {
        "operator": asked.actor,
        "asked": asked.verb.value,
        "why": asked.reason,
        "found": ruling.text,
        "at_stake": ruling.stake,
        "finalised_height": facts.finalised.height,
        "on_contract": "gone" if swap is None else swap.status.value,
    }


async def _step(desk: Desk, asked: Asked, saga: Saga, step: Step) -> Saga:
    return await desk.store.step(saga, step, actor=asked.actor)


async def _try_again(desk: Desk, asked: Asked, facts: Facts, ruling: Ruling) -> Saga:
    patch = SagaPatch(next_attempt_ms=0, mark_retries=0)
    step = Step(event=Event.NOTED, payload=_payload(asked, facts, ruling), patch=patch)
    return await _step(desk, asked, facts.saga, step)


async def _yield(desk: Desk, asked: Asked, facts: Facts, ruling: Ruling) -> Saga:
    hold_ms = 1000 * int(str(ruling.detail.get("hold_s", 0)))
    patch = SagaPatch(reason="released_by_operator", next_attempt_ms=facts.now_ms + hold_ms)
    payload = _payload(asked, facts, ruling)
    step = Step(event=Event.RESERVATION_YIELDED, payload=payload, patch=patch, release=True)
    return await _step(desk, asked, facts.saga, step)


async def _free(desk: Desk, asked: Asked, facts: Facts, ruling: Ruling) -> Saga:
    patch = SagaPatch(reason="released_by_operator")
    payload = _payload(asked, facts, ruling)
    step = Step(event=Event.PAYOUT_FREED, payload=payload, patch=patch, release=True)
    return await _step(desk, asked, facts.saga, step)


async def _approve(desk: Desk, asked: Asked, facts: Facts, ruling: Ruling) -> Saga:
    patch = SagaPatch(reason="" if facts.saga.reason == UNAPPROVED else None)
    payload = _payload(asked, facts, ruling)
    amount = facts.saga.swap.dest_amount
    step = Step(event=Event.NOTED, payload=payload, patch=patch, approve=amount)
    return await _step(desk, asked, facts.saga, step)


async def _quarantine(desk: Desk, asked: Asked, facts: Facts, ruling: Ruling) -> Saga:
    saga = facts.saga
    detail: dict[str, Json] = {**_payload(asked, facts, ruling), **ruling.detail, "was": saga.reason}
    entry = RecoveryEntry(
        "quarantined", f"closed by {asked.actor}: {asked.reason}; nothing more is done for this swap", detail
    )
    step = Step(
        event=Event.QUARANTINED, payload=detail, patch=SagaPatch(reason="quarantined"), recovery=entry
    )
    return await _step(desk, asked, saga, step)


async def _adopt(desk: Desk, asked: Asked, facts: Facts, ruling: Ruling) -> Saga:
    found, owed = facts.found, facts.owed
    if found is None or found.block is None or owed is None:
        raise InvariantBroken(f"swap {facts.saga.key.swap_id}: no payout was found to adopt")
    saga = facts.saga
    if saga.state in BEFORE_PIVOT:
        saga = await _hold_first(desk, asked, facts, ruling)
    rail = desk.dest_rail(saga)
    adopted = Adopted(rail.chain_id, owed.account, found.txid, found.block, owed.recipient, owed.amount)
    payload: dict[str, Json] = {
        **_payload(asked, facts, ruling),
        "txid": found.txid,
        "block": found.block.height,
    }
    step = Step(
        event=Event.PAYOUT_ADOPTED,
        payload=payload,
        patch=SagaPatch(reason="", next_attempt_ms=0),
        adopt=adopted,
    )
    return await _step(desk, asked, saga, step)


async def _hold_first(desk: Desk, asked: Asked, facts: Facts, ruling: Ruling) -> Saga:
    """Nothing is signed for it, and it must never be: an adoption goes by way of HELD."""
    event = Event.IMPORTED_SENT if facts.imported else Event.HELD_FOR_OPERATOR
    why = RecoveryEntry(
        BY_OPERATOR,
        "an operator names a payout that was made outside; it was checked, and is marked by itself",
        {**ruling.detail, "txid": facts.found.txid if facts.found else None},
    )
    payload = _payload(asked, facts, ruling)
    patch = SagaPatch(reason=BY_OPERATOR)
    held = await _step(
        desk, asked, facts.saga, Step(event=event, payload=payload, patch=patch, recovery=why, release=True)
    )
    if held.state is not State.HELD:
        raise InvariantBroken(f"swap {held.key.swap_id} is {held.state} after {event}")
    return held
