"""Money in integers: the contract's arithmetic against its formula written a second time, in fractions."""

import ast
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import floor
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import miner
from miner.amounts import CANONICAL_DEST, RATE_SCALE, Chain, Rate, format_amount, user_receives
from miner.errors import Refused

BTC, TAO = Chain.BTC, Chain.TAO

AMOUNTS = st.integers(0, TAO.supply)
RATES = st.builds(
    lambda whole, places: f"{whole}.{places}" if places else str(whole),
    st.integers(0, 10**12),
    st.text("0123456789", max_size=24),
)


def in_18_places(rate: str) -> Fraction:
    """The rate as the contract takes it: cut after 18 places."""
    return Fraction(floor(Fraction(rate) * 10**18), 10**18)


def positive(rate: str) -> bool:
    return in_18_places(rate) > 0


# chains


@pytest.mark.parametrize(("chain", "decimals", "unit", "supply"), [(TAO, 9, "rao", 21), (BTC, 8, "sat", 21)])
def test_a_chain_has_its_decimals_unit_and_supply(
    chain: Chain, decimals: int, unit: str, supply: int
) -> None:
    assert (chain.decimals, chain.unit) == (decimals, unit)
    assert chain.supply == supply * 10**6 * 10**decimals


def test_chains_are_spelt_as_the_contract_does() -> None:
    assert {chain.value for chain in Chain} == {"tao", "btc"}
    assert CANONICAL_DEST is TAO


# conversion


def test_the_fields_example() -> None:
    rao = Rate.parse("345").convert(1_000_000, BTC, TAO)
    assert rao == 3_450_000_000
    assert user_receives(rao, 100) == 3_415_500_000


@given(RATES.filter(positive), AMOUNTS)
@example("345", 1_000_000)
@example("0.000000000000000001", 1)
@example("0.00289", 1)
def test_btc_to_tao_is_the_contracts_formula(rate: str, sat: int) -> None:
    assert Rate.parse(rate).convert(sat, BTC, TAO) == floor(Fraction(sat, 10**8) * in_18_places(rate) * 10**9)


@given(RATES.filter(positive), AMOUNTS)
@example("345", 3_450_000_000)
@example("3", 10)
@example("0.000000000000000001", 1)
def test_tao_to_btc_is_the_contracts_formula(rate: str, rao: int) -> None:
    assert Rate.parse(rate).convert(rao, TAO, BTC) == floor(Fraction(rao, 10**9) / in_18_places(rate) * 10**8)


@given(RATES.filter(positive), AMOUNTS)
def test_a_round_trip_never_gains(rate: str, sat: int) -> None:
    parsed = Rate.parse(rate)
    assert parsed.convert(parsed.convert(sat, BTC, TAO), TAO, BTC) <= sat


def test_both_directions_round_down() -> None:
    """1 sat at 0.19 is 1.9 rao; 19 rao at 1 are 1.9 sat, 9 rao are 0.9 sat."""
    assert Rate.parse("0.19").convert(1, BTC, TAO) == 1
    assert Rate.parse("1").convert(19, TAO, BTC) == 1
    assert Rate.parse("1").convert(9, TAO, BTC) == 0


@pytest.mark.parametrize(("source", "dest"), [(BTC, BTC), (TAO, TAO)])
def test_a_pair_without_tao_on_one_side_is_refused(source: Chain, dest: Chain) -> None:
    with pytest.raises(Refused, match=f"{source} to {dest}") as refused:
        Rate.parse("1").convert(1, source, dest)
    assert refused.value.name == "unsupported_pair"


# rates


@pytest.mark.parametrize(
    "text",
    [
        *("NaN", "nan", "inf", "Infinity", "-Infinity", "1e9", "1E9", "0x10", "1_000", "1,5"),
        *("", " ", " 1", "1 ", "1\n", "\t1", "-1", "+1", "1.", ".5", "1..2", "1.2.3", "."),
        *("٣", "\uff11", "1\u066b5", "½", "²", "\u200b1", "1\x00"),
        *("9" * 21, "1" * 400, "0." + "1" * 41),
        *("0", "00", "0.0", "0.000000000000000000", "0.0000000000000000001"),
    ],
)
def test_a_bad_rate_is_refused_by_name(text: str) -> None:
    with pytest.raises(Refused) as refused:
        Rate.parse(text)
    assert refused.value.name == "bad_rate"
    assert len(str(refused.value)) < 200, "whatever the contract holds, the message stays short"


@given(st.text(max_size=30) | st.text("0123456789.", max_size=30))
@example("0.1")
def test_any_text_is_a_positive_rate_or_refused(text: str) -> None:
    try:
        scaled = Rate.parse(text).scaled
    except Refused as refused:
        name = refused.name
    else:
        name = ""
        assert scaled == floor(Fraction(text) * 10**18) > 0
    assert name in ("", "bad_rate")


