"""How long before a swap's deadline a payout may still be begun, and why."""

from __future__ import annotations

from dataclasses import dataclass

from miner.config.problems import BadValue
from miner.model.policy import FULFILLMENT_TIMEOUT_MARGIN_BLOCKS as MARK_BLOCKS

TAO_WAIT_BLOCKS = 6
"""Contract blocks that validators wait after a TAO payout before they confirm it."""
BTC_WAIT_CONFIRMATIONS = 2
"""Bitcoin blocks that validators wait for."""
BITCOIN_BLOCK_S = 600
CONTRACT_BLOCK_S = 12
EXTENDED_WAIT_BLOCKS = 6
"""Contract blocks that validators have to vote a longer deadline, once a swap is marked."""


@dataclass(frozen=True, slots=True)
class Margin:
    """The smallest margin of a chain.

    Attributes:
        wait_blocks: Contract blocks that validators wait after the payout.
        why: How that number comes about, in words.
    """

    wait_blocks: int
    why: str

    @property
    def least(self) -> int:
        """Contract blocks before the deadline from which no payout may be begun."""
        return MARK_BLOCKS + self.wait_blocks

    @property
    def arithmetic(self) -> str:
        """The sum, in words."""
        return f"{MARK_BLOCKS} for the mark to land + {self.wait_blocks} ({self.why}) = {self.least}"

    def check(self, chosen: int | None) -> None:
        """Refuse a margin that is too small.

        Raises:
            BadValue: It is; with the arithmetic.
        """
        if chosen is not None and chosen < self.least:
            raise BadValue(
                f"{{value}} is too small a margin: {self.arithmetic}",
                f"Remove the line, or write {self.least} or more; a payout begun later may be slashed",
                ("margin_blocks",),
            )


def tao_margin() -> Margin:
    """For TAO payouts."""
    return Margin(TAO_WAIT_BLOCKS, f"validators wait {TAO_WAIT_BLOCKS} blocks")


def btc_margin(extended: bool) -> Margin:
    """For BTC payouts.

    Args:
        extended: Whether validators extend the deadline of a marked swap while its payout confirms.
    """
    if extended:
        return Margin(
            EXTENDED_WAIT_BLOCKS, f"validators need {EXTENDED_WAIT_BLOCKS} blocks to extend the deadline"
        )
    return Margin(
        BTC_WAIT_CONFIRMATIONS * BITCOIN_BLOCK_S // CONTRACT_BLOCK_S,
        f"validators wait {BTC_WAIT_CONFIRMATIONS} Bitcoin blocks of {BITCOIN_BLOCK_S} s, "
        f"in contract blocks of {CONTRACT_BLOCK_S} s",
    )
