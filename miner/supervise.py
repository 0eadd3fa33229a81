"""Supervise: one loop that watches, sweeps, settles; one task that beats; one that hears the heads.

The loop runs at each new finalised head and, failing that, at the poll interval. Nothing ends it but
being told to stop: what fails is logged, leaves readiness, and is tried again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from miner.errors import LeaseLost, MinerError, ReadFailed, StoreError
from miner.lease import WATCH, LeaseKeeper
from miner.model import Head, Lease
from miner.ports import Clock, Heads, Node, RecoveryLog, Store, Tell
from miner.settle import RoundReport, Settler
from miner.sweep import SweepReconciler, write_recovery
from miner.watch import FinalityViolation, Watcher

log = structlog.get_logger("supervise")

RETRY_SWEEP_BLOCKS = 2
"""Finalised blocks after which a sweep that failed in part is run again."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things happen.

    Attributes:
        poll_s: Longest time between two rounds.
        sweep_blocks: Finalised blocks between two sweeps.
        stall_s: Seconds without a new finalised head after which first sends stop.
    """

    poll_s: float
    sweep_blocks: int
    stall_s: float


class Supervisor:
    """Runs the daemon until it is told to stop."""

    def __init__(
        self,
        *,
        node: Node,
        store: Store,
        watcher: Watcher,
        settler: Settler,
        sweeps: SweepReconciler,
        keeper: LeaseKeeper,
        recovery: RecoveryLog,
        tell: Tell,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._node = node
        self._store = store
        self._watcher = watcher
        self._settler = settler
        self._sweeps = sweeps
        self._keeper = keeper
        self._recovery = recovery
        self._tell = tell
        self._clock = clock
        self._pace = pace
        self._heads: Heads | None = None
        self._heard = asyncio.Event()
        self._finalised_since = clock.monotonic()
        self._swept_at: int | None = None
        self._done: Heads | None = None
        self._to_lease = False

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish the round under way and return.

        Raises:
            LeaseLost: Another daemon works on this store.
        """
        await self._keeper.take_watch()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._hear(), name="hear-heads"),
                group.create_task(self._keeper.run(), name="heartbeat"),
            ]
            await self._rounds(stop)
            for task in tasks:
                task.cancel()

    async def _hear(self) -> None:
        while True:
            try:
                async for heads in self._node.follow():
                    if self._heads is None or heads.finalised != self._heads.finalised:
                        self._finalised_since = self._clock.monotonic()
                    self._heads = heads
                    self._heard.set()
            except ReadFailed as failed:
                log.error("no_endpoint_answers", cause=str(failed))
                await self._clock.sleep(self._pace.poll_s)

    async def _rounds(self, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(_until(stop), name="stopping")
        try:
            while not stop.is_set():
                await self._wait_for_news(stopping)
                if self._heads is not None and not stop.is_set():
                    await self._guarded_round(self._heads)
        finally:
            stopping.cancel()

    async def _wait_for_news(self, stopping: asyncio.Task[None]) -> None:
        heard = asyncio.create_task(_until(self._heard), name="heads-heard")
        nap = asyncio.create_task(self._clock.sleep(self._pace.poll_s), name="nap")
        await asyncio.wait({heard, nap, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (heard, nap):
            waiting.cancel()
        await asyncio.gather(heard, nap, return_exceptions=True)
        self._heard.clear()

    async def _guarded_round(self, heads: Heads) -> None:
        """One round; what goes wrong is told and leaves the daemon watching (law 6)."""
        try:
            await self._round(heads)
        except FinalityViolation as violation:
            self._tell.ready(False, str(violation))
        except LeaseLost as lost:
            self._to_lease = True
            self._tell.ready(False, str(lost))
            log.error("lease_lost", resource=lost.resource, holder=lost.holder, until_ms=lost.expires_at_ms)
        except StoreError as error:
            self._tell.ready(False, str(error))
            log.error("store_refuses", error=str(error), kind=type(error).__name__)
        except MinerError as error:
            self._tell.ready(False, str(error))
            log.warning("round_failed", error=str(error), kind=type(error).__name__)
        except Exception:
            self._tell.ready(False, "internal error")
            log.exception("round_broke")

    async def _round(self, heads: Heads) -> None:
        lease = await self._store.acquire(WATCH)
        if self._to_lease or self._keeper.lost_any():
            await self._store.lease_sagas()
            self._to_lease = False
        await self._catch_up(heads.finalised, lease)
        sweep = self._sweep_is_due(heads.finalised)
        if sweep:
            await self._sweep(heads.finalised, lease)
        stalled = self._clock.monotonic() - self._finalised_since > self._pace.stall_s
        stopped = "finality_stalled" if stalled else ""
        report = await self._settler.round(heads, sweep=sweep, sends_stopped=stopped)
        await write_recovery(self._store, self._recovery)
        self._tell.ready(True, "")
        self._told(heads, report)

    async def _catch_up(self, finalised: Head, lease: Lease) -> None:
        try:
            await self._watcher.catch_up(finalised, lease)
        except FinalityViolation as violation:
            await self._finality_violated(violation, lease)
            raise

    def _told(self, heads: Heads, report: RoundReport) -> None:
        """Progress is a new head that was worked on; a round on the same heads is no news.

        A best head counts as well: while finality stalls, restarting the daemon would mend nothing.
        """
        done, self._done = self._done, heads
        if done == heads:
            return
        self._tell.progress()
        log.debug(
            "round",
            height=heads.finalised.height,
            best=heads.best.height,
            sagas=report.sagas,
            lanes=report.lanes,
            steps=report.steps,
        )

    def _sweep_is_due(self, finalised: Head) -> bool:
        return self._swept_at is None or finalised.height >= self._swept_at + self._pace.sweep_blocks

    async def _sweep(self, finalised: Head, lease: Lease) -> None:
        await self._store.lease_sagas()
        seen = await self._sweep_state(lease)
        report = await self._sweeps.run()
        self._swept_at = finalised.height
        if not seen or report.failed:
            self._swept_at -= max(self._pace.sweep_blocks - RETRY_SWEEP_BLOCKS, 0)

    async def _sweep_state(self, lease: Lease) -> bool:
        """Look for what events did not tell; where that fails, the known swaps go on all the same."""
        cursor = await self._store.cursor()
        try:
            if cursor is not None:
                await self._watcher.sweep(cursor, lease)
        except ReadFailed as failed:
            log.warning("sweep_failed", sweep="state", cause=str(failed))
            return False
        return True

    async def _finality_violated(self, violation: FinalityViolation, lease: Lease) -> None:
        """Law 4: stop first sends until a person lets them go on, and go back to the common ancestor."""
        log.critical(
            "finality_violated",
            height=violation.stored.height,
            stored=violation.stored.hash,
            ancestor=violation.ancestor.height if violation.ancestor else None,
            remedy="first sends are paused; compare endpoints, then `swap-miner resume`",
        )
        await self._store.set_paused("all", True, "daemon:finality_violated")
        if violation.ancestor is not None:
            await self._store.rewind(violation.ancestor, lease)
            self._swept_at = None


async def _until(event: asyncio.Event) -> None:
    await event.wait()
