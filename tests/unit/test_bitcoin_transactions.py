"""What a node signed is checked before it is given out; what a stranger's transaction did is judged."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import pytest
from embit import compact, ec
from embit.script import Script, Witness, p2wpkh
from embit.transaction import Transaction, TransactionInput, TransactionOutput
from hypothesis import given
from hypothesis import strategies as st

from miner.chains.bitcoin.transactions import (
    Coin,
    Outpoint,
    block_hash_of,
    check_signed,
    previous_block,
    read_tx,
    spender_in_block,
)
from miner.errors import InvariantBroken
from miner.model import TakerEffect

KEY = ec.PrivateKey(b"\x01" * 32)
OWN = p2wpkh(KEY.get_public_key()).data
PAID, OTHER = b"\x00\x14" + b"\x02" * 20, b"\x00\x14" + b"\x03" * 20
COINS = [Coin(Outpoint(f"{n:064x}", n), 100_000, OWN, 1) for n in (1, 2)]
PAY = (PAID, 50_000)
MAX_FEE = 5_000


def signed(change: Callable[[Transaction], object] = lambda tx: None, sighash: int = 1) -> bytes:
    """The right transaction, spoiled by `change` and then signed."""
    vin = [
        TransactionInput(bytes.fromhex(c.outpoint.txid), c.outpoint.vout, sequence=0xFFFFFFFD) for c in COINS
    ]
    vout = [TransactionOutput(50_000, Script(PAID)), TransactionOutput(149_000, Script(OWN))]
    tx = Transaction(2, vin, vout, 0)
    change(tx)
    public = KEY.get_public_key()
    script = Script(b"\x76\xa9\x14" + OWN[2:] + b"\x88\xac")
    for index, vin_ in enumerate(tx.vin):
        if not vin_.witness.items:
            digest = tx.sighash_segwit(index, script, 100_000, sighash=sighash)
            vin_.witness = Witness([KEY.sign(digest).serialize() + bytes([sighash]), public.sec()])
    return bytes(tx.serialize())


def test_the_right_one_passes() -> None:
    tx, fee = check_signed(signed(), COINS, PAY, OWN, MAX_FEE)
    assert fee == 1_000
    assert tx.txid == Transaction.read_from(BytesIO(signed())).txid().hex()
    assert tx.spends == tuple(coin.outpoint for coin in COINS)
    assert 200 < tx.vsize <= 209
    alone = signed(lambda tx: tx.vout.pop())
    assert check_signed(alone, COINS, PAY, OWN, 200_000)[1] == 150_000, "no change is allowed"


def test_a_filler_gives_all_back() -> None:
    raw = signed(lambda tx: tx.vout.pop(0))
    assert check_signed(raw, COINS, None, OWN, 60_000)[1] == 51_000
    with pytest.raises(InvariantBroken, match="pays somebody else"):
        check_signed(signed(), COINS, None, OWN, MAX_FEE)
    with pytest.raises(InvariantBroken):
        check_signed(signed(lambda tx: tx.vout.clear()), COINS, None, OWN, 10**9)


def put(field: str, value: object, index: int = 0, where: str = "vout") -> Callable[[Transaction], object]:
    return lambda tx: setattr(getattr(tx, where)[index], field, value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("value", 49_999), "exactly once"),
        (put("value", 50_001), "exactly once"),
        (put("script_pubkey", Script(OTHER)), "exactly once"),
        (lambda tx: tx.vout.append(TransactionOutput(50_000, Script(PAID))), "exactly once"),
        (put("script_pubkey", Script(OTHER), 1), "pays somebody else"),
        (lambda tx: tx.vout.append(TransactionOutput(500, Script(OTHER))), "pays somebody else"),
        (lambda tx: tx.vout.append(TransactionOutput(500, Script(OWN))), "pays somebody else"),
        (lambda tx: tx.vout.append(TransactionOutput(0, Script(b"\x6a\x01a"))), "pays somebody else"),
        (put("value", 140_000, 1), "a fee of 10000 sat"),
        (put("value", 150_001, 1), "a fee of -1 sat"),
        (lambda tx: tx.vin.pop(), "chosen coins"),
        (lambda tx: tx.vin.reverse(), "chosen coins"),
        (lambda tx: tx.vin.append(TransactionInput(b"\x09" * 32, 0)), "chosen coins"),
        (put("vout", 7, 1, "vin"), "chosen coins"),
        (put("txid", b"\x09" * 32, 0, "vin"), "chosen coins"),
        (put("sequence", 0xFFFFFFFE, 1, "vin"), "replaced"),
        (put("script_sig", Script(b"\x51"), 1, "vin"), "segwit alone"),
        (put("witness", Witness([b"\x30" * 71 + b"\x01", b"\x02" * 33]), 1, "vin"), "sign"),
        (put("witness", Witness([b"\x01"]), 1, "vin"), "sign"),
        (lambda tx: setattr(tx, "locktime", 500), "lock time"),
    ],
)
def test_a_tampered_one_is_refused(change: Callable[[Transaction], object], words: str) -> None:
    with pytest.raises(InvariantBroken, match=words):
        check_signed(signed(change), COINS, PAY, OWN, MAX_FEE)


@pytest.mark.parametrize("sighash", [2, 3, 0x81, 0x83])
def test_a_signature_that_leaves_something_open_is_refused(sighash: int) -> None:
    with pytest.raises(InvariantBroken, match="sign"):
        check_signed(signed(sighash=sighash), COINS, PAY, OWN, MAX_FEE)


def test_a_recipient_who_is_ourselves_is_refused() -> None:
    raw = signed(put("script_pubkey", Script(OWN)))
    with pytest.raises(InvariantBroken):
        check_signed(raw, COINS, (OWN, 50_000), OWN, MAX_FEE)


@given(st.integers(0, 10**4), st.integers(1, 255))
def test_no_changed_byte_outside_the_signatures_passes(place: int, flip: int) -> None:
    raw = bytearray(signed())
    at = place % len(raw)
    raw[at] ^= flip
    try:
        tx, _ = check_signed(bytes(raw), COINS, PAY, OWN, MAX_FEE)
    except InvariantBroken:
        return
    right = read_tx(signed())
    assert (tx.spends, tx.pays[0]) == (right.spends, right.pays[0])
    assert {script for script, _ in tx.pays} == {PAID, OWN}


@given(st.binary(max_size=300))
def test_bytes_that_are_no_transaction_are_refused(raw: bytes) -> None:
    with pytest.raises(InvariantBroken):
        check_signed(raw, COINS, PAY, OWN, MAX_FEE)
    with pytest.raises(InvariantBroken):
        check_signed(signed() + (raw or b"\x00"), COINS, PAY, OWN, MAX_FEE)


@pytest.mark.parametrize(
    ("paid", "effect"),
    [
        ([], TakerEffect.PAYS_NOTHING),
        ([50_000], TakerEffect.PAYS),
        ([49_999], TakerEffect.AMBIGUOUS),
        ([50_001], TakerEffect.AMBIGUOUS),
        ([50_000, 50_000], TakerEffect.AMBIGUOUS),
        ([25_000, 25_000], TakerEffect.AMBIGUOUS),
    ],
)
def test_a_taker_is_judged_by_its_outputs(paid: list[int], effect: TakerEffect) -> None:
    def pay(tx: Transaction) -> None:
        tx.vout[0:1] = [TransactionOutput(sat, Script(PAID)) for sat in paid]

    assert read_tx(signed(pay)).effect(*PAY) is effect


def test_a_spender_is_found_in_a_blocks_bytes() -> None:
    coinbase = Transaction(
        2, [TransactionInput(b"\x00" * 32, 0xFFFFFFFF)], [TransactionOutput(1, Script(OTHER))]
    )
    header = b"\x04\x00\x00\x00" + bytes(range(32)) + b"\x00" * 44
    block = header + compact.to_bytes(2) + coinbase.serialize() + signed()
    found = spender_in_block(block, COINS[1].outpoint)
    assert found is not None
    assert found.txid == read_tx(signed()).txid
    assert spender_in_block(block, Outpoint("77" * 32, 0)) is None
    assert previous_block(block) == bytes(range(32))[::-1].hex()
    assert block_hash_of(block) == block_hash_of(header)
    with pytest.raises(ValueError, match="no transaction"):
        spender_in_block(header + compact.to_bytes(2) + COINS[1].outpoint.wire, COINS[1].outpoint)
    with pytest.raises(ValueError, match="80 bytes"):
        previous_block(b"")


def test_outpoints_are_read_and_written() -> None:
    text = "ab" * 32 + ":7"
    assert str(Outpoint.parse(text.upper())) == text
    txid = "ab" * 32
    for bad in ("", "17", "ab:0", txid, f"{txid}:", f"{txid}:-1", "zz" * 32 + ":0", f"adopted:{txid}"):
        with pytest.raises(ValueError, match=r"outpoint|hexadecimal"):
            Outpoint.parse(bad)
