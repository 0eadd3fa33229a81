"""What users paid: is it on the canonical chain, deep enough, and as claimed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from miner.amounts import Chain
from miner.chains.bitcoin.addresses import canonical_txid, script_of
from miner.chains.bitcoin.money import sats
from miner.chains.bitcoin.networks import Network
from miner.chains.bitcoin.node import Node
from miner.chains.bitcoin.rpc import understanding, whole
from miner.errors import ReadFailed, Refused
from miner.model import Head, Payment, PaymentClaim, Pending

WINDOW: Final = 3
"""Blocks around the claimed height in which validators, and we, look."""
_KEPT: Final = 4096
NOT_FOUND: Final = Pending("not_found")
UNCONFIRMED: Final = Pending("unconfirmed")
ELSEWHERE: Final = Pending("at_another_height")
TOO_SHALLOW: Final = Pending("too_few_confirmations")


@dataclass(frozen=True, slots=True)
class _Found:
    """A transaction in a block of the active chain."""

    block: Head
    told: Mapping[str, Any]


class Payments:
    """Verifies payments; remembers, for one tip, what was true at it."""

    def __init__(self, node: Node, network: Network) -> None:
        self._node = node
        self._network = network
        self._good_at: dict[str, str] = {}
        self._absent_at: dict[tuple[str, int], str] = {}
        self._shallow_at: dict[tuple[str, int, int], str] = {}

    async def verify(self, claim: PaymentClaim) -> Payment | Pending:
        """See `Rail.verify`. Two requests where the claimed height is right, none while it only waits."""
        txid = canonical_txid(claim.txid)
        sender = self._script(claim.sender, "wrong_sender")
        recipient = self._script(claim.recipient, "wrong_recipient")
        tip = await self._node.tip()
        key = (txid, claim.height, claim.confirmations)
        if self._shallow_at.get(key) == tip.hash:
            return TOO_SHALLOW
        told = await self._look(claim, txid, sender, recipient, tip)
        if told == TOO_SHALLOW:
            _keep(self._shallow_at, key, tip.hash)
        return told

    async def _look(
        self, claim: PaymentClaim, txid: str, sender: bytes, recipient: bytes, tip: Head
    ) -> Payment | Pending:
        found = await self._find(txid, claim.height, tip)
        if isinstance(found, Pending):
            return found
        with understanding(f"payment {txid}"):
            depth = whole(found.told["confirmations"])
            refusal = _judge(found.told, sender, recipient, claim)
            amount = _received(found.told, recipient)
        if depth < claim.confirmations:
            return TOO_SHALLOW
        if refusal is not None:
            raise refusal
        return Payment(Chain.BTC, txid, found.block.height, found.block.hash, amount, tip.hash)

    async def still_good(self, payment: Payment) -> bool:
        """See `Rail.still_good`. One request for each new tip, none while it is the same."""
        tip = await self._node.tip()
        if tip.hash in (payment.tip_hash, self._good_at.get(payment.block_hash)):
            return True
        if await self._node.hash_at(payment.height) != payment.block_hash:
            self._good_at.pop(payment.block_hash, None)
            return False
        _keep(self._good_at, payment.block_hash, tip.hash)
        return True

    def _script(self, address: str, name: str) -> bytes:
        try:
            return script_of(address, self._network)
        except Refused as exc:
            raise Refused("payment", name, exc.detail) from exc

    async def _find(self, txid: str, height: int, tip: Head) -> _Found | Pending:
        if self._absent_at.get((txid, height)) != tip.hash:
            for near in sorted(
                range(height - WINDOW, height + WINDOW + 1), key=lambda h: (abs(h - height), h)
            ):
                if (found := await self._look_at(txid, near)) is not None:
                    return found
            _keep(self._absent_at, (txid, height), tip.hash)
        return await self._look_elsewhere(txid)

    async def _look_at(self, txid: str, height: int) -> _Found | None:
        if (block_hash := await self._node.hash_at(height)) is None:
            return None
        if (told := await self._node.in_block(txid, block_hash)) is None:
            return None
        if told.get("in_active_chain") is not True:
            raise ReadFailed(f"payment {txid}", "the chain changed during the look")
        return _Found(Head(height, block_hash), told)

    async def _look_elsewhere(self, txid: str) -> Pending:
        """In the mempool; or, where the node keeps an index of all transactions, in any block."""
        if (told := await self._node.anywhere(txid)) is None:
            return NOT_FOUND
        return ELSEWHERE if "blockhash" in told else UNCONFIRMED


def _judge(told: Mapping[str, Any], sender: bytes, recipient: bytes, claim: PaymentClaim) -> Refused | None:
    """Why it is not the claimed payment. The first input's address is the sender, as validators have it."""
    first = told["vin"][0]
    if "coinbase" in first:
        return Refused("payment", "wrong_sender", "it is a coinbase")
    if bytes.fromhex(first["prevout"]["scriptPubKey"]["hex"]) != sender:
        paid_by = first["prevout"]["scriptPubKey"].get("address", "no address")
        return Refused("payment", "wrong_sender", f"its first input is of {paid_by}")
    if (amount := _received(told, recipient)) == 0:
        return Refused("payment", "wrong_recipient", "nothing is paid to our address")
    if amount < claim.amount:
        return Refused("payment", "wrong_amount", f"{amount} sat of {claim.amount}")
    if whole(told["blocktime"]) * 1000 < claim.not_before_ms:
        return Refused("payment", "too_old", f"its block is of {told['blocktime']} s")
    return None


def _received(told: Mapping[str, Any], recipient: bytes) -> int:
    return sum(
        sats(out["value"]) for out in told["vout"] if bytes.fromhex(out["scriptPubKey"]["hex"]) == recipient
    )


def _keep(kept: dict[Any, str], key: object, value: str) -> None:
    kept.pop(key, None)
    while len(kept) >= _KEPT:
        del kept[next(iter(kept))]
    kept[key] = value
