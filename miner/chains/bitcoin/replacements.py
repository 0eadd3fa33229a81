"""Further attempts in a lane: fee bumps and fillers. Built from the anchor, never by the node's `bumpfee`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from miner.chains.bitcoin import coins as choosing
from miner.chains.bitcoin.accounts import Account, Accounts
from miner.chains.bitcoin.addresses import dust_limit, script_of
from miner.chains.bitcoin.fees import FeePolicy, Rival, replacement_fee
from miner.chains.bitcoin.money import fee_at
from miner.chains.bitcoin.networks import Network
from miner.chains.bitcoin.node import Node
from miner.chains.bitcoin.rpc import understanding
from miner.chains.bitcoin.signing import Plan, build, sign
from miner.chains.bitcoin.transactions import Coin, Outpoint, read_tx
from miner.errors import ReadFailed, Refused
from miner.model import AttemptKind, Lane, LanePurpose, PayoutOrder, Replacement

_RATE_UNKNOWN: Final = 0


class Replacements:
    """Builds replacements that out-pay whatever holds the anchor, and all that spends from it."""

    def __init__(
        self, node: Node, accounts: Accounts, network: Network, fees: FeePolicy, max_fee: int
    ) -> None:
        self._node = node
        self._accounts = accounts
        self._network = network
        self._fees = fees
        self._max_fee = max_fee

    async def resign(self, lane: Lane, order: PayoutOrder) -> Replacement:
        """See `BitcoinRail.resign`."""
        account = self._account(lane)
        if (order.recipient, order.amount) != (lane.recipient, lane.amount):
            raise Refused("payout", "order_of_another_lane", "recipient or amount differ from the lane's")
        coins = await self._coins(account, _inputs(lane))
        pay = (lane.recipient, script_of(lane.recipient, self._network), lane.amount)
        plan = Plan(account, coins, pay, order.max_fee, lane.latest.tx.birth)
        return await self._replace(lane, plan, AttemptKind.PAYMENT)

    async def cancel(self, lane: Lane) -> Replacement:
        """See `BitcoinRail.cancel`."""
        account = self._account(lane)
        inputs = _inputs(lane)
        coins = await self._coins(account, inputs)
        plan = Plan(account, coins[:1], None, self._max_fee, lane.latest.tx.birth)
        if len(coins) > 1 and coins[0].sat < await self._fee(lane, plan) + dust_limit(account.script):
            plan = Plan(account, coins, None, self._max_fee, lane.latest.tx.birth)
        return await self._replace(lane, plan, AttemptKind.FILLER)

    async def _replace(self, lane: Lane, plan: Plan, kind: AttemptKind) -> Replacement:
        fee = await self._fee(lane, plan)
        psbt = await build(self._node, plan, _change(plan, fee))
        return Replacement(lane.id, kind, await sign(self._node, plan, psbt))

    async def _fee(self, lane: Lane, plan: Plan) -> int:
        """What the replacement will pay: what it must, and the going rate where the limit allows it.

        Raises:
            Refused: `fee_too_high`: what it must pay is above the limit.
        """
        own = plan.account.script
        size = choosing.vsize([own] * len(plan.coins), [own] if plan.pay is None else [plan.pay[1], own])
        increment = await self._node.increment()
        in_pool = await self._rivals(plan.coins)
        must = replacement_fee(in_pool, size, increment)
        for earlier in _stored(lane):
            must = max(must, replacement_fee([earlier], size, increment))
        if must > plan.max_fee:
            evicted = sum(rival.evicted_fees for rival in in_pool)
            detail = f"{must} sat, allowed are {plan.max_fee}; what it replaces in the mempool pays {evicted}"
            raise Refused("replacement", "fee_too_high", detail)
        return min(max(must, fee_at(await self._rate(), size)), plan.max_fee)

    async def _rate(self) -> int:
        """The going rate; out-bidding does not wait for a node that has no estimate."""
        try:
            return await self._node.rate(self._fees)
        except ReadFailed:
            return _RATE_UNKNOWN

    async def _rivals(self, coins: Iterable[Coin]) -> Sequence[Rival]:
        held = await self._node.pool_spenders(coin.outpoint for coin in coins)
        entries = [await self._node.pool_entry(txid) for txid in sorted(set(held.values()))]
        return [
            Rival(entry.fee, entry.vsize, entry.descendant_fees) for entry in entries if entry is not None
        ]

    async def _coins(self, account: Account, inputs: Sequence[Outpoint]) -> Sequence[Coin]:
        """The lane's coins; their values are bound by the ids of the transactions that made them."""
        coins = []
        for outpoint in inputs:
            if (origin := await self._node.wallet_tx(account.wallet, outpoint.txid)) is None:
                raise ReadFailed(f"coin {outpoint}", f"wallet {account.wallet} does not know it")
            with understanding(f"coin {outpoint}"):
                script, sat = origin.tx.pays[outpoint.vout]
            coins.append(Coin(outpoint, sat, script, origin.confirmations))
        return coins

    def _account(self, lane: Lane) -> Account:
        if lane.purpose is LanePurpose.IMPORTED or not lane.attempts:
            raise Refused("replacement", "imported", "another program's payout is not ours to replace")
        return self._accounts.get(lane.account)


def _change(plan: Plan, fee: int) -> int:
    """What is given back, satoshi; 0 where a payment leaves only dust, which then goes to the fee.

    Raises:
        Refused: `fee_too_high`: the coins do not hold what it takes, or the dust would break the limit.
    """
    left = plan.held - (plan.pay[2] if plan.pay is not None else 0)
    change = left - fee
    if change >= dust_limit(plan.account.script):
        return change
    if plan.pay is None or change < 0 or left > plan.max_fee:
        raise Refused(
            "replacement", "fee_too_high", f"the lane's coins leave {left} sat for a fee of {fee} sat"
        )
    return 0


def _inputs(lane: Lane) -> Sequence[Outpoint]:
    """What the lane's payment spends, the anchor first."""
    payment = next((a for a in lane.attempts if a.kind is AttemptKind.PAYMENT), lane.attempts[0])
    with understanding(f"the stored inputs of lane {lane.id}"):
        return [Outpoint.parse(text) for text in payment.tx.spends]


def _stored(lane: Lane) -> Sequence[Rival]:
    """Every stored attempt: some node may hold it when ours does not."""
    with understanding(f"the stored bytes of lane {lane.id}"):
        sizes = [(attempt.tx.fee, read_tx(attempt.tx.raw).vsize) for attempt in lane.attempts]
    return [Rival(fee, size, fee) for fee, size in sizes]
