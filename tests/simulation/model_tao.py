"""The TAO rail over the model chain."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from miner.amounts import Chain
from miner.chains.substrate import addresses
from miner.chains.substrate.payments import canonical_txid
from miner.errors import InvariantBroken, ReadFailed, Refused
from miner.model import (
    AccountRow,
    AttemptKind,
    Claim,
    Head,
    Lane,
    LanePurpose,
    Payment,
    PaymentClaim,
    PayoutOrder,
    Pending,
    Replacement,
    Sighting,
    SightingKind,
    Since,
    TakerEffect,
)
from tests.simulation.model_lanes import ModelLanes
from tests.simulation.tao_rules import EXISTENTIAL, FEE, Receipt, TaoBlock, Transfer

NEAR = 3
FIND_BEFORE, FIND_AFTER = 8, 32
FILLER_MAX_FEE = 10_000_000
ADOPTED = "adopted:"


class ModelTaoRail:
    """`ports.Rail`; what it remembers is as little as a restart leaves."""

    chain = Chain.TAO

    def __init__(self, lanes: ModelLanes, accounts: Collection[str]) -> None:
        self.lanes = lanes
        self._chain = lanes.chain
        self._link = lanes.link
        self._accounts = frozenset(accounts)

    @property
    def chain_id(self) -> str:
        """See `Rail`."""
        return self.lanes.chain_id

    async def connect(self) -> None:
        """See `Rail`."""
        self._link.read("connect")

    async def close(self) -> None:
        """See `Rail`."""

    async def tip(self) -> Head:
        """See `Rail`: the finalised head."""
        self._link.read("tip")
        return self._chain.finalised.head

    def check_recipient(self, address: str) -> None:
        """See `Rail`."""
        addresses.check(address)
        if address in self.lanes.keys or address in self._accounts:
            raise Refused("address", "recipient_is_sender", f"{address} is ours")

    def same_address(self, one: str, other: str) -> bool:
        """See `Rail`."""
        return addresses.same(one, other)

    def canonical_txid(self, text: str) -> str:
        """See `Rail`."""
        return canonical_txid(text)

    # the users' payments

    async def verify(self, claim: PaymentClaim) -> Payment | Pending:
        """See `Rail`. All evidence is finalised."""
        txid = canonical_txid(claim.txid)
        self._link.read("verify", txid)
        if self._link.lies("verify"):
            raise Refused(txid, "wrong_amount", "as the node tells it")
        finalised = self._chain.finalised
        if claim.height > finalised.height:
            return Pending("unconfirmed")
        found = self._final(txid)
        if found is None or abs(found[0].height - claim.height) > NEAR:
            return Pending("not_found" if claim.height + NEAR <= finalised.height else "unconfirmed")
        block, receipt = found
        if block.height < claim.not_before_height:
            raise Refused(txid, "too_old", f"in block {block.height}, before {claim.not_before_height}")
        amount = _judge(claim, txid, receipt)
        if finalised.height - block.height + 1 < claim.confirmations:
            return Pending("too_few_confirmations")
        return Payment(Chain.TAO, txid, block.height, block.head.hash, amount, finalised.head.hash)

    def _final(self, txid: str) -> tuple[TaoBlock, Receipt] | None:
        found = self._chain.find(txid)
        if found is None or found[0].height > self._chain.finalised.height:
            return None
        return found[0], found[0].receipts[found[1]]

    async def still_good(self, payment: Payment) -> bool:
        """See `Rail`."""
        self._link.read("still_good", payment.txid)
        if payment.height > self._chain.finalised.height:
            return False
        return self._chain.is_canonical(Head(payment.height, payment.block_hash))

    async def find_payout(
        self, account: str, order: PayoutOrder, txid: str, near: int, not_before: int = 0
    ) -> Sighting | None:
        """See `Rail`."""
        self._link.read("find_payout", txid)
        finalised = self._chain.finalised
        try:
            wanted = canonical_txid(txid)
        except Refused:
            wanted = ""
        first = max(near - FIND_BEFORE, not_before, 1)
        last = min(near + FIND_AFTER, finalised.height) if wanted else finalised.height
        blocks = self._chain.canonical[first : last + 1]
        found = [each for each in _paying(blocks, account, order) if wanted in ("", each[0])]
        if len(found) != 1:
            return None
        paid, block = found[0]
        return Sighting(
            SightingKind.IN_BLOCK, finalised.head, paid, block.head, True, True, AttemptKind.PAYMENT
        )

    async def may_have_paid(
        self, row: AccountRow, order: PayoutOrder, since: Since, slots: Collection[str]
    ) -> bool:
        """See `Rail`: whether anything it signed since, by no lane of ours, gave the recipient something."""
        self._link.read("may_have_paid", row.account)
        nonce = self._chain.finalised.state.account(row.account).nonce
        if any(str(each) not in slots for each in range(nonce, self._next(row.account))):
            raise ReadFailed(f"what {row.account} sends", "it is not final yet")
        born = max(since.height, 1)
        return any(
            moved.recipient == order.recipient
            for block in self._chain.canonical[born : self._chain.finalised.height + 1]
            for tx, receipt in zip(block.body, block.receipts, strict=True)
            if tx.signer == row.account and str(tx.nonce) not in slots
            for moved in receipt.moved
        )

    async def payouts_since(self, order: PayoutOrder, since: Since) -> Sequence[Sighting]:
        """See `Rail`."""
        self._link.read("payouts_since", order.account)
        finalised = self._chain.finalised
        if self._next(order.account) > finalised.state.account(order.account).nonce:
            raise ReadFailed(f"what {order.account} sends", "it is not final yet")
        found = []
        for block in self._chain.canonical[max(since.height, 1) : finalised.height + 1]:
            for tx, receipt in zip(block.body, block.receipts, strict=True):
                given = [(m.sender, m.amount) for m in receipt.moved if m.recipient == order.recipient]
                if tx.signer == order.account and given:
                    exact = given == [(order.account, order.amount)]
                    effect = TakerEffect.PAYS if exact else TakerEffect.AMBIGUOUS
                    found.append(_given(tx.txid, block, finalised.head, effect))
        return found

    def _next(self, account: str, pool: bool = True) -> int:
        """The nonce after all that is in the best block's state, or follows it in the pool."""
        nonce = self._chain.best.state.account(account).nonce
        waiting = {tx.nonce for tx in self._chain.pool.values() if tx.signer == account}
        while pool and nonce in waiting:
            nonce += 1
        return nonce

    # payouts

    async def spendable(self, account: str) -> int:
        """See `Rail`."""
        self._link.read("spendable", account)
        return max(self._chain.finalised.state.account(account).free - EXISTENTIAL, 0)

    async def fee(self, order: PayoutOrder) -> int:
        """See `Rail`."""
        self._link.read("fee")
        return FEE

    async def prepare(self, order: PayoutOrder, taken: Collection[str], after: str | None = None) -> Claim:
        """See `Rail`."""
        self.check_recipient(order.recipient)
        call = Transfer(order.recipient, order.amount)
        return await self.lanes.prepare(
            order.account,
            call,
            LanePurpose.PAYOUT,
            order.recipient,
            order.amount,
            order.die_by,
            order.max_fee,
        )

    async def resign(self, lane: Lane, order: PayoutOrder) -> Replacement:
        """See `Rail`."""
        if (lane.account, lane.recipient, lane.amount) != (order.account, order.recipient, order.amount):
            raise InvariantBroken(f"lane {lane.id} pays {lane.recipient}, the order {order.recipient}")
        call = Transfer(order.recipient, order.amount)
        return await self.lanes.resign(lane, call, order.die_by, order.max_fee)

    async def cancel(self, lane: Lane) -> Replacement:
        """See `Rail`."""
        return await self.lanes.filler(lane, FILLER_MAX_FEE)

    async def broadcast(self, lane: Lane) -> None:
        """See `Rail`."""
        await self.lanes.broadcast(lane)

    async def locate(self, lane: Lane) -> Sighting:
        """See `Rail`."""
        return await self.lanes.locate(lane)

    # law 9

    async def baseline(self, account: str) -> int:
        """See `Rail`."""
        return await self.lanes.nonce(account)

    async def unexplained(
        self, row: AccountRow, slots: Collection[str], *, waiting: bool = True
    ) -> Sequence[str]:
        """See `Rail`."""
        nonce = await self.lanes.nonce(row.account)
        finalised = self._chain.finalised
        if finalised.height < row.seen_at:
            raise ReadFailed(f"the nonce of {row.account}", f"block {finalised.height} is behind")
        if back := row.went_back(nonce, slots):
            return [back]
        final = [each for each in range(row.base, nonce) if str(each) not in slots]
        sent = self._sent(row.account) if final else {}
        words = [
            f"nonce {each} of {row.account} was used by no lane of this store: {sent[each][1]}"
            for each in final
            if f"{ADOPTED}{sent[each][0]}" not in slots
        ]
        early = [n for n in range(nonce, self._next(row.account, waiting)) if str(n) not in slots]
        return words + [f"nonce {each} of {row.account} is in no final block yet" for each in early]

    def _sent(self, account: str) -> dict[int, tuple[str, str]]:
        """Id, and what it did in words, by nonce."""
        return {
            tx.nonce: (
                tx.txid,
                f"{tx.txid} in block {block.height} paid "
                + (", ".join(f"{m.amount} rao to {m.recipient}" for m in receipt.moved) or "nobody"),
            )
            for block in self._chain.canonical[: self._chain.finalised.height + 1]
            for tx, receipt in zip(block.body, block.receipts, strict=True)
            if tx.signer == account and tx.nonce is not None
        }


