"""Sweep: repair what the daily course missed. Serialised, isolated, never overlapping itself."""

from miner.sweep.reconcile import Sweep, SweepReconciler, SweepReport
from miner.sweep.recovery import write_recovery
from miner.sweep.registered import RECOVERY_ENTRIES, register_all
from miner.sweep.spends import account_for_spends

__all__ = [
    "RECOVERY_ENTRIES",
    "Sweep",
    "SweepReconciler",
    "SweepReport",
    "account_for_spends",
    "register_all",
    "write_recovery",
]
