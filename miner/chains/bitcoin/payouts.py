"""First attempts: what an address can spend, what a payout costs, and its signed bytes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from miner.chains.bitcoin import coins as choosing
from miner.chains.bitcoin.accounts import Account, Accounts
from miner.chains.bitcoin.addresses import dust_limit, script_of
from miner.chains.bitcoin.fees import FeePolicy
from miner.chains.bitcoin.money import fee_at, sat_per_vb, sats
from miner.chains.bitcoin.networks import Network
from miner.chains.bitcoin.node import Node
from miner.chains.bitcoin.rpc import RpcError, understanding
from miner.chains.bitcoin.signing import Plan, sign
from miner.chains.bitcoin.transactions import Coin
from miner.errors import Refused, SlotTaken
from miner.model import Claim, Head, LanePurpose, PayoutOrder, SignedTx

SETTLED_DEPTH: Final = 100
"""Confirmations from which nobody reckons with a reorganisation (a coinbase matures at that depth)."""
_WALLET_ERROR: Final = -4


class Payouts:
    """Prepares payouts."""

    def __init__(self, node: Node, accounts: Accounts, network: Network, fees: FeePolicy) -> None:
        self._node = node
        self._accounts = accounts
        self._network = network
        self._fees = fees

    def check_recipient(self, address: str) -> bytes:
        """See `Rail.check_recipient`; returns its script."""
        script = script_of(address, self._network)
        if self._accounts.of_script(script) is not None:
            raise Refused("payout", "recipient_is_sender", f"{address} is our own")
        return script

    async def spendable(self, account: str) -> int:
        """See `Rail.spendable`. Coins that an unconfirmed payout spends are not in it, nor is its change."""
        ours = self._accounts.get(account)
        return sum(coin.sat for coin in await self._node.coins(ours.wallet, ours.address))

    async def fee(self, order: PayoutOrder) -> int:
        """See `BitcoinRail.fee`."""
        account, recipient = self._accounts.get(order.account), self._payable(order)
        rate = await self._node.rate(self._fees)
        coins = await self._node.coins(account.wallet, account.address)
        try:
            count = len(choosing.choose(coins, order.amount, recipient, account.script, rate))
        except Refused:
            count = min(max(len(coins), 1), choosing.MOST_INPUTS)
        size = choosing.vsize([account.script] * count, (recipient, account.script))
        fee = fee_at(rate, size)
        return max(fee, min(fee + fee // 4, order.max_fee))

    async def prepare(self, order: PayoutOrder, taken: Collection[str], after: str | None) -> Claim:
        """See `BitcoinRail.prepare`."""
        account, recipient = self._accounts.get(order.account), self._payable(order)
        tip = await self._node.tip()
        rate = await self._node.rate(self._fees)
        free = await self._free(account, taken)
        first = await self._successor(account, free, after, tip) if after is not None else None
        coins = await self._choose(account, free, recipient, order, rate, first)
        size = choosing.vsize([account.script] * len(coins), (recipient, account.script))
        _check_fee(fee_at(rate, size), order.max_fee)
        pay = (order.recipient, recipient, order.amount)
        plan = Plan(account, coins, pay, order.max_fee, _birth(coins[0], tip))
        signed = await sign(self._node, plan, await self._fund(plan, rate))
        return _claim(self._network.chain_id, account, order, signed)

    def _payable(self, order: PayoutOrder) -> bytes:
        """The recipient's script, if nodes relay such a payment to it."""
        recipient = self.check_recipient(order.recipient)
        if order.amount < (least := dust_limit(recipient)):
            detail = f"{order.amount} sat; to {order.recipient} nodes relay {least} and more"
            raise Refused("payout", "dust", detail)
        return recipient

    async def _free(self, account: Account, taken: Collection[str]) -> Sequence[Coin]:
        coins = await self._node.coins(account.wallet, account.address)
        return [
            coin
            for coin in coins
            if coin.confirmations > 0 and coin.script == account.script and str(coin.outpoint) not in taken
        ]

    async def _successor(self, account: Account, free: Sequence[Coin], after: str, tip: Head) -> Coin | None:
        """The coin that ties this payout to the transaction that freed its earlier lane."""
        tied = [coin for coin in free if coin.outpoint.txid == after]
        if tied:
            return max(tied, key=lambda coin: (coin.sat, coin.outpoint))
        told = await self._node.wallet_tx(account.wallet, after)
        depth = tip.height - told.block.height + 1 if told is not None and told.block is not None else 0
        if depth < SETTLED_DEPTH:
            detail = f"no free coin comes from {after}, which has {depth} of {SETTLED_DEPTH} confirmations"
            raise Refused("payout", "lane_not_settled", detail)
        return None

    async def _choose(
        self,
        account: Account,
        free: Sequence[Coin],
        recipient: bytes,
        order: PayoutOrder,
        rate: int,
        first: Coin | None,
    ) -> Sequence[Coin]:
        try:
            return choosing.choose(free, order.amount, recipient, account.script, rate, first)
        except Refused as exc:
            waiting = await self._node.coins(account.wallet, account.address, confirmed=False)
            detail = f"{exc.detail}; {sum(coin.sat for coin in waiting)} sat are unconfirmed"
            raise Refused("payout", exc.name, detail) from exc

    async def _fund(self, plan: Plan, rate: int) -> str:
        options = {
            "add_inputs": False,
            "changeAddress": plan.account.address,
            "changePosition": 1,
            "fee_rate": sat_per_vb(rate),
            "replaceable": True,
            "lockUnspents": False,
        }
        try:
            told = await self._node.rpc.read(
                "walletcreatefundedpsbt",
                plan.inputs(),
                plan.payment(),
                0,
                options,
                False,
                wallet=plan.account.wallet,
            )
        except RpcError as exc:
            raise _funding_error(exc) from exc
        with understanding("the funded PSBT"):
            psbt, fee = str(told["psbt"]), sats(told["fee"])
        _check_fee(fee, plan.max_fee)
        return psbt


def _funding_error(exc: RpcError) -> Exception:
    if exc.code == _WALLET_ERROR and "maximum" in exc.message:
        return Refused("payout", "fee_too_high", exc.message)
    if exc.code == _WALLET_ERROR and ("nsufficient" in exc.message or "preselected coins" in exc.message):
        return Refused("payout", "insufficient_funds", exc.message)
    return exc


def _check_fee(fee: int, max_fee: int) -> None:
    if fee > max_fee:
        raise Refused("payout", "fee_too_high", f"{fee} sat, allowed are {max_fee}")


def _birth(anchor: Coin, tip: Head) -> int:
    """No block below can hold a spender of the anchor, deep reorganisations reckoned in."""
    return max(tip.height - anchor.confirmations + 1, tip.height - SETTLED_DEPTH, 0)


def _claim(chain: str, account: Account, order: PayoutOrder, signed: SignedTx) -> Claim:
    anchor = signed.spends[0]

    def give(slot: str) -> SignedTx:
        """The node has signed already, nothing has left; whoever does not store the bytes drops them."""
        if slot != anchor:
            raise SlotTaken(f"{slot} is not {anchor}, which these bytes spend")
        return signed

    return Claim(
        chain, account.address, LanePurpose.PAYOUT, give, order.recipient, order.amount, None, anchor
    )
