"""The contract adapter over the project's contract, on a real chain, passes the suite of all contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from miner.chains.substrate.keys import Keyring, from_uri
from miner.chains.substrate.lanes import Lanes
from miner.chains.substrate.node import SubstrateNode
from miner.contract import Contract, load
from miner.model import Claim, ContractEvent, Head, Lane
from tests.conformance.contract_bench import Bench, WallClock
from tests.conformance.contracts import ContractHarness, ContractTests
from tests.conformance.test_contract import chain_with_contract, metadata_file
from tests.devnet.world import Devnet

__all__ = ["chain_with_contract"]
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.keeps_sockets("the devnet's own client pools connections"),
]


class BenchHarness:
    """`ContractHarness` over the devnet."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.contract = bench.contract
        self.miner, self.stranger = bench.hotkey(0), bench.hotkey(1)
        self.tells_outcomes = bench.whole

    async def head(self) -> Head:
        return await self._bench.head()

    async def head_at(self, height: int) -> Head:
        return await self._bench.head_at(height)

    async def events(self, since: int) -> list[ContractEvent]:
        return await self._bench.events(since)

    async def blocks(self, count: int) -> None:
        await self._bench.devnet.chain.new_block(count)

    async def set_timeout(self, blocks: int) -> None:
        await self._bench.devnet.contract.set_timeout(blocks)

    async def set_halted(self, halted: bool) -> None:
        await self._bench.devnet.contract.set_halted(halted)

    async def open_swap(self) -> int:
        return await self._bench.open_swap()

    async def confirm(self, swap_id: int) -> None:
        await self._bench.devnet.validators.confirm(swap_id)

    async def time_out(self, swap_id: int) -> None:
        await self._bench.devnet.validators.timeout(swap_id)

    async def extend(self, swap_id: int) -> None:
        await self._bench.devnet.validators.extend(swap_id)

    async def land(self, *claims: tuple[Claim, int]) -> Sequence[Lane]:
        return await self._bench.land(*claims)


class TestContract(ContractTests):
    @pytest_asyncio.fixture(loop_scope="session", params=[True, False], ids=["whole", "field"])
    async def harness(
        self, chain_with_contract: Devnet, tmp_path: Path, request: pytest.FixtureRequest
    ) -> AsyncIterator[ContractHarness]:
        devnet, whole = chain_with_contract, bool(request.param)
        await devnet.reset()
        node = SubstrateNode([devnet.chain.url], WallClock())
        try:
            await node.connect()
            lanes = Lanes(node, Keyring(from_uri(f"//miner/{i}", devnet=True) for i in range(2)))
            metadata = load(metadata_file(tmp_path, whole))
            contract = Contract(node, lanes, metadata, devnet.contract.address)
            yield BenchHarness(Bench(devnet, node, lanes, contract, whole))
        finally:
            await node.close()
