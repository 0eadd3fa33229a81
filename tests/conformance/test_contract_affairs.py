"""A miner's own business with the contract, on a real chain: its standing, dry runs by name, claims."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miner.errors import Refused
from miner.model import Affair, AffairKind, AttemptKind, LaneState
from tests.conformance.contract_bench import Bench
from tests.conformance.test_contract import bench, both, chain_with_contract
from tests.devnet.contract import TAO

__all__ = ["bench", "chain_with_contract"]
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.keeps_sockets("the devnet's own client pools connections"),
]

NAMES = [
    (AffairKind.DEPOSIT, 0, "ZeroAmount"),
    (AffairKind.DEPOSIT, 1_000 * TAO, "ExceedsMaxCollateral"),
    (AffairKind.WITHDRAW, TAO, "MinerStillActive"),
]


@both
async def test_how_a_miner_stands(bench: Bench) -> None:
    at = await bench.head()
    found = await bench.contract.affairs.standing(bench.miner, at)
    terms = bench.devnet.contract.terms
    assert (found.miner, found.height) == (bench.miner, at.height)
    assert found.collateral == await bench.devnet.contract.collateral(bench.miner)
    assert (found.minimum, found.maximum) == (terms.min_collateral, terms.max_collateral)
    assert (found.active, found.has_swap, found.halted) == (True, False, False)
    assert (found.timeout_blocks, found.votes_needed) == (
        terms.fulfillment_timeout_blocks,
        bench.devnet.contract.quorum,
    )
    assert (found.deactivation_block, found.cooldown_ends) == (0, None)
    await bench.open_swap()
    assert (await bench.contract.affairs.standing(bench.miner, await bench.head())).has_swap is True


@pytest.mark.parametrize(("kind", "amount", "name"), NAMES, ids=[name for *_, name in NAMES])
async def test_refusals_have_the_contracts_names(
    bench: Bench, kind: AffairKind, amount: int, name: str
) -> None:
    with pytest.raises(Refused, match=name):
        await bench.contract.affairs.try_affair(Affair(kind, bench.miner, amount), await bench.head())
    with pytest.raises(Refused, match=name):
        await bench.contract.affairs.prepare_affair(Affair(kind, bench.miner, amount), await bench.head())


async def done(bench: Bench, affair: Affair) -> None:
    """Sign it for the hotkey's next nonce, and have it included."""
    at = await bench.head()
    await bench.contract.affairs.try_affair(affair, at)
    claim = await bench.contract.affairs.prepare_affair(affair, at)
    (lane,) = await bench.land((claim, claim.nonce_floor or 0))
    attempts = tuple(replace(each, kind=AttemptKind.CALL) for each in lane.attempts)
    seen = await bench.contract.locate(replace(lane, attempts=attempts, state=LaneState.SIGNED))
    assert (seen.succeeded, seen.kind_seen, seen.final) == (True, AttemptKind.CALL, True)


async def test_from_a_deposit_to_the_end_of_the_cooldown(bench: Bench) -> None:
    contract, affairs = bench.devnet.contract, bench.contract.affairs
    before = await contract.collateral(bench.miner)
    await done(bench, Affair(AffairKind.DEPOSIT, bench.miner, 2 * TAO))
    assert await contract.collateral(bench.miner) == before + 2 * TAO
    await contract.set_timeout(10)
    await done(bench, Affair(AffairKind.DEACTIVATE, bench.miner))
    found = await affairs.standing(bench.miner, await bench.head())
    assert (found.active, found.deactivation_block) == (False, found.height)
    assert found.cooldown_ends == found.height + 20
    withdraw = Affair(AffairKind.WITHDRAW, bench.miner, TAO)
    for _ in range(found.cooldown_left - 1):
        with pytest.raises(Refused, match="WithdrawalCooldown"):
            await affairs.try_affair(withdraw, await bench.head())
        await bench.devnet.chain.new_block()
    with pytest.raises(Refused, match="WithdrawalCooldown"):
        await affairs.try_affair(withdraw, await bench.head())
    await bench.devnet.chain.new_block()
    await done(bench, withdraw)
    assert await contract.collateral(bench.miner) == before + TAO
