"""Which sweeps there are, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from miner.alert import tidy
from miner.lease import WATCH
from miner.model import Route
from miner.ports import Outbox, RecoveryLog, Store
from miner.settle.desk import Desk
from miner.sweep.canonical import CanonicalSweep
from miner.sweep.reconcile import SweepReconciler
from miner.sweep.records import RecordsSweep
from miner.sweep.recovery import tell_untold, write_recovery
from miner.sweep.settlement import resume_settlements, take_stale
from miner.sweep.spends import account_for_spends
from miner.sweep.wallets import WalletSweep
from miner.verify import MinerAccounts
from miner.watch import Watcher

RECOVERY_ENTRIES = "recovery_entries"
"""The sweep that runs after each round too: what was committed for the log is in the file at once."""


def register_all(
    sweeps: SweepReconciler,
    desk: Desk,
    watcher: Watcher,
    miners: Mapping[str, MinerAccounts],
    recovery: RecoveryLog,
    outbox: Outbox,
    routes: Callable[[], Sequence[Route]] = tuple,
) -> None:
    """Register every sweep of design §10.

    Who works on what comes first, then what the chain has to say, then the store's own records; what the
    others had to tell is delivered last. `routes` gives which notices go where, as the settings are then.
    """
    store = desk.store
    sweeps.register("stale_leases", lambda: take_stale(store))
    sweeps.register("missed_swaps", lambda: _missed_swaps(store, watcher))
    sweeps.register("spends_accounted_for", lambda: account_for_spends(desk, miners))
    sweeps.register("lanes_canonical", CanonicalSweep(desk))
    sweeps.register("settlement_resume", lambda: resume_settlements(desk))
    sweeps.register("journal_against_row", RecordsSweep(desk))
    sweeps.register("inventory_against_wallet", WalletSweep(desk, miners, outbox))
    sweeps.register("ended_uncredited", lambda: tell_untold(desk))
    sweeps.register("undelivered_notices", lambda: tidy(outbox, routes()))
    sweeps.register(RECOVERY_ENTRIES, lambda: write_recovery(store, recovery))


async def _missed_swaps(store: Store, watcher: Watcher) -> int:
    """The state sweep, at the cursor."""
    cursor = await store.cursor()
    return 0 if cursor is None else await watcher.sweep(cursor, await store.acquire(WATCH))
