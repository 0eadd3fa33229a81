"""The recovery log: what was committed for it is delivered, and what it was never told is told."""

from __future__ import annotations

import structlog

from miner.lease import saga_resource
from miner.model import RecoveryEntry, Saga, Step
from miner.ports import RecoveryLog, Store
from miner.saga import Event
from miner.settle.desk import Desk
from miner.sweep.holding import SWEPT

log = structlog.get_logger("sweep")


async def write_recovery(store: Store, recovery: RecoveryLog) -> int:
    """Bring recovery entries that were committed with their steps into the log file."""
    pending = await store.pending_recovery()
    for entry in pending:
        await recovery.append(entry)
        await store.recovery_written(entry.id)
        log.warning("recovery_entry", swap_id=entry.saga.swap_id, cause=entry.entry.cause)
    return len(pending)


async def tell_untold(desk: Desk) -> int:
    """Every swap that was paid and ended uncredited has an entry (law 8); returns how many had none."""
    told = 0
    for swap_id in await desk.store.untold():
        saga = await desk.store.saga(swap_id)
        if saga is not None:
            await desk.store.acquire(saga_resource(saga.id))  # that of an ended saga was given back
            told += await _tell(desk, await desk.store.saga(swap_id))
    return told


async def _tell(desk: Desk, saga: Saga | None) -> int:
    if saga is None:
        return 0
    lane = saga.payout
    why = RecoveryEntry(
        "ended_uncredited_untold",
        "the user was paid, the swap ended without crediting it, and its entry here was missing; show "
        "`swap-miner evidence` to the validators",
        {
            "payout_txid": lane.txid if lane else None,
            "amount": str(lane.amount) if lane else None,
            "slash_rao": str(saga.ending.slash_amount) if saga.ending else None,
        },
    )
    await desk.step(saga, Step(event=Event.NOTED, payload={SWEPT: why.cause}, recovery=why))
    log.critical("failed_swap_was_not_told", swap_id=saga.key.swap_id, remedy="`swap-miner recovery list`")
    return 1
