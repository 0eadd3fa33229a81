"""The TAO rail: payouts by bare, mortal `transfer_keep_alive` in nonce lanes, and the users' payments."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from miner.amounts import Chain
from miner.chains.substrate import addresses
from miner.chains.substrate.lanes import Lanes
from miner.chains.substrate.node import SubstrateNode
from miner.chains.substrate.payments import Payments, canonical_txid
from miner.chains.substrate.spends import Spend, Spends
from miner.errors import ConfigError, Discarded, InvariantBroken, Refused
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

FILLER_MAX_FEE = 10_000_000
"""Most that a filler may cost, rao, tip included."""


class TaoRail:
    """`ports.Rail` for TAO, on the contract's own chain.

    Args:
        node: The chain; shared with the contract's adapter, and closed by its owner.
        lanes: Nonce lanes on that chain.
        accounts: Payout accounts, SS58.
    """

    chain = Chain.TAO

    def __init__(self, node: SubstrateNode, lanes: Lanes, accounts: Collection[str]) -> None:
        self._node = node
        self._lanes = lanes
        self._accounts = tuple(accounts)
        self._payments = Payments(node)
        self._spends = Spends(node)

    @property
    def chain_id(self) -> str:
        """`tao:<genesis>`; known after `connect`."""
        return self._lanes.chain_id

    async def connect(self) -> None:
        """Connect, and check the network and that every payout account is ours to sign for.

        Raises:
            ConfigError: The chain writes its addresses in another way, or a payout account has no key.
            ReadFailed: No endpoint answers for the right genesis.
        """
        for account in self._accounts:
            if account not in self._lanes.keys:
                raise ConfigError(f"payout account {account}", "there is no key for it", "name its keyfile")
        await self._node.connect()
        prefix = (await self._node.blocks.runtime()).constant("System", "SS58Prefix")
        if prefix != addresses.PREFIX:
            raise ConfigError(
                "endpoints",
                f"the chain's addresses have prefix {prefix}, not {addresses.PREFIX}",
                "name another chain",
            )

    async def close(self) -> None:
        """Nothing to release: the node belongs to who made it."""

    async def tip(self) -> Head:
        """The finalised head as last pushed."""
        return (await self._node.heads()).finalised

    # addresses and ids

    def check_recipient(self, address: str) -> None:
        """Refuse an address that a payout must not go to.

        Raises:
            Refused: `bad_address`, `recipient_of_another_network`, `recipient_is_sender`.
        """
        key = addresses.check(address)
        if addresses.address_of(key) in self._lanes.keys or addresses.address_of(key) in self._accounts:
            raise Refused("address", "recipient_is_sender", f"{address} is ours")

    def same_address(self, one: str, other: str) -> bool:
        """Whether two addresses stand for one public key."""
        return addresses.same(one, other)

    def canonical_txid(self, text: str) -> str:
        """`0x` and 64 lower-case hex digits.

        Raises:
            Refused: `bad_txid`.
        """
        return canonical_txid(text)

    # the users' payments

    async def verify(self, claim: PaymentClaim) -> Payment | Pending:
        """Look whether the user's payment is finalised, deep enough, and as claimed.

        Raises:
            Refused: `bad_txid`, `too_old`, `payment_failed`, `wrong_sender`, `wrong_recipient`,
                `wrong_amount`.
            ReadFailed: Nothing was learned.
        """
        return await self._payments.verify(claim)

    async def still_good(self, payment: Payment) -> bool:
        """Whether a verified payment is still finalised where it was; free while the tip is the same."""
        return await self._payments.still_good(payment)

    # payouts

    async def spendable(self, account: str) -> int:
        """What a transfer that keeps the account alive could move at the finalised head, rao."""
        return (await self._node.account(account)).spendable(await self._lanes.drafts.existential_deposit())

    async def fee(self, order: PayoutOrder) -> int:
        """What the fee of this payout will be, rao; asked for once a runtime and call shape."""
        return await self._lanes.drafts.fee(await self._call(order), 0, await self.tip())

    async def prepare(self, order: PayoutOrder, taken: Collection[str], after: str | None = None) -> Claim:
        """A claim for a payout lane; the store allots nonces, so `taken` and `after` are of no use here.

        Raises:
            Refused: `insufficient_funds`, `fee_too_high`, `too_late`, `no_key`, and as `check_recipient`.
            ReadFailed: Nothing was learned.
        """
        self.check_recipient(order.recipient)
        return await self._lanes.prepare(
            order.account,
            await self._call(order),
            LanePurpose.PAYOUT,
            order.recipient,
            order.amount,
            order.die_by,
            order.max_fee,
        )

    async def resign(self, lane: Lane, order: PayoutOrder) -> Replacement:
        """The same payout again in its lane, with a fresh era. Errors as for `prepare`.

        Raises:
            InvariantBroken: The order is not the lane's.
        """
        if (lane.account, lane.recipient, lane.amount) != (order.account, order.recipient, order.amount):
            raise InvariantBroken(f"lane {lane.id} pays {lane.recipient}, the order {order.recipient}")
        return await self._lanes.resign(lane, await self._call(order), order.die_by, order.max_fee)

    async def cancel(self, lane: Lane) -> Replacement:
        """A remark in the lane's nonce. Errors as for `prepare`."""
        return await self._lanes.filler(lane, FILLER_MAX_FEE)

    async def broadcast(self, lane: Lane) -> None:
        """Send the lane's newest attempt. See `Lanes.broadcast`."""
        await self._lanes.broadcast(lane)

    async def locate(self, lane: Lane) -> Sighting:
        """Look for the lane's attempts, and for whoever took its nonce. See `Lanes.locate`."""
        return await self._lanes.locate(lane)

    async def find_payout(
        self, account: str, order: PayoutOrder, txid: str, near: int, not_before: int = 0
    ) -> Sighting | None:
        """Look for another program's payout around a height; None when it could not be located."""
        return await self._payments.find_payout(account, order, txid, near, not_before)

    async def may_have_paid(
        self, row: AccountRow, order: PayoutOrder, since: Since, slots: Collection[str]
    ) -> bool:
        """See `ports.Rail.may_have_paid`. What the node does not keep any more may have paid.

        Raises:
            ReadFailed: Nothing was learned; also while a transaction of no lane waits to be final.
        """
        try:
            spends = await self._spends.since(row.account, max(since.height - 1, 1), slots)
        except Discarded:
            return True
        recipient = addresses.public_key(order.recipient)
        return any(each.recipient == recipient for spend in spends for each in spend.moved)

    async def payouts_since(self, order: PayoutOrder, since: Since) -> Sequence[Sighting]:
        """See `ports.Rail.payouts_since`: by every extrinsic of the account since the swap's block.

        Raises:
            ReadFailed: Nothing was learned; also while a transaction waits to be final. `Discarded` where
                the node does not keep the state of that time.
        """
        finalised = await self.tip()
        spends = await self._spends.since(order.account, max(since.height - 1, 1), ())
        return [seen for spend in spends if (seen := _given(spend, order, finalised)) is not None]

    async def _call(self, order: PayoutOrder) -> bytes:
        return (await self._node.blocks.runtime()).transfer(order.recipient, order.amount)

    # law 9

    async def baseline(self, account: str) -> int:
        """The account's finalised nonce."""
        return await self._lanes.nonce(account)

    async def unexplained(
        self, row: AccountRow, slots: Collection[str], *, waiting: bool = True
    ) -> Sequence[str]:
        """Nonces since `row.base` that no lane explains, and whether the nonce went back. See `Spends`."""
        return await self._spends.unexplained(row, slots, waiting)


def _given(spend: Spend, order: PayoutOrder, at: Head) -> Sighting | None:
    """What a final spend gave the order's recipient; None for nothing."""
    recipient = addresses.public_key(order.recipient)
    given = [(each.sender, each.amount) for each in spend.moved if each.recipient == recipient]
    if not given:
        return None
    exact = given == [(addresses.public_key(order.account), order.amount)]
    effect = TakerEffect.PAYS if exact else TakerEffect.AMBIGUOUS
    return Sighting(
        SightingKind.IN_BLOCK, at, spend.txid, spend.block, True, True, AttemptKind.PAYMENT, taker=effect
    )
