"""Fee rates, and what a replacement must pay. Rates are integers in sat/kvB."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from miner.chains.bitcoin.money import fee_at
from miner.errors import ConfigError


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """What fee rates we pay.

    Attributes:
        floor: Lowest, sat/kvB.
        cap: Highest a first send or an estimate may be, sat/kvB. A replacement is bound by its fee alone.
        fallback: When the node has no estimate, sat/kvB; None: wait until it has one.
        target_blocks: In how many blocks it should confirm.
    """

    floor: int = 1_000
    cap: int = 300_000
    fallback: int | None = None
    target_blocks: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.floor <= self.cap:
            raise ConfigError(
                "bitcoin.fee", "the floor is not between 0 and the cap", "Give sat/kvB, 1000 is usual."
            )

    def within(self, rate: int) -> int:
        """The rate, moved between floor and cap."""
        return min(max(rate, self.floor), self.cap)


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """A transaction in the node's mempool.

    Attributes:
        txid: Canonical id.
        vsize: Virtual bytes.
        fee: Its own, in satoshi, as the node ranks it.
        descendant_fees: Its own and those of everything that spends from it.
    """

    txid: str
    vsize: int
    fee: int
    descendant_fees: int


@dataclass(frozen=True, slots=True)
class Rival:
    """What a replacement has to beat, whether or not our node still holds it.

    Attributes:
        fee: Satoshi.
        vsize: Virtual bytes.
        evicted_fees: Fees of all that it would evict, itself included.
    """

    fee: int
    vsize: int
    evicted_fees: int


def replacement_fee(rivals: Iterable[Rival], size: int, increment: int) -> int:
    """Least fee with which nodes let a transaction replace its rivals, in satoshi (BIP 125, rules 3, 4, 6).

    Args:
        rivals: Everything it conflicts with directly.
        size: Its own virtual bytes.
        increment: The node's `incrementalrelayfee`, sat/kvB.
    """
    rivals = list(rivals)
    evicted = sum(rival.evicted_fees for rival in rivals) + fee_at(increment, size)
    outbid = (rival.fee * size // rival.vsize + 1 for rival in rivals)
    return max(evicted, *outbid) if rivals else 0
