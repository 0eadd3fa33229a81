"""Users, and the validators' part in a swap's birth: from a miner's quote to an Active swap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from substrateinterface import Keypair

from tests.devnet import accounts
from tests.devnet.bitcoin import BitcoinNode
from tests.devnet.contract import Swap, SwapContract
from tests.devnet.errors import CallFailed
from tests.devnet.substrate import Substrate
from tests.devnet.terms import ChainName, Request, dest_amount

USERS_WALLET = "users"
"""The Bitcoin wallet that holds every user's keys."""
_BTC_ALLOWANCE_SAT = 10**7
_DEFAULT_SOURCE_AMOUNT = {ChainName.BTC: 1_000_000, ChainName.TAO: 3_450_000_000}


@dataclass(frozen=True)
class Miner:
    """A miner as users know it.

    Attributes:
        hotkey: the account of the contract.
        tao_address: where it receives and whence it pays TAO.
        btc_address: where it receives and whence it pays BTC.
        rate: TAO per BTC.
        btc_wallet: the node's wallet that holds btc_address.
    """

    hotkey: Keypair
    tao_address: str
    btc_address: str
    rate: str = "345"
    btc_wallet: str = ""

    def address(self, chain: ChainName) -> str:
        """The miner's address on a chain."""
        return self.btc_address if chain is ChainName.BTC else self.tao_address


@dataclass(frozen=True)
class Bad:
    """What is wrong with a swap; nothing, unless set.

    Attributes:
        paid_amount: what the user pays instead of source_amount.
        paid_by: index of another user, who pays instead.
        paid_to: the recipient instead of the miner.
        source_tx_hash: the transaction named instead of the user's payment (which is not made).
        source_tx_block: the block named instead of the payment's.
        dest_amount: what the swap promises instead of the rate's result.
        rate: the rate written on the swap, instead of the miner's.
        user_dest_address: where the user wants to be paid.
        user_source_address: the sender written on the swap.
    """

    paid_amount: int | None = None
    paid_by: int | None = None
    paid_to: str | None = None
    source_tx_hash: str | None = None
    source_tx_block: int | None = None
    dest_amount: int | None = None
    rate: str | None = None
    user_dest_address: str | None = None
    user_source_address: str | None = None


@dataclass(frozen=True)
class Plan:
    """A swap to be opened.

    Attributes:
        miner: who pays.
        source: the chain on which the user pays; the other one is the destination.
        source_amount: in the source chain's smallest unit; 0.01 BTC or 3.45 TAO without it.
        user: the user's index.
        bad: what is wrong with it.
    """

    miner: Miner
    source: ChainName = ChainName.BTC
    source_amount: int | None = None
    user: int = 0
    bad: Bad = field(default_factory=Bad)

    @property
    def dest(self) -> ChainName:
        """The chain on which the miner pays."""
        return ChainName.TAO if self.source is ChainName.BTC else ChainName.BTC

    @property
    def amount(self) -> int:
        """What the user is to pay."""
        return self.source_amount or _DEFAULT_SOURCE_AMOUNT[self.source]


@dataclass(frozen=True)
class Payment:
    """A user's payment to a miner."""

    tx_hash: str
    block: int


@dataclass(frozen=True)
class Opened:
    """An Active swap, and what led to it."""

    swap: Swap
    plan: Plan
    request: Request
    payment: Payment

    @property
    def id(self) -> int:
        """The swap's id."""
        return self.swap.id


