"""Where a lane stands on chain: our attempts, or whoever took its anchor, judged by what it did."""

from __future__ import annotations

from miner.chains.bitcoin.accounts import Accounts
from miner.chains.bitcoin.addresses import script_of
from miner.chains.bitcoin.glances import Glances
from miner.chains.bitcoin.networks import Network
from miner.chains.bitcoin.node import Node
from miner.chains.bitcoin.spenders import Missing, Spend, Spenders
from miner.chains.bitcoin.transactions import Outpoint
from miner.errors import InvariantBroken, ReadFailed, Refused
from miner.model import AttemptKind, Head, Lane, Sighting, SightingKind, TakerEffect


class Sightings:
    """Looks for lanes.

    Kinds, beside their common meaning:

    - `IN_POOL` with a txid: that attempt of ours is in this node's mempool. Without: a transaction that is
      none of our attempts holds the anchor, in the mempool or in a block that is not final yet. The lane
      stays open, nothing is freed, and a rebroadcast does no harm.
    - `UNSEEN`: the anchor is unspent in the chain that ends at `at` (or its own transaction is in no block
      of it), and nothing in this node's mempool spends it.
    - `TAKEN`: only with `final_confirmations`.
    """

    def __init__(
        self, node: Node, accounts: Accounts, network: Network, final_confirmations: int, glances: Glances
    ) -> None:
        self._node = node
        self._glances = glances
        self._accounts = accounts
        self._network = network
        self._final = final_confirmations
        self._spenders = Spenders(node, accounts)

    async def locate(self, lane: Lane) -> Sighting:
        """See `Rail.locate`. A glance where nothing has changed since the lane was looked at."""
        try:
            anchor = Outpoint.parse(lane.slot)
        except ValueError:
            return await self._node.steady(lambda head: self._by_id(lane, head))
        key = (anchor, lane.recipient, lane.amount, *(attempt.tx.txid for attempt in lane.attempts))
        glance = await self._glances.at(anchor)
        seen = self._glances.shown(key, glance)
        if seen is None:
            seen = await self._look(lane, anchor, glance.holder)
            self._glances.keep(key, glance, seen)
        return seen

    async def _look(self, lane: Lane, anchor: Outpoint, holder: str | None) -> Sighting:
        if (seen := await self._still_in_block(lane)) is not None:
            return seen
        if (best := await self._node.unspent_at(anchor)) is not None:
            return _pooled(lane, holder, await self._node.head_of(best))
        return await self._node.steady(lambda head: self._spent(lane, anchor, holder, head))

    async def _still_in_block(self, lane: Lane) -> Sighting | None:
        """The block in which an attempt was seen, if it is still on the active chain."""
        attempt, block = lane.attempt(lane.txid or ""), lane.block
        if attempt is None or block is None:
            return None

        async def look(head: Head) -> Sighting | None:
            here = await self._node.active(block)
            return self._in_block(attempt.tx.txid, attempt.kind, block, head) if here else None

        return await self._node.steady(look)

    async def _spent(self, lane: Lane, anchor: Outpoint, holder: str | None, head: Head) -> Sighting:
        found = await self._spenders.find(lane, anchor, head)
        if isinstance(found, Missing):
            return self._without_anchor(lane, holder, found, head)
        if (attempt := lane.attempt(found.tx.txid)) is not None:
            return self._in_block(attempt.tx.txid, attempt.kind, found.block, head)
        if not self._is_final(found.block, head):
            return Sighting(SightingKind.IN_POOL, head)
        return self._taken(lane, found, head)

    def _taken(self, lane: Lane, found: Spend, head: Head) -> Sighting:
        effect = found.tx.effect(self._recipient(lane), lane.amount)
        return Sighting(SightingKind.TAKEN, head, found.tx.txid, found.block, final=True, taker=effect)

    def _without_anchor(self, lane: Lane, holder: str | None, found: Missing, head: Head) -> Sighting:
        """A reorganisation took the transaction that made the anchor.

        Where a rival of it is final, no attempt can land any more; no spender of the anchor proves it,
        though, so a person decides.
        """
        if found.depth >= self._final:
            rival = found.rivals[0] if found.rivals else None
            return Sighting(SightingKind.TAKEN, head, rival, final=True, taker=TakerEffect.AMBIGUOUS)
        return _pooled(lane, holder, head)

    async def _by_id(self, lane: Lane, head: Head) -> Sighting:
        """A lane without an anchor: a payout of another program, known by its id."""
        txid = lane.txid or (lane.attempts[-1].tx.txid if lane.attempts else None)
        if txid is None:
            raise ReadFailed(f"lane {lane.id}", "it has neither anchor nor transaction id")
        if lane.block is not None and await self._node.active(lane.block):
            return self._in_block(txid, AttemptKind.PAYMENT, lane.block, head)
        if (account := self._accounts.find(lane.account)) is not None:
            told = await self._node.wallet_tx(account.wallet, txid)
            if told is not None and told.block is not None and await self._node.active(told.block):
                return self._in_block(txid, AttemptKind.PAYMENT, told.block, head)
        if await self._node.pool_entry(txid) is not None:
            return Sighting(SightingKind.IN_POOL, head, txid)
        raise ReadFailed(f"payout {txid}", "neither wallet nor mempool has it")

    def _in_block(self, txid: str, kind: AttemptKind, block: Head, head: Head) -> Sighting:
        final = self._is_final(block, head)
        return Sighting(SightingKind.IN_BLOCK, head, txid, block, final, succeeded=True, kind_seen=kind)

    def _is_final(self, block: Head, head: Head) -> bool:
        return head.height - block.height + 1 >= self._final

    def _recipient(self, lane: Lane) -> bytes:
        try:
            return script_of(lane.recipient, self._network)
        except Refused as exc:
            raise InvariantBroken(f"lane {lane.id} pays an address that is none: {exc}") from exc


def _pooled(lane: Lane, holder: str | None, at: Head) -> Sighting:
    if holder is None:
        return Sighting(SightingKind.UNSEEN, at)
    return Sighting(SightingKind.IN_POOL, at, holder if lane.attempt(holder) else None)
