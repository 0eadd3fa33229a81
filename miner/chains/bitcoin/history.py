"""Law 9: every spend from a pinned address has a lane. And payouts that other programs made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from miner.chains.bitcoin.accounts import Account, Accounts
from miner.chains.bitcoin.addresses import address_of, canonical_txid, script_of
from miner.chains.bitcoin.networks import Network
from miner.chains.bitcoin.node import NOT_FOUND, Node
from miner.chains.bitcoin.rpc import RpcError
from miner.chains.bitcoin.transactions import Outpoint, Tx
from miner.errors import ReadFailed, Refused
from miner.model import (
    AccountRow,
    AttemptKind,
    Head,
    PayoutOrder,
    Sighting,
    SightingKind,
    Since,
    TakerEffect,
)

ADOPTED = "adopted:"
"""Prefix of the slot of a payout that was made outside and credited to a swap; its id follows."""
_CLOCK_MS = 7_200_000
"""How far a node's clock may be off, as far as its peers bear it."""
_NEAR = 144
"""Blocks below the told height in which another program's payout is looked for."""
_LISTINGS_KEPT = 2
"""Histories of one wallet that are kept: its accounts may stand at different blocks."""


@dataclass(frozen=True, slots=True)
class _Explained:
    """How far a history was explained.

    Attributes:
        until: Hash of the block up to which it was.
        by: The slots that did it; where one of them is not told any more, all is looked at again.
    """

    until: str
    by: frozenset[str]


class _Listing:
    """A wallet's history as told once, for every account of the wallet to be explained by.

    Attributes:
        ids: Ids of the wallet's own transactions.
        last: Hash of the block from which a later look may go on.
        told_to: Accounts that were told already; one that asks again wants to know what is new.
    """

    def __init__(
        self, node: Node, wallet: str, ids: frozenset[str], last: str, before: _Listing | None
    ) -> None:
        self.ids = ids
        self.last = last
        self.told_to: set[str] = set()
        self._node = node
        self._wallet = wallet
        self._before = before._read if before is not None else {}
        self._read: dict[str, Tx] = {}

    async def tx(self, txid: str) -> Tx | None:
        """What a transaction spends and pays, which never changes; None where the wallet does not know it."""
        if txid not in self._read:
            known = self._before.get(txid)
            if known is None:
                told = await self._node.wallet_tx(self._wallet, txid)
                if told is None:
                    return None
                known = told.tx
            self._read[txid] = known
        return self._read[txid]


