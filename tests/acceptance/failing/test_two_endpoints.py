"""Two endpoints that disagree: the trouble never ends, and the healthy one is enough."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.failing.cast import FEW, ROLES, Role, assemble, finish, followed, impoverish
from tests.acceptance.failing.ground import BACK_S, Ground, judged
from tests.acceptance.failing.troubles import TROUBLES, Side

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(900),
    pytest.mark.matrix("Lying and failing nodes", "Chopsticks twice, bitcoind"),
]

MATRIX = (
    "refuses-connections", "resets-mid-reply", "hangs", "no-json", "wrong-types", "hex-cut-short", "busy-429",
    "error-for-everything", "error-after-the-send", "stale-head", "frozen-head", "silent-finality",
    "another-fork",
)  # fmt: skip
CASES = [
    pytest.param("another-chain", FEW, id="first-becomes-another-chain-for-good"),
    *(pytest.param(name, ROLES, id=f"first-{name}-for-good", marks=pytest.mark.proof) for name in MATRIX),
]


@pytest.mark.parametrize(("name", "roles"), CASES)
async def test_with_a_healthy_second_endpoint_no_swap_waits_for_the_first(
    ground: Ground, name: str, roles: tuple[Role, ...], record_property: Callable[[str, object], None]
) -> None:
    stage, node = ground.stage, ground.nodes[Side.SUBSTRATE]
    await impoverish(stage, roles)
    async with await Daemon.start(ground.config(stage.devnet.chain.url)) as daemon:
        await ground.ready(daemon)
        cast = await assemble(stage, daemon, roles)
        node.proxy.requests(reset=True)
        await TROUBLES[name](node)
        await cast.enrich()
        await stage.devnet.chain.new_block()
        await followed(stage, daemon, timeout_s=BACK_S)
        record_property("blocks_to_the_end", await finish(cast, daemon))
        record_property("requests", sum(node.proxy.requests().values()) + node.proxy.opened)
        await judged(cast, daemon, record_property)
