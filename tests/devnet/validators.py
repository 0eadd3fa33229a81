"""Validators, judging payouts as the field's do, and voting."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scalecodec.types import GenericExtrinsic

from tests.devnet.bitcoin import BitcoinNode, sats
from tests.devnet.contract import Swap, SwapContract
from tests.devnet.errors import CallFailed
from tests.devnet.substrate import Substrate, extrinsic_hash
from tests.devnet.terms import ChainName, after_fee

CONFIRMATIONS = {ChainName.TAO: 6, ChainName.BTC: 2}
SEARCHED_BLOCKS = 3
"""How far from `dest_tx_block` a payout may be."""


class Verdict(StrEnum):
    """What validators make of a swap."""

    WAIT = "wait"
    CONFIRM = "confirm"
    REFUSE = "refuse"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Judgement:
    """A verdict and its reason."""

    verdict: Verdict
    reason: str


_PAID = Judgement(Verdict.CONFIRM, "paid")


class Validators:
    """All validators as one body: they see the same and vote together."""

    def __init__(self, contract: SwapContract, bitcoin: BitcoinNode | None) -> None:
        self.contract = contract
        self.substrate: Substrate = contract.substrate
        self._bitcoin = bitcoin
        self._ended: set[int] = set()
        self._promised: dict[int, int] = {}

    async def confirm(self, *swap_ids: int, votes: int | None = None) -> str:
        """Votes to confirm, in one block, whatever the payouts are; answers the block's hash."""
        return await self._vote("confirm_swap", swap_ids, votes)

    async def timeout(self, *swap_ids: int, votes: int | None = None) -> str:
        """Votes that swaps have timed out, in one block."""
        return await self._vote("timeout_swap", swap_ids, votes)

    async def extend(self, *swap_ids: int, votes: int | None = None) -> str:
        """Votes to extend the time of Fulfilled swaps, in one block."""
        return await self._vote("vote_extend_timeout", swap_ids, votes)

    async def _vote(self, label: str, swap_ids: tuple[int, ...], votes: int | None) -> str:
        return await self.contract.vote([(label, {"swap_id": each}) for each in swap_ids], votes=votes)

    async def open_swaps(self) -> list[Swap]:
        """All swaps that the contract holds."""
        unended = [each for each in range(1, await self.contract.next_swap_id()) if each not in self._ended]
        swaps = await self.contract.swaps(unended)
        found = [swap for swap in swaps if swap is not None and swap.status in ("Active", "Fulfilled")]
        self._ended.update(set(unended) - {swap.id for swap in found})
        return found

    async def judge(self) -> dict[int, Judgement]:
        """Judges every open swap and votes on those that are settled or timed out."""
        judgements = {swap.id: await self.judgement(swap) for swap in await self.open_swaps()}
        for verdict, vote in ((Verdict.CONFIRM, self.confirm), (Verdict.TIMEOUT, self.timeout)):
            settled = [swap_id for swap_id, judged in judgements.items() if judged.verdict is verdict]
            if settled:
                await vote(*settled)
        return judgements

    async def follow(self, interval_s: float = 1.0, *, extend: bool = False) -> None:
        """Judges for as long as it runs: the validators of a devnet on a clock.

        Args:
            interval_s: seconds between two looks.
            extend: whether swaps whose payout is seen, but not deep enough, get more time near the deadline.
        """
        while True:
            with contextlib.suppress(CallFailed):  # a swap ended between the look and the vote
                judged = await self.judge()
                if extend:
                    await self._extend_waiting(judged)
            await asyncio.sleep(interval_s)

    async def _extend_waiting(self, judged: dict[int, Judgement]) -> None:
        head = (await self.substrate.chain.heads()).number
        waiting = [swap_id for swap_id, each in judged.items() if each.reason.startswith("confirmations")]
        for swap_id in waiting:
            swap = await self.contract.swap(swap_id)
            if swap is not None and swap.timeout_block - head <= SEARCHED_BLOCKS:
                await self.extend(swap_id)

    async def judgement(self, swap: Swap) -> Judgement:
        """What the validators make of a swap now."""
        head = (await self.substrate.chain.heads()).number
        judged = Judgement(Verdict.WAIT, "not marked")
        if swap.status == "Fulfilled":
            judged = await self._payout(swap, head)
        if judged.verdict is not Verdict.CONFIRM and head >= swap.timeout_block:
            return Judgement(Verdict.TIMEOUT, judged.reason)
        return judged

    async def _payout(self, swap: Swap, head: int) -> Judgement:
        due = after_fee(await self._promise(swap), self.contract.terms.fee_divisor)
        if swap.dest_chain == ChainName.TAO:
            return await self._tao_payout(swap, due, head)
        return await self._btc_payout(swap, due)

    async def _promise(self, swap: Swap) -> int:
        """The swap's dest_amount as it was voted in: the mark overwrites it with the miner's own figure."""
        if swap.id not in self._promised:
            born = await self.substrate.chain.block_hash(swap.initiated_block)
            first = await self.contract.swap(swap.id, block_hash=born)
            assert first is not None, f"swap {swap.id} is not in the block that initiated it"
            self._promised[swap.id] = first.dest_amount
        return self._promised[swap.id]

    async def _tao_payout(self, swap: Swap, due: int, head: int) -> Judgement:
        for height in _around(swap.dest_tx_block):
            block_hash = await self.substrate.chain.block_hash(height)
            if block_hash is None:
                continue
            for index, extrinsic in enumerate(await self._extrinsics(block_hash)):
                if extrinsic.extrinsic_hash is not None and extrinsic_hash(extrinsic) == swap.dest_tx_hash:
                    if head - height < CONFIRMATIONS[ChainName.TAO]:
                        return Judgement(Verdict.WAIT, f"confirmations: {head - height}")
                    return await self._tao_effect(swap, due, block_hash, index, extrinsic)
        return Judgement(Verdict.REFUSE, "no such transaction")

    async def _extrinsics(self, block_hash: str) -> list[GenericExtrinsic]:
        def read() -> list[GenericExtrinsic]:
            block: dict[str, Any] = self.substrate.api.get_block(block_hash=block_hash)
            return list(block["extrinsics"])

        return await self.substrate.run(read)

    async def _tao_effect(
        self, swap: Swap, due: int, block_hash: str, index: int, extrinsic: GenericExtrinsic
    ) -> Judgement:
        if extrinsic.value.get("address") != swap.miner_dest_address:
            return Judgement(Verdict.REFUSE, "another signer")
        paid = sum(
            event.attributes["amount"]
            for event in await self.substrate.events(block_hash, index)
            if (event.pallet, event.name) == ("Balances", "Transfer")
            and event.attributes["to"] == swap.user_dest_address
        )
        return _PAID if paid >= due else Judgement(Verdict.REFUSE, f"paid {paid} of {due}")

    async def _btc_payout(self, swap: Swap, due: int) -> Judgement:
        node = self._bitcoin
        assert node is not None, "these validators have no Bitcoin node"
        tip = await node.height()
        for height in _around(swap.dest_tx_block):
            if height > tip:
                continue
            block = await node.rpc("getblock", await node.rpc("getblockhash", height), 3)
            for transaction in block["tx"]:
                if transaction["txid"] == swap.dest_tx_hash:
                    if tip - height + 1 < CONFIRMATIONS[ChainName.BTC]:
                        return Judgement(Verdict.WAIT, f"confirmations: {tip - height + 1}")
                    return _btc_effect(swap, due, transaction)
        return Judgement(Verdict.REFUSE, "no such transaction")


def _btc_effect(swap: Swap, due: int, transaction: dict[str, Any]) -> Judgement:
    if _first_sender(transaction) != swap.miner_dest_address:
        return Judgement(Verdict.REFUSE, "another sender")
    paid = sum(
        sats(output["value"])
        for output in transaction["vout"]
        if output["scriptPubKey"].get("address") == swap.user_dest_address
    )
    return _PAID if paid >= due else Judgement(Verdict.REFUSE, f"paid {paid} of {due}")


def _around(height: int) -> range:
    return range(max(height - SEARCHED_BLOCKS, 1), height + SEARCHED_BLOCKS + 1)


def _first_sender(transaction: dict[str, Any]) -> str | None:
    """The address whose coin a transaction's first input spends; None where there is none (coinbase)."""
    spent = transaction["vin"][0].get("prevout")
    return None if spent is None else spent["scriptPubKey"].get("address")
