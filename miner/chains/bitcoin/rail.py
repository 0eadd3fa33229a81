"""The Bitcoin rail in node mode: the keys live in wallets of a Bitcoin Core or Knots node."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from miner.amounts import Chain
from miner.chains.bitcoin.accounts import Accounts, check_account, check_node
from miner.chains.bitcoin.addresses import canonical_txid, script_of
from miner.chains.bitcoin.fees import FeePolicy
from miner.chains.bitcoin.glances import Glances
from miner.chains.bitcoin.history import History
from miner.chains.bitcoin.networks import Network
from miner.chains.bitcoin.node import Node
from miner.chains.bitcoin.payments import Payments
from miner.chains.bitcoin.payouts import Payouts
from miner.chains.bitcoin.replacements import Replacements
from miner.chains.bitcoin.rpc import BitcoinRpc, RpcError
from miner.chains.bitcoin.sightings import Sightings
from miner.chains.bitcoin.transactions import Outpoint
from miner.errors import NotSent, OutcomeUnknown, ReadFailed, Refused
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
    Since,
)
from miner.ports import Clock

_ALREADY_IN_CHAIN: Final = -27
_REFUSALS: Final = {
    "missingorspent": "missing_inputs",
    "missing-inputs": "missing_inputs",
    "Missing inputs": "missing_inputs",
    "insufficient fee": "insufficient_fee",
    "min relay fee not met": "fee_too_low",
    "mempool min fee not met": "fee_too_low",
    "txn-mempool-conflict": "conflict",
    "mempool full": "mempool_full",
    "dust": "dust",
    "non-final": "non_final",
}
_KNOWN: Final = ("already in block chain", "outputs already in utxo", "txn-already-", "txn-same-nonwitness")


class BitcoinRail:
    """`Rail` over one node.

    A lane is an anchor outpoint: the first input of the first attempt, and an input of all others.
    The node signs, so `Claim.sign` only gives out what is signed already; nothing was broadcast then, and
    bytes that the store does not commit are dropped. They cost nothing: the coins were not locked.

    Bitcoin has no eras: bytes never expire and `locate` never answers `EXPIRED`.
    """

    chain = Chain.BTC

    def __init__(
        self,
        rpc: BitcoinRpc,
        network: Network,
        accounts: Mapping[str, str],
        clock: Clock,
        *,
        max_fee: int,
        fees: FeePolicy | None = None,
        final_confirmations: int = 6,
        tip_ttl_s: float = 1.0,
    ) -> None:
        """Nothing is asked yet; see `connect`.

        Args:
            rpc: The node's endpoint; closed with the rail.
            network: Which network it must be of.
            accounts: Wallet name by pinned address. May be empty, for verifying payments only.
            clock: For the age of the cached tip.
            max_fee: Most that a filler may pay, satoshi.
            fees: Fee rates.
            final_confirmations: Confirmations (its own block included) from which a block is final.
            tip_ttl_s: How long a tip is believed.

        Raises:
            ConfigError: An address is not a native segwit address of the network.
        """
        fees = fees or FeePolicy()
        self.chain_id = network.chain_id
        self._network = network
        self._rpc = rpc
        self._checked_at: int | None = None
        self._connecting = asyncio.Lock()
        self._accounts = Accounts(accounts, network)
        self._node = node = Node(rpc, clock, tip_ttl_s)
        self._payouts = Payouts(node, self._accounts, network, fees)
        self._replacements = Replacements(node, self._accounts, network, fees, max_fee)
        self._glances = Glances(node, clock, tip_ttl_s)
        self._sightings = Sightings(node, self._accounts, network, final_confirmations, self._glances)
        self._payments = Payments(node, network)
        self._history = History(node, self._accounts, network, final_confirmations)

    @property
    def requests(self) -> Mapping[str, int]:
        """Requests sent so far, by method."""
        return self._rpc.requests

    async def connect(self) -> None:
        """Check the node's network, and that each wallet can sign for its address.

        Raises:
            ConfigError: Something is configured wrong; says what to do.
            ReadFailed: The node did not answer, or is catching up; may be called again.
        """
        losses = self._rpc.losses
        await check_node(self._node, self._network)
        for account in self._accounts:
            await check_account(self._node, account)
        self._checked_at = losses

    async def _ready(self) -> None:
        """Nothing is believed of a node, or given to it, before it was checked; a late one is checked now.

        After each loss it is checked again: behind the same address there may be another node.
        """
        async with self._connecting:
            if self._checked_at != self._rpc.losses:
                await self.connect()

    async def close(self) -> None:
        """See `Rail.close`."""
        await self._rpc.close()

    async def tip(self) -> Head:
        """See `Rail.tip`: the best head."""
        await self._ready()
        return await self._node.tip()

    def check_recipient(self, address: str) -> None:
        """See `Rail.check_recipient`. P2PKH, P2SH, P2WPKH, P2WSH and P2TR are paid."""
        self._payouts.check_recipient(address)

    def same_address(self, one: str, other: str) -> bool:
        """See `Rail.same_address`: whether both have one output script. False for what is no address."""
        try:
            return script_of(one, self._network) == script_of(other, self._network)
        except Refused:
            return False

    def canonical_txid(self, text: str) -> str:
        """See `Rail.canonical_txid`: 64 hex digits, lower case, without `0x`."""
        return canonical_txid(text)

    async def verify(self, claim: PaymentClaim) -> Payment | Pending:
        """See `Rail.verify`. The sender is the first input's address; amounts to one script are added up."""
        await self._ready()
        return await self._payments.verify(claim)

    async def still_good(self, payment: Payment) -> bool:
        """See `Rail.still_good`."""
        await self._ready()
        return await self._payments.still_good(payment)

    async def spendable(self, account: str) -> int:
        """See `Rail.spendable`. Coins spent by unconfirmed payouts, and their change, are not in it."""
        await self._ready()
        return await self._payouts.spendable(account)

    async def fee(self, order: PayoutOrder) -> int:
        """See `Rail.fee`: what it would be now, and up to a quarter more within the order's limit.

        Raises:
            Refused: `dust`, `unknown_account`, or as `check_recipient`. Not for a fee above the limit.
            ReadFailed: Nothing was learned; also when there is neither an estimate nor a fallback.
        """
        await self._ready()
        return await self._payouts.fee(order)

    async def prepare(self, order: PayoutOrder, taken: Collection[str], after: str | None = None) -> Claim:
        """A claim for a payout lane: signed, checked, and acceptable to the node's mempool.

        Args:
            order: What to pay. `Claim.account` has the configured spelling of its account.
            taken: Outpoints that belong to lanes.
            after: When an earlier lane of this payout was freed: who took it. The new lane then spends an
                output of that transaction, so that both cannot confirm on any fork, or waits until it has
                100 confirmations.

        Raises:
            Refused: `insufficient_funds`, `fee_too_high`, `dust`, `lane_not_settled`, `unknown_account`, or
                as `check_recipient`.
            ReadFailed: Nothing was learned; nothing was signed that could leave.
            InvariantBroken: The node signed something else than was asked for.
        """
        await self._ready()
        claim = await self._payouts.prepare(order, taken, after)
        if claim.anchor is not None:
            self._glances.expect(Outpoint.parse(claim.anchor))
        return claim

    async def resign(self, lane: Lane, order: PayoutOrder) -> Replacement:
        """The payout again with the same inputs and a higher fee; its bytes never become invalid.

        Raises:
            Refused: `fee_too_high` when replacing takes more than `order.max_fee`, or than the inputs hold.
            ReadFailed: Nothing was learned.
        """
        await self._ready()
        return await self._replacements.resign(lane, order)

    async def cancel(self, lane: Lane) -> Replacement:
        """The anchor spent to its own address, out-paying what holds it and all that spends from that.

        Raises:
            Refused: `fee_too_high` when that takes more than the constructor's `max_fee`.
            ReadFailed: Nothing was learned.
        """
        await self._ready()
        return await self._replacements.cancel(lane)

    async def broadcast(self, lane: Lane) -> None:
        """See `Rail.broadcast`."""
        if lane.purpose is LanePurpose.IMPORTED or not lane.attempts:
            raise NotSent(f"lane {lane.id}", "another program's payout is never broadcast")
        tx = lane.latest.tx
        try:
            await self._ready()
        except ReadFailed as exc:
            raise NotSent(tx.txid, str(exc)) from exc
        try:
            told = await self._rpc.send("sendrawtransaction", tx.raw.hex(), 0)
        except RpcError as exc:
            if exc.code == _ALREADY_IN_CHAIN or any(words in exc.message for words in _KNOWN):
                return
            name = next((name for words, name in _REFUSALS.items() if words in exc.message), "rejected")
            raise Refused(tx.txid, name, f"{exc.code} {exc.message}"[:300]) from exc
        if told != tx.txid:
            raise OutcomeUnknown(tx.txid, "the node answered with another id")

    async def locate(self, lane: Lane) -> Sighting:
        """See `Rail.locate`, and `Sightings` for what its kinds mean here."""
        await self._ready()
        return await self._sightings.locate(lane)

    async def find_payout(
        self, account: str, order: PayoutOrder, txid: str, near: int, not_before: int = 0
    ) -> Sighting | None:
        """See `Rail.find_payout`."""
        await self._ready()
        return await self._history.find_payout(account, order, txid, near, not_before)

    async def may_have_paid(
        self, row: AccountRow, order: PayoutOrder, since: Since, slots: Collection[str]
    ) -> bool:
        """See `Rail.may_have_paid`; unconfirmed payments count."""
        await self._ready()
        return await self._history.may_have_paid(row, order, since, slots)

    async def payouts_since(self, order: PayoutOrder, since: Since) -> Sequence[Sighting]:
        """See `Rail.payouts_since`: by the wallet's own history, unconfirmed transactions too."""
        await self._ready()
        return await self._history.payouts_since(order, since)

    async def baseline(self, account: str) -> int:
        """See `Rail.baseline`: the best height, whatever the account."""
        await self._ready()
        return (await self._node.head()).height

    async def unexplained(
        self, row: AccountRow, slots: Collection[str], *, waiting: bool = True
    ) -> Sequence[str]:
        """See `Rail.unexplained`. A wallet lists what waits at no further cost."""
        await self._ready()
        return await self._history.unexplained(row, slots)
