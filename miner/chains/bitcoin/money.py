"""Amounts and fee rates as the node writes them. Integers here, decimal strings there, never a float."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

SAT = 10**8
"""Satoshi in one BTC."""
LARGEST_EXPONENT = 12
"""No amount and no rate of a node has more digits before the point; more would be a number without end."""


def btc(sat: int) -> str:
    """An amount for the node: a decimal string in BTC."""
    return f"{sat // SAT}.{sat % SAT:08d}"


def sats(amount: object) -> int:
    """An amount from the node, in satoshi.

    Raises:
        ValueError: It is no whole number of satoshi.
    """
    scaled = _decimal(amount) * SAT
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount!r} is no whole number of satoshi")
    return int(scaled)


def sat_per_kvb(rate: object) -> int:
    """A fee rate from the node (BTC/kvB), in sat/kvB, rounded up.

    Raises:
        ValueError: It is no number.
    """
    return int((_decimal(rate) * SAT).to_integral_value(rounding=ROUND_CEILING))


def sat_per_vb(rate: int) -> str:
    """A fee rate in sat/kvB for the node's `fee_rate`: a decimal string in sat/vB."""
    return f"{rate // 1000}.{rate % 1000:03d}"


def fee_at(rate: int, vsize: int) -> int:
    """The fee of `vsize` virtual bytes at `rate` sat/kvB, rounded up."""
    return -(-rate * vsize // 1000)


def _decimal(number: object) -> Decimal:
    if isinstance(number, bool) or not isinstance(number, Decimal | int):
        raise ValueError(f"{str(number)[:40]!r} is no number")
    value = Decimal(number)
    if not value.is_finite() or value.adjusted() > LARGEST_EXPONENT:
        raise ValueError(f"{str(number)[:40]!r} is no number")
    return value
