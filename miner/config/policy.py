"""From the settings to the rules that the services know."""

from __future__ import annotations

from miner.amounts import Chain
from miner.config.limits import BtcLimits, TaoLimits
from miner.config.settings import Settings
from miner.model.policy import Caps, Policy, RailPolicy


def to_policy(settings: Settings) -> Policy:
    """The rules of the whole daemon; a chain without a node has none."""
    rails = {Chain.TAO: _tao(settings.limits.tao)}
    if Chain.BTC in settings.chains:
        rails[Chain.BTC] = _btc(settings.limits.btc)
    return Policy(
        rails=rails,
        mark_fee=settings.limits.tao.mark_fee,
        rebroadcast_blocks=settings.retry.rebroadcast_blocks,
        source_slack_s=settings.limits.btc.source_slack_s,
        retry_base_s=settings.retry.base_s,
        retry_cap_s=settings.retry.cap_s,
    )


def _tao(limits: TaoLimits) -> RailPolicy:
    return RailPolicy(
        margin_blocks=limits.effective_margin,
        source_confirmations=limits.source_confirmations,
        mark_confirmations=0,  # final, as the contract's chain has it
        final_confirmations=0,  # likewise
        max_fee=limits.max_fee,
        hold_above=limits.hold_above,
        source_tiers=tuple((tier.above, tier.confirmations) for tier in limits.source_tiers),
        caps=Caps(limits.max_per_swap, limits.max_per_hour),
        low_balance=limits.low_balance,
    )


def _btc(limits: BtcLimits) -> RailPolicy:
    return RailPolicy(
        margin_blocks=limits.effective_margin,
        source_confirmations=limits.source_confirmations,
        mark_confirmations=limits.mark_confirmations,
        final_confirmations=limits.final_confirmations,
        max_fee=limits.max_fee,
        hold_above=limits.hold_above,
        source_tiers=tuple((tier.above, tier.confirmations) for tier in limits.source_tiers),
        max_unfinal_source=limits.max_unfinal_source,
        caps=Caps(limits.max_per_swap, limits.max_per_hour),
        low_balance=limits.low_balance,
    )