class History:
    """Reads wallets' histories; goes on from where the last look found everything explained."""

    def __init__(self, node: Node, accounts: Accounts, network: Network, final_confirmations: int) -> None:
        self._node = node
        self._accounts = accounts
        self._network = network
        self._final = final_confirmations
        self._explained: dict[tuple[str, int], _Explained] = {}
        self._listings: dict[tuple[str, str], _Listing] = {}

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
        try:
            listing = await self._listing(account, known.until)
        except RpcError as exc:
            if (
                exc.code == NOT_FOUND
            ):  # the node does not know the block that it named: begin at the base again
                self._explained.pop(key, None)
            raise
        words: list[str] = []
        by: set[str] = set(known.by)
        for txid in sorted(listing.ids):
            tx = await self._spend(account, txid, listing)
            if ours := {slot for slot in (*map(str, tx.spends), f"{ADOPTED}{txid}") if slot in slots}:
                by |= ours
            else:
                words += await self._stray(account, tx, listing, row.base)
        if not words:
            self._explained[key] = _Explained(listing.last, frozenset(by))
        return words

    async def _listing(self, account: Account, since: str) -> _Listing:
        """The wallet's history since a block, read anew for an account that was told it before.

        So a sweep over accounts that share a wallet reads it once, and never less than once.
        """
        key = (account.wallet, since)
        listing = self._listings.get(key)
        if listing is None or account.address in listing.told_to:
            ids, last = await self._node.wallet_spends(account.wallet, since, self._final)
            before = [kept for (wallet, _), kept in self._listings.items() if wallet == account.wallet]
            listing = _Listing(self._node, account.wallet, ids, last, before[-1] if before else None)
            self._listings.pop(key, None)
            self._listings[key] = listing
            for old in [each for each in self._listings if each[0] == account.wallet][:-_LISTINGS_KEPT]:
                del self._listings[old]
        listing.told_to.add(account.address)
        return listing

    async def find_payout(
        self, account: str, order: PayoutOrder, txid: str, near: int, not_before: int = 0
    ) -> Sighting | None:
        """See `Rail.find_payout`. Of several that fit, none is named: they may be other swaps' payouts."""
        ours = self._accounts.get(account)
        recipient = script_of(order.recipient, self._network)
        try:
            ids: Collection[str] = [canonical_txid(txid)]
        except Refused:
            since = await self._block_at(max(near - _NEAR, not_before - 1, 0))
            ids, _ = await self._node.wallet_spends(ours.wallet, since, self._final)

        async def look(head: Head) -> Sighting | None:
            fitting = [await self._fits(ours, one, recipient, order, head) for one in sorted(ids)]
            found = [seen for seen in fitting if seen and seen.block and seen.block.height >= not_before]
            return found[0] if len(found) == 1 else None

        return await self._node.steady(look)

    async def may_have_paid(
        self, row: AccountRow, order: PayoutOrder, since: Since, slots: Collection[str]
    ) -> bool:
        """See `Rail.may_have_paid`: whether a spend by no lane of ours pays the order's recipient at all."""
        account = self._accounts.get(row.account)
        recipient = script_of(order.recipient, self._network)
        ids, _ = await self._node.wallet_spends(account.wallet, await self._before(since), self._final)
        for txid in sorted(ids):
            told = await self._node.wallet_tx(account.wallet, txid)
            if told is None:
                raise ReadFailed(f"transaction {txid}", "the wallet listed it and does not know it")
            if (
                told.confirmations < 0
                or told.abandoned
                or any(str(spent) in slots for spent in told.tx.spends)
            ):
                continue
            if told.tx.effect(recipient, order.amount) is not TakerEffect.PAYS_NOTHING:
                return True
        return False

    async def payouts_since(self, order: PayoutOrder, since: Since) -> Sequence[Sighting]:
        """See `Rail.payouts_since`. The wallet knows when it made a transaction, by the node's own clock.

        What it knew of before the swap began is another's payout, or its clock is wrong: told within two
        hours, as far as a clock may be off, and left out beyond.
        """
        account = self._accounts.get(order.account)
        recipient = script_of(order.recipient, self._network)
        block = await self._before(since)

        async def look(head: Head) -> list[Sighting]:
            ids, _ = await self._node.wallet_spends(account.wallet, block, self._final)
            told = [await self._given(account, each, recipient, order, head) for each in sorted(ids)]
            return [
                seen if at_ms >= since.at_ms else replace(seen, taker=TakerEffect.AMBIGUOUS)
                for seen, at_ms in filter(None, told)
                if at_ms >= since.at_ms - _CLOCK_MS
            ]

        return await self._node.steady(look)

    async def _before(self, since: Since) -> str:
        """A block that is older than the swap, whatever the pace of the two chains."""
        return await self._block_at(max((await self._node.head()).height - since.age_blocks - _NEAR, 0))

    async def _given(
        self, account: Account, txid: str, recipient: bytes, order: PayoutOrder, head: Head
    ) -> tuple[Sighting, int] | None:
        """What a transaction of the wallet gives the recipient, and since when the wallet knows it."""
        told = await self._node.wallet_tx(account.wallet, txid)
        if told is None:
            raise ReadFailed(f"transaction {txid}", "the wallet listed it and does not know it")
        effect = told.tx.effect(recipient, order.amount)
        if told.confirmations < 0 or told.abandoned or effect is TakerEffect.PAYS_NOTHING:
            return None

        async def read(of: str) -> Tx | None:
            origin = await self._node.wallet_tx(account.wallet, of)
            return None if origin is None else origin.tx

        if not [spent async for spent in _own_coins(account, told.tx, read)]:
            effect = TakerEffect.AMBIGUOUS  # another address of the wallet paid
        mined = told.block is not None and await self._node.active(told.block)
        final = mined and told.block is not None and head.height - told.block.height + 1 >= self._final
        kind = SightingKind.IN_BLOCK if mined else SightingKind.IN_POOL
        block = told.block if mined else None
        seen = Sighting(kind, head, txid, block, final, mined, AttemptKind.PAYMENT, taker=effect)
        return seen, told.received_ms

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

        async def read(of: str) -> Tx | None:
            origin = await self._node.wallet_tx(account.wallet, of)
            return None if origin is None else origin.tx

        if not [spent async for spent in _own_coins(account, told.tx, read)]:
            return None
        return Sighting(
            SightingKind.IN_BLOCK, head, txid, told.block, True, succeeded=True, kind_seen=AttemptKind.PAYMENT
        )

    async def _spend(self, account: Account, txid: str, listing: _Listing) -> Tx:
        tx = await listing.tx(txid)
        if tx is None:
            raise ReadFailed(f"transaction {txid}", f"wallet {account.wallet} listed it and does not know it")
        return tx

    async def _stray(self, account: Account, tx: Tx, listing: _Listing, base: int) -> Sequence[str]:
        """A spend by no lane, in words; none where accounting had not begun: a later look lists it again."""
        own = [spent async for spent in _own_coins(account, tx, listing.tx)]
        if not own:
            return []
        told = await self._node.wallet_tx(account.wallet, tx.txid)
        block = told.block if told is not None else None
        if block is not None and block.height <= base:
            return []
        where = f"in block {block.height}" if block is not None else "unconfirmed"
        others = [(script, sat) for script, sat in tx.pays if script != account.script]
        given = ", ".join(f"{sat} sat to {self._named(script)}" for script, sat in others) or "nobody else"
        return [
            f"{tx.txid} ({where}) spends {spent} of {account.address}, and no lane does: it pays {given}"
            for spent in own
        ]

    def _named(self, script: bytes) -> str:
        """The address that a script pays; the script itself where none is."""
        return address_of(script, self._network) or f"script {script.hex()}"

    async def _block_at(self, height: int) -> str:
        return await self._node.hash_at(height) or (await self._node.head()).hash


async def _own_coins(
    account: Account, tx: Tx, read: Callable[[str], Awaitable[Tx | None]]
) -> AsyncIterator[Outpoint]:
    """Those of its inputs that are the account's coins: the wallet knows where its coins came from."""
    for spent in tx.spends:
        origin = await read(spent.txid)
        made = origin.pays[spent.vout : spent.vout + 1] if origin is not None else ()
        if any(script == account.script for script, _ in made):
            yield spent
