"""Payouts that had landed for good, whose block is canonical no more: looked at again until final."""

from __future__ import annotations

from bisect import bisect_right

import structlog

from miner.amounts import Chain
from miner.model import PAYOUT_GONE, Lane, LaneState, Payment, RecoveryEntry, Saga, Step
from miner.saga import Event
from miner.settle.desk import Desk
from miner.sweep.holding import SWEPT, hold, step_or_lose

log = structlog.get_logger("sweep")

AT_ONCE = 10
"""Landed payouts that one sweep looks at, a request each; the next one goes on with the others."""


class CanonicalSweep:
    """Looks whether the blocks of landed payouts are still there while their swaps are open."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._after = -1

    async def __call__(self) -> int:
        """Look at the next ones; returns how many lanes are open again, or sagas held."""
        landed = {
            saga.key.swap_id: saga
            for saga in await self._desk.store.open_sagas()
            if not saga.state.ended and saga.payout is not None and saga.payout.state is LaneState.LANDED
        }
        due = sorted(landed)
        if len(due) > AT_ONCE:
            start = bisect_right(due, self._after)
            due = [*due[start:], *due[:start]][:AT_ONCE]
            self._after = due[-1]
        changed = 0
        for swap_id in due:
            changed += await self._look(landed[swap_id])
        return changed

    async def _look(self, saga: Saga) -> int:
        lane = saga.payout
        if lane is None or not await self._gone(lane):
            return 0
        why = RecoveryEntry(
            PAYOUT_GONE,
            "the block that held the payout is gone after it counted as final; the same bytes are sent again "
            f"where they are ours; look at `swap-miner show {saga.key.swap_id}`",
            {"payout_txid": lane.txid, "block": lane.block.height if lane.block else None},
        )
        if not await self._desk.store.reopen(lane, saga.state, why):
            return int(await hold(self._desk, saga, why))
        log.critical(PAYOUT_GONE, swap_id=saga.key.swap_id, txid=lane.txid, remedy=why.what_to_do)
        note = Step(event=Event.NOTED, payload={SWEPT: PAYOUT_GONE, "txid": lane.txid})
        await step_or_lose(self._desk, saga, note)
        return 1

    async def _gone(self, lane: Lane) -> bool:
        """Whether another block stands where the payout's stood. Not knowing is no answer."""
        if lane.block is None or lane.txid is None:
            return False
        rail, at = self._desk.rail_of(lane), lane.block
        if rail.chain is Chain.TAO:
            return await self._desk.node.hash_at(at.height) not in (None, at.hash)
        seen = Payment(rail.chain, lane.txid, at.height, at.hash, lane.amount, tip_hash="")
        return not await rail.still_good(seen)