class Driver:
    """Plays the users, and has the validators vote their swaps in."""

    def __init__(self, substrate: Substrate, bitcoin: BitcoinNode | None, contract: SwapContract) -> None:
        self.substrate = substrate
        self.contract = contract
        self._bitcoin = bitcoin
        self._btc_addresses: dict[int, str] = {}

    @classmethod
    async def connect(cls, contract: SwapContract, bitcoin: BitcoinNode | None) -> Self:
        """A driver over the contract's own connection."""
        return cls(contract.substrate, bitcoin, contract)

    @property
    def bitcoin(self) -> BitcoinNode:
        """The Bitcoin node; a driver without one can open no swap at all with BTC payments."""
        assert self._bitcoin is not None, "this driver has no Bitcoin node"
        return self._bitcoin

    async def miner(self, index: int, *, wallet: str | None = None, rate: str = "345") -> Miner:
        """The miner `//miner/INDEX`, paying TAO from its own account, with a fresh address of a wallet."""
        hotkey = accounts.miner(index)
        name = wallet or f"miner-{index}"
        address = await self.bitcoin.new_address(name) if self._bitcoin else f"bcrt1qnobody{index}"
        return Miner(hotkey, hotkey.ss58_address, address, rate, name)

    async def user_btc_address(self, index: int) -> str:
        """The Bitcoin address that a user pays from, and is paid to."""
        if index not in self._btc_addresses:
            self._btc_addresses[index] = await self.bitcoin.new_address(USERS_WALLET)
        return self._btc_addresses[index]

    async def user_address(self, index: int, chain: ChainName) -> str:
        """A user's address on a chain."""
        if chain is ChainName.TAO:
            return str(accounts.user(index).ss58_address)
        return await self.user_btc_address(index)

    async def open_swap(self, plan: Plan, *, confirmations: int = 2) -> Opened:
        """Opens one swap: reserved, paid, confirmed so many times (BTC), and voted in."""
        (opened,) = await self.open_swaps([plan], confirmations=confirmations)
        return opened

    async def open_swaps(self, plans: Sequence[Plan], *, confirmations: int = 2) -> list[Opened]:
        """Opens swaps of different miners, which become Active in one block.

        Takes three blocks: the reservations, the users' payments in TAO, the initiations.

        Raises:
            CallFailed: the contract refused one.
        """
        requests = await self.reserve(plans)
        payments = await self.pay(plans, confirmations=confirmations)
        return await self.initiate(plans, requests, payments)

    async def reserve(self, plans: Sequence[Plan]) -> list[Request]:
        """Has a quorum vote each miner's reservation, all in one block."""
        requests = [await self._request(plan) for plan in plans]
        await self.contract.vote([("vote_reserve", request.reserve_args()) for request in requests])
        return requests

    async def initiate(
        self, plans: Sequence[Plan], requests: Sequence[Request], payments: Sequence[Payment]
    ) -> list[Opened]:
        """Has a quorum vote each swap in, all in one block."""
        first = await self.contract.next_swap_id()
        votes = [
            ("vote_initiate", request.initiate_args(payment.tx_hash, payment.block))
            for request, payment in zip(requests, payments, strict=True)
        ]
        await self.contract.vote(votes)
        opened = []
        for index, (plan, request, payment) in enumerate(zip(plans, requests, payments, strict=True)):
            swap = await self.contract.swap(first + index)
            if swap is None or swap.miner != request.miner:
                raise CallFailed(f"swap {first + index} was not opened for {request.miner}")
            opened.append(Opened(swap, plan, request, payment))
        return opened

    async def _request(self, plan: Plan) -> Request:
        miner, bad = plan.miner, plan.bad
        promised = bad.dest_amount
        if promised is None:
            promised = dest_amount(plan.source, plan.amount, miner.rate)
        return Request(
            miner=str(miner.hotkey.ss58_address),
            user=str(accounts.user(plan.user).ss58_address),
            source_chain=plan.source,
            dest_chain=plan.dest,
            tao_amount=promised if plan.dest is ChainName.TAO else plan.amount,
            source_amount=plan.amount,
            dest_amount=promised,
            user_source_address=bad.user_source_address or await self.user_address(plan.user, plan.source),
            user_dest_address=bad.user_dest_address or await self.user_address(plan.user, plan.dest),
            miner_source_address=miner.address(plan.source),
            miner_dest_address=miner.address(plan.dest),
            rate=bad.rate or miner.rate,
        )

    async def pay(self, plans: Sequence[Plan], *, confirmations: int = 2) -> list[Payment]:
        """Makes the users' payments; those in TAO are in one block, those in BTC so deep in the chain."""
        due = list(enumerate(plans))
        btc = [(i, plan) for i, plan in due if plan.source is ChainName.BTC and not plan.bad.source_tx_hash]
        tao = [(i, plan) for i, plan in due if plan.source is ChainName.TAO and not plan.bad.source_tx_hash]
        payments = dict(await self._pay_btc(btc, confirmations)) if btc else {}
        payments |= dict(await self._pay_tao(tao)) if tao else {}
        return [self._named(plan, payments.get(index)) for index, plan in due]

    @staticmethod
    def _named(plan: Plan, payment: Payment | None) -> Payment:
        bad = plan.bad
        if payment is None:
            assert bad.source_tx_hash is not None
            payment = Payment(bad.source_tx_hash, 1)
        return payment if bad.source_tx_block is None else replace(payment, block=bad.source_tx_block)

    async def _pay_tao(self, due: Sequence[tuple[int, Plan]]) -> Iterable[tuple[int, Payment]]:
        nonces: dict[str, int] = {}
        extrinsics = []
        for _, plan in due:
            key = accounts.user(plan.user if plan.bad.paid_by is None else plan.bad.paid_by)
            if key.ss58_address not in nonces:
                nonces[key.ss58_address] = await self.substrate.nonce(key.ss58_address)
            call = await self.substrate.call("Balances", "transfer_keep_alive", **_transfer(plan))
            extrinsics.append(await self.substrate.sign(call, key, nonce=nonces[key.ss58_address]))
            nonces[key.ss58_address] += 1
        included = await self.substrate.include(extrinsics)
        return [(i, Payment(tx.hash, tx.block_number)) for (i, _), tx in zip(due, included, strict=True)]

    async def _pay_btc(
        self, due: Sequence[tuple[int, Plan]], confirmations: int
    ) -> Iterable[tuple[int, Payment]]:
        payers = [plan.user if plan.bad.paid_by is None else plan.bad.paid_by for _, plan in due]
        await self._fund_users(payers, [_paid(plan) for _, plan in due])
        paid = []
        for payer, (index, plan) in zip(payers, due, strict=True):
            sender = await self.user_btc_address(payer)
            outputs = {plan.bad.paid_to or plan.miner.btc_address: _paid(plan)}
            paid.append((index, await self.bitcoin.pay_from(USERS_WALLET, sender, outputs)))
            if payers.count(payer) > 1:
                await self.bitcoin.mine()  # its next payment spends this one's change
        await self.bitcoin.mine(max(confirmations, 1))
        return [(index, Payment(txid, await self._btc_block(txid))) for index, txid in paid]

    async def _fund_users(self, users: Sequence[int], amounts: Sequence[int]) -> None:
        needs: dict[str, int] = {}
        for user, amount in zip(users, amounts, strict=True):
            address = await self.user_btc_address(user)
            needs[address] = needs.get(address, _BTC_ALLOWANCE_SAT) + amount
        await self.bitcoin.fund_many(needs)

    async def _btc_block(self, txid: str) -> int:
        told = await self.bitcoin.rpc("gettransaction", txid, wallet=USERS_WALLET)
        return int(told["blockheight"])


def _paid(plan: Plan) -> int:
    return plan.amount if plan.bad.paid_amount is None else plan.bad.paid_amount


def _transfer(plan: Plan) -> dict[str, Any]:
    return {"dest": plan.bad.paid_to or plan.miner.tao_address, "value": _paid(plan)}
