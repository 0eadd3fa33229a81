"""Payments that others made: the user's, judged; and a payout of another program, looked for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from miner.amounts import Chain
from miner.chains.substrate.addresses import public_key
from miner.chains.substrate.blocks import Body
from miner.chains.substrate.events import BlockEvents, Transfer
from miner.chains.substrate.node import SubstrateNode
from miner.chains.substrate.spends import Spend, Spends
from miner.errors import Refused
from miner.model import (
    AttemptKind,
    Head,
    Payment,
    PaymentClaim,
    PayoutOrder,
    Pending,
    Sighting,
    SightingKind,
)

NEAR_BLOCKS = 3
"""How far from the height it is told for a payment is looked for: as far as validators look."""
FIND_BEFORE, FIND_AFTER = 8, 32
"""Blocks before and after a guessed height in which another program's payout is looked for."""
_TXID = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})", re.ASCII)


def canonical_txid(text: str) -> str:
    """`0x` and 64 lower-case hex digits, from any case, with or without the prefix.

    Raises:
        Refused: `bad_txid`.
    """
    match = _TXID.fullmatch(text)
    if match is None:
        raise Refused("transaction id", "bad_txid", f"{text[:80]!r} is not 64 hex digits")
    return "0x" + match[1].lower()


class Payments:
    """Looks for payments on one chain."""

    def __init__(self, node: SubstrateNode) -> None:
        self._node = node
        self._spends = Spends(node)

    async def verify(self, claim: PaymentClaim) -> Payment | Pending:
        """See `ports.Rail.verify`. All evidence is finalised."""
        txid = canonical_txid(claim.txid)
        finalised = (await self._node.heads()).finalised
        if claim.height > finalised.height:
            return Pending("unconfirmed")
        found = await self._body_with(txid, claim.height, finalised)
        if found is None:
            return Pending("not_found" if claim.height + NEAR_BLOCKS <= finalised.height else "unconfirmed")
        if found.head.height < claim.not_before_height:
            raise Refused(txid, "too_old", f"in block {found.head.height}, before {claim.not_before_height}")
        events = (await self._node.blocks.state(found.head.hash)).events
        try:
            amount = judge(claim, txid, events, found.index[txid])
        except Refused:
            self._node.blocks.forget(found.head.hash)  # a second look is to be one
            raise
        if finalised.height - found.head.height + 1 < claim.confirmations:
            return Pending("too_few_confirmations")
        return Payment(Chain.TAO, txid, found.head.height, found.head.hash, amount, finalised.hash)

    async def _body_with(self, txid: str, height: int, finalised: Head) -> Body | None:
        for near in _nearest(height, finalised.height):
            body = await self._node.finalised_body(near)
            if txid in body.index:
                return body
        return None

    async def still_good(self, payment: Payment) -> bool:
        """Whether the payment's block is still the finalised one at its height; free at the same tip."""
        finalised = (await self._node.heads()).finalised
        if payment.tip_hash == finalised.hash:
            return True
        if payment.height > finalised.height:
            return False
        return await self._node.finalised_hash(payment.height) == payment.block_hash

    async def find_payout(
        self, account: str, order: PayoutOrder, txid: str, near: int, not_before: int = 0
    ) -> Sighting | None:
        """See `ports.Rail.find_payout`. By its id near the height, or as the only one of its kind since."""
        finalised = (await self._node.heads()).finalised
        match = _TXID.fullmatch(txid)
        first = min(max(near - FIND_BEFORE, not_before, 1), finalised.height + 1)
        if match is None:
            spends = await self._spends.between(account, first - 1, finalised.height)
        else:
            last = min(near + FIND_AFTER, finalised.height)
            spends = await self._of_id("0x" + match[1].lower(), account, range(first, last + 1))
        found = [each for each in spends if _pays(each, account, order)]
        if len(found) != 1:
            return None
        (paid,) = found
        return Sighting(
            SightingKind.IN_BLOCK, finalised, paid.txid, paid.block, True, True, AttemptKind.PAYMENT
        )

    async def _of_id(self, txid: str, account: str, heights: range) -> list[Spend]:
        """The account's transaction of an id, where one of these blocks holds it; its nonce is not read."""
        for height in heights:
            body = await self._node.finalised_body(height)
            index = body.index.get(txid)
            if index is not None and body.signers[index] == public_key(account):
                transfers = (await self._node.blocks.state(body.head.hash)).events.transfers
                moved = tuple(each for each in transfers if each.extrinsic == index)
                return [Spend(0, txid, body.head, index, moved)]
        return []


def _pays(spend: Spend, account: str, order: PayoutOrder) -> bool:
    """Whether it moved exactly the order's amount from the account to the recipient, and no more to them."""
    recipient = public_key(order.recipient)
    given = [(each.sender, each.amount) for each in spend.moved if each.recipient == recipient]
    return given == [(public_key(account), order.amount)]


def judge(claim: PaymentClaim, txid: str, events: BlockEvents, index: int) -> int:
    """What an extrinsic paid of what a claim says, by its transfer events.

    Returns:
        The amount that reached the recipient from the sender, smallest unit; at least the claimed one.

    Raises:
        Refused: `payment_failed`, `wrong_sender`, `wrong_recipient`, `wrong_amount`.
    """
    transfers = [each for each in events.transfers if each.extrinsic == index]
    if not transfers or not events.succeeded.get(index, False):
        raise Refused(txid, "payment_failed", "it moved nothing")
    paid = [each for each in transfers if _is(each.recipient, claim.recipient)]
    if not paid:
        raise Refused(txid, "wrong_recipient", f"nothing went to {claim.recipient[:64]}")
    paid = [each for each in paid if _is(each.sender, claim.sender)]
    if not paid:
        raise Refused(txid, "wrong_sender", f"nothing came from {claim.sender[:64]}")
    amount = _sum(paid)
    if amount < claim.amount:
        raise Refused(txid, "wrong_amount", f"{amount} rao of {claim.amount}")
    return amount


def _is(key: bytes, address: str) -> bool:
    try:
        return public_key(address) == key
    except Refused:
        return False


def _sum(transfers: list[Transfer]) -> int:
    return sum(each.amount for each in transfers)


def _nearest(height: int, top: int) -> Iterator[int]:
    """The height itself, then those around it, nearest first; none above `top` or below 1."""
    around = sorted(
        range(height - NEAR_BLOCKS, height + NEAR_BLOCKS + 1), key=lambda each: abs(each - height)
    )
    return (each for each in around if 1 <= each <= top)
