"""Settle: carry every saga as far as it can go now, one round at a time."""

from miner.settle.round import RoundReport, Settler

__all__ = ["RoundReport", "Settler"]
