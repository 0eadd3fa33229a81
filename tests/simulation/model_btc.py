"""The Bitcoin rail over the model chain. Our wallet signs as it prepares; its bytes never expire."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from miner.amounts import Chain
from miner.chains.bitcoin.addresses import canonical_txid, dust_limit, script_of
from miner.chains.bitcoin.networks import Network
from miner.errors import InvariantBroken, NotSent, Refused, SlotTaken
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
    SignedTx,
    Since,
    TakerEffect,
)
from tests.simulation.btc_rules import (
    INCREMENT,
    BtcBlock,
    BtcChain,
    Coin,
    Tx,
    conflicts,
    transaction,
    vsize,
)
from tests.simulation.link import Link

NETWORK = Network.named("regtest")
WINDOW = 3
NEAR = 144
CLOCK_MS = 7_200_000
SETTLED = 100
ADOPTED = "adopted:"


@lru_cache(maxsize=4096)
def _script(address: str) -> bytes:
    return script_of(address, NETWORK)


class ModelBtcRail:
    """`ports.Rail` over one node.

    Args:
        chain: The chain.
        link: The way to its node.
        accounts: Addresses whose keys its wallets hold.
        final_confirmations: Confirmations from which a block is final.
        max_fee: Most that a filler may pay, satoshi.
    """

    chain = Chain.BTC

    def __init__(
        self,
        chain: BtcChain,
        link: Link,
        accounts: Collection[str],
        *,
        final_confirmations: int = 6,
        max_fee: int = 200_000,
    ) -> None:
        self.link = link
        self.rate = 5
        self._chain = chain
        self._accounts = frozenset(accounts)
        self._final = final_confirmations
        self._max_fee = max_fee

    @property
    def chain_id(self) -> str:
        """See `Rail`."""
        return f"btc:{self._chain.genesis}"

    async def connect(self) -> None:
        """See `Rail`."""
        self.link.read("connect")

    async def close(self) -> None:
        """See `Rail`."""

    async def tip(self) -> Head:
        """See `Rail`: the best head."""
        self.link.read("tip")
        return self._chain.best.head

    def check_recipient(self, address: str) -> None:
        """See `Rail`."""
        _script(address)
        if any(self.same_address(address, ours) for ours in self._accounts):
            raise Refused("payout", "recipient_is_sender", f"{address} is our own")

    def same_address(self, one: str, other: str) -> bool:
        """See `Rail`."""
        try:
            return _script(one) == _script(other)
        except Refused:
            return False

    def canonical_txid(self, text: str) -> str:
        """See `Rail`."""
        return canonical_txid(text)

    # the users' payments

    async def verify(self, claim: PaymentClaim) -> Payment | Pending:
        """See `Rail`."""
        txid = canonical_txid(claim.txid)
        for address, name in ((claim.sender, "wrong_sender"), (claim.recipient, "wrong_recipient")):
            try:
                _script(address)
            except Refused as exc:
                raise Refused("payment", name, exc.detail) from exc
        self.link.read("verify", txid)
        if self.link.lies("verify"):
            raise Refused("payment", "wrong_amount", "as the node tells it")
        found = self._chain.find(txid)
        if found is None:
            return Pending("unconfirmed" if txid in self._chain.pool else "not_found")
        block, place = found
        if abs(block.height - claim.height) > WINDOW:
            return Pending("at_another_height")
        if self._depth(block.height) < claim.confirmations:
            return Pending("too_few_confirmations")
        amount = self._judge(claim, block, place)
        tip = self._chain.best.head.hash
        return Payment(Chain.BTC, txid, block.height, block.head.hash, amount, tip)

    def _judge(self, claim: PaymentClaim, block: BtcBlock, place: int) -> int:
        senders = block.receipts[place].coins
        if not senders or not self.same_address(senders[0].address, claim.sender):
            raise Refused("payment", "wrong_sender")
        outputs = block.body[place].outputs
        amount = sum(sat for to, sat in outputs if self.same_address(to, claim.recipient))
        if amount == 0:
            raise Refused("payment", "wrong_recipient")
        if amount < claim.amount:
            raise Refused("payment", "wrong_amount", f"{amount} sat of {claim.amount}")
        if block.time_ms < claim.not_before_ms:
            raise Refused("payment", "too_old", f"its block is of {block.time_ms} ms")
        return amount

    async def still_good(self, payment: Payment) -> bool:
        """See `Rail`."""
        self.link.read("still_good", payment.txid)
        return self._chain.is_canonical(Head(payment.height, payment.block_hash))

    async def find_payout(
        self, account: str, order: PayoutOrder, txid: str, near: int, not_before: int = 0
    ) -> Sighting | None:
        """See `Rail`."""
        self.link.read("find_payout", txid)
        try:
            wanted: str | None = canonical_txid(txid)
        except Refused:
            wanted = None
        found = [
            (block, tx)
            for block, tx in self._spends_of(account, max(not_before, 0 if wanted else near - NEAR))
            if wanted in (None, tx.txid) and _effect(tx, order.recipient, order.amount) is TakerEffect.PAYS
        ]
        if len(found) != 1 or self._depth(found[0][0].height) < self._final:
            return None
        block, tx = found[0]
        return self._in_block(tx.txid, AttemptKind.PAYMENT, block)

    async def may_have_paid(
        self, row: AccountRow, order: PayoutOrder, since: Since, slots: Collection[str]
    ) -> bool:
        """See `Rail`: whether a spend by no lane of ours pays the order's recipient at all."""
        self.link.read("may_have_paid", row.account)
        first = self._chain.best.height - since.age_blocks - NEAR
        spends = [tx for _, tx in self._spends_of(row.account, first)] + list(self._chain.pool.values())
        return any(
            _effect(tx, order.recipient, order.amount) is not TakerEffect.PAYS_NOTHING
            for tx in spends
            if not {*tx.inputs} & {*slots}
        )

    async def payouts_since(self, order: PayoutOrder, since: Since) -> Sequence[Sighting]:
        """See `Rail`. A block's time stands for the wallet's."""
        self.link.read("payouts_since", order.account)
        best = self._chain.best
        coins = best.state.coins
        mined = [
            (tx, block) for block, tx in self._spends_of(order.account, best.height - since.age_blocks - NEAR)
        ]
        waiting = [
            tx
            for tx in self._chain.pool.values()
            if any(i in coins and coins[i].address == order.account for i in tx.inputs)
        ]
        found = [self._in_pool(tx, order) for tx in waiting]
        for tx, block in mined:
            effect = _effect(tx, order.recipient, order.amount)
            if block.time_ms < since.at_ms:
                effect = effect if effect is TakerEffect.PAYS_NOTHING else TakerEffect.AMBIGUOUS
            if block.time_ms >= since.at_ms - CLOCK_MS:
                seen = self._in_block(tx.txid, AttemptKind.PAYMENT, block)
                found.append(replace(seen, final=self._depth(block.height) >= self._final, taker=effect))
        return [seen for seen in found if seen.taker is not TakerEffect.PAYS_NOTHING]

    def _in_pool(self, tx: Tx, order: PayoutOrder) -> Sighting:
        effect = _effect(tx, order.recipient, order.amount)
        return Sighting(SightingKind.IN_POOL, self._chain.best.head, tx.txid, taker=effect)

    # payouts

    async def spendable(self, account: str) -> int:
        """See `Rail`. Coins spent by unconfirmed payouts, and their change, are not in it."""
        self.link.read("spendable", account)
        return sum(coin.sat for coin in self._coins(account).values())

    async def fee(self, order: PayoutOrder) -> int:
        """See `Rail`."""
        self.link.read("fee")
        self._payable(order)
        try:
            count = len(self._choose(order, self._coins(order.account)))
        except Refused:
            count = 1
        fee = self.rate * vsize(count, 2)
        return max(fee, min(fee + fee // 4, order.max_fee))

    async def prepare(self, order: PayoutOrder, taken: Collection[str], after: str | None = None) -> Claim:
        """See `Rail`."""
        self.link.read("prepare", order.account)
        self._payable(order)
        free = {out: coin for out, coin in self._coins(order.account).items() if out not in taken}
        chosen = self._choose(order, free, self._successor(free, after) if after else None)
        fee = self.rate * vsize(len(chosen), 2)
        if fee > order.max_fee:
            raise Refused("payout", "fee_too_high", f"{fee} sat, allowed are {order.max_fee}")
        held = sum(free[out].sat for out in chosen)
        tx = _built(chosen, (order.recipient, order.amount), order.account, held, fee)
        signed = self._sign(tx, free[chosen[0]].height)
        return Claim(
            self.chain_id, order.account, LanePurpose.PAYOUT, _Give(signed), order.recipient, order.amount,
            None, chosen[0],
        )  # fmt: skip

    def _payable(self, order: PayoutOrder) -> None:
        self.check_recipient(order.recipient)
        if order.amount < dust_limit(_script(order.recipient)):
            raise Refused("payout", "dust", f"{order.amount} sat")

    def _coins(self, account: str) -> dict[str, Coin]:
        """Confirmed coins of an account that nothing in the pool spends."""
        held = {spent for tx in self._chain.pool.values() for spent in tx.inputs}
        coins = self._chain.best.state.coins
        return {out: coin for out, coin in coins.items() if coin.address == account and out not in held}

    def _successor(self, free: Mapping[str, Coin], after: str) -> str | None:
        """The coin that ties a payout to what freed its earlier lane; none where that is settled."""
        tied = [out for out in free if out.startswith(f"{after}:")]
        if tied:
            return max(tied, key=lambda out: free[out].sat)
        found = self._chain.find(after)
        if found is None or self._depth(found[0].height) < SETTLED:
            raise Refused("payout", "lane_not_settled", after)
        return None

    def _choose(self, order: PayoutOrder, coins: Mapping[str, Coin], first: str | None = None) -> list[str]:
        """The smallest coin that is enough; else the largest first. `first` is the anchor, if it is given."""
        ordered = sorted(coins, key=lambda out: (out != first, -coins[out].sat, out))
        enough = [out for out in ordered if coins[out].sat >= order.amount + self.rate * vsize(1, 2)]
        if enough and first is None:
            return [enough[-1]]
        held = 0
        for count, out in enumerate(ordered, 1):
            held += coins[out].sat
            if held >= order.amount + self.rate * vsize(count, 2):
                return ordered[:count]
        raise Refused("payout", "insufficient_funds", f"{held} sat in {len(coins)} free coins")

    def _sign(self, tx: Tx, birth: int) -> SignedTx:
        self._chain.signed[tx.raw] = tx
        return SignedTx(tx.txid, tx.raw, tx.fee, birth, None, tx.inputs)

    # replacements

    async def resign(self, lane: Lane, order: PayoutOrder) -> Replacement:
        """See `Rail`: the same inputs, with a higher fee."""
        self.link.read("resign", lane.account)
        inputs = lane.attempts[0].tx.spends
        to = (lane.recipient, lane.amount)
        return self._replace(lane, inputs, to, order.max_fee, AttemptKind.PAYMENT)

    async def cancel(self, lane: Lane) -> Replacement:
        """See `Rail`: the anchor, spent to its own address."""
        self.link.read("cancel", lane.account)
        return self._replace(lane, (lane.slot,), None, self._max_fee, AttemptKind.FILLER)

    def _replace(
        self, lane: Lane, inputs: Sequence[str], to: tuple[str, int] | None, most: int, kind: AttemptKind
    ) -> Replacement:
        if lane.purpose is LanePurpose.IMPORTED or not lane.attempts:
            raise Refused("replacement", "imported", "another program's payout is not ours to replace")
        size = vsize(len(inputs), 2 if to else 1)
        evicted = conflicts(self._chain, inputs)
        beaten = [*evicted, *(self._chain.signed[a.tx.raw] for a in lane.attempts)]
        least = sum(tx.fee for tx in evicted) + INCREMENT * size
        fee = max(
            least,
            self.rate * size,
            *(tx.fee + INCREMENT * size for tx in beaten),
            *(tx.fee * size // tx.vsize + 1 for tx in beaten),
        )
        held = sum(self._value(out) for out in inputs)
        if fee > most or held - (to[1] if to else 0) < fee:
            raise Refused("replacement", "fee_too_high", f"{fee} sat, allowed are {most}")
        tx = _built(inputs, to, lane.account, held, fee)
        return Replacement(lane.id, kind, self._sign(tx, lane.earliest_birth))

    def _value(self, outpoint: str) -> int:
        txid, vout = outpoint.split(":")
        return self._chain.ever[txid].outputs[int(vout)][1]

    async def broadcast(self, lane: Lane) -> None:
        """See `Rail`."""
        if lane.purpose is LanePurpose.IMPORTED or not lane.attempts:
            raise NotSent(f"lane {lane.id}", "another program's payout is never broadcast")
        tx = self._chain.signed[lane.latest.tx.raw]

        def submit() -> None:
            if self._chain.find(tx.txid) is None:
                self._chain.submit(tx)

        self.link.send(tx.txid, submit)

    # looking

    async def locate(self, lane: Lane) -> Sighting:
        """See `Rail`."""
        self.link.read("locate", lane.id)
        for attempt in lane.attempts:
            if (found := self._chain.find(attempt.tx.txid)) is not None:
                return self._in_block(attempt.tx.txid, attempt.kind, found[0])
        head = self._chain.best.head
        if ":" not in lane.slot or lane.purpose is LanePurpose.IMPORTED:
            return self._by_id(lane)
        origin = self._chain.find(lane.slot.split(":")[0])
        if origin is None:
            return self._without_anchor(lane)
        if lane.slot in self._chain.best.state.coins:
            return self._pooled(lane)
        block, taker = self._spender(lane.slot, origin[0].height)
        if self._depth(block.height) < self._final:
            return Sighting(SightingKind.IN_POOL, head)
        effect = _effect(taker, lane.recipient, lane.amount)
        return Sighting(SightingKind.TAKEN, head, taker.txid, block.head, final=True, taker=effect)

    def _pooled(self, lane: Lane) -> Sighting:
        head = self._chain.best.head
        for tx in self._chain.pool.values():
            if lane.slot in tx.inputs:
                return Sighting(SightingKind.IN_POOL, head, tx.txid if lane.attempt(tx.txid) else None)
        return Sighting(SightingKind.UNSEEN, head)

    def _without_anchor(self, lane: Lane) -> Sighting:
        """A reorganisation took what made the anchor; where its rival is final, a person decides."""
        origin = self._chain.ever.get(lane.slot.split(":")[0])
        for block in reversed(self._chain.canonical):
            for tx in block.body:
                if origin is not None and set(tx.inputs) & set(origin.inputs):
                    if self._depth(block.height) >= self._final:
                        head, doubt = self._chain.best.head, TakerEffect.AMBIGUOUS
                        return Sighting(SightingKind.TAKEN, head, tx.txid, final=True, taker=doubt)
                    return self._pooled(lane)
        return self._pooled(lane)

    def _by_id(self, lane: Lane) -> Sighting:
        found = self._chain.find(lane.txid or "")
        if found is None:
            return Sighting(SightingKind.UNSEEN, self._chain.best.head)
        return self._in_block(lane.txid or "", AttemptKind.PAYMENT, found[0])

    def _spender(self, outpoint: str, since: int) -> tuple[BtcBlock, Tx]:
        for block in self._chain.canonical[since:]:
            for tx in block.body:
                if outpoint in tx.inputs:
                    return block, tx
        raise InvariantBroken(f"{outpoint} is spent by nothing")

    def _in_block(self, txid: str, kind: AttemptKind, block: BtcBlock) -> Sighting:
        final = self._depth(block.height) >= self._final
        head = self._chain.best.head
        return Sighting(SightingKind.IN_BLOCK, head, txid, block.head, final, succeeded=True, kind_seen=kind)

    def _depth(self, height: int) -> int:
        return self._chain.best.height - height + 1

    # law 9

    async def baseline(self, account: str) -> int:
        """See `Rail`."""
        self.link.read("baseline", account)
        return self._chain.best.height

    async def unexplained(
        self, row: AccountRow, slots: Collection[str], *, waiting: bool = True
    ) -> Sequence[str]:
        """See `Rail`."""
        self.link.read("unexplained", row.account)
        spends = [(f"in block {b.height}", tx) for b, tx in self._spends_of(row.account, row.base + 1)]
        coins = self._chain.best.state.coins
        for tx in self._chain.pool.values():
            if any(out in coins and coins[out].address == row.account for out in tx.inputs):
                spends.append(("unconfirmed", tx))
        return [
            f"{tx.txid} ({where}) spends from {row.account}, and no lane does: it pays "
            + (
                ", ".join(f"{sat} sat to {to}" for to, sat in tx.outputs if to != row.account)
                or "nobody else"
            )
            for where, tx in spends
            if not slots or not {*tx.inputs, f"{ADOPTED}{tx.txid}"} & set(slots)
        ]

    def _spends_of(self, account: str, since: int) -> Iterator[tuple[BtcBlock, Tx]]:
        for block in self._chain.canonical[max(since, 0) :]:
            for tx, receipt in zip(block.body, block.receipts, strict=True):
                if any(coin.address == account for coin in receipt.coins):
                    yield block, tx


def _built(inputs: Sequence[str], to: tuple[str, int] | None, change: str, held: int, fee: int) -> Tx:
    """A transaction with its change; what would be dust goes to the fee."""
    left = held - fee - (to[1] if to else 0)
    outputs = [to] if to else []
    if left >= dust_limit(_script(change)):
        outputs.append((change, left))
    else:
        fee += left
    return transaction(inputs, outputs, fee)


class _Give:
    """Gives out what is signed already."""

    def __init__(self, signed: SignedTx) -> None:
        self._signed = signed

    def __call__(self, slot: str) -> SignedTx:
        if slot != self._signed.spends[0]:
            raise SlotTaken(f"{slot} is not {self._signed.spends[0]}, which these bytes spend")
        return self._signed


def _effect(tx: Tx, recipient: str, amount: int) -> TakerEffect:
    given = [sat for to, sat in tx.outputs if _script(to) == _script(recipient)]
    if not given:
        return TakerEffect.PAYS_NOTHING
    return TakerEffect.PAYS if given == [amount] else TakerEffect.AMBIGUOUS
