"""Sagas that nobody works on are taken up; those that may pay have their money set aside."""

from __future__ import annotations

import structlog

from miner.errors import InvariantBroken
from miner.model import RecoveryEntry, Saga, SagaPatch, Step
from miner.ports import Store
from miner.saga import Event, State
from miner.settle.desk import Desk
from miner.sweep.holding import SWEPT, hold, step_or_lose

log = structlog.get_logger("sweep")

RESERVATION_MISSING = "reservation_missing"


async def take_stale(store: Store) -> int:
    """Leases that ran out on unfinished sagas are told, and taken; so is every saga without one."""
    stale = await store.stale_leases()
    for lease in stale:
        log.warning(
            "stale_lease", resource=lease.resource, holder=lease.owner, expired_at_ms=lease.expires_at_ms
        )
    await store.lease_sagas()
    return len(stale)


async def resume_settlements(desk: Desk) -> int:
    """Whatever may still pay has its money set aside.

    Before the pivot it is set aside anew. After it, nothing is concluded: the store contradicts itself, so
    the saga is held, and neither ended nor paid by other bytes than those that are stored.

    Raises:
        InvariantBroken: A saga past the pivot has no reservation; it was held, and the others were looked at.
    """
    changed, broken = 0, list[int]()
    for swap_id in await desk.store.unreserved():
        saga = await desk.store.saga(swap_id)
        if saga is None:
            continue
        if saga.state is State.RESERVED:
            changed += await _reserve_anew(desk, saga)
        elif await hold(desk, saga, _missing(saga)):
            broken.append(swap_id)
    if broken:
        raise InvariantBroken(f"swaps {broken} are past the pivot without a reservation: held")
    return changed


def _missing(saga: Saga) -> RecoveryEntry:
    lane = saga.payout
    return RecoveryEntry(
        RESERVATION_MISSING,
        "the payout is signed and nothing is set aside for it: the store contradicts itself; look at "
        f"`swap-miner show {saga.key.swap_id}`, then `swap-miner rebuild {saga.key.swap_id}`",
        {
            "account": lane.account if lane else None,
            "slot": lane.slot if lane else None,
            "amount": str(lane.amount) if lane else None,
            "was": str(saga.state),
        },
    )


async def _reserve_anew(desk: Desk, saga: Saga) -> int:
    step = Step(
        event=Event.RESERVATION_YIELDED,
        payload={SWEPT: RESERVATION_MISSING},
        patch=SagaPatch(reason=RESERVATION_MISSING),
    )
    if not await step_or_lose(desk, saga, step):
        return 0
    log.error(RESERVATION_MISSING, swap_id=saga.key.swap_id, remedy="it is set aside anew by itself")
    return 1
