"""What the chains say of each swap: payouts by events and outputs, ends by the contract's events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.devnet.contract import Swap
from tests.devnet.substrate import Event
from tests.devnet.terms import ChainName
from tests.devnet.world import Devnet


@dataclass(frozen=True)
class Evidence:
    """What became of one swap, by the chains alone.

    Attributes:
        status: `Active`, `Fulfilled`, `Completed` or `TimedOut`.
        payouts: Transactions of the swap's miner that paid its user on the destination chain.
        paid: What they paid together, in the smallest unit.
        txids: Their ids.
        marked_id: Payout id that the contract holds or held.
    """

    status: str
    payouts: int
    paid: int
    txids: tuple[str, ...]
    marked_id: str


class Auditor:
    """Reads both chains from where they stood when it was made."""

    def __init__(self, devnet: Devnet, height: int, btc_height: int) -> None:
        self._devnet = devnet
        self._height = height
        self._btc_height = btc_height
        self._tao_events: dict[str, list[Event]] = {}
        self._btc_blocks: dict[str, dict[str, Any]] = {}

    @classmethod
    async def begin(cls, devnet: Devnet) -> Auditor:
        """Everything after now counts."""
        return cls(devnet, (await devnet.chain.heads()).number, await devnet.bitcoin.height())

    async def of(self, swap: Swap) -> Evidence:
        """The evidence on one swap, as it was when it was opened."""
        if swap.dest_chain == ChainName.TAO:
            found = await self._tao_payouts(swap)
        else:
            found = await self._btc_payouts(swap)
        status, marked = await self._end(swap)
        return Evidence(status, len(found), sum(found.values()), tuple(found), marked)

    async def _tao_payouts(self, swap: Swap) -> dict[str, int]:
        """Transfers from the miner to the user, by block and extrinsic."""
        found: dict[str, int] = {}
        for height in range(self._height + 1, (await self._devnet.chain.heads()).number + 1):
            block_hash = await self._devnet.chain.block_hash(height)
            if block_hash is None:
                continue
            for event in await self._events(block_hash):
                told = event.attributes
                if (
                    (event.pallet, event.name) == ("Balances", "Transfer")
                    and told["from"] == swap.miner_dest_address
                    and told["to"] == swap.user_dest_address
                ):
                    found[f"{height}-{event.extrinsic}"] = told["amount"]
        return found

    async def _btc_payouts(self, swap: Swap) -> dict[str, int]:
        """Transactions that spend the miner's coins and pay the user."""
        node = self._devnet.bitcoin
        found: dict[str, int] = {}
        for height in range(self._btc_height + 1, await node.height() + 1):
            for tx in (await self._block(await node.rpc("getblockhash", height)))["tx"]:
                senders = {i["prevout"]["scriptPubKey"].get("address") for i in tx["vin"] if "prevout" in i}
                paid = [o for o in tx["vout"] if o["scriptPubKey"].get("address") == swap.user_dest_address]
                if swap.miner_dest_address in senders and paid:
                    found[tx["txid"]] = sum(round(o["value"] * 10**8) for o in paid)
        return found

    async def _events(self, block_hash: str) -> list[Event]:
        """The events of a block, which its hash fixes: read once, whoever's swap is looked at."""
        if block_hash not in self._tao_events:
            self._tao_events[block_hash] = await self._devnet.contract.substrate.events(block_hash)
        return self._tao_events[block_hash]

    async def _block(self, block_hash: str) -> dict[str, Any]:
        if block_hash not in self._btc_blocks:
            self._btc_blocks[block_hash] = await self._devnet.bitcoin.rpc("getblock", block_hash, 3)
        return self._btc_blocks[block_hash]

    async def _end(self, swap: Swap) -> tuple[str, str]:
        """The swap's status: what the contract holds, or how it says that it ended."""
        now = await self._devnet.contract.swap(swap.id)
        if now is not None:
            return now.status, now.dest_tx_hash
        # in this order: a swap that ends between two reads is found by the second
        outcome = await self._devnet.contract.read("get_swap_outcome", swap_id=swap.id)
        assert outcome is not None, f"swap {swap.id} neither is there nor has ended"
        return outcome["status"], outcome["dest_tx_hash"]
