"""The node's reads that the rail needs, typed; each says what its absence means."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from miner.chains.bitcoin.fees import FeePolicy, PoolEntry
from miner.chains.bitcoin.money import sat_per_kvb, sats
from miner.chains.bitcoin.rpc import BitcoinRpc, RpcError, understanding, whole
from miner.chains.bitcoin.transactions import Coin, Outpoint, Tx, block_hash_of, read_tx
from miner.errors import ReadFailed
from miner.model import Head
from miner.ports import Clock

_HASH: Final = re.compile("[0-9a-f]{64}", re.ASCII)
NOT_FOUND: Final = -5
_OUT_OF_RANGE: Final = -8
_STEADY_TRIES: Final = 4
_HEIGHTS_KEPT: Final = 4096
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class WalletTx:
    """A transaction as a wallet knows it.

    Attributes:
        tx: Its content.
        block: The block that holds it, if any.
        confirmations: Above 0: in the active chain; 0: in no block; below 0: a rival is, that deep.
        abandoned: Whether the operator gave it up.
        conflicts: Ids of others that spend the same coins.
        received_ms: When the wallet first knew of it, by the node's clock.
    """

    tx: Tx
    block: Head | None
    confirmations: int
    abandoned: bool
    conflicts: tuple[str, ...]
    received_ms: int = 0


class Node:
    """Typed reads of one node."""

    def __init__(self, rpc: BitcoinRpc, clock: Clock, tip_ttl_s: float) -> None:
        self.rpc = rpc
        self._clock = clock
        self._tip_ttl_s = tip_ttl_s
        self._tip: Head | None = None
        self._tip_read_s = 0.0
        self._tip_reading = asyncio.Lock()
        self._heights: dict[str, int] = {}

    async def head(self) -> Head:
        """The best head, read now."""
        asked_s = self._clock.monotonic()
        head = await self.head_of(await self.best_hash())
        self._tip, self._tip_read_s = head, asked_s
        return head

    async def tip(self) -> Head:
        """The best head, read within the last `tip_ttl_s`; read once for all who ask meanwhile."""
        async with self._tip_reading:
            if self._tip is not None and self._clock.monotonic() - self._tip_read_s <= self._tip_ttl_s:
                return self._tip
            return await self.head()

    async def best_hash(self) -> str:
        """Hash of the best head."""
        told = await self.rpc.read("getbestblockhash")
        with understanding("the best block"):
            return _hash(told)

    async def steady(self, look: Callable[[Head], Awaitable[_T]]) -> _T:
        """What `look` found while the best head did not change, so that all of it is true at that head.

        Raises:
            ReadFailed: The chain kept moving.
        """
        for _ in range(_STEADY_TRIES):
            head = await self.head()
            found = await look(head)
            if await self.best_hash() == head.hash:
                return found
        raise ReadFailed("the Bitcoin chain", "its best block changed during every look")

    async def head_of(self, block_hash: str) -> Head:
        """A block's height, which never changes, with its hash.

        Raises:
            ReadFailed: The node does not know the block.
        """
        if (height := self._heights.get(block_hash)) is None:
            told = await self.rpc.read("getblockheader", block_hash)
            with understanding(f"block {block_hash}"):
                height = _not_negative(told["height"])
                if told["hash"] != block_hash:
                    raise ValueError("it is another block's")
            self._remember(block_hash, height)
        return Head(height, block_hash)

    async def hash_at(self, height: int) -> str | None:
        """Hash of the active chain's block at a height; None when the chain is shorter."""
        if height < 0:
            return None
        try:
            told = await self.rpc.read("getblockhash", height)
        except RpcError as exc:
            if exc.code == _OUT_OF_RANGE:
                return None
            raise
        with understanding(f"block {height}"):
            found = _hash(told)
        self._remember(found, height)
        return found

    async def active(self, block: Head) -> bool:
        """Whether a block is on the active chain."""
        return await self.hash_at(block.height) == block.hash

    async def raw_block(self, block_hash: str) -> bytes:
        """A block's bytes.

        Raises:
            ReadFailed: The node does not have it (any more: it prunes).
        """
        told = await self.rpc.read("getblock", block_hash, 0)
        with understanding(f"block {block_hash}"):
            raw = bytes.fromhex(told)
            if block_hash_of(raw) != block_hash:
                raise ValueError("it is another block")
            return raw

    async def unspent_at(self, outpoint: Outpoint) -> str | None:
        """Hash of the best block in which the output is unspent; None when it is spent, or never was."""
        told = await self.rpc.read("gettxout", outpoint.txid, outpoint.vout, False)
        with understanding(f"output {outpoint}"):
            return None if told is None else _hash(told["bestblock"])

    async def pool_spenders(self, outpoints: Iterable[Outpoint]) -> Mapping[Outpoint, str]:
        """Which transactions of the mempool spend the outputs; those that none spends are left out."""
        wanted = list(outpoints)
        asked = [{"txid": outpoint.txid, "vout": outpoint.vout} for outpoint in wanted]
        told = await self.rpc.read("gettxspendingprevout", asked)
        with understanding("the mempool"):
            by = {Outpoint(_hash(e["txid"]), whole(e["vout"])): e.get("spendingtxid") for e in told}
            return {one: _hash(txid) for one in wanted if (txid := by[one]) is not None}

    async def pool_entry(self, txid: str) -> PoolEntry | None:
        """A transaction in the mempool; None when it is not there."""
        try:
            told = await self.rpc.read("getmempoolentry", txid)
        except RpcError as exc:
            if exc.code == NOT_FOUND:
                return None
            raise
        with understanding(f"mempool entry {txid}"):
            fees = told["fees"]
            return PoolEntry(txid, whole(told["vsize"]), sats(fees["modified"]), sats(fees["descendant"]))

    async def increment(self) -> int:
        """The node's `incrementalrelayfee`, sat/kvB."""
        told = await self.rpc.read("getmempoolinfo")
        with understanding("the mempool's settings"):
            return sat_per_kvb(told["incrementalrelayfee"])

    async def rate(self, policy: FeePolicy) -> int:
        """The fee rate to pay now, sat/kvB.

        Raises:
            ReadFailed: The node has no estimate yet, and no fallback is configured.
        """
        told = await self.rpc.read("estimatesmartfee", policy.target_blocks)
        with understanding("the fee estimate"):
            if "feerate" in told:
                return policy.within(sat_per_kvb(told["feerate"]))
        if policy.fallback is None:
            raise ReadFailed("the fee estimate", "the node has none yet; set `bitcoin.fallback_rate` or wait")
        return policy.within(policy.fallback)

    async def coins(self, wallet: str, address: str, confirmed: bool = True) -> Sequence[Coin]:
        """Spendable coins of an address: confirmed ones, or (for words only) unconfirmed ones.

        A coin that a mempool transaction spends, or that is locked in the wallet, is not among them.
        """
        depth = (1, 9_999_999) if confirmed else (0, 0)
        told = await self.rpc.read("listunspent", *depth, [address], True, wallet=wallet)
        with understanding(f"the coins of {address}"):
            return [_coin(entry) for entry in told if entry["spendable"] and entry["solvable"]]

    async def wallet_tx(self, wallet: str, txid: str) -> WalletTx | None:
        """A transaction as the wallet knows it; None when it never heard of it."""
        try:
            told = await self.rpc.read("gettransaction", txid, wallet=wallet)
        except RpcError as exc:
            if exc.code == NOT_FOUND:
                return None
            raise
        with understanding(f"transaction {txid}"):
            found = _wallet_tx(told)
        if found.tx.txid != txid:
            raise ReadFailed(f"transaction {txid}", f"the node gave {found.tx.txid} instead")
        return found

    async def wallet_spends(self, wallet: str, since: str, depth: int) -> tuple[frozenset[str], str]:
        """Ids of a wallet's own transactions since a block, unconfirmed ones too.

        Not those that cannot confirm as things stand: given up by the operator, or with a rival in a block.

        Args:
            wallet: Its name.
            since: Hash of the block after which they are; where it left the chain, from the fork on.
            depth: How deep the returned block is.

        Returns:
            The ids, and the hash of the block from which a later look may go on.
        """
        told = await self.rpc.read("listsinceblock", since, depth, False, False, True, wallet=wallet)
        with understanding(f"the history of wallet {wallet}"):
            ids = frozenset(
                _hash(entry["txid"])
                for entry in told["transactions"]
                if entry["category"] == "send"
                and whole(entry["confirmations"]) >= 0
                and not entry["abandoned"]
            )
            return ids, _hash(told["lastblock"])

    async def in_block(self, txid: str, block_hash: str) -> Mapping[str, Any] | None:
        """A transaction with its inputs' origins, from one block; None when that block does not hold it.

        Raises:
            ReadFailed: Nothing was learned, a pruned block included.
        """
        try:
            told = await self.rpc.read("getrawtransaction", txid, 2, block_hash)
        except RpcError as exc:
            if exc.code == NOT_FOUND and "in the provided block" in exc.message:
                return None
            raise
        return _mapping(told, txid)

    async def anywhere(self, txid: str) -> Mapping[str, Any] | None:
        """A transaction from the mempool or the node's index; None when neither has it."""
        try:
            told = await self.rpc.read("getrawtransaction", txid, 2)
        except RpcError as exc:
            if exc.code == NOT_FOUND:
                return None
            raise
        return _mapping(told, txid)

    def _remember(self, block_hash: str, height: int) -> None:
        while len(self._heights) >= _HEIGHTS_KEPT:
            del self._heights[next(iter(self._heights))]
        self._heights[block_hash] = height


