"""Money in integers, and the swap contract's arithmetic.

Amounts are integers in the chain's smallest unit: rao for TAO (10⁻⁹), sat for BTC (10⁻⁸). A rate is a
fixed-point decimal with 18 places. No float touches an amount.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from miner.errors import Refused

RATE_SCALE = 10**18
"""Fixed-point unit of a rate: `Rate.scaled == RATE_SCALE` is 1.0."""

_RATE = re.compile(r"[0-9]{1,20}(\.[0-9]{1,40})?", re.ASCII)


class Chain(StrEnum):
    """The chains a swap may name, as the contract spells them."""

    TAO = "tao"
    BTC = "btc"

    @property
    def decimals(self) -> int:
        """Decimal places of the chain's coin."""
        return 9 if self is Chain.TAO else 8

    @property
    def unit(self) -> str:
        """Name of the smallest unit."""
        return "rao" if self is Chain.TAO else "sat"

    @property
    def supply(self) -> int:
        """Most that can ever exist, in the smallest unit; no honest amount is larger."""
        return int(21_000_000 * 10**self.decimals)


CANONICAL_DEST = Chain.TAO
"""TAO is always the canonical destination of a rate, whatever the swap's direction."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate: canonical destination (TAO) per canonical source (BTC), fixed-point with 18 places.

    Attributes:
        scaled: The rate times 10¹⁸, truncated; always above zero.
    """

    scaled: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read the contract's decimal string.

        Args:
            text: Digits with at most one point: `345`, `0.00289`. No sign, exponent, NaN, blank.

        Raises:
            Refused: `bad_rate` when the text is anything else, or is zero in 18 places.
        """
        if not _RATE.fullmatch(text):
            raise Refused("rate", "bad_rate", f"{text[:40]!r} is not a plain decimal")
        whole, _, places = text.partition(".")
        scaled = int(whole + places[:18].ljust(18, "0"))
        if scaled == 0:
            raise Refused("rate", "bad_rate", f"{text[:40]!r} is zero")
        return cls(scaled)

    def __str__(self) -> str:
        return format((Decimal(self.scaled) / RATE_SCALE).normalize(), "f")

    def convert(self, amount: int, source: Chain, dest: Chain) -> int:
        """What `amount` of `source` is worth in `dest`, rounded down as the contract's field does.

        Args:
            amount: In the smallest unit of `source`; zero or more.
            source: Chain paid from.
            dest: Chain paid to; not `source`, and one of the two is TAO.

        Raises:
            Refused: `unsupported_pair` when TAO is on neither or on both sides.
        """
        if source is dest or CANONICAL_DEST not in (source, dest):
            raise Refused("rate", "unsupported_pair", f"{source} to {dest}")
        forward = dest is CANONICAL_DEST
        other = source if forward else dest
        places = CANONICAL_DEST.decimals - other.decimals
        up: int = 10 ** max(places, 0)
        down: int = 10 ** max(-places, 0)
        if forward:
            return amount * self.scaled * up // (RATE_SCALE * down)
        return amount * RATE_SCALE * down // (self.scaled * up)


def user_receives(dest_amount: int, fee_divisor: int) -> int:
    """What the user is paid: the destination amount less the contract's fee.

    Args:
        dest_amount: The swap's `dest_amount`, smallest unit.
        fee_divisor: `get_fee_divisor` of the contract; at least 1 (20 in the field).

    Raises:
        Refused: `bad_fee_divisor` below 1.
    """
    if fee_divisor < 1:
        raise Refused("fee", "bad_fee_divisor", str(fee_divisor))
    return dest_amount - dest_amount // fee_divisor


def format_amount(amount: int, chain: Chain) -> str:
    """`1500000000` rao as `1.5 TAO`, exactly."""
    sign, digits = ("-", -amount) if amount < 0 else ("", amount)
    whole, rest = divmod(digits, 10**chain.decimals)
    places = str(rest).rjust(chain.decimals, "0").rstrip("0")
    return f"{sign}{whole}{'.' + places if places else ''} {chain.upper()}"
