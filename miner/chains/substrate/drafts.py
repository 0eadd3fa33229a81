"""Extrinsics to be: everything that a signature needs, read beforehand, so that signing asks nobody."""

from __future__ import annotations

from dataclasses import dataclass

from miner.chains.substrate.cache import Shared
from miner.chains.substrate.eras import Era, fit
from miner.chains.substrate.keys import Key
from miner.chains.substrate.node import SubstrateNode
from miner.chains.substrate.runtime import Runtime
from miner.chains.substrate.scale import blake2_256, from_hex, to_hex
from miner.errors import ReadFailed, Refused
from miner.model import Head, SignedTx

QUOTE_BLOCKS = 300
"""A fee is asked for again after so many blocks, since the chain's fee multiplier may move."""
QUOTES_KEPT = 256
_QUOTE_NONCE = 2**30 - 1  # the longest compact encoding a nonce will have, since length costs
_QUOTE_SIGNATURE = b"\x01" * 64


@dataclass(frozen=True, slots=True)
class Draft:
    """An extrinsic that lacks its nonce and signature.

    Attributes:
        runtime: Spec and transaction version it is valid for, and the codec.
        call: SCALE bytes of the call.
        key: Who signs.
        era: When it is valid.
        genesis: Genesis hash, 32 bytes.
        birth_hash: Hash of the era's first block, 32 bytes.
        tip: Smallest unit.
        fee: What it costs at most, tip included.
    """

    runtime: Runtime
    call: bytes
    key: Key
    era: Era
    genesis: bytes
    birth_hash: bytes
    tip: int
    fee: int

    def sign(self, slot: str) -> SignedTx:
        """The signed bytes for a nonce. Pure, but for the randomness of sr25519."""
        nonce, era = int(slot), self.era.plain()
        payload = self.runtime.payload(self.call, era, nonce, self.tip, self.genesis, self.birth_hash)
        raw = self.runtime.extrinsic(
            self.call, self.key.public, self.key.sign(payload), self.key.scheme, era, nonce, self.tip
        )
        return SignedTx(to_hex(blake2_256(raw)), raw, self.fee, self.era.birth, self.era.death, (slot,))


class Drafts:
    """Makes drafts at the finalised head."""

    def __init__(self, node: SubstrateNode) -> None:
        self._node = node
        self._quotes: Shared[tuple[object, ...], int] = Shared(QUOTES_KEPT)

    async def draft(self, key: Key, call: bytes, die_by: int | None, max_fee: int, tip: int = 0) -> Draft:
        """Everything that a signature under `call` needs.

        Args:
            key: Who signs.
            call: SCALE bytes.
            die_by: First height at which the bytes must be invalid; None for any.
            max_fee: Most it may cost, tip included, smallest unit.
            tip: Smallest unit.

        Raises:
            Refused: `too_late`, `fee_too_high`.
            ReadFailed: Nothing was learned.
        """
        heads = await self._node.heads()
        best = max(heads.best.height, self._node.best_height())
        era = fit(heads.finalised.height, best, die_by)
        runtime = await self._node.blocks.runtime()
        fee = await self.fee(call, tip, heads.finalised)
        if fee > max_fee:
            raise Refused("fee", "fee_too_high", f"{fee} of at most {max_fee}")
        genesis, birth_hash = from_hex(self._node.genesis), from_hex(heads.finalised.hash)
        return Draft(runtime, call, key, era, genesis, birth_hash, tip, fee)

    async def fee(self, call: bytes, tip: int, at: Head) -> int:
        """What an extrinsic with this call costs at most, tip included; cached by the call's shape.

        Raises:
            ReadFailed: The node did not say.
        """
        runtime = await self._node.blocks.runtime()
        shape = (runtime.spec, at.height // QUOTE_BLOCKS, runtime.shape_of(call), tip.bit_length())
        return tip + await self._quotes.get(shape, lambda: self._quote(runtime, call, tip, at))

    async def _quote(self, runtime: Runtime, call: bytes, tip: int, at: Head) -> int:
        era = Era(64, at.height).plain()
        raw = runtime.extrinsic(call, bytes(32), _QUOTE_SIGNATURE, 1, era, _QUOTE_NONCE, tip)
        data = raw + len(raw).to_bytes(4, "little")
        reply = await self._node.state_call("TransactionPaymentApi_query_info", data, at.hash)
        return runtime.fee_of(reply)

    async def existential_deposit(self) -> int:
        """The least an account may hold, smallest unit.

        Raises:
            ReadFailed: The runtime could not be read.
        """
        told = (await self._node.blocks.runtime()).constant("Balances", "ExistentialDeposit")
        if not isinstance(told, int):
            raise ReadFailed("Balances.ExistentialDeposit", "the runtime has no such constant")
        return told
