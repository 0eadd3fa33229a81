"""What can be wrong with a node: each trouble as the proxy before it is told to make it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.devnet.chain import ContractsChain
from tests.devnet.fault_proxy import FaultProxy
from tests.devnet.faults import Fault, FaultKind
from tests.devnet.terms import after_fee
from tests.devnet.world import Devnet

OTHER_GENESIS = "0x" + "5e" * 32
RETRY_AFTER_S = 4
SEND_METHODS = ("author_submitExtrinsic", "sendrawtransaction")


class Side(StrEnum):
    """Which node."""

    SUBSTRATE = "substrate"
    BITCOIN = "bitcoin"


@dataclass
class Node:
    """A node under trouble.

    Attributes:
        side: which one.
        proxy: what the daemon talks to.
        devnet: the real thing behind it.
        other: another chain, started for those troubles that need one.
        forged: heads that are told instead of the real ones, by what is asked.
    """

    side: Side
    proxy: FaultProxy
    devnet: Devnet
    other: ContractsChain | None = None

    @property
    def send(self) -> str:
        """The method that broadcasts."""
        return SEND_METHODS[0] if self.side is Side.SUBSTRATE else SEND_METHODS[1]

    @property
    def target(self) -> str:
        """Where the real node listens."""
        return self.devnet.chain.url if self.side is Side.SUBSTRATE else self.devnet.bitcoin.direct_url

    async def mend(self) -> None:
        """End every trouble."""
        await self.proxy.back()
        if self.proxy.target != self.target:
            await self.proxy.retarget(self.target)
        if self.other is not None:
            await self.other.stop()
            self.other = None


Begin = Callable[[Node], Awaitable[None]]


def every(kind: FaultKind, **options: Any) -> Begin:
    """All requests, and notifications where the kind makes sense for them, suffer one fault."""

    async def begin(node: Node) -> None:
        node.proxy.fault(Fault("*", kind, **options))
        if kind not in (FaultKind.HANG, FaultKind.OTHER_ID, FaultKind.ERROR_AFTER, FaultKind.REFUSE):
            node.proxy.fault(Fault("notification", kind, **options))

    return begin


def sends(kind: FaultKind, **options: Any) -> Begin:
    """Broadcasts alone suffer it."""

    async def begin(node: Node) -> None:
        node.proxy.fault(Fault(node.send, kind, **options))

    return begin


async def down(node: Node) -> None:
    """Connections are refused."""
    await node.proxy.down()


async def busy(node: Node) -> None:
    """429 with Retry-After to whoever comes; an open websocket is closed with `try again later`."""
    node.proxy.busy = RETRY_AFTER_S
    node.proxy.fault(Fault("*", FaultKind.BUSY, retry_after_s=RETRY_AFTER_S))


async def silent(node: Node) -> None:
    """Subscriptions tell nothing more; requests are answered."""
    node.proxy.fault(Fault("notification", FaultKind.DROP))


async def no_finality(node: Node) -> None:
    """Only the subscription of finalised heads falls silent."""
    node.proxy.fault(Fault("notification", FaultKind.DROP, match="chain_finalizedHead"))


async def freeze(node: Node) -> None:
    """The head stops; everything else is answered truly."""
    await _pretend(node, behind=0)


async def stale(node: Node) -> None:
    """The node says that its head is one of some blocks ago, and stays there."""
    await _pretend(node, behind=6)


async def _pretend(node: Node, behind: int) -> None:
    pretend = _pretend_substrate if node.side is Side.SUBSTRATE else _pretend_bitcoin
    await pretend(node, behind)


async def _pretend_substrate(node: Node, behind: int) -> None:
    chain, proxy = node.devnet.chain, node.proxy
    heads = await chain.heads()
    headers = {}
    for name, height in (("best", heads.number - behind), ("final", heads.finalised_number - behind)):
        block_hash = await chain.block_hash(height)
        headers[name] = (block_hash, await chain.rpc("chain_getHeader", block_hash))

    def lie(method: str, params: Any, result: Any) -> Any:
        if method == "chain_finalizedHead":
            return headers["final"][1]
        if method == "chain_newHead" or (method == "chain_getHeader" and not params):
            return headers["best"][1]
        return headers["final"][0] if method == "chain_getFinalizedHead" else result

    for method in ("notification", "chain_getHeader", "chain_getFinalizedHead"):
        proxy.fault(Fault(method, FaultKind.TWIST, twist=lie))


async def _pretend_bitcoin(node: Node, behind: int) -> None:
    bitcoin, proxy = node.devnet.bitcoin, node.proxy
    height = await bitcoin.height() - behind
    block_hash = await bitcoin.rpc("getblockhash", height)

    def lie(method: str, _params: Any, result: Any) -> Any:
        if method == "getblockchaininfo":
            return {**result, "blocks": height, "headers": height, "bestblockhash": block_hash}
        return height if method == "getblockcount" else block_hash

    for method in ("getbestblockhash", "getblockcount", "getblockchaininfo"):
        proxy.fault(Fault(method, FaultKind.TWIST, twist=lie))


async def another_chain(node: Node) -> None:
    """The endpoint's name points to a node of another network."""
    await _elsewhere(node, OTHER_GENESIS, blocks=0)


async def another_fork(node: Node) -> None:
    """A node of the same genesis with other blocks, further than ours."""
    await _elsewhere(node, None, blocks=120)


