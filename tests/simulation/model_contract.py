"""The swap contract and its node, over the model TAO chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from miner.errors import ReadFailed, Refused
from miner.model import (
    BlockFacts,
    Claim,
    ContractEvent,
    Ending,
    Head,
    Lane,
    LanePurpose,
    Mark,
    Replacement,
    Sighting,
    Swap,
    Terms,
)
from miner.ports import Heads, Judgement
from tests.simulation import contract_rules
from tests.simulation.contract_rules import ContractError, ContractState
from tests.simulation.link import Link
from tests.simulation.model_lanes import ModelLanes
from tests.simulation.tao_rules import Invoke, TaoBlock, TaoChain

MARK_DEPOSIT = 1_000_000
"""What a mark's storage takes from the hotkey for the dry run to pass, rao."""


class ModelNode:
    """`ports.Node` over the model chain."""

    def __init__(self, chain: TaoChain, link: Link) -> None:
        self._chain = chain
        self._link = link
        self._news = asyncio.Event()
        chain.listeners.append(self._news.set)

    @property
    def genesis(self) -> str:
        """See `Node`."""
        return self._chain.genesis

    async def connect(self) -> None:
        """See `Node`."""
        self._link.read("connect")

    async def close(self) -> None:
        """See `Node`."""

    def heads(self) -> Heads:
        """The heads now."""
        return Heads(self._chain.best.head, self._chain.finalised.head)

    async def follow(self) -> AsyncIterator[Heads]:
        """See `Node`."""
        last: Heads | None = None
        while True:
            self._link.read("follow")
            self._news.clear()
            if (now := self.heads()) != last:
                last = now
                yield now
            await self._news.wait()

    async def hash_at(self, height: int) -> str | None:
        """See `Node`."""
        self._link.read("hash_at", height)
        block = self._chain.at(height)
        return block.head.hash if block else None

    async def finalised(self) -> Head:
        """See `Node`."""
        self._link.read("finalised")
        return self.heads().finalised

    def best_height(self) -> int:
        """See `Node`."""
        return self._chain.best.height

    def ask_another(self) -> None:
        """See `Node`: there is no other."""


