"""Stop one saga for a person, by the same compare-and-set as everybody."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from miner.errors import LeaseLost, StaleSaga
from miner.model import Json, RecoveryEntry, Saga, SagaPatch, Step
from miner.saga import TABLE, Event, State
from miner.settle.desk import Desk

log = structlog.get_logger("sweep")

SWEPT = "swept"
"""Key in a journal entry's payload: which finding of a sweep made it."""


async def hold(desk: Desk, saga: Saga, why: RecoveryEntry, payload: Mapping[str, Json] | None = None) -> bool:
    """Hold a saga, with a line in the recovery log and an alarm; what is held already is told once.

    Returns:
        Whether anything was written: False where it was told before, has ended, or another one works on it.
    """
    if await _told(desk, saga, why.cause):
        return False
    held = saga.state is State.HELD  # what it is held for already is not forgotten
    event = Event.NOTED if held else Event.HELD_FOR_OPERATOR
    if event not in TABLE[saga.state] or saga.state.ended:
        return False
    step = Step(
        event=event,
        payload={SWEPT: why.cause, **(payload or {})},
        patch=SagaPatch() if held else SagaPatch(reason=why.cause),
        recovery=why,
    )
    if not await step_or_lose(desk, saga, step):
        return False
    log.critical(why.cause, swap_id=saga.key.swap_id, state=saga.state, remedy=why.what_to_do)
    return True


async def step_or_lose(desk: Desk, saga: Saga, step: Step) -> bool:
    """Write a step; whether it was won. Whoever lost does nothing further: the next sweep looks again."""
    try:
        await desk.step(saga, step)
    except (StaleSaga, LeaseLost) as lost:
        log.info("lost_the_race", swap_id=saga.key.swap_id, cause=str(lost))
        return False
    return True


async def _told(desk: Desk, saga: Saga, cause: str) -> bool:
    if saga.state is not State.HELD:
        return False
    return any(entry.payload.get(SWEPT) == cause for entry in await desk.store.journal(saga.id))
