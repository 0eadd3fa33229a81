"""Transactions as bytes: outpoints, what one spends and pays, and the check of what a node signed for us."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Self

from embit import compact
from embit.base import EmbitError
from embit.hashes import double_sha256, hash160
from embit.transaction import Transaction

from miner.chains.bitcoin.addresses import is_p2tr, is_p2wpkh
from miner.errors import InvariantBroken
from miner.model import TakerEffect

_HEADER = 80
_REPLACEABLE = 0xFFFFFFFD
_ALL = 0x01


@dataclass(frozen=True, slots=True, order=True)
class Outpoint:
    """An output of a transaction: the slot of a Bitcoin lane.

    Attributes:
        txid: Canonical id.
        vout: Its place among the outputs.
    """

    txid: str
    vout: int

    def __str__(self) -> str:
        return f"{self.txid}:{self.vout}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Inverse of `str`.

        Raises:
            ValueError: It is no outpoint.
        """
        txid, colon, vout = text.partition(":")
        if not colon or len(bytes.fromhex(txid)) != 32 or not vout.isascii() or not vout.isdigit():
            raise ValueError(f"{text[:90]!r} is no outpoint")
        return cls(txid.lower(), int(vout))

    @property
    def wire(self) -> bytes:
        """The 36 bytes by which an input names it."""
        return bytes.fromhex(self.txid)[::-1] + self.vout.to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output of a pinned address.

    Attributes:
        outpoint: Which.
        sat: Its value.
        script: Its script.
        confirmations: Of the transaction that made it; 0 while unconfirmed.
    """

    outpoint: Outpoint
    sat: int
    script: bytes
    confirmations: int


@dataclass(frozen=True, slots=True)
class Tx:
    """A transaction, read.

    Attributes:
        txid: Computed from the bytes.
        spends: Its inputs, in order.
        pays: Its outputs in order: script and satoshi.
        vsize: Virtual bytes.
    """

    txid: str
    spends: tuple[Outpoint, ...]
    pays: tuple[tuple[bytes, int], ...]
    vsize: int
    parsed: Transaction = field(repr=False, compare=False)

    def effect(self, script: bytes, sat: int) -> TakerEffect:
        """What it does for a recipient who is owed `sat`.

        `PAYS` when exactly one output is theirs, of exactly that amount; `PAYS_NOTHING` when none is.
        """
        theirs = [amount for paid, amount in self.pays if paid == script]
        if theirs == [sat]:
            return TakerEffect.PAYS
        return TakerEffect.AMBIGUOUS if theirs else TakerEffect.PAYS_NOTHING


def read_tx(raw: bytes) -> Tx:
    """Read the bytes of one transaction.

    Raises:
        ValueError: They are not exactly one.
    """
    stream = BytesIO(raw)
    tx = _read(stream)
    if stream.read(1) or tx.parsed.serialize() != raw:
        raise ValueError("bytes are left over, or not written the one way")
    return tx


def spender_in_block(raw: bytes, outpoint: Outpoint) -> Tx | None:
    """The transaction of a block that spends an outpoint; None when none does.

    Raises:
        ValueError: The bytes are no block.
    """
    if outpoint.wire not in raw[_HEADER:]:
        return None
    return next((tx for tx in _transactions(raw) if outpoint in tx.spends), None)


def block_hash_of(raw: bytes) -> str:
    """Hash of a block, from its bytes."""
    return bytes(double_sha256(raw[:_HEADER]))[::-1].hex()


def previous_block(raw: bytes) -> str:
    """Hash of the block before, from a block's bytes.

    Raises:
        ValueError: The bytes are no block.
    """
    if len(raw) < _HEADER:
        raise ValueError("a block has 80 bytes and more")
    return raw[4:36][::-1].hex()


def check_signed(
    raw: bytes, coins: Sequence[Coin], pay: tuple[bytes, int] | None, own: bytes, max_fee: int
) -> tuple[Tx, int]:
    """Check what a node signed, before it may be given out. The node is not believed.

    Args:
        raw: The signed transaction.
        coins: Exactly the inputs it must have, in order; the first is the anchor.
        pay: Script and satoshi of the one payment; None for a filler, which pays nobody but ourselves.
        own: Script of the pinned address: change, or a filler's only output.
        max_fee: Most it may pay in fees, satoshi.

    Returns:
        The transaction, and its fee in satoshi.

    Raises:
        InvariantBroken: It is not what was asked for; says what is wrong.
    """
    try:
        tx = read_tx(raw)
    except ValueError as exc:
        raise InvariantBroken(f"the node gave back no transaction: {exc}") from exc
    if tx.spends != tuple(coin.outpoint for coin in coins):
        raise InvariantBroken(f"{tx.txid} does not spend the chosen coins in their order")
    _check_inputs(tx, coins)
    _check_outputs(tx, pay, own)
    fee = sum(coin.sat for coin in coins) - sum(sat for _, sat in tx.pays)
    if not 0 <= fee <= max_fee:
        raise InvariantBroken(f"{tx.txid} pays a fee of {fee} sat, allowed are 0 to {max_fee}")
    return tx, fee


def _check_inputs(tx: Tx, coins: Sequence[Coin]) -> None:
    if tx.parsed.locktime:
        raise InvariantBroken(f"{tx.txid} has the lock time {tx.parsed.locktime}")
    for vin, coin in zip(tx.parsed.vin, coins, strict=True):
        if len(vin.script_sig.data):
            raise InvariantBroken(f"{tx.txid} spends {coin.outpoint} not by segwit alone")
        if vin.sequence > _REPLACEABLE:
            raise InvariantBroken(f"{tx.txid} could not be replaced")
        if not _signs_all(list(vin.witness.items), coin.script):
            raise InvariantBroken(f"{tx.txid} does not sign {coin.outpoint} as it must")


def _signs_all(witness: list[bytes], script: bytes) -> bool:
    """One signature over everything, by the key of the script."""
    if is_p2wpkh(script):
        if len(witness) != 2:
            return False
        signature, key = witness
        return signature[-1:] == bytes([_ALL]) and bool(hash160(key) == script[2:])
    if is_p2tr(script):
        return len(witness) == 1 and (
            len(witness[0]) == 64 or (len(witness[0]), witness[0][-1]) == (65, _ALL)
        )
    return False


def _check_outputs(tx: Tx, pay: tuple[bytes, int] | None, own: bytes) -> None:
    outputs = Counter(tx.pays)
    if pay is not None:
        if outputs[pay] != 1 or pay[0] == own:
            raise InvariantBroken(f"{tx.txid} does not pay the recipient {pay[1]} sat exactly once")
        del outputs[pay]
    change = list(outputs.elements())
    if len(change) > 1 or any(script != own for script, _ in change):
        raise InvariantBroken(f"{tx.txid} pays somebody else")
    if pay is None and not change:
        raise InvariantBroken(f"{tx.txid} gives nothing back")


def _transactions(block: bytes) -> Iterator[Tx]:
    stream = BytesIO(block)
    stream.seek(_HEADER)
    for _ in range(compact.read_from(stream)):
        yield _read(stream)


def _read(stream: BytesIO) -> Tx:
    start = stream.tell()
    try:
        parsed = Transaction.read_from(stream)
    except (EmbitError, ValueError, RuntimeError, IndexError, OverflowError) as exc:
        raise ValueError(f"no transaction: {exc}") from exc
    whole = stream.tell() - start
    stripped = whole - _witness_bytes(parsed)
    return Tx(
        parsed.txid().hex(),
        tuple(Outpoint(vin.txid.hex(), vin.vout) for vin in parsed.vin),
        tuple((vout.script_pubkey.data, vout.value) for vout in parsed.vout),
        -(-(stripped * 3 + whole) // 4),
        parsed,
    )


def _witness_bytes(parsed: Transaction) -> int:
    """Marker, flag and witnesses."""
    return 2 + sum(len(vin.witness.serialize()) for vin in parsed.vin) if parsed.is_segwit else 0
