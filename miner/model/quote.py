"""A miner's quote: the line of text that users read on chain to choose a miner.

`v1:{src}:{src_addr}:{dst}:{dst_addr}:{rate}:{counter_rate}`, at most 128 bytes. `rate` is for swaps from
src to dst, `counter_rate` for those from dst to src; both are in the canonical destination (TAO) per
canonical source (BTC), whatever the direction, and 0 switches a direction off. Anything else is no quote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from miner.amounts import Chain, Rate, format_amount, user_receives
from miner.errors import Refused

VERSION = "v1"
MOST_BYTES = 128
"""What a commitment holds."""
EXAMPLES = {Chain.BTC: 1_000_000, Chain.TAO: 10**9}
"""What the previewed user pays: 0.01 BTC, 1 TAO."""
_PARTS = 7


@dataclass(frozen=True, slots=True)
class Commitment:
    """What an account has committed.

    Attributes:
        block: When.
        text: Its bytes as text, a byte that is no UTF-8 as U+FFFD; None where it holds no plain bytes.
    """

    block: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a quote.

    Attributes:
        source: What the user pays.
        dest: What the miner pays.
        pays_to: The miner's address on `source`.
        pays_from: The miner's address on `dest`.
        rate: As written.
        value: The same as a number; 0 switches the direction off.
    """

    source: str
    dest: str
    pays_to: str
    pays_from: str
    rate: str
    value: Decimal

    @property
    def offered(self) -> bool:
        """Whether users are offered it."""
        return self.value > 0


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote as users read it.

    Attributes:
        text: As committed.
        forward: From its src to its dst.
        counter: The other way.
    """

    text: str
    forward: Direction
    counter: Direction

    @property
    def directions(self) -> tuple[Direction, Direction]:
        """Both."""
        return self.forward, self.counter


def parse_quote(text: str) -> Quote:
    """Read a quote by the rules that users go by.

    Raises:
        Refused: `bad_quote`, with what is wrong: it is none to users then.
    """
    parts = _parts(text)
    _, src, src_address, dst, dst_address, rate, counter_rate = parts
    for name, value in (("src", src), ("src_addr", src_address), ("dst", dst), ("dst_addr", dst_address)):
        if not value:
            raise _bad(f"{name} is empty")
    if src == dst:
        raise _bad(f"src and dst are both {src}")
    return Quote(
        text,
        Direction(src, dst, src_address, dst_address, rate, _rate("rate", rate)),
        Direction(dst, src, dst_address, src_address, counter_rate, _rate("counter_rate", counter_rate)),
    )


def compose_quote(
    src: str, src_address: str, dst: str, dst_address: str, rate: str, counter_rate: str
) -> Quote:
    """Write a quote.

    Raises:
        Refused: `bad_quote`: users would not read it as one.
    """
    return parse_quote(":".join((VERSION, src, src_address, dst, dst_address, rate, counter_rate)))


def quote_of(accounts: Mapping[Chain, str], btc_to_tao: str, tao_to_btc: str) -> Quote:
    """A miner's quote over both chains.

    Args:
        accounts: The miner's addresses.
        btc_to_tao: TAO per BTC for users who pay BTC; 0 switches that direction off.
        tao_to_btc: TAO per BTC for users who pay TAO; likewise.

    Raises:
        Refused: `bad_quote`: users would not read it as one.
    """
    missing = [chain for chain in (Chain.BTC, Chain.TAO) if chain not in accounts]
    if missing:
        raise _bad(f"the settings have no {missing[0]} address for this miner")
    btc, tao = accounts[Chain.BTC], accounts[Chain.TAO]
    return compose_quote(Chain.BTC, btc, Chain.TAO, tao, btc_to_tao, tao_to_btc)


def _parts(text: str) -> list[str]:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MOST_BYTES:
        raise _bad(f"it has {size} bytes, and at most {MOST_BYTES} are read")
    parts = text.split(":")
    if len(parts) != _PARTS:
        raise _bad(f"it has {len(parts)} parts between colons, and {_PARTS} are read")
    if parts[0] != VERSION:
        raise _bad(f"it begins with {parts[0][:12]!r}, and {VERSION!r} is read")
    return parts


def _rate(name: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise _bad(f"{name} {text[:40]!r} is no number") from None
    if not value.is_finite():
        raise _bad(f"{name} {text[:40]!r} is not finite")
    if value < 0:
        raise _bad(f"{name} {text[:40]!r} is negative")
    return value


def _bad(why: str) -> Refused:
    return Refused("quote", "bad_quote", why)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a user would get.

    Attributes:
        source: What they pay.
        dest: What they get.
        pays: How much, smallest unit.
        receives: What arrives, the contract's fee taken off, smallest unit.
    """

    source: Chain
    dest: Chain
    pays: int
    receives: int

    def __str__(self) -> str:
        pays, receives = format_amount(self.pays, self.source), format_amount(self.receives, self.dest)
        return f"a user who pays {pays} receives {receives}"


def preview(direction: Direction, fee_divisor: int) -> Preview:
    """What the example's user would get, by the contract's own arithmetic.

    Raises:
        Refused: `not_offered`; `unsupported_chain`; `bad_rate`: the daemon pays no swap at a rate so written;
            `unsupported_pair`, `bad_fee_divisor`.
    """
    if not direction.offered:
        raise Refused("quote", "not_offered", f"{direction.source} to {direction.dest} is switched off")
    try:
        source, dest = Chain(direction.source), Chain(direction.dest)
    except ValueError:
        raise Refused("quote", "unsupported_chain", f"{direction.source} to {direction.dest}") from None
    pays = EXAMPLES[source]
    amount = Rate.parse(direction.rate).convert(pays, source, dest)
    return Preview(source, dest, pays, user_receives(amount, fee_divisor))
