"""SCALE is read strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.contract.scale import BadText, CodecError, Reader, account_of, address_of, blob, compact, uint
from tests.unit import contract_reference as ref

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
ALICE_KEY = bytes.fromhex("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (1, "04"),
        (63, "fc"),
        (64, "0101"),
        (16383, "fdff"),
        (16384, "02000100"),
        ((1 << 30) - 1, "feffffff"),
        (1 << 30, "0300000040"),
        ((1 << 32) - 1, "03ffffffff"),
        (1 << 32, "070000000001"),
        ((1 << 128) - 1, "33" + "ff" * 16),
    ],
)
def test_compact_vectors(value: int, encoded: str) -> None:
    assert compact(value).hex() == encoded
    reader = Reader(bytes.fromhex(encoded))
    assert reader.compact() == value
    reader.finish()


@given(st.integers(0, (1 << 128) - 1))
def test_compact_agrees_with_the_reference(value: int) -> None:
    assert compact(value) == ref.compact(value)
    assert Reader(compact(value)).compact() == value


@pytest.mark.parametrize("long_form", ["0100", "02000000", "0300000000", "07ffffffff00", "fd00"])
def test_a_compact_in_a_longer_form_than_needed_does_not_decode(long_form: str) -> None:
    with pytest.raises(CodecError, match="shortest"):
        Reader(bytes.fromhex(long_form)).compact()


def test_a_huge_length_is_refused_before_anything_is_read() -> None:
    with pytest.raises(CodecError, match="elements in 3 bytes"):
        Reader(compact(1 << 100) + b"abc").length()


def test_text_that_is_no_utf8() -> None:
    raw = blob(b"\xff\xfeabc")
    with pytest.raises(CodecError, match="UTF-8"):
        Reader(raw).text()
    kept = Reader(raw + b"\x01", keep_bad_text=True)
    assert kept.text() == BadText(b"\xff\xfeabc")
    assert kept.boolean() is True


@pytest.mark.parametrize("data", [b"", b"\x02", b"\xff"])
def test_a_bool_is_zero_or_one(data: bytes) -> None:
    with pytest.raises(CodecError):
        Reader(data).boolean()


def test_trailing_bytes_are_refused() -> None:
    reader = Reader(b"\x00\x01")
    reader.take(1)
    with pytest.raises(CodecError, match="1 bytes too many"):
        reader.finish()


@pytest.mark.parametrize("value", [-1, 256])
def test_an_integer_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(CodecError):
        uint(value, 1)


def test_negative_and_oversized_compacts_are_refused() -> None:
    with pytest.raises(CodecError):
        compact(-1)
    with pytest.raises(CodecError):
        compact(1 << 8 * 68)


def test_addresses() -> None:
    assert address_of(ALICE_KEY) == ALICE
    assert account_of(ALICE) == ALICE_KEY


@pytest.mark.parametrize(
    "text", ["", "0x" + "00" * 32, ALICE[:-1] + "Z", "bcrt1quser", "F7NZ", "0", "é" * 40, ALICE + ALICE]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        account_of(text)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    with pytest.raises(CodecError):
        account_of(text)


@given(st.binary(min_size=32, max_size=32))
def test_every_account_has_an_address(account: bytes) -> None:
    assert account_of(address_of(account)) == account
