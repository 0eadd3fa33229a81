"""The contract of the simulation passes the suite of all contracts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from miner.model import Attempt, AttemptKind, Claim, ContractEvent, Head, Lane, LaneState
from tests.conformance.contracts import ContractHarness, ContractTests
from tests.simulation.link import Link
from tests.simulation.model_contract import ModelContract
from tests.simulation.model_lanes import ModelLanes
from tests.simulation.stage import CONTRACT, Stage


@dataclass
class ModelContractHarness:
    """`ContractHarness` over the model chain."""

    tells_outcomes: bool
    stage: Stage = field(default_factory=lambda: Stage.make(miners=2))

    def __post_init__(self) -> None:
        self.miner, self.stranger = (m.hotkey for m in self.stage.miners)
        self.contract = ModelContract(ModelLanes(self.stage.tao, Link(), [self.miner]), CONTRACT)
        self.contract.tells_outcomes = self.contract.lists_active = self.tells_outcomes

    async def head(self) -> Head:
        return self.stage.tao.best.head

    async def head_at(self, height: int) -> Head:
        return self.stage.tao.canonical[height].head

    async def events(self, since: int) -> list[ContractEvent]:
        blocks = self.stage.tao.canonical[since + 1 :]
        return [event for b in blocks for event in (await self.contract.facts(b.head)).events]

    async def blocks(self, count: int) -> None:
        self.stage.tao_block(count)

    async def _vote(self, message: str, **args: Any) -> None:
        self.stage.vote(message, **args)
        self.stage.tao_block()
        assert all(receipt.ok for receipt in self.stage.tao.best.receipts)

    async def set_timeout(self, blocks: int) -> None:
        await self._vote("set_terms", fulfillment_timeout_blocks=blocks)

    async def set_halted(self, halted: bool) -> None:
        await self._vote("set_terms", halted=halted)

    async def open_swap(self) -> int:
        return self.stage.open_swap()

    async def confirm(self, swap_id: int) -> None:
        await self._vote("confirm_swap", swap_id=swap_id)

    async def time_out(self, swap_id: int) -> None:
        await self._vote("timeout_swap", swap_id=swap_id)

    async def extend(self, swap_id: int) -> None:
        await self._vote("vote_extend_timeout", swap_id=swap_id)

    async def land(self, *claims: tuple[Claim, int]) -> Sequence[Lane]:
        lanes = []
        for claim, nonce in claims:
            tx = claim.sign(str(nonce))
            attempts = (Attempt(0, AttemptKind.MARK, tx, 0),)
            lane = Lane(
                nonce + 1, claim.chain, claim.account, str(nonce), claim.purpose, 1, claim.recipient, 0,
                LaneState.SIGNED, attempts, block=None, earliest_birth=tx.birth or 0,
            )  # fmt: skip
            await self.contract.broadcast(lane)
            lanes.append(lane)
        self.stage.tao_block()
        return [replace(lane, block=await self.head()) for lane in lanes]


class TestModelContract(ContractTests):
    @pytest.fixture(params=[True, False], ids=["whole", "field"])
    def harness(self, request: pytest.FixtureRequest) -> ContractHarness:
        return ModelContractHarness(request.param)
