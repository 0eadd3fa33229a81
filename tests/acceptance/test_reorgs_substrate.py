"""The contract's chain rewrites its history, or a stranger takes a nonce: paid at most once on every branch.

The chain is Chopsticks over the project's runtime, with salted forks, a finality lag and the launcher's
model of a transaction pool. The daemon is the real process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.acceptance.harness import Stage
from tests.acceptance.histories import Play

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(900),
    pytest.mark.matrix("Reorgs and rivals: substrate", "Chopsticks with the launcher's pool, bitcoind"),
]

LAG = 2
FULL = pytest.mark.proof


@pytest_asyncio.fixture(loop_scope="session")
async def play(stage: Stage, record_property: Callable[[str, object], None]) -> AsyncIterator[Play]:
    """A case of its own; its daemon does not outlive it."""
    case = Play(stage, stage.config(), record_property)
    yield case
    await case.kill()


# a payout in a block that is replaced

END_BY_RIVAL = {
    "pays": ("Completed", "COMPLETED"),
    "pays-otherwise": ("Active", "HELD"),
    "pays-nobody": ("Completed", "COMPLETED"),
}


async def rewrite(play: Play, above: int, fate: str, nonce: int) -> None:
    """Replace the blocks above a height; what the last of them held returns, is lost, or is outdone."""
    chain = play.stage.devnet.chain
    await play.fork(above, resubmit=fate == "back-in-the-pool")
    if fate not in ("back-in-the-pool", "gone"):
        substrate = play.stage.devnet.contract.substrate
        await substrate.include([await play.rival(fate.removeprefix("replaced-by-one-that-"), nonce)])
    await chain.new_block(2)


@pytest.mark.parametrize(
    ("when", "fate"),
    [
        pytest.param(when, fate, id=f"payout-{when}-{fate}", marks=() if quick else FULL)
        for when, fate, quick in (
            ("before-it-was-recorded", "back-in-the-pool", False),
            ("before-it-was-recorded", "gone", False),
            ("before-it-was-recorded", "replaced-by-one-that-pays", False),
            ("before-it-was-recorded", "replaced-by-one-that-pays-otherwise", False),
            ("before-it-was-recorded", "replaced-by-one-that-pays-nobody", False),
            ("after-it-was-recorded", "back-in-the-pool", False),
            ("after-it-was-recorded", "gone", False),
            ("after-it-was-recorded", "replaced-by-one-that-pays", False),
            ("after-it-was-recorded", "replaced-by-one-that-pays-otherwise", False),
            ("after-it-was-recorded", "replaced-by-one-that-pays-nobody", True),
        )
    ],
)
async def test_a_payout_in_a_replaced_block_is_made_once(play: Play, when: str, fate: str) -> None:
    recorded = when == "after-it-was-recorded"
    await play.finality_lag(LAG)
    await play.start()
    await play.open()
    txid = await play.until_broadcast()
    if not recorded:
        await play.kill()
    await play.step()
    if recorded:
        await play.until_state("PAID", blocks=1)
    await play.deaf()
    await rewrite(play, await play.height_of(txid) - 1, fate, int(play.slots()[0]))
    await play.hearing()
    if not recorded:
        await play.start()
    await finish(play, fate)


async def finish(play: Play, fate: str) -> None:
    """Follow a history to its end, and judge."""
    end, saga = END_BY_RIVAL.get(fate.removeprefix("replaced-by-one-that-"), ("Completed", "COMPLETED"))
    if saga == "HELD":
        await play.until_state("HELD")
        await play.step(12)
    else:
        await play.until_completed()
    await play.judge(end=end, saga=saga)


# a nonce that another program takes


@pytest.mark.parametrize(
    ("moment", "effect"),
    [
        pytest.param(
            moment, effect, id=f"nonce-taken-{moment}-by-one-that-{effect}", marks=() if quick else FULL
        )
        for moment, effect, quick in (
            ("before-ours-left", "pays", False),
            ("before-ours-left", "pays-otherwise", False),
            ("before-ours-left", "pays-nobody", False),
            ("while-ours-was-in-the-pool", "pays", True),
            ("while-ours-was-in-the-pool", "pays-otherwise", False),
            ("while-ours-was-in-the-pool", "pays-nobody", False),
        )
    ],
)
async def test_whoever_takes_the_nonce_is_judged_by_what_it_paid(
    play: Play, moment: str, effect: str
) -> None:
    substrate = play.stage.devnet.contract.substrate
    await play.start()
    if moment == "before-ours-left":
        await play.deaf()
        await play.open()
        await play.until_state("SIGNED")
        (rival,) = await substrate.include([await play.rival(effect, int(play.slots()[0]))])
        theirs = rival.hash
    else:
        await play.open()
        await play.until_broadcast()
        theirs = await substrate.submit(await play.rival(effect, int(play.slots()[0]), tip=10**6))
    await play.hearing()
    await finish(play, effect)
    if effect == "pays":
        swap_id = play.swap_id
        told = await play.stage.devnet.contract.read("get_swap_outcome", swap_id=swap_id)
        assert told["dest_tx_hash"] == theirs, "the mark names the payout that was made"
    assert len(play.slots()) == (2 if effect == "pays-nobody" else 1)


# a mark in a block that is replaced


@pytest.mark.parametrize(
    ("when", "fate"),
    [
        pytest.param(when, fate, id=f"mark-{when}-{fate}", marks=FULL)
        for when in ("before-it-was-recorded", "after-it-was-recorded")
        for fate in ("back-in-the-pool", "gone", "replaced-by-one-that-pays-nobody")
    ],
)
async def test_a_mark_in_a_replaced_block_is_made_again(play: Play, when: str, fate: str) -> None:
    recorded = when == "after-it-was-recorded"
    await play.finality_lag(LAG)
    await play.start()
    await play.open()
    txid = await play.until_broadcast("mark")
    if not recorded:
        await play.kill()
    await play.step()
    if recorded:
        assert play.stage.rows("SELECT state FROM lanes WHERE purpose = 'mark'") == [("in_block",)]
    await play.deaf()
    await rewrite(play, await play.height_of(txid) - 1, fate, int(play.slots("mark")[0]))
    await play.hearing()
    if not recorded:
        await play.start()
    await finish(play, fate)
    assert len(play.slots("mark")) == (2 if fate.startswith("replaced") else 1)


# what stands in a block that is not final is not acted on


@pytest.mark.parametrize(
    "fate",
    [
        pytest.param("gone", id="initiation-never-final"),
        pytest.param("back", id="initiation-final-later", marks=FULL),
    ],
)
async def test_a_swap_is_paid_only_once_its_initiation_is_final(play: Play, fate: str) -> None:
    await play.finality_lag(3)
    await play.start()
    opened = await play.open()
    await play.fork(opened.swap.initiated_block - 1, resubmit=fate == "back")
    await play.step(6 if fate == "gone" else 1)
    assert play.stage.states() == {}, "nothing of it was final"
    if fate == "gone":
        assert not await play.received(), "nobody paid for a swap that never was"
        play.record("payouts", 0)
        play.record("end", "never begun")
        return
    await play.until_completed()
    await play.judge(end="Completed", saga="COMPLETED")


@pytest.mark.proof
async def test_a_completion_counts_only_once_it_is_final(play: Play) -> None:
    chain = play.stage.devnet.chain
    await play.finality_lag(3)
    await play.start()
    await play.open()
    await play.until_fulfilled()
    await play.until_state("MARKED")
    await play.step(8)
    before = (await chain.heads()).number
    await play.stage.devnet.validators.judge()
    assert await play.stage.devnet.contract.swap(play.swap_id) is None
    await play.step()
    await play.fork(before, resubmit=False)
    await play.step(5)
    assert play.state() == "MARKED"
    await play.until_completed()
    await play.judge(end="Completed", saga="COMPLETED")


# bytes that died before they landed


@pytest.mark.parametrize(
    ("purpose", "moment", "transaction_version"),
    [
        pytest.param("payout", "never-left", None, id="upgrade-before-the-payout-left", marks=FULL),
        pytest.param("payout", "in-the-pool", None, id="upgrade-with-the-payout-in-the-pool"),
        pytest.param("payout", "in-the-pool", 2, id="upgrade-with-another-transaction-version", marks=FULL),
        pytest.param("mark", "in-the-pool", None, id="upgrade-with-the-mark-in-the-pool", marks=FULL),
    ],
)
async def test_after_a_runtime_upgrade_it_is_signed_again_in_its_lane(
    play: Play, purpose: str, moment: str, transaction_version: int | None
) -> None:
    """Signed for the version before, it is a bad proof to every block after; its era has long to live."""
    chain = play.stage.devnet.chain
    await play.start()
    if moment == "never-left":
        await play.deaf()
        await play.open()
        await play.until_state("SIGNED")
    else:
        await play.open()
        await play.until_broadcast(purpose)
    await chain.upgrade(transaction_version=transaction_version)
    await chain.pool(drop="all")  # a node checks its pool against the new runtime
    await play.step()
    await play.hearing()
    await play.until_completed(blocks=12)
    await play.judge(end="Completed", saga="COMPLETED")
    assert len(play.slots(purpose)) == 1, "one lane"
    assert len(play.txids(purpose)) == 2, "signed twice in it"


@pytest.mark.proof
async def test_a_payout_whose_mortality_ran_out_is_signed_again_in_its_lane(play: Play) -> None:
    await play.stage.devnet.contract.set_timeout(44)
    await play.start()
    await play.deaf()
    await play.open()
    await play.until_state("SIGNED")
    ((death,),) = play.stage.rows("SELECT death FROM attempts WHERE kind = 'payment'")
    await play.step(death - (await play.stage.devnet.chain.heads()).finalised_number)
    await play.hearing()
    await play.until_completed(blocks=10)
    await play.judge(end="Completed", saga="COMPLETED")
    assert len(play.slots()) == 1
    assert len(play.txids()) == 2


# an account that starts again


@pytest.mark.proof
async def test_a_nonce_that_went_back_stops_the_account(play: Play) -> None:
    """An account that was emptied and refunded starts at 0, and what it signed before is valid again."""
    chain = play.stage.devnet.chain
    account = play.stage.devnet.miners[0].tao_address
    await play.start()
    await play.open()
    await play.until_completed()
    first = play.opened
    await chain.rpc(
        "dev_setStorage",
        {"System": {"Account": [[[account], {"nonce": 0, "providers": 1, "data": {"free": str(10**13)}}]]}},
    )
    await play.step(11)
    (why,) = play.stopped()
    assert why.startswith("nonce went back")
    second = await play.open()
    await play.step(6)
    assert play.state() in ("VERIFIED", "RESERVED")
    assert (await play.stage.evidence(second)).payouts == 0
    assert first is not None
    assert (await play.stage.evidence(first)).payouts == 1
    play.record("noticed", why)
    await play.judge(end="Active", saga=play.state(), payouts=0)
