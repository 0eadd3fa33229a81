"""Mortal eras: the span of blocks in which a signed extrinsic is valid.

From `sp_runtime::generic::Era` and `frame_system::CheckMortality`: an era of a period starts where the block
number leaves its phase modulo the period, and the hash of that first block is signed with the call. It is
valid in blocks of numbers from the era's birth to before its death.
"""

from __future__ import annotations

from dataclasses import dataclass

from miner.errors import Refused

LONGEST = 64
"""Longest period signed here, blocks."""
SHORTEST = 4
"""Shortest period that the protocol has."""


@dataclass(frozen=True, slots=True)
class Era:
    """A mortal era.

    Attributes:
        period: Its length in blocks: a power of two from 4 to 65536.
        current: The block it was anchored at.
    """

    period: int
    current: int

    @property
    def _quantum(self) -> int:
        return max(self.period >> 12, 1)

    @property
    def phase(self) -> int:
        """Where in each period the era starts, as it is encoded: long periods round it down."""
        return self.current % self.period // self._quantum * self._quantum

    @property
    def birth(self) -> int:
        """The first block of the era; its hash is signed. The anchor itself, for periods up to 4096."""
        return (max(self.current, self.phase) - self.phase) // self.period * self.period + self.phase

    @property
    def death(self) -> int:
        """The first block in which the extrinsic is invalid."""
        return self.birth + self.period

    def encode(self) -> bytes:
        """The two bytes that the extrinsic carries."""
        log = min(max((self.period & -self.period).bit_length() - 2, 1), 15)
        return (log | self.phase // self._quantum << 4).to_bytes(2, "little")

    def plain(self) -> dict[str, int]:
        """The era as the codec takes it."""
        return {"period": self.period, "current": self.current}


def fit(anchor: int, best: int, die_by: int | None, longest: int = LONGEST) -> Era:
    """The longest era from an anchor that dies in time.

    Args:
        anchor: Height of the finalised block whose hash is signed.
        best: Height of the best head: the extrinsic cannot be in a block at or below it.
        die_by: First height at which the extrinsic must be invalid; None for any.
        longest: Longest period to take, a power of two.

    Raises:
        Refused: `too_late`: none dies by then and lives beyond the best head.
    """
    period = longest
    while period > SHORTEST and die_by is not None and anchor + period > die_by:
        period //= 2
    era = Era(period, anchor)
    if (die_by is not None and era.death > die_by) or era.death <= best + 1:
        raise Refused(
            "era", "too_late", f"no era from block {anchor} is alive after {best} and dead at {die_by}"
        )
    return era
