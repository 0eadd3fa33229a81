"""Limits: what may leave, when, and how sure a user's payment has to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from miner.config.fields import Confirmations, Count, Part, Rao, Sat
from miner.config.margin import Margin, btc_margin, tao_margin
from miner.config.problems import BadValue


class TaoTier(Part):
    """How many blocks a user's payment above an amount needs."""

    above: Rao = Field(description="Payments above this …")
    confirmations: Confirmations = Field(description="… need so many blocks, their own included")


class BtcTier(Part):
    """How many confirmations a user's payment above an amount needs."""

    above: Sat = Field(description="Payments above this …")
    confirmations: Confirmations = Field(description="… need so many confirmations")


def check_tiers(tiers: Sequence[TaoTier | BtcTier], least: int) -> None:
    """Make sure that more money needs more confirmations.

    Raises:
        BadValue: A tier's amount or confirmations are not above those of what stands before it.
    """
    above = -1
    for index, tier in enumerate(tiers):
        key: tuple[str | int, ...] = ("source_tiers", index)
        if tier.above <= above:
            raise BadValue(
                "is not above the tier before it", "Write tiers by rising amounts", (*key, "above")
            )
        if tier.confirmations <= least:
            raise BadValue(
                f"{tier.confirmations} is not more than the {least} that smaller payments need",
                "More money needs more confirmations: raise it, or remove the tier",
                (*key, "confirmations"),
            )
        above, least = tier.above, tier.confirmations


class TaoLimits(Part):
    """Rules for TAO."""

    max_per_swap: Rao | None = Field(None, description="Largest single payout; a larger one is refused")
    max_per_hour: Rao | None = Field(None, description="Most that is paid out in any 60 minutes")
    low_balance: Rao | None = Field(
        None, description="Operators are told when a payout account can spend less than this"
    )
    hold_above: Rao | None = Field(
        None, description="A payout above this waits for a person: `swap-miner approve SWAP`"
    )
    max_fee: Rao = Field(10_000_000, description="Most that one payout's network fee may be")
    mark_fee: Rao = Field(5_000_000, description="Set aside on the hotkey for each mark")
    source_confirmations: Confirmations = Field(
        6, description="Blocks, its own included, that a user's payment needs; it is final as well"
    )
    source_tiers: tuple[TaoTier, ...] = Field((), description="More blocks for larger payments of users")
    margin_blocks: Count | None = Field(
        None, description="No payout is begun this many blocks or fewer before the deadline"
    )

    @property
    def margin(self) -> Margin:
        """The smallest margin, and how it comes about."""
        return tao_margin()

    @property
    def effective_margin(self) -> int:
        """Contract blocks before the deadline from which no payout is begun."""
        return self.margin.least if self.margin_blocks is None else self.margin_blocks

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.margin.check(self.margin_blocks)
        check_tiers(self.source_tiers, self.source_confirmations)
        return self


class BtcLimits(Part):
    """Rules for BTC."""

    max_per_swap: Sat | None = Field(None, description="Largest single payout; a larger one is refused")
    max_per_hour: Sat | None = Field(None, description="Most that is paid out in any 60 minutes")
    low_balance: Sat | None = Field(
        None, description="Operators are told when a payout account can spend less than this"
    )
    hold_above: Sat | None = Field(
        None, description="A payout above this waits for a person: `swap-miner approve SWAP`"
    )
    max_fee: Sat = Field(50_000, description="Most that one payout's network fee may be, fee bumps included")
    source_confirmations: Confirmations = Field(2, description="Confirmations that a user's payment needs")
    source_tiers: tuple[BtcTier, ...] = Field(
        (), description="More confirmations for larger payments of users"
    )
    max_unfinal_source: Sat | None = Field(
        None,
        description="Most that users' payments may sum up to that are not final yet and that payouts rest on",
    )
    mark_confirmations: Confirmations = Field(1, description="Confirmations of a payout before it is marked")
    final_confirmations: Confirmations = Field(
        6, description="Confirmations after which a Bitcoin block is treated as final"
    )
    source_slack_s: Annotated[Count, Field(le=86_400)] = Field(
        7200,
        description="How much older than its reservation a payment's block may be: Bitcoin's clock is coarse",
    )
    validators_extend_timeouts: bool = Field(
        False, description="Whether validators extend the deadline of a marked swap while its payout confirms"
    )
    margin_blocks: Count | None = Field(
        None, description="No payout is begun this many contract blocks or fewer before the deadline"
    )

    @property
    def margin(self) -> Margin:
        """The smallest margin, and how it comes about."""
        return btc_margin(self.validators_extend_timeouts)

    @property
    def effective_margin(self) -> int:
        """Contract blocks before the deadline from which no payout is begun."""
        return self.margin.least if self.margin_blocks is None else self.margin_blocks

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.margin.check(self.margin_blocks)
        check_tiers(self.source_tiers, self.source_confirmations)
        if self.final_confirmations < self.mark_confirmations:
            raise BadValue(
                f"{self.final_confirmations} is less than mark_confirmations ({self.mark_confirmations})",
                "A payout is marked no later than it is final: raise final_confirmations",
                ("final_confirmations",),
            )
        return self


class Limits(Part):
    """What may leave, and when."""

    tao: TaoLimits = TaoLimits()
    btc: BtcLimits = BtcLimits()
