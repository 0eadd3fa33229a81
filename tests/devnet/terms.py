"""What users, validators and the contract agree on: amounts at a rate, and the hash of a request.

Written from the contract's interface, apart from the daemon's own arithmetic, to check it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from enum import StrEnum

from Crypto.Hash import keccak
from substrateinterface import Keypair

SUBNET = 7
"""The devnet's one subnet: where quotes are committed."""
_DECIMALS = {"btc": 8, "tao": 9}
_RATE_SCALE = 10**18


class ChainName(StrEnum):
    """A chain, as swaps name it."""

    BTC = "btc"
    TAO = "tao"


def dest_amount(source: ChainName, amount: int, rate: str) -> int:
    """What `amount` of the source chain buys at a rate of TAO per BTC; integers, rounded down."""
    with localcontext() as context:
        context.prec = 60
        scaled = int(Decimal(rate) * _RATE_SCALE)
    step: int = 10 ** (_DECIMALS["tao"] - _DECIMALS["btc"])
    if source is ChainName.BTC:
        return amount * scaled * step // _RATE_SCALE
    return amount * _RATE_SCALE // (scaled * step)


def after_fee(amount: int, fee_divisor: int) -> int:
    """What the user receives of a swap's dest_amount."""
    return amount - amount // fee_divisor


@dataclass(frozen=True)
class Request:
    """What is voted on; amounts in the chains' smallest units."""

    miner: str
    user: str
    source_chain: ChainName
    dest_chain: ChainName
    tao_amount: int
    source_amount: int
    dest_amount: int
    user_source_address: str
    user_dest_address: str
    miner_source_address: str
    miner_dest_address: str
    rate: str

    def reserve_args(self) -> dict[str, object]:
        """The arguments of `vote_reserve`."""
        return {
            "request_hash": self._reserve_hash(),
            "miner": self.miner,
            "user_source_address": self.user_source_address,
            "source_chain": str(self.source_chain),
            "dest_chain": str(self.dest_chain),
            "tao_amount": self.tao_amount,
            "source_amount": self.source_amount,
            "dest_amount": self.dest_amount,
        }

    def initiate_args(self, source_tx_hash: str, source_tx_block: int) -> dict[str, object]:
        """The arguments of `vote_initiate`, for the user's payment."""
        return {
            "request_hash": self._initiate_hash(source_tx_hash),
            "user": self.user,
            "miner": self.miner,
            "source_chain": str(self.source_chain),
            "dest_chain": str(self.dest_chain),
            "source_amount": self.source_amount,
            "tao_amount": self.tao_amount,
            "user_source_address": self.user_source_address,
            "user_dest_address": self.user_dest_address,
            "source_tx_hash": source_tx_hash,
            "source_tx_block": source_tx_block,
            "dest_amount": self.dest_amount,
            "miner_source_address": self.miner_source_address,
            "miner_dest_address": self.miner_dest_address,
            "rate": self.rate,
        }

    def _reserve_hash(self) -> str:
        texts = (self.user_source_address, self.source_chain, self.dest_chain)
        return _hash(_account(self.miner), *map(_text, texts), *map(_u128, self._amounts()))

    def _initiate_hash(self, source_tx_hash: str) -> str:
        texts = (
            source_tx_hash, self.source_chain, self.dest_chain,
            self.miner_source_address, self.miner_dest_address, self.rate,
        )  # fmt: skip
        return _hash(_account(self.miner), *map(_text, texts), *map(_u128, self._amounts()))

    def _amounts(self) -> tuple[int, int, int]:
        return self.tao_amount, self.source_amount, self.dest_amount


def _hash(*parts: bytes) -> str:
    return f"0x{keccak.new(digest_bits=256, data=b''.join(parts)).hexdigest()}"


def _account(address: str) -> bytes:
    return bytes(Keypair(ss58_address=address).public_key)


def _u128(amount: int) -> bytes:
    return amount.to_bytes(16, "little")


def _text(text: str) -> bytes:
    encoded = text.encode()
    length = len(encoded)
    if length < 1 << 6:
        return bytes([length << 2]) + encoded
    return (length << 2 | 1).to_bytes(2, "little") + encoded  # up to 16,383 bytes
