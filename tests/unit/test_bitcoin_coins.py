"""Coin choice, fees and amounts: pure arithmetic."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from miner.chains.bitcoin.coins import MOST_INPUTS, choose, vsize
from miner.chains.bitcoin.fees import FeePolicy, Rival, replacement_fee
from miner.chains.bitcoin.money import btc, fee_at, sat_per_kvb, sat_per_vb, sats
from miner.chains.bitcoin.transactions import Coin, Outpoint
from miner.errors import ConfigError, Refused

OWN, PAID = b"\x00\x14" + b"\x01" * 20, b"\x76\xa9\x14" + b"\x02" * 20 + b"\x88\xac"


def coin(number: int, sat: int) -> Coin:
    return Coin(Outpoint(f"{number:064x}", 0), sat, OWN, 1)


@st.composite
def purses(draw: st.DrawFn) -> list[Coin]:
    values = draw(st.lists(st.integers(1, 10**9), max_size=30))
    return [coin(number, sat) for number, sat in enumerate(values)]


def chosen_of(coins: list[Coin], sat: int, rate: int) -> tuple[Coin, ...]:
    try:
        return choose(coins, sat, PAID, OWN, rate)
    except Refused:
        return ()


@given(purses(), st.integers(294, 10**9), st.integers(1_000, 100_000), st.randoms())
def test_what_is_chosen_is_enough_and_no_more_than_needed(
    coins: list[Coin], sat: int, rate: int, order: object
) -> None:
    chosen = chosen_of(coins, sat, rate)
    if not chosen:
        worth = [c for c in coins if c.sat > fee_at(rate, 69)]
        assert sum(c.sat for c in worth) < sat + fee_at(rate, vsize([OWN] * max(1, len(worth)), [PAID, OWN]))
        return
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= set(coins)
    held = sum(c.sat for c in chosen)
    assert held >= sat + fee_at(rate, vsize([OWN] * len(chosen), [PAID, OWN]))
    assert chosen[0].sat == max(c.sat for c in chosen), "the anchor can pay for its own cancellation best"
    less = chosen[:-1]
    assert sum(c.sat for c in less) < sat + fee_at(rate, vsize([OWN] * max(1, len(less)), [PAID, OWN]))
    order.shuffle(coins)  # type: ignore[attr-defined]
    assert choose(coins, sat, PAID, OWN, rate) == chosen, "the same whatever the order"


@given(purses(), st.integers(294, 10**8))
def test_one_coin_is_the_smallest_that_is_enough(coins: list[Coin], sat: int) -> None:
    enough = [c for c in coins if c.sat >= sat + fee_at(1_000, vsize([OWN], [PAID, OWN]))]
    assume(enough)
    (only,) = choose(coins, sat, PAID, OWN, 1_000)
    assert only.sat == min(c.sat for c in enough)


def test_a_named_anchor_comes_first() -> None:
    coins = [coin(1, 50_000), coin(2, 900_000), coin(3, 500)]
    assert choose(coins, 10_000, PAID, OWN, 1_000, first=coins[0]) == (coins[0],)
    assert choose(coins, 100_000, PAID, OWN, 1_000, first=coins[0]) == (coins[0], coins[1])


def test_what_is_missing_is_told() -> None:
    with pytest.raises(Refused, match="100141 sat are missing in 0 free coins"):
        choose([], 100_000, PAID[:22], OWN, 1_000)
    crowd = [coin(number, 10_000) for number in range(MOST_INPUTS + 5)]
    with pytest.raises(Refused, match="join some"):
        choose(crowd, MOST_INPUTS * 10_000, PAID, OWN, 1_000)


def test_sizes_are_those_of_real_transactions() -> None:
    taproot = b"\x51\x20" + b"\x01" * 32
    assert vsize([OWN], [OWN, OWN]) == 141
    assert vsize([OWN] * 2, [OWN, OWN]) == 209
    assert vsize([OWN], [OWN]) == 110
    assert vsize([taproot], [OWN, taproot]) in (142, 143)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(60, 1000), st.integers(0, 10**6)), min_size=1))
def test_a_replacement_beats_every_rival(told: list[tuple[int, int, int]]) -> None:
    rivals = [Rival(fee, size, fee + more) for fee, size, more in told]
    fee = replacement_fee(rivals, 141, 1_000)
    assert fee >= sum(rival.evicted_fees for rival in rivals) + 141
    for rival in rivals:
        assert fee * rival.vsize > rival.fee * 141, "a higher rate than each"
    assert replacement_fee([], 141, 1_000) == 0


@given(st.integers(0, 21 * 10**14))
def test_amounts_survive_both_ways(sat: int) -> None:
    assert sats(Decimal(btc(sat))) == sat


def test_rates_and_amounts_of_the_node() -> None:
    assert sat_per_kvb(Decimal("0.00001")) == 1_000
    assert sat_per_kvb(Decimal("0.000010001")) == 1_001
    assert (sat_per_vb(12_345), sat_per_vb(1_000)) == ("12.345", "1.000")
    assert (fee_at(1_000, 141), fee_at(1_001, 141)) == (141, 142)
    for bad in (Decimal("0.000000001"), "1", None, True, 0.5, Decimal("NaN"), Decimal("Infinity")):
        with pytest.raises(ValueError, match="is no"):
            sats(bad)


def test_the_policy_bounds_the_rate() -> None:
    policy = FeePolicy(2_000, 9_000)
    assert [policy.within(rate) for rate in (1, 5_000, 10_000)] == [2_000, 5_000, 9_000]
    for floor, cap in ((0, 1), (5, 4)):
        with pytest.raises(ConfigError):
            FeePolicy(floor, cap)
