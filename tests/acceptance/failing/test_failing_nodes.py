"""Each trouble of each node, with the daemon in every state: nothing is paid twice, lost, or late."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.failing.cast import FEW, impoverish
from tests.acceptance.failing.ground import Ground, endured
from tests.acceptance.failing.troubles import ONLY_SUBSTRATE, TROUBLES, Side

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(900),
    pytest.mark.matrix("Lying and failing nodes", "Chopsticks, bitcoind"),
]

CASES = [
    pytest.param(name, side, id=f"{name}-{side}", marks=pytest.mark.proof)
    for name in TROUBLES
    for side in Side
    if side is Side.SUBSTRATE or name not in ONLY_SUBSTRATE
]
IN_TURN = (
    {Side.SUBSTRATE: ["error-after-the-send"], Side.BITCOIN: ["error-after-the-send"]},
    {Side.SUBSTRATE: ["hangs-at-broadcast", "frozen-head"], Side.BITCOIN: ["no-json"]},
)
"""The most dangerous ones, both nodes at once."""


@pytest.mark.parametrize(("name", "side"), CASES)
async def test_a_node_in_trouble_costs_no_swap(
    ground: Ground, name: str, side: Side, record_property: Callable[[str, object], None]
) -> None:
    await impoverish(ground.stage)
    async with await Daemon.start(ground.config()) as daemon:
        await ground.ready(daemon)
        await endured(ground, daemon, [{side: [name]}], record_property)


@pytest.mark.parametrize("phases", [pytest.param(IN_TURN, id="error-after-the-send-then-frozen-head-both")])
async def test_both_nodes_in_trouble_at_once_cost_no_swap(
    ground: Ground,
    phases: tuple[dict[Side, list[str]], ...],
    record_property: Callable[[str, object], None],
) -> None:
    async with await Daemon.start(ground.config()) as daemon:
        await ground.ready(daemon)
        await endured(ground, daemon, phases, record_property, FEW)
