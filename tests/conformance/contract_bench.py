"""The contract adapter beside the devnet that is driven."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from miner.chains.substrate.commitments import SubnetCommitments
from miner.chains.substrate.lanes import Lanes
from miner.chains.substrate.node import SubstrateNode
from miner.contract import Contract, load
from miner.contract.affairs import ContractAffairs
from miner.model import Attempt, AttemptKind, Claim, ContractEvent, Head, Lane, LaneState, Mark
from tests.devnet import accounts, paths
from tests.devnet.terms import ChainName, Request
from tests.devnet.world import Devnet

TXID = "0x" + "ab" * 32


class WallClock:
    """Real time: the chain is a process."""

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class Bench:
    """The adapter under test beside the devnet that is driven."""

    devnet: Devnet
    node: SubstrateNode
    lanes: Lanes
    contract: Contract
    whole: bool

    @property
    def miner(self) -> str:
        return self.hotkey(0)

    def hotkey(self, index: int) -> str:
        return str(self.devnet.miners[index].hotkey.ss58_address)

    def affairs(self, netuid: int | None) -> ContractAffairs:
        """The miners' own business, with quotes on a subnet."""
        commitments = SubnetCommitments(self.node, netuid)
        metadata, address = load(paths.CONTRACT_METADATA), self.devnet.contract.address
        return Contract(self.node, self.lanes, metadata, address, commitments=commitments).affairs

    async def head(self) -> Head:
        told = await self.devnet.chain.heads()
        return Head(told.number, told.hash)

    async def head_at(self, height: int) -> Head:
        block_hash = await self.devnet.chain.block_hash(height)
        assert block_hash is not None
        return Head(height, block_hash)

    async def events(self, since: int) -> list[ContractEvent]:
        """Events of the blocks above a height, but for votes."""
        found: list[ContractEvent] = []
        for height in range(since + 1, (await self.head()).height + 1):
            found += (await self.contract.facts(await self.head_at(height))).events
        return [event for event in found if event.name != "VoteCast"]

    async def open_swap(self, index: int = 0, **changes: Any) -> int:
        """Have the validators vote a swap of a miner in; answers its id."""
        (swap_id,) = await self.open_swaps([index], **changes)
        return swap_id

    async def open_swaps(self, indices: Sequence[int], **changes: Any) -> list[int]:
        """The same for many, all in one block."""
        first = await self.devnet.contract.next_swap_id()
        messages = []
        for swap_id, index in enumerate(indices, first):
            hotkey, user = self.hotkey(index), str(accounts.user(index).ss58_address)
            request = replace(
                Request(
                    hotkey, user, ChainName.BTC, ChainName.TAO, 3_450_000_000, 1_000_000, 3_450_000_000,
                    f"bcrt1quser{index}", user, f"bcrt1qminer{index}", hotkey, "345",
                ),
                **changes,
            )  # fmt: skip
            votes = [
                ("vote_reserve", request.reserve_args()),
                ("vote_initiate", request.initiate_args(f"{swap_id:064x}", 7)),
            ]
            voters = self.devnet.contract.validators[: self.devnet.contract.quorum]
            messages += [(voter, label, args) for label, args in votes for voter in voters]
        await self.devnet.contract.execute(messages)
        return list(range(first, first + len(indices)))

    def mark(self, swap_id: int, **changes: Any) -> Mark:
        return replace(Mark(self.miner, swap_id, TXID, 9, 3_450_000_000), **changes)

    async def land(self, *claims: tuple[Claim, int]) -> list[Lane]:
        """Sign claims for nonces, have one block include them, and answer their lanes as they then stand."""
        lanes = []
        for claim, nonce in claims:
            tx = claim.sign(str(nonce))
            attempts = (Attempt(0, AttemptKind.MARK, tx, 0),)
            lanes.append(
                Lane(
                    nonce + 1, claim.chain, claim.account, str(nonce), claim.purpose, 1, claim.recipient, 0,
                    LaneState.SIGNED, attempts, earliest_birth=tx.birth or 0,
                )
            )  # fmt: skip
            await self.contract.broadcast(lanes[-1])
        await self.devnet.chain.new_block()
        return [replace(lane, block=await self.head()) for lane in lanes]

    async def requests(self) -> int:
        """Requests of the adapter since this was last asked."""
        told = await self.devnet.chain.requests(reset=True)
        return sum(count for method, count in told.items() if not method.startswith("chain_"))
