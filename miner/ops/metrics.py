"""The metrics, in a registry of their own: what is so now is read at each scrape, what happened is counted.

Names and units follow Prometheus' conventions. What is read from the store (swaps, leases, deadlines) is the
same on each node of a store; what is counted from the journal is what this node's daemon did.
"""

from __future__ import annotations

import asyncio
import platform
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from miner.affairs.drain import DRAIN
from miner.errors import StoreError
from miner.model import FeedEntry
from miner.ops.board import Board
from miner.ops.wallets import Wallets
from miner.ports import Outbox, Store
from miner.saga import Event, State
from miner.tally import REQUESTS, ROUNDS, SWEEPS, tally

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LONGEST_WAITS_S = (15, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600, 7200, 14400)
"""Buckets of the times from assignment to payout and mark."""
CHUNK, MOST_CHUNKS = 500, 40
"""Journal entries read at once, and how often in one scrape; what is left is counted by the next."""


class Counts(Collector):
    """What adapters and services counted, as it stands."""

    def collect(self) -> list[Metric]:
        """See `Collector`."""
        families = [
            _counted("swap_miner_rpc_requests", "Requests to nodes", REQUESTS, ["chain", "method", "result"]),
            _counted("swap_miner_sweep_runs", "Runs of each sweep", SWEEPS, ["sweep", "result"]),
            _counted("swap_miner_rounds", "Rounds of the supervisor", ROUNDS, ["result"]),
        ]
        alive = GaugeMetricFamily(
            "swap_miner_task_alive_timestamp_seconds", "When each task last came round", labels=["task"]
        )
        for task, at_s in sorted(tally.beats().items()):
            alive.add_metric([task], at_s)
        return [*families, alive]


