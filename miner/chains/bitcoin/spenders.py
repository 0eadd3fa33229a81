"""Who spent an outpoint in the active chain: the wallet is asked; where it cannot tell, blocks are read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from miner.chains.bitcoin.accounts import Accounts
from miner.chains.bitcoin.node import Node, WalletTx
from miner.chains.bitcoin.rpc import understanding
from miner.chains.bitcoin.transactions import Outpoint, Tx, previous_block, spender_in_block
from miner.errors import ReadFailed
from miner.model import Head, Lane

BLOCKS_A_LOOK: Final = 144
"""Blocks read in one search; the next one goes on from there."""
_KEPT: Final = 1024


@dataclass(frozen=True, slots=True)
class Spend:
    """A transaction of the active chain that spends the outpoint."""

    tx: Tx
    block: Head


@dataclass(frozen=True, slots=True)
class Missing:
    """The outpoint is not in the active chain, so nothing there spends it.

    Attributes:
        depth: How deep a rival of the transaction that made it is; 0 when there is none.
        rivals: Rivals of that transaction that the wallet knows.
    """

    depth: int
    rivals: tuple[str, ...]


class Spenders:
    """Finds spenders, and remembers what it found and where it has looked."""

    def __init__(self, node: Node, accounts: Accounts) -> None:
        self._node = node
        self._accounts = accounts
        self._known: dict[Outpoint, Spend] = {}
        self._searched: dict[Outpoint, dict[str, str]] = {}

    async def find(self, lane: Lane, anchor: Outpoint, head: Head) -> Spend | Missing:
        """Who spent the lane's anchor, which is not unspent at `head`.

        Raises:
            ReadFailed: It was not found (yet), or nothing was learned.
        """
        known = self._known.get(anchor)
        if known is not None and await self._node.active(known.block):
            return known
        found = await self._ask_wallet(lane, anchor) or await self._search(anchor, head, lane.earliest_birth)
        if isinstance(found, Spend):
            while len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            self._known[anchor] = found
            self._searched.pop(anchor, None)
        return found

    async def _ask_wallet(self, lane: Lane, anchor: Outpoint) -> Spend | Missing | None:
        """The wallet knows the attempts that were ever in the mempool, and what conflicts with them."""
        if (account := self._accounts.find(lane.account)) is None:
            return None
        ids = [attempt.tx.txid for attempt in reversed(lane.attempts)]
        asked: set[str] = set()
        while ids:
            txid = ids.pop(0)
            asked.add(txid)
            if (told := await self._node.wallet_tx(account.wallet, txid)) is None:
                continue
            if (found := await self._confirmed(told, anchor)) is not None:
                return found
            ids += sorted(set(told.conflicts) - asked - set(ids))
        return _missing(await self._node.wallet_tx(account.wallet, anchor.txid))

    async def _confirmed(self, told: WalletTx, anchor: Outpoint) -> Spend | None:
        if told.block is None or told.confirmations < 1 or anchor not in told.tx.spends:
            return None
        return Spend(told.tx, told.block) if await self._node.active(told.block) else None

    async def _search(self, anchor: Outpoint, head: Head, lowest: int) -> Spend:
        searched = self._progress(anchor)
        block, height, read = head.hash, head.height, 0
        while height >= lowest:
            if (previous := searched.get(block)) is None:
                if read == BLOCKS_A_LOOK:
                    raise ReadFailed(
                        f"the spender of {anchor}", f"not above height {height}; the next look goes on"
                    )
                raw = await self._node.raw_block(block)
                with understanding(f"block {block}"):
                    tx = await asyncio.to_thread(spender_in_block, raw, anchor)
                    previous = previous_block(raw)
                if tx is not None:
                    return Spend(tx, Head(height, block))
                searched[block] = previous
                read += 1
            block, height = previous, height - 1
        raise ReadFailed(
            f"the spender of {anchor}", f"the output is not unspent, and none is above height {lowest}"
        )

    def _progress(self, anchor: Outpoint) -> dict[str, str]:
        """Blocks in which it is not spent, each with the one before."""
        if anchor not in self._searched:
            while len(self._searched) >= _KEPT:
                del self._searched[next(iter(self._searched))]
            self._searched[anchor] = {}
        return self._searched[anchor]


def _missing(origin: WalletTx | None) -> Missing | None:
    if origin is None or origin.confirmations > 0:
        return None
    return Missing(-origin.confirmations, origin.conflicts)
