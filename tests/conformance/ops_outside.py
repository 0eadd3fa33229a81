"""What a daemon is connected to, out of the model chains that pass the ports' suites."""

from __future__ import annotations

from typing import Any, cast

from miner.amounts import Chain
from miner.app.wiring import Outside
from miner.ports import Heads
from miner.verify import MinerAccounts
from tests.simulation.model_contract import ModelNode
from tests.simulation.stage import Stage
from tests.simulation.world import World


class Node(ModelNode):
    """The model's node, asked as the real one is."""

    async def heads(self) -> Heads:  # type: ignore[override]
        return super().heads()


def outside_of(world: World) -> Outside:
    """The model chains of a world, as adapters."""
    stage = world.stage
    miners = {each.hotkey: MinerAccounts(each.name, each.hotkey, each.accounts) for each in stage.miners}
    return Outside(
        node=cast(Any, Node(stage.tao, world.link)),
        contract=cast(Any, world.contract),
        affairs=world.affairs,
        rails={Chain.TAO: world.tao, Chain.BTC: world.btc},
        miners=miners,
        code_hash=stage.tao.best.state.contract.terms.code_hash,
    )


def unused_world() -> World:
    """A world whose daemon was never started: chains and adapters alone."""
    world = World(Stage.make())
    world._connect(world.stage)
    return world
