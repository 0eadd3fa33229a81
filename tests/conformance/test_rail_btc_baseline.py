"""Law 9 on Bitcoin: what was spent before accounting began is never held against the account later."""

from __future__ import annotations

import pytest

from miner.model import AccountRow
from tests.conformance.rail_btc import World, btc_session, world

__all__ = ["btc_session", "world"]
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_spend_just_before_accounting_began_stays_explained_at_every_look(world: World) -> None:
    """Looks go on from a block that is final, which is below a base that has just begun."""
    await world.node.pay_from(world.wallet, world.address, {world.user: 100_000})
    await world.node.mine()
    base = await world.rail.baseline(world.address)
    row = AccountRow(world.rail.chain_id, world.address, 0, base)
    for _ in range(3):
        assert await world.rail.unexplained(row, set()) == []
        await world.node.mine()
    stranger = await world.node.pay_from(world.wallet, world.address, {world.user: 100_000})
    assert stranger in "".join(await world.rail.unexplained(row, set())), "after it, it counts"
