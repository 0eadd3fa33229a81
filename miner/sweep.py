"""Sweep: repair what the daily course missed. Serialised, isolated, never overlapping itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from miner.amounts import Chain
from miner.errors import MinerError, ReadFailed, StoreUnavailable
from miner.model import AccountRow
from miner.ports import RecoveryLog, Store
from miner.settle.desk import Desk
from miner.verify import MinerAccounts

log = structlog.get_logger("sweep")

Sweep = Callable[[], Awaitable[int]]
"""Does its repairs; returns how many things it changed."""


@dataclass(slots=True)
class SweepReport:
    """What one run of all sweeps did.

    Attributes:
        changed: Things changed, by sweep.
        failed: What went wrong, by sweep; the others ran all the same.
    """

    changed: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class SweepReconciler:
    """Runs registered sweeps one after the other; one that fails does not stop the others."""

    def __init__(self) -> None:
        self._sweeps: dict[str, Sweep] = {}
        self._running = asyncio.Lock()

    def register(self, name: str, sweep: Sweep) -> None:
        """Add a sweep; they run in the order they were added.

        Raises:
            ValueError: The name is taken.
        """
        if name in self._sweeps:
            raise ValueError(f"a sweep called {name} is registered already")
        self._sweeps[name] = sweep

    async def run(self) -> SweepReport:
        """Run every sweep once; a call while another runs waits for it."""
        report = SweepReport()
        async with self._running:
            for name, sweep in self._sweeps.items():
                try:
                    report.changed[name] = await sweep()
                except StoreUnavailable:
                    raise
                except MinerError as error:
                    report.failed[name] = str(error)
                    log.warning("sweep_failed", sweep=name, cause=str(error))
        return report


async def account_for_spends(desk: Desk, miners: Mapping[str, MinerAccounts]) -> int:
    """Law 9: every spend of a payout account maps to a lane; where one does not, first sends stop.

    Returns:
        How many accounts were newly stopped.

    Raises:
        ReadFailed: An account could not be read; it stays unaudited until it can. The others were read.
    """
    stopped = 0
    unread: list[ReadFailed] = []
    accounts = {(chain, account) for m in miners.values() for chain, account in m.accounts.items()}
    known = {(row.chain, row.account): row for row in await desk.store.accounts()}
    for chain, account in sorted(accounts):
        if chain in desk.rails:
            row = known.get((desk.rails[chain].chain_id, account))
            try:
                stopped += await _account_for(desk, chain, account, row)
            except ReadFailed as failed:
                unread.append(failed)
    if unread:
        raise ReadFailed(f"the spends of {len(unread)} accounts", str(unread[0])) from unread[0]
    return stopped


async def _account_for(desk: Desk, chain: Chain, account: str, row: AccountRow | None) -> int:
    rail, store = desk.rails[chain], desk.store
    if row is None:
        row = await store.account(rail.chain_id, account, await rail.baseline(account))
    slots = await store.slots(rail.chain_id, account)
    unexplained = await rail.unexplained(row, slots)
    since = await store.pin(f"accounted:{rail.chain_id}:{account}:{row.base}", str(desk.node.best_height()))
    desk.audited[rail.chain_id, account] = int(since)
    if not unexplained:
        return 0
    newly = await store.stop_account(rail.chain_id, account, "; ".join(unexplained[:3]))
    if newly:
        log.error(
            "spends_not_accounted_for",
            account=account,
            chain=chain,
            spends=list(unexplained[:20]),
            remedy=f"find out who else signs for it, then `swap-miner resume --account {account}`",
        )
    return int(newly)


async def write_recovery(store: Store, recovery: RecoveryLog) -> int:
    """Bring recovery entries that were committed with their steps into the log file."""
    pending = await store.pending_recovery()
    for entry in pending:
        await recovery.append(entry)
        await store.recovery_written(entry.id)
        log.warning("recovery_entry", swap_id=entry.saga.swap_id, cause=entry.entry.cause)
    return len(pending)
