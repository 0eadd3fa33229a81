"""Whose turn it is to be looked at: a lane shows nothing new while its chain stands where it stood."""

from __future__ import annotations

from collections.abc import Sequence

from miner.amounts import Chain
from miner.model import Head, Lane, LanePurpose
from miner.ports import Heads
from miner.settle.desk import Desk

LOOK_AGAIN_MS = 60_000
"""Longest between two looks where the contract's chain stands still."""


class Turns:
    """Remembers at which heads lanes were looked at; a new process looks at all.

    Lanes of the contract's chain have their turn when either head has moved. Other chains tell no heads, so
    their lanes have it once for each best head of the contract's chain, and however it stands once a minute.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._heads: Heads | None = None
        self._best: Head | None = None
        self._at_ms = 0

    def take(self, lanes: Sequence[Lane], heads: Heads, now_ms: int) -> list[Lane]:
        """The lanes to look at now, which counts as done."""
        late = now_ms >= self._at_ms + LOOK_AGAIN_MS
        ours, others = late or heads != self._heads, late or heads.best != self._best
        if others:
            self._at_ms = now_ms
        self._heads, self._best = heads, heads.best
        return [lane for lane in lanes if (ours if self._on_contracts_chain(lane) else others)]

    def again(self) -> None:
        """What was looked at or sent did not go well: the next round looks at every lane."""
        self._heads = self._best = None

    def _on_contracts_chain(self, lane: Lane) -> bool:
        tao = self._desk.rails.get(Chain.TAO)
        return lane.purpose in (LanePurpose.MARK, LanePurpose.AFFAIR) or (
            tao is not None and lane.chain == tao.chain_id
        )
