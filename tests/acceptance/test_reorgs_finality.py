"""Finalised blocks are replaced (law 4), or cannot be read: first sends stop, and all is read anew."""

from __future__ import annotations

import pytest

from tests.acceptance import test_reorgs_substrate
from tests.acceptance.harness import Stage
from tests.acceptance.histories import Play
from tests.devnet.driver import Opened
from tests.devnet.faults import Fault, FaultKind

play = test_reorgs_substrate.play

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(900),
    pytest.mark.matrix("Reorgs and rivals: substrate", "Chopsticks with the launcher's pool, bitcoind"),
]

FULL = pytest.mark.proof


async def violate(play: Play, above: int, *, resubmit: bool) -> None:
    """Replace finalised blocks, and wait until the daemon has noticed and stopped first sends."""
    said = len(play.daemon.log)
    await play.fork(above, resubmit=resubmit, force=True)
    await play.stage.step()
    await play.daemon.event("finality_violated", since=said)
    await play.heard(said)
    assert play.stage.rows("SELECT count(*) FROM paused WHERE what = 'all'") == [(1,)]
    play.record("noticed", "finality_violated")


async def first_sends_wait(play: Play, stage: Stage) -> Opened:
    """A swap that is opened now is not paid."""
    (later,) = await stage.open(stage.plan(1))
    await play.step(3)
    assert (await stage.evidence(later)).payouts == 0
    return later


async def paid_after_resume(play: Play, stage: Stage, later: Opened) -> None:
    """A person resumes, and the swap that waited is paid once."""
    await stage.cli("resume")
    await stage.fulfilled(play.daemon, [later])
    assert (await stage.evidence(later)).payouts == 1


@pytest.mark.parametrize(
    ("state", "fate"),
    [
        pytest.param("MARKING", "back", id="payout-replaced-while-marking-back-in-the-pool", marks=FULL),
        pytest.param("MARKING", "gone", id="payout-replaced-while-marking-gone", marks=FULL),
        pytest.param("MARKED", "back", id="payout-and-mark-replaced-back-in-the-pool", marks=FULL),
        pytest.param("MARKED", "gone", id="payout-and-mark-replaced-gone"),
    ],
)
async def test_a_finalised_payout_that_is_replaced_is_made_once_and_first_sends_wait_for_a_person(
    play: Play, state: str, fate: str
) -> None:
    await play.start()
    await play.open()
    txid = await play.until_broadcast()
    await play.until_state(state)
    await violate(play, await play.height_of(txid) - 1, resubmit=fate == "back")
    later = await first_sends_wait(play, play.stage)
    await play.until_completed(blocks=40)
    await paid_after_resume(play, play.stage, later)
    await play.judge(end="Completed", saga="COMPLETED")


@pytest.mark.parametrize(
    "fate",
    [
        pytest.param("same-height", id="initiation-replaced-and-in-the-sibling", marks=FULL),
        pytest.param("later", id="initiation-replaced-and-made-again-later", marks=FULL),
        pytest.param("never", id="initiation-replaced-and-never-made-again", marks=FULL),
    ],
)
async def test_a_finalised_initiation_that_is_replaced(play: Play, fate: str) -> None:
    """Nothing was signed yet. Absence on the new chain is no end: the swap may be born there later."""
    stage = play.stage
    await play.start()
    await stage.cli("pause")
    opened = await play.open()
    await play.until_state("VERIFIED")
    await violate(play, opened.swap.initiated_block - 1, resubmit=fate == "same-height")
    await play.step(2)
    if fate == "later":
        (play.opened,) = await stage.devnet.driver.initiate([opened.plan], [opened.request], [opened.payment])
        assert play.opened.id == opened.id
    await stage.cli("resume")
    if fate == "never":
        await play.step(6)
        assert not await play.received()
        assert play.state() in ("VERIFIED", "RESERVED")
        play.record("payouts", 0)
        play.record("end", f"never begun again, {play.state()}")
        return
    await play.until_completed()
    await play.judge(end="Completed", saga="COMPLETED")


