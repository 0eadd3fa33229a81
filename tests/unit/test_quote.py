"""A quote is read by the users' rules, and previewed by the contract's arithmetic."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.amounts import Chain
from miner.errors import Refused
from miner.model.quote import MOST_BYTES, compose_quote, parse_quote, preview, quote_of

GOOD = "v1:btc:bc1qminer:tao:5Miner:345:0"
PART = st.text(st.characters(codec="utf-8", exclude_characters=":"), min_size=1, max_size=12)
RATE = st.decimals(0, 10**9, places=6, allow_nan=False, allow_infinity=False).map(lambda d: format(d, "f"))


def test_a_quote_of_the_settings_addresses() -> None:
    accounts = {Chain.BTC: "bc1qminer", Chain.TAO: "5Miner"}
    assert quote_of(accounts, "345", "0").text == GOOD
    with pytest.raises(Refused, match="no btc address"):
        quote_of({Chain.TAO: "5Miner"}, "345", "0")


def test_the_fields_are_read_for_both_directions() -> None:
    quote = parse_quote("v1:tao:5Miner:btc:bc1qminer:350:340")
    forward, counter = quote.directions
    assert (forward.source, forward.dest, forward.pays_to, forward.pays_from) == (
        "tao",
        "btc",
        "5Miner",
        "bc1qminer",
    )
    assert (counter.source, counter.dest, counter.pays_to, counter.pays_from) == (
        "btc",
        "tao",
        "bc1qminer",
        "5Miner",
    )
    assert (forward.value, counter.value) == (Decimal(350), Decimal(340))
    assert forward.offered
    assert not parse_quote(GOOD).counter.offered


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "1 parts"),
        ("v1:btc:a:tao:b:345", "6 parts"),
        (GOOD + ":more", "8 parts"),
        (GOOD.replace("v1", "v2"), "'v2'"),
        ("v1::a:tao:b:1:1", "src is empty"),
        ("v1:btc::tao:b:1:1", "src_addr is empty"),
        ("v1:btc:a::b:1:1", "dst is empty"),
        ("v1:btc:a:tao::1:1", "dst_addr is empty"),
        ("v1:btc:a:btc:b:1:1", "both btc"),
        ("v1:btc:a:tao:b:NaN:1", "not finite"),
        ("v1:btc:a:tao:b:1:Infinity", "counter_rate 'Infinity' is not finite"),
        ("v1:btc:a:tao:b:-1:1", "negative"),
        ("v1:btc:a:tao:b::1", "no number"),
        ("v1:btc:a:tao:b:1,5:1", "no number"),
        ("v1:btc:" + "a" * 120 + ":tao:b:1:1", "bytes"),
    ],
)
def test_anything_else_is_no_quote(text: str, why: str) -> None:
    with pytest.raises(Refused, match="bad_quote") as refused:
        parse_quote(text)
    assert why in refused.value.detail


def test_length_is_in_bytes() -> None:
    room = MOST_BYTES - len("v1:btc::tao:b:1:1")
    parse_quote(f"v1:btc:{'a' * room}:tao:b:1:1")
    for long in ("a" * (room + 1), "é" * (room // 2 + 1), "\ud800" * room):
        with pytest.raises(Refused, match="bad_quote"):
            parse_quote(f"v1:btc:{long}:tao:b:1:1")


@given(PART, PART, PART, PART, RATE, RATE)
def test_what_is_composed_reads_as_it_was_meant(
    src: str, a: str, dst: str, b: str, one: str, two: str
) -> None:
    text = ":".join(("v1", src, a, dst, b, one, two))
    if src == dst or len(text.encode()) > MOST_BYTES:
        with pytest.raises(Refused):
            compose_quote(src, a, dst, b, one, two)
        return
    quote = compose_quote(src, a, dst, b, one, two)
    assert quote.text == text
    assert (quote.forward.pays_to, quote.counter.pays_to) == (a, b)
    assert (quote.forward.value, quote.counter.value) == (Decimal(one), Decimal(two))


@given(st.text(max_size=160))
def test_any_text_is_a_quote_or_refused(text: str) -> None:
    quote = None
    with contextlib.suppress(Refused):
        quote = parse_quote(text)
    if quote is not None:
        assert quote.text == text
        assert all(direction.value.is_finite() and direction.value >= 0 for direction in quote.directions)


def test_the_preview_is_the_contracts_arithmetic() -> None:
    quote = parse_quote("v1:btc:bc1q:tao:5M:345:400")
    to_tao, to_btc = preview(quote.forward, 100), preview(quote.counter, 100)
    assert (to_tao.source, to_tao.pays, to_tao.receives) == (Chain.BTC, 1_000_000, 3_415_500_000)
    assert (to_btc.source, to_btc.pays, to_btc.receives) == (Chain.TAO, 10**9, 250_000 - 2_500)
    assert str(to_tao) == "a user who pays 0.01 BTC receives 3.4155 TAO"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("v1:btc:a:tao:b:0:1", "not_offered"),
        ("v1:doge:a:tao:b:1:1", "unsupported_chain"),
        ("v1:btc:a:tao:b:1e3:1", "bad_rate"),
    ],
)
def test_what_the_daemon_would_not_pay_has_no_preview(text: str, name: str) -> None:
    with pytest.raises(Refused, match=name):
        preview(parse_quote(text).forward, 100)
