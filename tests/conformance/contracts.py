"""What every swap contract must do: a harness that each implementation supplies, and the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pytest

from miner.errors import ReadFailed, Refused
from miner.model import (
    AttemptKind,
    Claim,
    ContractEvent,
    Ending,
    EndingKind,
    Head,
    Lane,
    Mark,
    SightingKind,
    SwapStatus,
)
from miner.ports import SwapContract
from tests.conformance.rails import sighted, with_attempt

TXID = "0x" + "ab" * 32
RAO, SAT = 3_450_000_000, 1_000_000
FEE = RAO // 100


class ContractHarness(Protocol):
    """A contract over a chain of the test's own, and the hands of everybody else on that chain.

    Attributes:
        contract: Connected; its lanes sign for `miner`.
        miner: A hotkey with funds and collateral.
        stranger: Another hotkey that is registered, too.
        tells_outcomes: Whether the contract can say how a swap ended.
    """

    @property
    def contract(self) -> SwapContract:
        """See above."""

    @property
    def miner(self) -> str:
        """See above."""

    @property
    def stranger(self) -> str:
        """See above."""

    @property
    def tells_outcomes(self) -> bool:
        """See above."""

    async def head(self) -> Head:
        """The best head; everything up to it is final."""

    async def head_at(self, height: int) -> Head:
        """The block at a height."""

    async def events(self, since: int) -> list[ContractEvent]:
        """Events of the blocks above a height, but for votes."""

    async def blocks(self, count: int) -> None:
        """Make empty blocks."""

    async def set_timeout(self, blocks: int) -> None:
        """The owner sets how long a swap lasts."""

    async def set_halted(self, halted: bool) -> None:
        """The owner halts the contract, or ends that."""

    async def open_swap(self) -> int:
        """A swap of `miner`, `SAT` for `RAO`, voted in; answers its id."""

    async def confirm(self, swap_id: int) -> None:
        """The validators confirm."""

    async def time_out(self, swap_id: int) -> None:
        """The validators time it out."""

    async def extend(self, swap_id: int) -> None:
        """The validators give it more time."""

    async def land(self, *claims: tuple[Claim, int]) -> Sequence[Lane]:
        """Sign claims for nonces, have one block include them; their lanes with that block."""


def mark_of(harness: ContractHarness, swap_id: int, **changes: Any) -> Mark:
    values: dict[str, Any] = {"miner": harness.miner, "txid": TXID, "block": 9, "amount": RAO}
    return Mark(swap_id=swap_id, **(values | changes))


async def marked(harness: ContractHarness, swap_id: int) -> Lane:
    mark = mark_of(harness, swap_id)
    await harness.contract.try_mark(mark, await harness.head())
    claim = await harness.contract.prepare_mark(mark)
    (lane,) = await harness.land((claim, claim.nonce_floor or 0))
    return lane


class ContractTests:
    """The suite."""

    async def test_a_contract_without_swaps(self, harness: ContractHarness) -> None:
        at, contract = await harness.head(), harness.contract
        assert await contract.next_swap_id(at) == 1
        assert await contract.swaps([0, 1, 2**64 - 1], at) == {0: None, 1: None, 2**64 - 1: None}
        assert list(await contract.open_swaps([harness.miner], at, 0)) == []
        assert await contract.outcome(1, at) is None
        terms = await contract.terms(at)
        assert (terms.fee_divisor, terms.fulfillment_timeout_blocks, terms.reservation_ttl_blocks) == (
            100,
            150,
            50,
        )
        assert (terms.halted, terms.code_hash) == (False, await contract.code_hash(at))

    async def test_a_new_swap(self, harness: ContractHarness) -> None:
        before = await harness.head()
        swap_id = await harness.open_swap()
        at, contract = await harness.head(), harness.contract
        swap = (await contract.swaps([swap_id], at))[swap_id]
        assert swap is not None
        assert (swap.id, swap.miner, swap.status) == (1, harness.miner, SwapStatus.ACTIVE)
        assert (swap.source_amount, swap.dest_amount, swap.tao_amount) == (SAT, RAO, RAO)
        assert before.height < swap.initiated_block <= at.height
        assert swap.timeout_block == swap.initiated_block + 150
        assert (swap.dest_tx_hash, swap.dest_tx_block, swap.fulfilled_block) == ("", 0, 0)
        assert await contract.next_swap_id(at) == 2
        assert list(await contract.open_swaps([harness.stranger, harness.miner], at, 0)) == [swap]
        assert list(await contract.open_swaps([harness.stranger], at, 0)) == []

    async def test_reads_are_of_the_block_they_name(self, harness: ContractHarness) -> None:
        before = await harness.head()
        swap_id = await harness.open_swap()
        assert await harness.contract.swaps([swap_id], before) == {swap_id: None}
        assert await harness.contract.next_swap_id(before) == 1
        for read in (harness.contract.swaps([swap_id], Head(5, "0x" + "12" * 32)),
                     harness.contract.facts(Head(5, "0x" + "12" * 32))):  # fmt: skip
            with pytest.raises(ReadFailed):
                await read

    async def test_facts_are_the_blocks_own(self, harness: ContractHarness) -> None:
        at = await harness.head()
        facts, parent = await harness.contract.facts(at), await harness.head_at(at.height - 1)
        assert (facts.head, facts.parent_hash) == (at, parent.hash)
        assert facts.time_ms - (await harness.contract.facts(parent)).time_ms == 12_000

    async def test_from_reservation_to_completion(self, harness: ContractHarness) -> None:
        start = (await harness.head()).height
        swap_id = await harness.open_swap()
        lane = await marked(harness, swap_id)
        assert lane.block is not None
        swap = (await harness.contract.swaps([swap_id], await harness.head()))[swap_id]
        assert swap is not None
        assert (swap.status, swap.dest_tx_hash, swap.dest_tx_block) == (SwapStatus.FULFILLED, TXID, 9)
        assert (swap.dest_amount, swap.fulfilled_block) == (RAO, lane.block.height)
        await harness.extend(swap_id)
        extended = (await harness.contract.swaps([swap_id], await harness.head()))[swap_id]
        assert extended is not None
        assert extended.timeout_block > swap.timeout_block
        await harness.confirm(swap_id)
        end = await harness.head()
        events = await harness.events(start)
        assert [event.name for event in events] == [
            "MinerReserved", "SwapInitiated", "SwapFulfilled", "SwapTimeoutExtended", "SwapCompleted",
        ]  # fmt: skip
        assert {event.args.get("miner", harness.miner) for event in events} == {harness.miner}
        assert {event.args.get("swap_id", swap_id) for event in events} == {swap_id}
        assert events[2].args["dest_tx_hash"] == TXID
        assert events[3].args["new_timeout_block"] == extended.timeout_block
        assert (events[4].args["fee_amount"], events[4].args["tao_amount"]) == (FEE, RAO)
        assert events[4].block == end
        assert await harness.contract.swaps([swap_id], end) == {swap_id: None}
        assert list(await harness.contract.open_swaps([harness.miner], end, 0)) == []
        completed = Ending(EndingKind.COMPLETED, end.height, 0, FEE, TXID)
        told = await harness.contract.outcome(swap_id, end)
        assert told == (completed if harness.tells_outcomes else None)

    @pytest.mark.parametrize("is_marked", [False, True])
    async def test_a_swap_that_times_out(self, harness: ContractHarness, is_marked: bool) -> None:
        await harness.set_timeout(10)
        swap_id = await harness.open_swap()
        if is_marked:
            await marked(harness, swap_id)
        await harness.blocks(10)
        await harness.time_out(swap_id)
        end = await harness.head()
        (event,) = [e for e in await harness.events(end.height - 1) if e.name == "SwapTimedOut"]
        assert (event.args["swap_id"], event.args["miner"]) == (swap_id, harness.miner)
        assert (event.args["slash_amount"], event.args["tao_amount"]) == (RAO, RAO)
        assert await harness.contract.swaps([swap_id], end) == {swap_id: None}
        slashed = Ending(EndingKind.TIMED_OUT, end.height, RAO, 0, TXID if is_marked else None)
        told = await harness.contract.outcome(swap_id, end)
        assert told == (slashed if harness.tells_outcomes else None)

    async def test_every_error_of_a_mark_by_name(self, harness: ContractHarness) -> None:
        swap_id = await harness.open_swap()
        at = await harness.head()
        refusals = {
            "SwapNotFound": mark_of(harness, 99, miner=harness.stranger, amount=0),
            "NotAssignedMiner": mark_of(harness, swap_id, miner=harness.stranger, amount=0, txid=""),
            "InvalidAmount": mark_of(harness, swap_id, amount=0, txid=""),
            "InputEmpty": mark_of(harness, swap_id, txid=""),
            "InputTooLong": mark_of(harness, swap_id, txid="x" * 129),
        }
        for name, mark in refusals.items():
            with pytest.raises(Refused) as refused:
                await harness.contract.try_mark(mark, at)
            assert refused.value.name == name
        await marked(harness, swap_id)
        with pytest.raises(Refused) as refused:
            await harness.contract.try_mark(mark_of(harness, swap_id, amount=0), await harness.head())
        assert refused.value.name == "InvalidStatus"

    async def test_why_a_mark_reverted(self, harness: ContractHarness) -> None:
        swap_id = await harness.open_swap()
        mark = mark_of(harness, swap_id)
        await harness.contract.facts(await harness.head())
        claim = await harness.contract.prepare_mark(mark)
        nonce = claim.nonce_floor or 0
        first, second = await harness.land((claim, nonce), (claim, nonce + 1))
        (third,) = await harness.land((claim, nonce + 2))
        assert (await harness.contract.locate(first)).succeeded
        for lane in (second, third):
            seen = await harness.contract.locate(lane)
            assert (seen.kind, seen.succeeded) == (SightingKind.IN_BLOCK, False)
            judgement = await harness.contract.why_failed(lane, mark)
            assert (judgement.name, judgement.terminal) == ("InvalidStatus", True)

    async def test_a_marks_lane_takes_a_second_attempt_and_a_filler(self, harness: ContractHarness) -> None:
        swap_id = await harness.open_swap()
        await harness.contract.facts(await harness.head())
        lane = await marked(harness, swap_id)
        seen = await harness.contract.locate(lane)
        assert (seen.kind, seen.kind_seen, seen.txid) == (
            SightingKind.IN_BLOCK,
            AttemptKind.MARK,
            lane.latest.tx.txid,
        )
        again = await harness.contract.resign_mark(sighted(lane, seen), mark_of(harness, swap_id))
        filler = await harness.contract.fill_mark(lane)
        assert (again.kind, filler.kind) == (AttemptKind.MARK, AttemptKind.FILLER)
        assert again.tx.spends == filler.tx.spends == (lane.slot,)
        both = with_attempt(with_attempt(lane, again), filler)
        assert (await harness.contract.locate(both)).txid == lane.latest.tx.txid

    async def test_a_changed_setting_is_seen(self, harness: ContractHarness) -> None:
        assert (await harness.contract.terms(await harness.head())).halted is False
        await harness.set_halted(True)
        at = await harness.head()
        (event,) = (await harness.contract.facts(at)).events
        assert (event.name, event.args) == ("ConfigUpdated", {"key": "halted", "value": 1})
        assert (await harness.contract.terms(at)).halted is True
