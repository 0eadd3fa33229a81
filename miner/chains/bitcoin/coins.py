"""Which coins to spend, and how large the transaction will be. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from miner.chains.bitcoin.addresses import is_p2tr
from miner.chains.bitcoin.money import fee_at
from miner.chains.bitcoin.transactions import Coin
from miner.errors import Refused

MOST_INPUTS = 250
"""Below what one byte counts, and far below a standard transaction's weight."""
_FIXED_WEIGHT = 4 * (4 + 1 + 1 + 4) + 2
_INPUT_WEIGHT_P2WPKH = 4 * 41 + 1 + 1 + 72 + 1 + 33
_INPUT_WEIGHT_P2TR = 4 * 41 + 1 + 1 + 65


def vsize(inputs: Iterable[bytes], outputs: Iterable[bytes]) -> int:
    """Virtual bytes of a transaction at most, by the scripts of what it spends and pays."""
    weight = _FIXED_WEIGHT
    weight += sum(_INPUT_WEIGHT_P2TR if is_p2tr(script) else _INPUT_WEIGHT_P2WPKH for script in inputs)
    weight += sum(4 * (8 + 1 + len(script)) for script in outputs)
    return -(-weight // 4)


def choose(
    coins: Collection[Coin], sat: int, recipient: bytes, own: bytes, rate: int, first: Coin | None = None
) -> tuple[Coin, ...]:
    """Coins for a payment, the anchor first.

    The smallest single coin that is enough, so that large ones stay free for other payouts; else the
    largest ones first, which makes the anchor the largest of all. Ties are broken by outpoint. A coin that
    costs more to spend than it holds is left alone.

    Args:
        coins: What may be spent.
        sat: Amount of the payment.
        recipient: Its script.
        own: The script that change goes to.
        rate: Fee rate in sat/kvB.
        first: The coin that must be the anchor, if one must.

    Raises:
        Refused: `insufficient_funds`, with what is missing.
    """

    def wanted(count: int) -> int:
        return sat + fee_at(rate, vsize([own] * count, (recipient, own)))

    worth = fee_at(rate, vsize([own], ()) - vsize((), ()))
    ordered = sorted((c for c in coins if c.sat > worth and c != first), key=lambda c: (-c.sat, c.outpoint))
    if first is None and (enough := [coin for coin in ordered if coin.sat >= wanted(1)]):
        return (min(enough, key=lambda coin: (coin.sat, coin.outpoint)),)
    chosen = ([first] if first is not None else []) + ordered
    held = 0
    for count, coin in enumerate(chosen[:MOST_INPUTS], 1):
        held += coin.sat
        if held >= wanted(count):
            return tuple(chosen[:count])
    detail = (
        f"{wanted(max(1, min(len(chosen), MOST_INPUTS))) - held} sat are missing in {len(chosen)} free coins"
    )
    if len(chosen) > MOST_INPUTS:
        detail += ", which are too many for one transaction: join some"
    raise Refused("payout", "insufficient_funds", detail)
