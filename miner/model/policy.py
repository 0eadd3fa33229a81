"""What the operator decides, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from miner.amounts import Chain

FULFILLMENT_TIMEOUT_MARGIN_BLOCKS = 3
"""Contract blocks a mark needs to land before the timeout."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Most that may leave. None: no cap.

    Attributes:
        per_swap: Largest single payout, smallest unit.
        per_hour: Most in any 60 minutes on this rail, smallest unit.
    """

    per_swap: int | None = None
    per_hour: int | None = None


@dataclass(frozen=True, slots=True)
class RailPolicy:
    """Rules of one payout chain.

    Attributes:
        margin_blocks: Contract blocks before `timeout_block` from which no first send is made:
            `FULFILLMENT_TIMEOUT_MARGIN_BLOCKS` plus what validators wait for on this rail.
        source_confirmations: Blocks (its own included) a user's payment on this chain needs.
        mark_confirmations: Confirmations of our payout before the mark; 0 means finalised (TAO).
        final_confirmations: Confirmations after which a block of this chain counts as final (BTC).
        max_fee: Most that one payout's network fee may be, smallest unit.
        caps: Outflow caps.
        low_balance: Below it operators are told, smallest unit; None: they are not.
        hold_above: Swaps that pay more than this on this chain wait for a person; None: none does.
        source_tiers: Amounts above which a user's payment on this chain needs more blocks, and how many;
            rising.
        max_unfinal_source: Most that users' payments on this chain may sum up to which are not final and
            which payouts rest on, smallest unit; None: no cap.
    """

    margin_blocks: int
    source_confirmations: int
    mark_confirmations: int
    final_confirmations: int
    max_fee: int
    caps: Caps = Caps()
    low_balance: int | None = None
    hold_above: int | None = None
    source_tiers: tuple[tuple[int, int], ...] = ()
    max_unfinal_source: int | None = None

    def confirmations_for(self, amount: int) -> int:
        """Blocks (its own included) that a user's payment of this amount on this chain needs."""
        return max(
            [self.source_confirmations, *(blocks for above, blocks in self.source_tiers if amount > above)]
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules of the whole daemon.

    Attributes:
        rails: By chain.
        mark_fee: Set aside on the hotkey for one mark, rao.
        rebroadcast_blocks: Finalised contract blocks between two broadcasts of the same bytes.
        source_slack_s: How much older than its reservation a user's Bitcoin payment's block may be, since
            Bitcoin's clock may be two hours off.
        retry_base_s: First back-off after a transient failure.
        retry_cap_s: Longest back-off.
    """

    rails: Mapping[Chain, RailPolicy] = field(default_factory=dict)
    mark_fee: int = 5_000_000
    rebroadcast_blocks: int = 5
    source_slack_s: int = 7200
    retry_base_s: float = 2.0
    retry_cap_s: float = 120.0

    def margin_blocks(self, dest: Chain | None) -> int:
        """Blocks before the deadline from which no first send to `dest` is made; 0 for a chain unknown."""
        rail = self.rails.get(dest) if dest else None
        return rail.margin_blocks if rail else 0

    def holds(self, dest: Chain | None, amount: int) -> bool:
        """Whether a swap of this amount, paid on `dest`, waits for a person."""
        rail = self.rails.get(dest) if dest else None
        return rail is not None and rail.hold_above is not None and amount > rail.hold_above

    def mark_confirmations(self, dest: Chain | None) -> int:
        """Confirmations a payout on `dest` needs before its mark; 0 means final."""
        rail = self.rails.get(dest) if dest else None
        return rail.mark_confirmations if rail else 0
