"""What a node once said untruly, in a form that decodes, does not outlive it: adapters read it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from miner.chains.substrate.spine import LINK_BLOCKS
from miner.errors import ReadFailed, Refused
from miner.model import AccountRow, Payment, SightingKind
from tests.conformance.rail_btc import FINAL, World, btc_session, world
from tests.conformance.rail_tao import LAG, TaoHarness, tao, tao_session
from tests.conformance.rails import AMOUNT, open_lane
from tests.devnet.faults import Fault, FaultKind

__all__ = ["btc_session", "tao", "tao_session", "world"]
pytestmark = pytest.mark.asyncio(loop_scope="session")

NO_BLOCK = "ab" * 32
STATE = "state_queryStorageAt"


def lie(world: World, method: str, twist: Callable[[str, Any, Any], Any]) -> None:
    """The next answer to this method is not true."""
    world.node.proxy.fault(Fault(method, FaultKind.TWIST, count=1, twist=twist))


async def test_a_history_that_was_to_go_on_from_no_block_begins_at_the_base_again(world: World) -> None:
    await world.pay()
    await world.node.mine(FINAL + 1)
    base = await world.node.height() - FINAL - 1
    row, slots = AccountRow(world.rail.chain_id, world.address, 0, base), set(world.taken)
    lie(world, "listsinceblock", lambda _m, _p, told: {**told, "lastblock": NO_BLOCK})
    assert await world.rail.unexplained(row, slots) == []
    with pytest.raises(ReadFailed, match="not found"):
        await world.rail.unexplained(row, slots)
    assert await world.rail.unexplained(row, slots) == []
    assert await world.rail.unexplained(row, set()), "what was explained by a slot is looked at again"


async def test_another_blocks_header_is_no_answer(world: World) -> None:
    await world.node.mine()
    lie(world, "getblockheader", lambda _m, _p, told: {**told, "hash": NO_BLOCK, "height": 7})
    with pytest.raises(ReadFailed, match="another block"):
        await world.rail.tip()
    assert (await world.rail.tip()).height == await world.node.height()


async def test_a_finalised_height_whose_hash_no_block_has_is_asked_for_again(tao: TaoHarness) -> None:
    height = (await tao.node.heads()).finalised.height - 1
    await tao.chain.fault(Fault("chain_getBlockHash", FaultKind.REPLACE, count=1, result="0x" + NO_BLOCK))
    assert await tao.node.finalised_hash(height) == "0x" + NO_BLOCK
    with pytest.raises(ReadFailed):
        await tao.node.finalised_body(height)
    assert (await tao.node.finalised_body(height)).head.hash == await tao.chain.block_hash(height)


async def test_a_block_of_another_height_is_no_answer(tao: TaoHarness) -> None:
    height = (await tao.node.heads()).finalised.height - 1
    other = await tao.chain.block_hash(height - 1)
    await tao.chain.fault(Fault("chain_getBlockHash", FaultKind.REPLACE, count=1, result=other))
    with pytest.raises(ReadFailed, match=f"gave block {height - 1}"):
        await tao.node.finalised_body(height)
    assert (await tao.node.finalised_body(height)).head.height == height


async def test_a_lane_is_looked_for_after_a_lie_about_its_blocks(tao: TaoHarness) -> None:
    """The hash of a block far below is asked for by height; what is linked to it would never read."""
    lane = await open_lane(tao)
    assert (await tao.rail.locate(lane)).kind is SightingKind.UNSEEN
    await tao.blocks(LINK_BLOCKS + 2 * LAG)
    await tao.chain.fault(Fault("chain_getBlockHash", FaultKind.REPLACE, count=1, result="0x" + NO_BLOCK))
    with pytest.raises(ReadFailed):
        await tao.rail.locate(lane)
    assert (await tao.rail.locate(lane)).kind in (SightingKind.UNSEEN, SightingKind.EXPIRED)


async def test_a_payment_that_one_lie_spoke_against_is_read_again(tao: TaoHarness) -> None:
    """The events of its block, with a smaller amount: a reply that decodes."""
    claim = await tao.user_pays(AMOUNT)
    await tao.finalise()
    block = await tao.chain.block_hash(claim.height)
    runtime = await tao.node.blocks.runtime()
    keys = [
        runtime.storage_key(*name)
        for name in (
            ("System", "Events"),
            ("Timestamp", "Now"),
            ("System", "ParentHash"),
            ("System", "LastRuntimeUpgrade"),
        )
    ]
    told = await tao.chain.rpc(STATE, keys, block)
    (real, less) = (amount.to_bytes(8, "little").hex() for amount in (AMOUNT, AMOUNT - 1))
    changes = [[key, value and value.replace(real, less)] for key, value in told[0]["changes"]]
    assert changes != told[0]["changes"]
    rail = await tao.new_rail()
    lying = [{**told[0], "changes": changes}]
    await tao.chain.fault(Fault(STATE, FaultKind.REPLACE, count=1, match=block, result=lying))
    with pytest.raises(Refused) as refused:
        await rail.verify(claim)
    assert refused.value.name == "wrong_amount"
    assert isinstance(await rail.verify(claim), Payment)