class ModelContract:
    """`ports.SwapContract` over the model chain.

    Attributes:
        tells_outcomes: Whether the metadata has `get_swap_outcome`.
        lists_active: Whether it has `get_active_swaps`.
        undecodable: Swaps whose data does not decode.
        garbled: Names of events that do not decode.
        mark_fee: Most that a mark or its filler may cost, rao.
    """

    def __init__(self, lanes: ModelLanes, address: str) -> None:
        self.address = address
        self.genesis = lanes.chain.genesis
        self.tells_outcomes = True
        self.lists_active = True
        self.undecodable: set[int] = set()
        self.garbled: set[str] = set()
        self.mark_fee = 5_000_000
        self.lanes = lanes
        self._chain = lanes.chain
        self._link = lanes.link

    def _block(self, at: Head) -> TaoBlock:
        block = self._chain.block(at.hash)
        if block is None or block.height != at.height:
            raise ReadFailed(f"block {at.height}", f"{at.hash} is not known here")
        return block

    def _state(self, at: Head) -> ContractState:
        return self._block(at).state.contract

    async def facts(self, head: Head) -> BlockFacts:
        """See `SwapContract`."""
        self._link.read("facts", head.height)
        block = self._block(head)
        found = [event for receipt in block.receipts for event in receipt.events]
        events = tuple(
            ContractEvent("Undecodable", {"why": "garbled"}, head, index)
            if event.name in self.garbled
            else ContractEvent(event.name, event.args, head, index)
            for index, event in enumerate(found)
        )
        return BlockFacts(head, block.parent_hash, block.time_ms, events)

    async def swaps(self, ids: Sequence[int], at: Head) -> Mapping[int, Swap | None]:
        """See `SwapContract`."""
        self._link.read("swaps", at.height)
        held = self._state(at).swaps
        told = {i: held.get(i) for i in ids if i not in self.undecodable}
        return {i: s and _other_terms(s) for i, s in told.items()} if self._link.lies("swaps") else told

    async def open_swaps(self, miners: Collection[str], at: Head, known: int) -> Sequence[Swap]:
        """See `SwapContract`."""
        self._link.read("open_swaps", at.height)
        theirs = [swap for swap in self._state(at).swaps.values() if swap.miner in miners]
        if self.lists_active:
            return sorted((s for s in theirs if s.id not in self.undecodable), key=lambda s: s.id)
        if any(swap.id in self.undecodable and swap.id >= known for swap in theirs):
            raise ReadFailed("open swaps", "one does not decode and may be theirs")
        return sorted((s for s in theirs if s.id >= known), key=lambda s: s.id)

    async def next_swap_id(self, at: Head) -> int:
        """See `SwapContract`."""
        self._link.read("next_swap_id", at.height)
        return self._state(at).next_id

    async def outcome(self, swap_id: int, at: Head) -> Ending | None:
        """See `SwapContract`."""
        self._link.read("outcome", swap_id)
        return self._state(at).outcomes.get(swap_id) if self.tells_outcomes else None

    async def terms(self, at: Head) -> Terms:
        """See `SwapContract`."""
        self._link.read("terms", at.height)
        return self._state(at).terms

    async def code_hash(self, at: Head) -> str:
        """See `SwapContract`."""
        self._link.read("code_hash", at.height)
        found = self._state(at).terms.code_hash
        if not found:
            raise Refused("contract", "no_code")
        return found

    # marks

    async def try_mark(self, mark: Mark, at: Head) -> None:
        """See `SwapContract`."""
        self._link.read("try_mark", mark.swap_id)
        self._run(mark, self._block(at))

    def _run(self, mark: Mark, block: TaoBlock) -> None:
        try:
            contract_rules.mark_fulfilled(block.state.contract, mark.miner, _args(mark), block.height)
        except ContractError as error:
            raise Refused(f"mark of swap {mark.swap_id}", error.name) from None
        if block.state.account(mark.miner).free < MARK_DEPOSIT:
            raise ReadFailed(f"mark of swap {mark.swap_id}", "INSUFFICIENT_BALANCE: the deposit")

    async def prepare_mark(self, mark: Mark) -> Claim:
        """See `SwapContract`."""
        return await self.lanes.prepare(
            mark.miner, _call(mark), LanePurpose.MARK, self.address, 0, None, self.mark_fee
        )

    async def resign_mark(self, lane: Lane, mark: Mark) -> Replacement:
        """See `SwapContract`."""
        return await self.lanes.resign(lane, _call(mark), None, self.mark_fee)

    async def fill_mark(self, lane: Lane) -> Replacement:
        """See `SwapContract`."""
        return await self.lanes.filler(lane, self.mark_fee)

    async def why_failed(self, lane: Lane, mark: Mark) -> Judgement:
        """See `SwapContract`."""
        if lane.block is None:
            return Judgement("UNKNOWN", terminal=False)
        try:
            self._link.read("why_failed", mark.swap_id)
            block = self._block(lane.block)
            for state_of in (block.parent or block, block):
                self._run(mark, state_of)
        except Refused as refused:
            return Judgement(refused.name, terminal=True)
        except ReadFailed:
            return Judgement("RPC_FAILURE", terminal=False)
        return Judgement("CALL_FAILED", terminal=False)

    async def broadcast(self, lane: Lane) -> None:
        """See `SwapContract`."""
        await self.lanes.broadcast(lane)

    async def locate(self, lane: Lane) -> Sighting:
        """See `SwapContract`."""
        return await self.lanes.locate(lane)


def _call(mark: Mark) -> Invoke:
    return Invoke("mark_fulfilled", _args(mark))


def _args(mark: Mark) -> dict[str, Any]:
    return {
        "swap_id": mark.swap_id,
        "dest_tx_hash": mark.txid,
        "dest_tx_block": mark.block,
        "dest_amount": mark.amount,
    }


def _other_terms(swap: Swap) -> Swap:
    """What a node tells of a swap that lies about an amount."""
    return replace(swap, tao_amount=swap.tao_amount + 1)