@given(RATES.filter(positive))
def test_parsing_agrees_with_the_fields_decimal(rate: str) -> None:
    assume(len(rate.replace(".", "").lstrip("0")) <= 28)  # the field's decimals have 28 digits
    assert Rate.parse(rate).scaled == int(Decimal(rate) * 10**18)


@pytest.mark.parametrize(
    ("text", "scaled"),
    [
        ("345", 345 * RATE_SCALE),
        ("0345.50", 345_500_000_000_000_000_000),
        ("0.00289", 2_890_000_000_000_000),
        ("0.000000000000000001", 1),
        ("0.0000000000000000019", 1),
        ("1.9999999999999999999", 1_999_999_999_999_999_999),
        ("9" * 20 + "." + "9" * 40, 10**38 - 1),
    ],
)
def test_a_rate_has_18_places_and_the_rest_is_cut(text: str, scaled: int) -> None:
    assert Rate.parse(text).scaled == scaled


@pytest.mark.parametrize(
    ("text", "shown"), [("345", "345"), ("0.0028900", "0.00289"), ("100000", "100000"), ("1.5", "1.5")]
)
def test_a_rate_is_shown_plainly(text: str, shown: str) -> None:
    assert str(Rate.parse(text)) == shown


@given(st.integers(1, 10**28 - 1).map(Rate))
def test_what_is_shown_reads_back(rate: Rate) -> None:
    assert Rate.parse(str(rate)) == rate


# the fee


@given(st.integers(0, 2**128 - 1), st.integers(1, 10**6))
def test_the_user_receives_all_but_the_fee_rounded_down(amount: int, divisor: int) -> None:
    received = user_receives(amount, divisor)
    assert received == amount - floor(Fraction(amount, divisor))
    assert 0 <= received <= amount


@pytest.mark.parametrize("divisor", [0, -1, -100])
def test_a_divisor_below_one_is_refused(divisor: int) -> None:
    with pytest.raises(Refused) as refused:
        user_receives(100, divisor)
    assert (refused.value.name, refused.value.detail) == ("bad_fee_divisor", str(divisor))


# amounts for people


@pytest.mark.parametrize(
    ("amount", "chain", "shown"),
    [
        (1_500_000_000, TAO, "1.5 TAO"),
        (1, TAO, "0.000000001 TAO"),
        (1, BTC, "0.00000001 BTC"),
        (0, BTC, "0 BTC"),
        (100_000_000, BTC, "1 BTC"),
        (-2_500_000_000, TAO, "-2.5 TAO"),
        (-1, BTC, "-0.00000001 BTC"),
    ],
)
def test_an_amount_is_shown_exactly(amount: int, chain: Chain, shown: str) -> None:
    assert format_amount(amount, chain) == shown


@given(st.integers(-(2**128), 2**128), st.sampled_from(Chain))
def test_a_shown_amount_reads_back(amount: int, chain: Chain) -> None:
    number, coin = format_amount(amount, chain).split()
    assert Fraction(number) * 10**chain.decimals == amount
    assert coin == chain.upper()


# law 10


def core_files() -> list[Path]:
    package = Path(miner.__file__).parent
    names = ("errors", "amounts", "saga", "model", "verdict")
    files = [p for n in names for p in (package / f"{n}.py", *sorted((package / n).rglob("*.py")))]
    return [file for file in files if file.exists()]


def floats(source: str) -> Iterator[str]:
    """Every float in the source but waiting times (`…_s`), and every true division but a Decimal's."""
    for node in ast.walk(tree := ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if node.target.id.endswith("_s"):
                node.annotation, node.value = ast.Name("seconds"), None
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            left = node.left if isinstance(node, ast.BinOp) else node.target
            if not (isinstance(left, ast.Call) and ast.unparse(left.func) == "Decimal"):
                yield f"line {node.lineno}: {ast.unparse(node)} divides truly"
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield f"line {node.lineno}: {node.value} is a float"
        if isinstance(node, ast.Name) and node.id == "float":
            yield f"line {node.lineno}: float"


@pytest.mark.parametrize("file", core_files(), ids=lambda file: str(file.name))
def test_no_float_touches_an_amount(file: Path) -> None:
    assert list(floats(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source", ["fee = 0.01", "x = a / b", "x /= 2", "x = float(a)", "fee: float = 1", "Decimal(a) * 1 / 2"]
)
def test_a_float_is_found(source: str) -> None:
    assert list(floats(source))


def test_seconds_and_decimals_may_be_divided() -> None:
    assert list(floats("retry_base_s: float = 2.0\nx = Decimal(a) / 10\ny = a // b")) == []
