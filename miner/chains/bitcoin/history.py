"""Law 9: every spend from a pinned address has a lane. And payouts that other programs made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

from miner.chains.bitcoin.accounts import Account, Accounts
from miner.chains.bitcoin.addresses import canonical_txid, script_of
from miner.chains.bitcoin.networks import Network
from miner.chains.bitcoin.node import Node, WalletTx
from miner.chains.bitcoin.transactions import Outpoint
from miner.errors import ReadFailed, Refused
from miner.model import (
    AccountRow,
    AttemptKind,
    Head,
    PayoutOrder,
    Sighting,
    SightingKind,
    TakerEffect,
)

ADOPTED = "adopted:"
"""Prefix of the slot of a payout that was made outside and credited to a swap; its id follows."""
_NEAR = 144
"""Blocks below the told height in which another program's payout is looked for."""


@dataclass(frozen=True, slots=True)
class _Explained:
    """How far a history was explained.

    Attributes:
        until: Hash of the block up to which it was.
        by: The slots that did it; where one of them is not told any more, all is looked at again.
    """

    until: str
    by: frozenset[str]


class History:
    """Reads wallets' histories; goes on from where the last look found everything explained."""

    def __init__(self, node: Node, accounts: Accounts, network: Network, final_confirmations: int) -> None:
        self._node = node
        self._accounts = accounts
        self._network = network
        self._final = final_confirmations
        self._explained: dict[tuple[str, int], _Explained] = {}

    async def unexplained(self, row: AccountRow, slots: Collection[str]) -> Sequence[str]:
        """See `Rail.unexplained`.

        A transaction that spends a slot belongs to that slot's lane, whoever made it and whatever coins it
        adds (the node's `bumpfee` adds some): `locate` judges it by its effects.
        """
        account = self._accounts.get(row.account)
        key = (account.address, row.base)
        known = self._explained.get(key)
        if known is None or not known.by.issubset(slots):
            known = _Explained(await self._block_at(row.base), frozenset())
        ids, last = await self._node.wallet_spends(account.wallet, known.until, self._final)
        words: list[str] = []
        by: set[str] = set(known.by)
        for txid in sorted(ids):
            told = await self._spend(account, txid)
            if told.confirmations < 0 or told.abandoned:
                continue
            if ours := {slot for slot in (*map(str, told.tx.spends), f"{ADOPTED}{txid}") if slot in slots}:
                by |= ours
            else:
                words += await self._stray(account, told)
        if not words:
            self._explained[key] = _Explained(last, frozenset(by))
        return words

    async def find_payout(self, account: str, order: PayoutOrder, txid: str, near: int) -> Sighting | None:
        """See `Rail.find_payout`. Of several that fit, none is named: they may be other swaps' payouts."""
        ours = self._accounts.get(account)
        recipient = script_of(order.recipient, self._network)
        try:
            ids: Collection[str] = [canonical_txid(txid)]
        except Refused:
            since = await self._block_at(max(near - _NEAR, 0))
            ids, _ = await self._node.wallet_spends(ours.wallet, since, self._final)

        async def look(head: Head) -> Sighting | None:
            found = [
                seen for one in sorted(ids) if (seen := await self._fits(ours, one, recipient, order, head))
            ]
            return found[0] if len(found) == 1 else None

        return await self._node.steady(look)

    async def _fits(
        self, account: Account, txid: str, recipient: bytes, order: PayoutOrder, head: Head
    ) -> Sighting | None:
        told = await self._node.wallet_tx(account.wallet, txid)
        if (
            told is None
            or told.block is None
            or told.tx.effect(recipient, order.amount) is not TakerEffect.PAYS
        ):
            return None
        if head.height - told.block.height + 1 < self._final or not await self._node.active(told.block):
            return None
        if not [spent async for spent in self._own_coins(account, told)]:
            return None
        return Sighting(
            SightingKind.IN_BLOCK, head, txid, told.block, True, succeeded=True, kind_seen=AttemptKind.PAYMENT
        )

    async def _spend(self, account: Account, txid: str) -> WalletTx:
        told = await self._node.wallet_tx(account.wallet, txid)
        if told is None:
            raise ReadFailed(f"transaction {txid}", f"wallet {account.wallet} listed it and does not know it")
        return told

    async def _stray(self, account: Account, told: WalletTx) -> Sequence[str]:
        where = f"in block {told.block.height}" if told.block is not None else "unconfirmed"
        return [
            f"{told.tx.txid} ({where}) spends {spent} of {account.address}, and no lane does"
            async for spent in self._own_coins(account, told)
        ]

    async def _own_coins(self, account: Account, told: WalletTx) -> AsyncIterator[Outpoint]:
        """Those of its inputs that are the account's coins: the wallet knows where its coins came from."""
        for spent in told.tx.spends:
            origin = await self._node.wallet_tx(account.wallet, spent.txid)
            made = origin.tx.pays[spent.vout : spent.vout + 1] if origin is not None else ()
            if any(script == account.script for script, _ in made):
                yield spent

    async def _block_at(self, height: int) -> str:
        return await self._node.hash_at(height) or (await self._node.head()).hash