def _hash(told: object) -> str:
    if not isinstance(told, str) or _HASH.fullmatch(told) is None:
        raise ValueError(f"{str(told)[:80]!r} is no hash")
    return told


def _not_negative(told: object) -> int:
    if (number := whole(told)) < 0:
        raise ValueError(f"{number} is below zero")
    return number


def _mapping(told: object, txid: str) -> Mapping[str, Any]:
    if not isinstance(told, dict) or told.get("txid") != txid:
        raise ReadFailed(f"transaction {txid}", "the node's reply does not read")
    return told


def _coin(told: Mapping[str, Any]) -> Coin:
    outpoint = Outpoint(_hash(told["txid"]), whole(told["vout"]))
    return Coin(
        outpoint, sats(told["amount"]), bytes.fromhex(told["scriptPubKey"]), whole(told["confirmations"])
    )


def _wallet_tx(told: Mapping[str, Any]) -> WalletTx:
    return WalletTx(
        read_tx(bytes.fromhex(told["hex"])),
        Head(_not_negative(told["blockheight"]), _hash(told["blockhash"])) if "blockhash" in told else None,
        whole(told["confirmations"]),
        any(entry.get("abandoned", False) for entry in told["details"]),
        tuple(_hash(txid) for txid in told["walletconflicts"]),
        whole(told["timereceived"]) * 1000,
    )