def _judge(claim: PaymentClaim, txid: str, receipt: Receipt) -> int:
    """What reached the recipient from the sender; refused by name where it is not as claimed."""
    if not receipt.ok or not receipt.moved:
        raise Refused(txid, "payment_failed", "it moved nothing")
    paid = [each for each in receipt.moved if addresses.same(each.recipient, claim.recipient)]
    if not paid:
        raise Refused(txid, "wrong_recipient")
    paid = [each for each in paid if addresses.same(each.sender, claim.sender)]
    if not paid:
        raise Refused(txid, "wrong_sender")
    amount = sum(each.amount for each in paid)
    if amount < claim.amount:
        raise Refused(txid, "wrong_amount", f"{amount} rao of {claim.amount}")
    return amount


def _paying(blocks: Sequence[TaoBlock], account: str, order: PayoutOrder) -> Iterator[tuple[str, TaoBlock]]:
    for block in blocks:
        for tx, receipt in zip(block.body, block.receipts, strict=True):
            given = [(m.sender, m.amount) for m in receipt.moved if m.recipient == order.recipient]
            if tx.signer == account and given == [(account, order.amount)]:
                yield tx.txid, block


def _given(txid: str, block: TaoBlock, at: Head, effect: TakerEffect) -> Sighting:
    return Sighting(
        SightingKind.IN_BLOCK, at, txid, block.head, True, True, AttemptKind.PAYMENT, taker=effect
    )
