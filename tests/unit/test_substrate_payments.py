"""Ids, addresses, and what transfer events say of a claim."""

from __future__ import annotations

from dataclasses import replace

import bittensor_core
import pytest
from hypothesis import given
from hypothesis import strategies as st
from substrateinterface import Keypair

from miner.chains.substrate import addresses
from miner.chains.substrate.accounts import AccountInfo
from miner.chains.substrate.events import BlockEvents, Transfer
from miner.chains.substrate.lanes import pool_word
from miner.chains.substrate.payments import canonical_txid, judge
from miner.chains.substrate.rpc import RpcError
from miner.errors import Refused
from miner.model import PaymentClaim

USER, MINER, OTHER = (bytes([each]) * 32 for each in (1, 2, 3))
TXID = "0x" + "ab" * 32
CLAIM = PaymentClaim(TXID, 7, addresses.address_of(USER), addresses.address_of(MINER), 100, 1)
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
keys = st.binary(min_size=32, max_size=32)


def events(*transfers: tuple[bytes, bytes, int], succeeded: bool = True) -> BlockEvents:
    moved = tuple(Transfer(1, sender, recipient, amount) for sender, recipient, amount in transfers)
    noise = (Transfer(0, USER, MINER, 10**9), Transfer(None, USER, MINER, 10**9))
    return BlockEvents({0: True, 1: succeeded}, (*noise, *moved), ())


@pytest.mark.parametrize("amount", [100, 101])
def test_a_payment_of_enough_is_good(amount: int) -> None:
    assert judge(CLAIM, TXID, events((USER, MINER, amount)), 1) == amount


def test_parts_of_one_extrinsic_are_added() -> None:
    assert judge(CLAIM, TXID, events((USER, MINER, 60), (OTHER, MINER, 9), (USER, MINER, 40)), 1) == 100


@pytest.mark.parametrize(
    ("happened", "name"),
    [
        (events((USER, MINER, 99)), "wrong_amount"),
        (events((OTHER, MINER, 100)), "wrong_sender"),
        (events((USER, OTHER, 100)), "wrong_recipient"),
        (events(), "payment_failed"),
        (events((USER, MINER, 100), succeeded=False), "payment_failed"),
        (BlockEvents({}, (), ()), "payment_failed"),
        (events((OTHER, MINER, 100), (USER, OTHER, 100)), "wrong_sender"),
    ],
)
def test_what_is_no_payment_of_this_claim_is_refused(happened: BlockEvents, name: str) -> None:
    with pytest.raises(Refused) as told:
        judge(CLAIM, TXID, happened, 1)
    assert told.value.name == name


def test_a_claim_with_no_addresses_is_never_good() -> None:
    for claim in (replace(CLAIM, sender="?"), replace(CLAIM, recipient="")):
        with pytest.raises(Refused):
            judge(claim, TXID, events((USER, MINER, 100)), 1)


@given(st.binary(min_size=32, max_size=32), st.booleans(), st.booleans())
def test_an_id_has_one_spelling(raw: bytes, prefixed: bool, upper: bool) -> None:
    text = raw.hex().upper() if upper else raw.hex()
    for prefix in ("0x", "0X") if prefixed else ("",):
        assert canonical_txid(prefix + text) == "0x" + raw.hex()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "ab" * 31,
        "ab" * 33,
        "0x" + "ag" * 32,
        " " + "ab" * 32,
        "ab" * 32 + "\n",
        "123-4",
        "\u0660" * 64,
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(Refused) as told:
        canonical_txid(text)
    assert told.value.name == "bad_txid"


@given(keys)
def test_addresses_are_those_of_another_implementation(key: bytes) -> None:
    address = addresses.address_of(key)
    assert address == Keypair(public_key=key, ss58_format=42).ss58_address
    assert addresses.check(address) == addresses.public_key(address) == key


@given(keys, st.sampled_from([0, 2, 5, 7, 2254]))
def test_another_networks_address_is_told_apart(key: bytes, prefix: int) -> None:
    address = bittensor_core.ss58_encode(key, prefix)
    assert addresses.same(address, addresses.address_of(key))
    with pytest.raises(Refused) as told:
        addresses.check(address)
    assert told.value.name == "recipient_of_another_network"


@given(
    keys, st.integers(0, 47), st.sampled_from("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")
)
def test_a_slip_of_the_pen_is_noticed(key: bytes, place: int, letter: str) -> None:
    address = addresses.address_of(key)
    slipped = address[:place] + letter + address[place + 1 :]
    if slipped != address:
        with pytest.raises(Refused):
            addresses.check(slipped)


@given(st.text(max_size=70))
def test_any_text_is_refused_by_name(text: str) -> None:
    assert not addresses.same(text, text)
    with pytest.raises(Refused) as told:
        addresses.check(text)
    assert told.value.name == "bad_address"


def test_short_keys_are_no_accounts() -> None:
    with pytest.raises(Refused) as told:
        addresses.check("F7L6" * 12)
    assert told.value.name == "bad_address"


@pytest.mark.parametrize(
    ("code", "data", "name"),
    [
        (1010, "Transaction is outdated", "stale"),
        (1010, "Transaction will be valid in the future", "future"),
        (1010, "Transaction has a bad signature", "bad_proof"),
        (1010, "Transaction has an ancient birth block", "ancient_birth_block"),
        (1010, "Inability to pay some fees (e.g. account balance too low)", "cannot_pay_fee"),
        (1010, "Transaction would exhaust the block limits", "exhausts_resources"),
        (1010, "Custom error: 3", "invalid"),
        (1012, "", "temporarily_banned"),
        (1014, "", "priority_too_low"),
    ],
)
def test_the_pools_words_have_short_names(code: int, data: str, name: str) -> None:
    assert pool_word(RpcError(code, "Invalid Transaction", data)) == name


@pytest.mark.parametrize(
    ("info", "spendable"),
    [
        (AccountInfo(0, 1_000, 0), 500),
        (AccountInfo(0, 1_000, 700), 300),
        (AccountInfo(0, 1_000, 100), 500),
        (AccountInfo(0, 400, 0), 0),
        (AccountInfo(), 0),
    ],
)
def test_what_keeps_the_account_alive_is_not_spendable(info: AccountInfo, spendable: int) -> None:
    assert info.spendable(500) == spendable