async def _elsewhere(node: Node, genesis: str | None, blocks: int) -> None:
    if node.side is Side.SUBSTRATE:
        node.other = await ContractsChain.start(genesis_hash=genesis)
        if blocks:
            await node.other.new_block(blocks)
        await node.proxy.retarget(node.other.url)
    elif genesis is not None:
        _lie_about_network(node)
    else:
        _lie_about_blocks(node)


def _lie_about_network(node: Node) -> None:
    """What a node of the main network would say of itself, and of our transactions: nothing known."""

    def lie(method: str, params: Any, result: Any) -> Any:
        if method == "getblockchaininfo":
            return {**result, "chain": "main"}
        return "00" * 31 + "01" if params == [0] else None

    node.proxy.fault(Fault("getblockchaininfo", FaultKind.TWIST, twist=lie))
    node.proxy.fault(Fault("getblockhash", FaultKind.TWIST, twist=lie))
    _unknown_here(node)


def _lie_about_blocks(node: Node) -> None:
    """Every block has another hash than ours, and none of our transactions is known."""

    def lie(_method: str, params: Any, result: Any) -> Any:
        return result if params == [0] else "ff" + str(result)[2:]

    node.proxy.fault(Fault("getblockhash", FaultKind.TWIST, twist=lie))
    node.proxy.fault(Fault("getbestblockhash", FaultKind.TWIST, twist=lie))
    _unknown_here(node)


def _unknown_here(node: Node) -> None:
    for method in ("getblockheader", "gettransaction", "getrawtransaction", "getmempoolentry"):
        node.proxy.fault(Fault(method, FaultKind.REFUSE, code=-5, message="not found"))
    node.proxy.fault(Fault("gettxout", FaultKind.REPLACE, result=None))
    node.proxy.fault(Fault("listunspent", FaultKind.REPLACE, result=[]))
    node.proxy.fault(Fault(node.send, FaultKind.REFUSE, code=-25, message="bad-txns-inputs-missingorspent"))


async def less(node: Node) -> None:
    """Each amount is told a little too small, once: what is asked for again is answered truly."""
    await (_less_rao if node.side is Side.SUBSTRATE else _less_sat)(node)


async def _less_rao(node: Node) -> None:
    """In every block's events at their first reading, and in all state of the newest block."""
    contract, chain = node.devnet.contract, node.devnet.chain
    swaps = [await contract.swap(swap_id) for swap_id in range(1, await contract.next_swap_id())]
    amounts = {swap.tao_amount for swap in swaps if swap is not None}
    amounts |= {after_fee(amount, contract.terms.fee_divisor) for amount in amounts}
    changes = {_u64(amount): _u64(amount - 1) for amount in amounts}
    newest, told = (await chain.heads()).hash, set[str]()

    def lie(method: str, params: Any, result: Any) -> Any:
        first = method == "state_queryStorageAt" and params[-1] not in told
        told.add(params[-1])
        return _replaced(result, changes) if first or params[-1] == newest else result

    for method in ("state_queryStorageAt", "state_call", "state_getStorage"):
        node.proxy.fault(Fault(method, FaultKind.TWIST, twist=lie))


def _u64(number: int) -> str:
    return number.to_bytes(8, "little").hex()


def _replaced(value: Any, changes: dict[str, str]) -> Any:
    """A reply in whose texts some were replaced by others."""
    text = json.dumps(value)
    for real, other in changes.items():
        text = text.replace(real, other)
    return json.loads(text)


async def _less_sat(node: Node) -> None:
    told = set[str]()

    def lie(method: str, params: Any, result: Any) -> Any:
        asked = json.dumps([method, params])
        if asked in told:
            return result
        told.add(asked)
        return _one_less(result)

    for method in ("getrawtransaction", "gettransaction", "listunspent", "gettxout", "listsinceblock"):
        node.proxy.fault(Fault(method, FaultKind.TWIST, twist=lie))


def _one_less(value: Any, name: str = "") -> Any:
    """A reply in which each amount of bitcoin is a satoshi less."""
    if isinstance(value, dict):
        return {key: _one_less(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_one_less(each) for each in value]
    return round(value - 1e-8, 8) if name in ("value", "amount") else value


TROUBLES: dict[str, Begin] = {
    "refuses-connections": down,
    "resets-mid-reply": every(FaultKind.RESET),
    "hangs": every(FaultKind.HANG),
    "hangs-after-the-work": every(FaultKind.DROP),
    "hangs-at-broadcast": sends(FaultKind.HANG),
    "slow": every(FaultKind.DELAY, ms=1200),
    "too-slow": every(FaultKind.DELAY, ms=8000),
    "replies-twice": every(FaultKind.DUPLICATE),
    "replies-to-another-id": every(FaultKind.OTHER_ID),
    "half-replies": every(FaultKind.TRUNCATE),
    "no-json": every(FaultKind.GARBLE),
    "wrong-types": every(FaultKind.WRONG_TYPE),
    "hex-cut-short": every(FaultKind.BAD_SCALE),
    "digits-flipped": every(FaultKind.FLIP),
    "amounts-too-small-once": less,
    "huge-reply": every(FaultKind.HUGE, count=2),
    "error-for-everything": every(FaultKind.REFUSE, code=-32603, message="internal error"),
    "error-after-the-send": sends(FaultKind.ERROR_AFTER, code=-32603, message="internal error"),
    "reset-after-the-send": sends(FaultKind.RESET),
    "busy-429": busy,
    "stale-head": stale,
    "frozen-head": freeze,
    "silent-subscriptions": silent,
    "silent-finality": no_finality,
    "another-fork": another_fork,
    "another-chain": another_chain,
}
ONLY_SUBSTRATE = frozenset({"silent-subscriptions", "silent-finality"})