def _counted(name: str, text: str, tallied: str, labels: list[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, number in sorted(tally.counts(tallied).items()):
        family.add_metric(list(values), number)
    return family


class Metrics:
    """Reads the store and the board at each scrape.

    Args:
        board: What the daemon has told.
        store: A store of the server's own.
        wallets: Looks at the accounts.
        outbox: What operators are to be told, in the same store.
    """

    def __init__(self, board: Board, store: Store, wallets: Wallets, outbox: Outbox) -> None:
        self._outbox = outbox
        self._board = board
        self._store = store
        self._wallets = wallets
        self._position: int | None = None
        self._one_at_a_time = asyncio.Lock()
        self.registry = registry = CollectorRegistry()

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"swap_miner_{name}", text, labels, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"swap_miner_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(
                f"swap_miner_{name}", text, ["chain"], buckets=LONGEST_WAITS_S, registry=registry
            )

        registry.register(Counts())
        build = Info("swap_miner_build", "The program", registry=registry)
        build.info({"version": _version(), "python": platform.python_version()})
        self.started = gauge("start_timestamp_seconds", "When the daemon started")
        self.ready = gauge("ready", "1 where swaps can be served")
        self.progress = gauge("progress_timestamp_seconds", "When a new head was worked on last")
        self.store_readable = gauge("store_readable", "1 where the store answered this scrape")
        self.swaps = gauge("swaps", "Swaps in each state", "state")
        self.deadline = gauge(
            "blocks_to_deadline", "Blocks that the open swap due first in each state has left", "state"
        )
        self.finalised = gauge("finalised_height", "Finalised block up to which everything was taken in")
        self.best = gauge("best_height", "Highest fresh best head of the contract's chain")
        self.transitions = counter("transitions", "Moves of swaps by this node", "event", "before", "after")
        self.payouts = counter("payouts", "Payouts seen in a block, or adopted, by this node", "chain", "how")
        self.paid = histogram("time_to_paid_seconds", "From a swap's assignment to its payout in a block")
        self.marked = histogram("time_to_fulfilled_seconds", "From a swap's assignment to its final mark")
        self.lease_age = gauge("lease_age_seconds", "Age of the lease's epoch", "resource", "holder")
        self.lease_left = gauge(
            "lease_expires_in_seconds", "Until the lease ends by itself", "resource", "holder"
        )
        self.saga_leases = gauge("saga_leases", "Swaps that each node works on", "holder")
        self.lag = gauge("endpoint_lag_blocks", "Blocks behind the best head of all endpoints", "endpoint")
        self.connected = gauge("endpoint_connected", "1 where the endpoint is of use", "endpoint")
        self.used = gauge("endpoint_used", "1 for the endpoint in use", "endpoint")
        self.silent = gauge("endpoint_silent_seconds", "Since the endpoint told anything", "endpoint")
        self.journal = gauge("journal_entries", "Entries in the journals of all swaps")
        self.outbox = gauge("recovery_outbox_entries", "Recovery entries not yet in the log file")
        self.notices = gauge(
            "notifications", "Notifications kept, by target and how they stand", "target", "standing"
        )
        self.conditions = gauge("conditions", "What is wrong now and was told", "kind")
        self.paused = gauge("paused", "1 where first sends are paused: all, or a chain", "what")
        self.stopped = gauge("account_stopped", "1 where first sends are stopped", "chain", "account")
        units = "rao on tao, sat on btc"
        self.spendable = gauge(
            "wallet_spendable_units", f"What could leave the account ({units})", "chain", "account"
        )
        self.reserved = gauge(
            "wallet_reserved_units", f"What is set aside of the account ({units})", "chain", "account"
        )
        self.wallet_at = gauge(
            "wallet_timestamp_seconds", "When the account was asked last", "chain", "account"
        )

    async def begin(self) -> None:
        """Count from here on.

        Raises:
            StoreError: The store refuses.
        """
        self._position = await self._store.last_position()

    async def expose(self) -> bytes:
        """Everything in the text format. A store that refuses takes away its own part alone."""
        async with self._one_at_a_time:
            self._tell_board()
            try:
                await self._tell_store()
                await self._follow()
                await self._tell_wallets()
                self.store_readable.set(1)
            except StoreError:
                self.store_readable.set(0)
            return generate_latest(self.registry)

    def _tell_board(self) -> None:
        board = self._board
        self.started.set(board.started_s)
        self.ready.set(int(board.is_ready))
        self.progress.set(board.progress_s)
        if board.outlook is None:
            return
        self.best.set(board.outlook.best_height())
        endpoints = board.outlook.endpoints()
        highest = max((each.best or 0 for each in endpoints), default=0)
        for each in endpoints:
            self.lag.labels(each.url).set(highest - (each.best or 0))
            self.connected.labels(each.url).set(int(each.connected))
            self.used.labels(each.url).set(int(each.used))
            self.silent.labels(each.url).set(each.silent_s)

    async def _tell_store(self) -> None:
        store = self._store
        counts = await store.count_by_state()
        for state in State:
            self.swaps.labels(state.value).set(counts.get(state, 0))
        cursor = await store.cursor()
        self.deadline.clear()
        if cursor is not None:
            self.finalised.set(cursor.height)
            for state, block in (await store.next_deadlines()).items():
                self.deadline.labels(state.value).set(block - cursor.height)
        self.journal.set(await store.last_position())
        self.outbox.set(len(await store.pending_recovery()))
        await self._tell_notices()
        self.paused.clear()
        for what in ("all", "tao", "btc"):
            self.paused.labels(what).set(0)
        for what in set(await store.paused()) - {DRAIN}:
            self.paused.labels(what).set(1)
        for row in await store.accounts():
            self.stopped.labels(row.chain.partition(":")[0], row.account).set(int(bool(row.stopped)))
        await self._tell_leases()

    async def _tell_notices(self) -> None:
        self.notices.clear()
        for (target, standing), number in (await self._outbox.counts()).items():
            self.notices.labels(target, standing.value).set(number)
        self.conditions.clear()
        for kind, _subject, _since in await self._outbox.conditions():
            self.conditions.labels(kind.value).inc()

    async def _tell_leases(self) -> None:
        now = await self._store.now_ms()
        for family in (self.lease_age, self.lease_left, self.saga_leases):
            family.clear()
        for lease in await self._store.leases():
            if lease.resource == "watch":
                self.lease_age.labels("watch", lease.owner).set((now - lease.acquired_at_ms) / 1000)
                self.lease_left.labels("watch", lease.owner).set((lease.expires_at_ms - now) / 1000)
            else:
                self.saga_leases.labels(lease.owner).inc()

    async def _tell_wallets(self) -> None:
        for family in (self.spendable, self.reserved, self.wallet_at):
            family.clear()
        for each in await self._wallets.look():
            self.reserved.labels(each.chain, each.account).set(each.reserved)
            if each.spendable is not None:
                self.spendable.labels(each.chain, each.account).set(each.spendable)
                self.wallet_at.labels(each.chain, each.account).set(each.at_s)

    async def _follow(self) -> None:
        """Count what the journal tells since the last scrape."""
        if self._position is None:
            await self.begin()
        for _ in range(MOST_CHUNKS):
            found = await self._store.journal_since(self._position or 0, CHUNK)
            for each in found:
                self._count(each)
                self._position = each.position
            if len(found) < CHUNK:
                return

    def _count(self, each: FeedEntry) -> None:
        entry = each.entry
        if not entry.actor.endswith(f":{self._board.owner}"):
            return
        self.transitions.labels(entry.event.value, entry.before.value, entry.after.value).inc()
        waited_s = (entry.at_ms - each.assigned_at_ms) / 1000
        how = {Event.PAYOUT_INCLUDED: "included", Event.PAYOUT_ADOPTED: "adopted"}.get(entry.event)
        if how is not None:
            self.payouts.labels(each.dest_chain, how).inc()
        if entry.after is State.PAID and how is not None:
            self.paid.labels(each.dest_chain).observe(waited_s)
        if entry.event is Event.MARK_FULFILLED:
            self.marked.labels(each.dest_chain).observe(waited_s)


def _version() -> str:
    try:
        return version("swap-miner")
    except PackageNotFoundError:
        return "unknown"
