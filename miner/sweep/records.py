"""Journal against row: a saga of which the two disagree is stopped, for a person to look."""

from __future__ import annotations

import structlog

from miner.lease import WATCH
from miner.model import Audit, Json, RecoveryEntry
from miner.settle.desk import Desk
from miner.sweep.holding import hold

log = structlog.get_logger("sweep")

AT_ONCE = 50
"""Sagas that one sweep computes anew; the next one goes on with the others."""
ROW_DIFFERS = "row_differs"
"""Key that the store knows: this hold goes on from the row, not from what the journal led to."""
CAUSE = "row_differs_from_journal"


class RecordsSweep:
    """Computes open sagas anew from their journals, some at each sweep, in rotation."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._after = -1
        self._broken: set[int] = set()

    async def __call__(self) -> int:
        """Look at the next ones; returns how many were stopped."""
        looked = await self._desk.store.audit(self._after, AT_ONCE)
        self._after = looked[-1].swap_id if len(looked) == AT_ONCE else -1
        stopped = 0
        for told in looked:
            if not told.agrees:
                stopped += await self._stop(told)
            elif told.swap_id in self._broken:
                self._broken.discard(told.swap_id)
                log.info("row_agrees_again", swap_id=told.swap_id)
        return stopped

    async def _stop(self, told: Audit) -> int:
        desk = self._desk
        changes: dict[str, Json] = {
            each.column: {"row": each.row, "journal": each.journal} for each in told.differences
        }
        if "version" in changes:  # no step can be written on it: the journal's numbers are the law
            await desk.store.reproject(told.swap_id, await desk.store.acquire(WATCH), "sweep")
        saga = await desk.store.saga(told.swap_id)
        why = RecoveryEntry(
            CAUSE,
            "the saga's row is not what its journal leads to; compare them with `swap-miner rebuild "
            f"{told.swap_id}`, and write the row anew with `--yes`",
            {"columns": sorted(changes), "broken": told.broken or None},
        )
        stopped = saga is not None and await hold(desk, saga, why, {ROW_DIFFERS: changes})
        if not stopped and told.swap_id not in self._broken:
            log.critical(CAUSE, swap_id=told.swap_id, columns=sorted(changes), cause=told.broken or None)
        self._broken.add(told.swap_id)
        return int(stopped)
