"""A miner's own business with the contract, on a real chain: its standing, dry runs by name, claims."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miner.errors import Refused
from miner.model import Affair, AffairKind, AttemptKind, Commitment, Lane, LaneState
from tests.conformance.contract_bench import Bench
from tests.conformance.test_contract import bench, both, chain_with_contract
from tests.devnet.contract import TAO
from tests.devnet.terms import SUBNET

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


QUOTE = "v1:btc:bcrt1qalice:tao:5Alice:345:350"


async def commit(bench: Bench, text: str, netuid: int | None = SUBNET) -> Lane:
    """Sign a commitment for the hotkey's next nonce, and have a block include it."""
    affairs = bench.affairs(netuid)
    claim = await affairs.prepare_affair(Affair(AffairKind.QUOTE, bench.miner, text=text), await bench.head())
    (lane,) = await bench.land((claim, claim.nonce_floor or 0))
    attempts = tuple(replace(each, kind=AttemptKind.CALL) for each in lane.attempts)
    return replace(lane, attempts=attempts, state=LaneState.SIGNED)


@pytest.mark.parametrize(
    "text", [QUOTE, QUOTE.ljust(128, "0"), "\u00e9"], ids=["quote", "longest", "no-ascii"]
)
async def test_a_quote_is_committed_and_read_back_as_it_is(bench: Bench, text: str) -> None:
    affairs = bench.affairs(SUBNET)
    assert await affairs.committed(bench.miner, await bench.head()) is None
    seen = await bench.contract.locate(await commit(bench, text))
    assert (seen.succeeded, seen.kind_seen) == (True, AttemptKind.CALL)
    at = await bench.head()
    assert await affairs.committed(bench.miner, at) == Commitment(at.height, text)
    await commit(bench, "v1:")
    assert await affairs.committed(bench.miner, await bench.head()) == Commitment(at.height + 1, "v1:")


async def test_a_commitment_that_the_chain_does_not_take_has_failed(bench: Bench) -> None:
    seen = await bench.contract.locate(await commit(bench, QUOTE, SUBNET + 1))
    assert (seen.succeeded, seen.final) == (False, True)
    assert await bench.affairs(SUBNET + 1).committed(bench.miner, await bench.head()) is None


async def test_without_a_subnet_there_are_no_quotes(bench: Bench) -> None:
    for affairs, name in ((bench.affairs(None), "no_netuid"), (bench.contract.affairs, "no_commitments")):
        with pytest.raises(Refused, match=name):
            await affairs.committed(bench.miner, await bench.head())
        with pytest.raises(Refused, match=name):
            await affairs.try_affair(Affair(AffairKind.QUOTE, bench.miner, text=QUOTE), await bench.head())


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
