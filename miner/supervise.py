"""Supervise: one loop that watches, sweeps, settles; one task that beats; one that hears the heads.

The loop runs at each new finalised head and, failing that, at the poll interval. Nothing ends it but
being told to stop: what fails is logged, leaves readiness, and is tried again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from miner.affairs.drain import Drain
from miner.errors import LeaseLost, MinerError, ReadFailed, StoreError
from miner.lease import LeaseKeeper
from miner.model import Head, Lease, Policy
from miner.ports import Clock, Heads, Node, Store, Tell
from miner.recover import Recoverer
from miner.settle import RoundReport, Settler
from miner.sweep import RECOVERY_ENTRIES, SweepReconciler
from miner.tally import ROUNDS, tally
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
        recoverer: Recoverer,
        keeper: LeaseKeeper,
        tell: Tell,
        clock: Clock,
        pace: Pace,
        drain: Drain | None = None,
    ) -> None:
        self._node = node
        self._store = store
        self._watcher = watcher
        self._settler = settler
        self._sweeps = sweeps
        self._recoverer = recoverer
        self._keeper = keeper
        self._tell = tell
        self._clock = clock
        self._pace = pace
        self._drain = drain
        self._heads: Heads | None = None
        self._heard = asyncio.Event()
        self._finalised_since = clock.monotonic()
        self._swept_at: int | None = None
        self._done: Heads | None = None
        self._to_lease = True  # what a dead process held may have become free since the start
        self._passive: Heads | None = None
        self._rules: tuple[Policy, Pace] | None = None

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
                group.create_task(self._hear_store(), name="hear-store"),
            ]
            await self._rounds(stop)
            for task in tasks:
                task.cancel()

    def adopt(self, policy: Policy, pace: Pace) -> None:
        """Work by these rules from the next round on; the one under way ends by those it began with."""
        self._rules = policy, pace

    def _take_rules(self) -> None:
        if self._rules is not None:
            policy, self._pace = self._rules
            self._settler.adopt(policy)
            self._rules = None

    async def _hear(self) -> None:
        while True:
            try:
                async for heads in self._node.follow():
                    tally.beat("hear-heads")
                    self._note(heads)
                    self._heard.set()
            except ReadFailed as failed:
                log.error("no_endpoint_answers", cause=str(failed))
                await self._clock.sleep(self._pace.poll_s)

    async def _hear_store(self) -> None:
        """What another process decided (pause, resume, import) is acted on at once."""
        while True:
            await self._store.changed()
            self._heard.set()

    def _note(self, heads: Heads) -> None:
        if self._heads is None or heads.finalised != self._heads.finalised:
            self._finalised_since = self._clock.monotonic()
        self._heads = heads
        self._keeper.heard()

    async def once(self, heads: Heads) -> None:
        """What hearing of these heads leads to: one round. `run` does this for ever.

        What goes wrong is told and logged; nothing is raised but cancellation.
        """
        self._note(heads)
        await self._guarded_round(heads)

    async def _rounds(self, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(_until(stop), name="stopping")
        try:
            while not stop.is_set():
                tally.beat("rounds")
                await self._wait_for_news(stopping)
                heads = self._heads
                if heads is not None and not stop.is_set():
                    await self._guarded_round(heads)
                    if await self._drained(heads):
                        stop.set()
        finally:
            stopping.cancel()

    async def _drained(self, heads: Heads) -> bool:
        """Whether an operator asked to drain and the last round left nothing to do."""
        if self._drain is None or self._done != heads:
            return False
        try:
            return await self._drain.is_over(heads)
        except StoreError as refused:
            log.error("store_refuses", error=str(refused), kind=type(refused).__name__)
            return False

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
        self._take_rules()
        try:
            await self._round(heads)
            tally.count(ROUNDS, "ok")
            return
        except FinalityViolation as violation:
            self._tell.ready(False, str(violation))
        except LeaseLost as lost:
            self._to_lease = True
            self._keeper.stand_by(lost)
            self._tell.ready(False, str(lost))
            self._stood_by(heads)
        except StoreError as error:
            self._tell.ready(False, str(error))
            log.error("store_refuses", error=str(error), kind=type(error).__name__)
        except MinerError as error:
            self._tell.ready(False, str(error))
            log.warning("round_failed", error=str(error), kind=type(error).__name__)
        except Exception:
            self._tell.ready(False, "internal error")
            log.exception("round_broke")
        tally.count(ROUNDS, "failed")

    async def _take_note(self) -> None:
        """The database is another, or an older one: nothing that was known from it holds any more."""
        if (change := await self._store.what_changed()) is None:
            return
        log.critical(
            "store_changed",
            change=change,
            remedy="accounts are audited before the next payout; look whether pauses and imports are kept",
        )
        self._settler.trust_no_account()
        self._swept_at = None
        self._to_lease = True

    async def _round(self, heads: Heads) -> None:
        await self._take_note()
        lost = self._keeper.lost_any()
        self._to_lease = self._to_lease or lost
        lease = await self._keeper.watch(heads)
        if self._to_lease:
            self._to_lease = await self._keeper.take_sagas()
        await self._catch_up(heads.finalised, lease)
        sweep = self._sweep_is_due(heads.finalised)
        if sweep:
            await self._sweep(heads.finalised)
        stalled = self._clock.monotonic() - self._finalised_since > self._pace.stall_s
        lags = "" if stalled else await self._lags(heads.finalised)
        stopped = "finality_stalled" if stalled else lags and "node_lags"
        report = await self._settle(heads, sweep, stopped)
        await self._sweeps.run(RECOVERY_ENTRIES)
        why = f"no new finalised block in {self._pace.stall_s:g} s" if stalled else lags or report.blind
        self._tell.ready(not why, why)
        self._told(heads, report)

    async def _lags(self, finalised: Head) -> str:
        """Why no deadline can be judged by these heads: blocks above them were taken in already."""
        known = await self._store.cursor()
        if known is None or known.height <= finalised.height:
            return ""
        return f"the node is at finalised block {finalised.height}, and {known.height} is known"

    async def _settle(self, heads: Heads, sweep: bool, stopped: str) -> RoundReport:
        """The operators' requests, then every swap; the answers tell what both made of it."""
        asked = await self._recoverer.take(heads)
        report = await self._settler.round(heads, sweep=sweep, sends_stopped=stopped, asked=asked)
        await self._recoverer.answer()
        return report

    async def serve_alone(self, heads: Heads) -> None:
        """Answer operators' requests where no daemon runs; no payout is begun and nothing is swept.

        Raises:
            LeaseLost: Another process works on this store.
            MinerError: As its parts do; what was taken up by then is told when it is looked at again.
        """
        lease = await self._keeper.take_watch()
        beats = asyncio.create_task(self._keeper.run(), name="heartbeat")
        try:
            await self._catch_up(heads.finalised, lease)
            await self._settle(heads, sweep=False, stopped="no_daemon_runs")
            await self._sweeps.run(RECOVERY_ENTRIES)
        finally:
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)

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

    def _stood_by(self, heads: Heads) -> None:
        """A daemon that stands by and hears its chain does what it has to; a restart would mend nothing."""
        if heads != self._passive:
            self._passive = heads
            self._tell.progress()

    def _sweep_is_due(self, finalised: Head) -> bool:
        return self._swept_at is None or finalised.height >= self._swept_at + self._pace.sweep_blocks

    async def _sweep(self, finalised: Head) -> None:
        """Whatever fails of them, the known swaps go on all the same."""
        report = await self._sweeps.run()
        self._swept_at = finalised.height
        if report.failed:
            self._swept_at -= max(self._pace.sweep_blocks - RETRY_SWEEP_BLOCKS, 0)

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
