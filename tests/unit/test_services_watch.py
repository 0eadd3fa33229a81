"""Watch: finalised blocks in order and without gaps, and what a sweep finds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miner.amounts import Chain
from miner.errors import Discarded, ReadFailed, StaleSaga
from miner.model import BlockFacts, EndingKind, Head, Ingest, SwapStatus
from miner.saga import State
from miner.watch import CHUNK, STUCK_AFTER, FinalityViolation
from tests.simulation.stage import Stage
from tests.simulation.world import SWEEP_BLOCKS, World
from tests.unit import service_worlds
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world


async def cursor(world: World) -> Head:
    at = await world.store.cursor()
    assert at is not None
    return at


async def caught_up(world: World) -> int:
    return await world.watcher.catch_up(world.stage.tao.finalised.head, await world.lease())


def refuse(world: World, name: str, *failures: ReadFailed) -> None:
    """The next reads of a name fail like this."""
    left = list(failures)

    def fail(read: str) -> None:
        if read == name and left:
            raise left.pop(0)

    world.link.on_call = fail


class TestGaps:
    async def test_a_gap_is_filled_block_by_block(self, world: World) -> None:
        first = world.stage.open_swap()
        world.stage.tao_block(10)
        second = world.stage.open_swap()
        before = (await cursor(world)).height
        assert await caught_up(world) == world.stage.tao.best.height - before
        assert await cursor(world) == world.stage.tao.best.head
        assert set(await world.store.known([first, second])) == {first, second}
        saga = await world.saga(first)
        assert saga.reserved_block == saga.swap.initiated_block - 1
        heads = await world.store.recent_heads()
        assert [h.height for h in heads][:3] == [world.stage.tao.best.height - i for i in range(3)]

    async def test_a_long_gap_is_stored_in_chunks(self, world: World) -> None:
        batches: list[int] = []
        world.store.inline.before = lambda name: batches.append(1) if name == "ingest" else None
        world.stage.tao_block(2 * CHUNK + 1)
        await caught_up(world)
        assert len(batches) == 3

    async def test_what_cannot_be_read_stops_the_cursor_behind_it(self, world: World) -> None:
        world.stage.tao_block(CHUNK + 5)
        start = (await cursor(world)).height
        seen = 0

        def fail(name: str) -> None:
            nonlocal seen
            seen += name == "facts"
            if seen > CHUNK:
                raise ReadFailed("a block")

        world.link.on_call = fail
        with pytest.raises(ReadFailed):
            await caught_up(world)
        assert (await cursor(world)).height == start + CHUNK
        world.link.on_call = None
        assert await caught_up(world) == 5

    async def test_a_swap_that_begins_and_ends_in_a_gap_is_told_with_its_end(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(timeout=5)
        swap_id = world.stage.open_swap()
        world.stage.tao_block(5)
        world.stage.vote("timeout_swap", swap_id=swap_id)
        world.stage.tao_block()
        await world.round()
        saga = await world.saga(swap_id)
        assert saga.state is State.COMPENSATED
        assert saga.ending is not None
        assert (saga.ending.kind, saga.swap.status) == (EndingKind.TIMED_OUT, SwapStatus.ACTIVE)
        assert world.stage.tao.submitted == []

    async def test_blocks_that_nobody_keeps_are_bridged_by_a_scan(self, world: World) -> None:
        paid = world.stage.open_swap()
        await world.block(3)
        world.stage.vote("confirm_swap", swap_id=paid)
        new = world.stage.open_swap()
        world.stage.tao_block(3)
        refuse(world, "facts", *[Discarded("a block")] * 8)
        await world.round()
        assert await cursor(world) == world.stage.tao.best.head
        assert await world.state(paid) is State.COMPLETED
        assert await world.state(new) is State.SIGNED

    async def test_a_block_that_never_reads_is_bridged_at_last(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        refuse(world, "facts", *[ReadFailed("a block")] * 100)
        for _ in range(STUCK_AFTER - 1):
            with pytest.raises(ReadFailed):
                await caught_up(world)
        assert await caught_up(world) == 2
        assert await world.state(swap_id) is State.DISCOVERED

    async def test_a_bridge_without_outcomes_knows_only_that_it_ended(self, world: World) -> None:
        world.contract.tells_outcomes = False
        paid = world.stage.open_swap()
        await world.block(3)
        world.stage.vote("confirm_swap", swap_id=paid)
        world.stage.tao_block(2)
        refuse(world, "facts", Discarded("a block"), Discarded("a block"))
        await world.round()
        saga = await world.saga(paid)
        assert saga.ending is not None
        assert (saga.ending.kind, saga.state) == (EndingKind.UNKNOWN, State.HELD)
        assert world.causes(paid) == ["ended_unknown_after_payout"]

    async def test_the_cursor_moves_by_compare_and_set(self, world: World) -> None:
        world.stage.tao_block()
        lease, at = await world.lease(), await cursor(world)
        facts = world.contract.facts

        async def meanwhile(head: Head) -> BlockFacts:
            await world.store.ingest(Ingest(at, (head,)), lease)
            return await facts(head)

        world.contract.facts = meanwhile  # type: ignore[method-assign]
        with pytest.raises(StaleSaga):
            await caught_up(world)


class TestFirstStart:
    async def test_open_swaps_are_found_by_a_scan(self, make_world: MakeWorld) -> None:
        stage = Stage.make(miners=2)
        ended, first, other = (stage.open_swap(Chain.BTC, miner=miner) for miner in (0, 0, 1))
        stage.vote("tamper", swap_id=ended, changes={"status": SwapStatus.FULFILLED})
        stage.tao_block()
        stage.vote("confirm_swap", swap_id=ended)
        stage.tao_block(3)
        world = World(stage)
        await world.start()
        await world.round()
        assert set(await world.store.known([ended, first, other])) == {first, other}
        assert await world.store.first_unseen_id() == other + 1
        await world.block(3)
        assert await world.state(first) is State.SIGNED
        await world.stop()

    @pytest.mark.parametrize("lists", [True, False])
    async def test_above_the_scans_limit_the_miners_open_swaps_are_asked_for(
        self, world: World, monkeypatch: pytest.MonkeyPatch, lists: bool
    ) -> None:
        monkeypatch.setattr("miner.watch.SCAN_LIMIT", 2)
        world.contract.lists_active, world.contract.garbled = lists, {"SwapInitiated"}
        ids = [world.stage.open_swap() for _ in range(4)]
        await world.block(SWEEP_BLOCKS)
        assert set(await world.store.known(ids)) == set(ids)


class TestViolations:
    async def test_another_block_at_the_cursor_pauses_and_rewinds(self, make_world: MakeWorld) -> None:
        world = await make_world(lag=1)
        swap_id = world.stage.open_swap()
        await world.block(2)
        top = await cursor(world)
        world.stage.tao.fork(3)
        await world.round()
        assert world.told.is_ready is False
        assert set(await world.store.paused()) == {"all"}
        assert (await cursor(world)).height < top.height
        waits = world.stage.open_swap(Chain.BTC)
        await world.block(6)
        assert await world.state(waits) is State.VERIFIED
        assert (await cursor(world)) == world.stage.tao.finalised.head
        assert await world.state(swap_id) is not State.COMPENSATED
        assert len(world.received(swap_id)) <= 1

    async def test_a_lagging_endpoint_is_no_violation(self, world: World) -> None:
        await world.block(5)
        older = world.stage.tao.canonical[-3].head
        assert await world.watcher.catch_up(older, await world.lease()) == 0
        with pytest.raises(FinalityViolation) as told:
            await world.watcher.catch_up(replace(older, hash="0x" + "11" * 32), await world.lease())
        assert told.value.ancestor is not None
        assert told.value.ancestor.height == world.stage.tao.best.height

    @pytest.mark.parametrize("blocks_later", [0, SWEEP_BLOCKS + 1])
    async def test_a_swap_whose_birth_was_replaced_has_not_ended_and_another_deal_of_its_id_is_held(
        self, world: World, blocks_later: int
    ) -> None:
        await world.store.set_paused("all", True, "test")
        await world.block(1)
        before = world.stage.tao.best.height
        swap_id = world.stage.open_swap()
        await world.block(1)
        assert await world.state(swap_id) is State.VERIFIED
        world.stage.tao.fork(world.stage.tao.best.height - before, resubmit=False)
        await world.round()
        await world.block(1 + blocks_later)
        assert world.stage.swap(swap_id) is None
        assert await world.state(swap_id) is State.VERIFIED, "not born yet is not ended"
        assert world.stage.open_swap() == swap_id
        await world.store.set_paused("all", False, "test")
        await world.block(4)
        assert await world.state(swap_id) is State.HELD
        assert "terms_changed" in world.causes(swap_id)
        assert world.received(swap_id) == []

    async def test_without_a_common_ancestor_nothing_is_rewound(self, world: World) -> None:
        await world.block(3)
        stored = await cursor(world)
        world.stage.tao.fork(world.stage.tao.best.height, blocks=stored.height)
        with pytest.raises(FinalityViolation) as told:
            await caught_up(world)
        assert told.value.ancestor is None
        await world.round()
        assert await cursor(world) == stored
        assert set(await world.store.paused()) == {"all"}

    async def test_a_child_of_another_parent_is_read_again(self, world: World) -> None:
        world.stage.tao_block(3)
        facts = world.contract.facts

        async def confused(head: Head) -> BlockFacts:
            told = await facts(head)
            return replace(told, parent_hash="0x" + "22" * 32) if head.height == top else told

        top = world.stage.tao.best.height
        world.contract.facts = confused  # type: ignore[method-assign]
        before = await cursor(world)
        with pytest.raises(ReadFailed, match="parent"):
            await caught_up(world)
        assert await cursor(world) == before


class TestUnreadable:
    async def test_a_swap_that_does_not_decode_delays_nobody_and_is_read_later(self, world: World) -> None:
        world.contract.undecodable.add(1)
        bad, good = world.stage.open_swap(), world.stage.open_swap()
        await world.round()
        assert set(await world.store.known([bad, good])) == {good}
        assert await world.state(good) is State.SIGNED
        await world.block(2 * SWEEP_BLOCKS)
        assert await world.store.first_unseen_id() == bad
        world.contract.undecodable.clear()
        await world.block(SWEEP_BLOCKS + 2)
        assert await world.state(bad) is State.MARKED
        assert await world.store.first_unseen_id() == good + 1

    async def test_an_ended_swap_that_never_decoded_is_let_go(self, make_world: MakeWorld) -> None:
        world = await make_world(timeout=3)
        world.contract.undecodable.add(1)
        swap_id = world.stage.open_swap()
        world.stage.tao_block(4)
        world.stage.vote("timeout_swap", swap_id=swap_id)
        await world.block(2)
        assert await world.store.known([swap_id]) == {}


class TestSweep:
    @pytest.mark.parametrize("event", ["SwapInitiated", "SwapFulfilled"])
    async def test_a_missed_event_is_found_within_one_sweep(self, world: World, event: str) -> None:
        world.contract.garbled = {event}
        swap_id = world.stage.open_swap()
        await world.block(SWEEP_BLOCKS + 3)
        assert await world.state(swap_id) in (State.MARKING, State.MARKED)
        await world.block(SWEEP_BLOCKS)
        assert await world.state(swap_id) is State.MARKED

    @pytest.mark.parametrize(
        ("tells", "event", "message", "state"),
        [
            (True, "SwapCompleted", "confirm_swap", State.COMPLETED),
            (True, "SwapTimedOut", "timeout_swap", State.FAILED),
            (False, "SwapCompleted", "confirm_swap", State.HELD),
        ],
    )
    async def test_absence_says_ended_and_the_outcome_how(
        self, make_world: MakeWorld, tells: bool, event: str, message: str, state: State
    ) -> None:
        world = await make_world(timeout=12)
        world.contract.tells_outcomes, world.contract.garbled = tells, {event}
        swap_id = world.stage.open_swap()
        await world.block(12)
        world.stage.vote(message, swap_id=swap_id)
        await world.block(SWEEP_BLOCKS + 1)
        assert await world.state(swap_id) is state

    async def test_an_outcome_that_cannot_be_read_is_asked_for_again(self, world: World) -> None:
        world.contract.garbled = {"SwapCompleted"}
        swap_id = world.stage.open_swap()
        await world.block(3)
        world.stage.vote("confirm_swap", swap_id=swap_id)
        world.link.failing["outcome"] = 1
        await world.block(SWEEP_BLOCKS)
        assert await world.state(swap_id) is State.MARKED
        await world.block(SWEEP_BLOCKS)
        assert await world.state(swap_id) is State.COMPLETED

    async def test_many_open_swaps_are_swept_in_turns(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("miner.watch.SWEPT_AT_ONCE", 2)
        await world.store.set_paused("all", True, "operator")
        world.contract.garbled = {"SwapTimeoutExtended", "SwapTimedOut"}
        ids = [world.stage.open_swap() for _ in range(5)]
        await world.round()
        for swap_id in ids:
            world.stage.tamper(swap_id, timeout_block=10_000)
        await world.block(3 * SWEEP_BLOCKS + 1)
        assert {(await world.saga(i)).swap.timeout_block for i in ids} == {10_000}

    async def test_other_peoples_swaps_are_dropped(self, make_world: MakeWorld) -> None:
        world = await make_world(miners=2)
        theirs = world.stage.miners.pop()
        await world.restart_in_memory()
        world.stage.miners.append(theirs)
        swap_id = world.stage.open_swap(miner=1)
        world.stage.miners.pop()
        await world.block(SWEEP_BLOCKS + 2)
        assert await world.store.known([swap_id]) == {}
        assert await world.store.first_unseen_id() == swap_id + 1

    async def test_a_refused_swaps_slash_is_told(self, make_world: MakeWorld) -> None:
        world = await make_world(timeout=12)
        swap_id = world.stage.open_swap(paid=1_000)
        await world.block(12)
        world.stage.vote("timeout_swap", swap_id=swap_id)
        await world.block()
        assert world.causes(swap_id) == ["refused:wrong_amount", "slashed"]
