"""What is asked for, and what the miner in the field was measured at on such a devnet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One figure of the report.

    Attributes:
        key: Its name in the JSON.
        what: In words.
        most: The target: it may be this at most.
        field: What the field's miner showed.
        unit: Of value and target.
    """

    key: str
    what: str
    most: float
    field: str
    unit: str = ""

    def met(self, value: float) -> bool:
        """Whether a value is within the target."""
        return value <= self.most


FIGURES = (
    Figure("blocks_to_fulfilled_1", "one swap, from Active to Fulfilled", 2, "2 blocks", "blocks"),
    Figure(
        "blocks_to_fulfilled_50",
        "fifty swaps of fifty miners in one block",
        2,
        "10 blocks for five",
        "blocks",
    ),
    Figure("blocks_to_payout_lag_3", "payout, finality 3 blocks behind", 4, "–", "blocks"),
    Figure("blocks_to_fulfilled_lag_3", "mark, finality 3 blocks behind", 8, "–", "blocks"),
    Figure("requests_idle_block", "an idle block, all miners, sweeps included", 4, "18 a miner"),
    Figure("requests_per_swap", "a swap, when fifty run at once", 10, "45"),
    Figure("restart_cpu_s", "CPU until ready, 100,000 ended and 1,000 open sagas", 2, "–", "s"),
    Figure("requests_idle_block_1000_open", "an idle block with that history", 4, "grows with swaps"),
    Figure("rss_mb", "memory at its peak, fifty miners", 150, "127 MiB for five", "MiB"),
)
"""The figures with a target, in the order of the report."""


def missed(values: Mapping[str, float]) -> list[Figure]:
    """The figures that are over their target."""
    return [figure for figure in FIGURES if figure.key in values and not figure.met(values[figure.key])]