@pytest.mark.proof
async def test_a_completion_that_is_replaced_is_told_and_the_user_was_paid_once(play: Play) -> None:
    """The saga has ended, and ends are immutable: its recovery entry asks for a person."""
    await play.start()
    await play.open()
    await play.until_fulfilled()
    await play.step(8)
    before = (await play.stage.devnet.chain.heads()).number
    await play.stage.devnet.validators.judge()
    await play.until_state("COMPLETED", blocks=3)
    await violate(play, before, resubmit=False)
    await play.step(2)
    assert "ended_by_a_replaced_block" in play.causes()
    await play.judge(end="Fulfilled", saga="COMPLETED")


@pytest.mark.parametrize(
    "landed",
    [
        pytest.param("first", id="freed-lane-is-back-and-its-bytes-land"),
        pytest.param("taker", id="freed-lane-is-back-and-its-taker-lands-again", marks=FULL),
    ],
)
async def test_a_lane_freed_by_a_replaced_block_never_lets_both_payouts_land(play: Play, landed: str) -> None:
    """The nonce's taker is gone, a second payout is signed: either may land now, so a person is asked."""
    chain, substrate = play.stage.devnet.chain, play.stage.devnet.contract.substrate
    await play.start()
    await play.deaf()
    await play.open()
    await play.until_state("SIGNED")
    nonce = int(play.slots()[0])
    ((first,),) = play.stage.rows("SELECT hex(raw) FROM attempts")
    remark = await play.rival("pays-nobody", nonce)
    (taker,) = await substrate.include([remark])

    async def second_is_signed() -> bool:
        return len(play.slots()) == 2

    await play.until(second_is_signed)
    await violate(play, taker.block_number - 1, resubmit=False)
    if landed == "first":
        await chain.rpc("author_submitExtrinsic", f"0x{first.lower()}")
    else:
        await substrate.include([remark])
    await play.hearing()
    await play.step(14)
    await play.census()
    assert play.most <= 1, "paid by both lanes"
    assert "freed_lane_is_back" in play.causes()
    await play.judge(end="Active", saga="HELD", payouts=1 if landed == "first" else 0)


# a gap that cannot be read


@pytest.mark.parametrize(
    "why",
    [
        pytest.param("discarded", id="gap-of-discarded-state", marks=FULL),
        pytest.param("unreadable", id="gap-after-five-failures", marks=FULL),
    ],
)
async def test_a_gap_that_cannot_be_read_is_bridged_at_the_head(play: Play, why: str) -> None:
    chain = play.stage.devnet.chain
    await play.start()
    await play.kill()
    opened = await play.open()
    await play.step(3)
    if why == "discarded":
        await chain.set_pruning(2)
    else:
        broken = await chain.block_hash(opened.swap.initiated_block)
        await chain.fault(
            Fault("state_queryStorageAt", FaultKind.REFUSE, code=-32000, message="broken", match=broken)
        )
    daemon = await play.start_unready()
    await daemon.event("gap_bridged")
    await chain.set_pruning(None)  # for the validators, who read the swap as it was born
    await chain.clear_faults()
    await play.until_completed()
    await play.judge(end="Completed", saga="COMPLETED")


@pytest.mark.proof
async def test_a_gap_over_replaced_blocks_is_a_finality_violation(play: Play) -> None:
    """The blocks between are discarded, and the one at the cursor is another: no bridge over that."""
    chain = play.stage.devnet.chain
    await play.start()
    await play.step(2)
    cursor = (await chain.heads()).finalised_number
    await play.kill()
    await chain.fork(cursor - 1, blocks=4, resubmit=False, force=True)
    await chain.set_pruning(1)
    daemon = await play.start_unready()
    await daemon.event("finality_violated")
    await chain.set_pruning(None)
    await daemon.event("ready_again")
    assert play.stage.rows("SELECT count(*) FROM paused WHERE what = 'all'") == [(1,)]
    opened = await play.open()
    await play.step(3)
    assert (await play.stage.evidence(opened)).payouts == 0
    await play.stage.cli("resume")
    await play.until_completed()
    await play.judge(end="Completed", saga="COMPLETED")
