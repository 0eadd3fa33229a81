"""The TAO rail: payouts by bare, mortal `transfer_keep_alive` in nonce lanes, and the users' payments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from miner.amounts import Chain
from miner.chains.substrate import addresses
from miner.chains.substrate.lanes import Lanes
from miner.chains.substrate.node import SubstrateNode
from miner.chains.substrate.payments import Payments, canonical_txid
from miner.errors import ConfigError, InvariantBroken, Refused
from miner.model import (
    AccountRow,
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
)

FILLER_MAX_FEE = 10_000_000
"""Most that a filler may cost, rao, tip included."""
TOLD_NONCES = 20
"""How many unexplained nonces are named; the rest is counted."""


@dataclass(frozen=True, slots=True)
class _SeenNonce:
    base: int
    nonce: int
    height: int


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
        self._seen_nonces: dict[str, _SeenNonce] = {}

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

    async def find_payout(self, account: str, order: PayoutOrder, txid: str, near: int) -> Sighting | None:
        """Look for another program's payout around a height; None when it could not be located."""
        return await self._payments.find_payout(account, order, txid, near)

    async def may_have_paid(
        self, row: AccountRow, order: PayoutOrder, age_blocks: int, slots: Collection[str]
    ) -> bool:
        """Whether the account signed anything in finalised blocks since the swap began, before `row.base`.

        Raises:
            ReadFailed: Nothing was learned; also where the node has discarded that block's state.
        """
        height = max((await self.tip()).height - age_blocks - 1, 1)
        born = Head(height, await self._node.finalised_hash(height))
        return (await self._node.account(row.account, born)).nonce < row.base

    async def _call(self, order: PayoutOrder) -> bytes:
        return (await self._node.blocks.runtime()).transfer(order.recipient, order.amount)

    # law 9

    async def baseline(self, account: str) -> int:
        """The account's finalised nonce."""
        return await self._lanes.nonce(account)

    async def unexplained(self, row: AccountRow, slots: Collection[str]) -> Sequence[str]:
        """Finalised nonces since `row.base` that no lane explains, and whether the nonce went back."""
        finalised = await self.tip()
        nonce = (await self._node.account(row.account, finalised)).nonce
        highest = self._remember(row, finalised, nonce)
        if nonce < highest or (nonce < row.high_water and str(nonce) not in slots):
            seen = max(highest, row.high_water)
            return [f"nonce went back: {row.account} stands at {nonce} and stood at {seen}"]
        own = set(slots)
        strange = [each for each in range(row.base, nonce) if str(each) not in own]
        words = [
            f"nonce {each} of {row.account} was used by no lane of this store"
            for each in strange[:TOLD_NONCES]
        ]
        if len(strange) > TOLD_NONCES:
            words.append(f"and {len(strange) - TOLD_NONCES} more, up to nonce {strange[-1]}")
        return words

    def _remember(self, row: AccountRow, finalised: Head, nonce: int) -> int:
        """The highest nonce known at or below this block; a person's new base starts afresh."""
        seen = self._seen_nonces.get(row.account)
        if seen is None or seen.base != row.base:
            seen = _SeenNonce(row.base, row.base, 0)
        if finalised.height >= seen.height:  # an endpoint that lags tells an older nonce in good faith
            self._seen_nonces[row.account] = _SeenNonce(row.base, max(seen.nonce, nonce), finalised.height)
            return seen.nonce
        return row.base
