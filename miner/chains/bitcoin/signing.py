"""From a plan to signed bytes: the node signs, we check, and its mempool is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from miner.chains.bitcoin.accounts import Account
from miner.chains.bitcoin.money import btc
from miner.chains.bitcoin.node import Node
from miner.chains.bitcoin.rpc import understanding
from miner.chains.bitcoin.transactions import Coin, check_signed
from miner.errors import ReadFailed, Refused
from miner.model import SignedTx

REPLACEABLE: Final = 0xFFFFFFFD
_TOO_LITTLE: Final = ("min relay fee not met", "mempool min fee not met", "insufficient fee")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be signed.

    Attributes:
        account: Whose coins; change, or a filler's output, goes back there.
        coins: The inputs in order, the anchor first.
        pay: Recipient's address, script and satoshi; None for a filler.
        max_fee: Most the fee may be, satoshi.
        birth: Lowest block that could hold it.
    """

    account: Account
    coins: Sequence[Coin]
    pay: tuple[str, bytes, int] | None
    max_fee: int
    birth: int | None

    @property
    def held(self) -> int:
        """Sum of the coins, satoshi."""
        return sum(coin.sat for coin in self.coins)

    def inputs(self) -> list[dict[str, str | int]]:
        """The inputs as the node takes them."""
        return [
            {"txid": coin.outpoint.txid, "vout": coin.outpoint.vout, "sequence": REPLACEABLE}
            for coin in self.coins
        ]

    def payment(self) -> list[dict[str, str]]:
        """The payment as the node takes it."""
        return [{self.pay[0]: btc(self.pay[2])}] if self.pay is not None else []


async def build(node: Node, plan: Plan, change: int) -> str:
    """A PSBT of the plan's very inputs and outputs; no change output when `change` is 0."""
    outputs = plan.payment() + ([{plan.account.address: btc(change)}] if change else [])
    psbt = await node.rpc.read("createpsbt", plan.inputs(), outputs, 0, True)
    with understanding("the PSBT"):
        return _text(psbt)


async def sign(node: Node, plan: Plan, psbt: str) -> SignedTx:
    """Have a PSBT signed, and check that it is the plan and that the node's mempool would take it.

    Nothing leaves: the bytes become a payment only once somebody broadcasts them.

    Raises:
        InvariantBroken: The node signed something else.
        Refused: `fee_too_high`: nodes want a higher fee than is allowed.
        ReadFailed: The wallet did not sign, or the mempool would not take it.
    """
    wallet = plan.account.wallet
    told = await node.rpc.read("walletprocesspsbt", psbt, True, "DEFAULT", False, True, wallet=wallet)
    with understanding("the signed PSBT"):
        complete, raw = bool(told["complete"]), bytes.fromhex(told.get("hex", ""))
    if not complete:
        raise ReadFailed(
            "the signature", f"wallet {wallet} could not sign; is it unlocked, and the address its own?"
        )
    pay = plan.pay[1:] if plan.pay is not None else None
    tx, fee = check_signed(raw, plan.coins, pay, plan.account.script, plan.max_fee)
    await _ask_pool(node, raw, tx.txid)
    spends = tuple(str(coin.outpoint) for coin in plan.coins)
    return SignedTx(tx.txid, raw, fee, plan.birth, None, spends)


async def _ask_pool(node: Node, raw: bytes, txid: str) -> None:
    told = await node.rpc.read("testmempoolaccept", [raw.hex()], 0)
    with understanding("the mempool's word"):
        (answer,) = told
        if answer["txid"] != txid:
            raise ValueError("it is about another transaction")
        allowed, why = bool(answer["allowed"]), str(answer.get("reject-reason", ""))
    if allowed:
        return
    if any(words in why for words in _TOO_LITTLE):
        raise Refused("transaction", "fee_too_high", f"the node wants a higher fee: {why}")
    raise ReadFailed("the mempool's word", f"it would not take the transaction: {why}")


def _text(told: object) -> str:
    if not isinstance(told, str):
        raise ValueError("it is no text")
    return told
