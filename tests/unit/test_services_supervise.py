"""Supervise, sweep, lease: the loop, what it tells, and what it lets nobody stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from miner.amounts import Chain
from miner.errors import LeaseLost, ReadFailed, StoreUnavailable
from miner.lease import WATCH, LeaseKeeper, saga_resource
from miner.model import ImportedSend
from miner.ports import Heads
from miner.saga import State
from miner.supervise import RETRY_SWEEP_BLOCKS, Supervisor
from miner.sweep import SweepReconciler
from tests.simulation.btc_rules import transaction
from tests.simulation.sim_store import SimStore
from tests.simulation.stage import TAO, Stage
from tests.simulation.world import LEASE_S, STALL_S, SWEEP_BLOCKS, World
from tests.unit import service_worlds
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world


class TestReadiness:
    async def test_ready_and_progress_with_each_finalised_head(self, world: World) -> None:
        assert (world.told.is_ready, world.told.progressed) == (True, 1)
        await world.block(3)
        assert world.told.progressed == 4
        await world.round()
        assert world.told.progressed == 4

    async def test_a_new_best_head_alone_is_progress_too(self, make_world: MakeWorld) -> None:
        world = await make_world(lag=2)
        world.stage.tao.stalled = True
        before = world.told.progressed
        await world.block(2)
        assert world.told.progressed == before + 2

    async def test_not_ready_while_a_block_cannot_be_read(self, world: World) -> None:
        world.link.failing["facts"] = 1
        await world.block()
        assert world.told.is_ready is False
        assert "no answer" in world.told.why
        await world.block()
        assert world.told.is_ready is True

    async def test_not_ready_while_the_store_refuses(self, world: World) -> None:
        world.store.refuse()
        await world.block()
        assert (world.told.is_ready, "full" in world.told.why) == (False, True)
        world.store.allow()
        await world.block()
        assert world.told.is_ready is True

    async def test_not_ready_while_another_holds_the_lease(self, make_world: MakeWorld) -> None:
        world = await make_world(on_disk=True)
        world.stage.clock.now_ms += round(LEASE_S * 1000) + 1
        other = SimStore(world.url, owner="another", lease_ttl_s=LEASE_S, clock_ms=world.stage.clock)
        await other.open()
        await other.acquire("watch")
        swap_id = world.stage.open_swap()
        await world.round()
        assert (world.told.is_ready, "another" in world.told.why) == (False, True)
        assert await world.store.known([swap_id]) == {}
        await other.close()
        await world.block()
        assert world.told.is_ready is True
        assert await world.state(swap_id) is State.SIGNED

    async def test_what_nobody_thought_of_is_survived(self, world: World) -> None:
        def break_it(_name: str) -> None:
            raise ZeroDivisionError

        world.link.on_call = break_it
        await world.block()
        assert (world.told.is_ready, world.told.why) == (False, "internal error")
        world.link.on_call = None
        await world.block()
        assert world.told.is_ready is True

    async def test_leases_that_ran_out_are_taken_again(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        await world.round()
        world.stage.clock.now_ms += round(LEASE_S * 1000) + 1
        await world.block(3)
        await world.block(SWEEP_BLOCKS)
        assert await world.state(swap_id) is State.MARKED

    async def test_a_dead_ones_lease_that_outlasts_the_cursors_is_taken_as_it_ends(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(on_disk=True)
        swap_id = world.stage.open_swap()
        await world.round()
        saga = await world.saga(swap_id)
        world.stage.clock.now_ms += 2000
        await world.store.acquire(saga_resource(saga.id))
        world.stage.clock.now_ms += round(LEASE_S * 1000) - 1000
        await world.restart(crash=True)
        await world.round()
        assert await world.store.open_sagas() == [], "the dead one's lease on it has not ended"
        await world.block()
        assert [each.key.swap_id for each in await world.store.open_sagas()] == [swap_id], "no sweep was due"


class TestStalls:
    async def test_a_finality_stall_stops_first_sends_and_no_mark(self, world: World) -> None:
        paid = world.stage.open_swap()
        await world.round()
        await world.block()
        assert await world.state(paid) is State.MARKING
        world.stage.vote("vote_reserve", miner=world.stage.miners[0].hotkey)
        await world.store.set_paused("all", True, "operator")
        waits = world.stage.open_swap()
        await world.round()
        await world.store.set_paused("all", False, "operator")
        world.stage.clock.now_ms += round(STALL_S * 1000) + 1
        await world.round()
        assert await world.state(waits) is State.VERIFIED
        world.stage.tao.stalled = True
        world.stage.tao.pool.clear()
        await world.block(8)
        assert await world.state(waits) is State.VERIFIED
        world.stage.tao.stalled = False
        await world.block(4)
        assert {await world.state(paid), await world.state(waits)} == {State.MARKED}

    async def test_a_payout_in_a_final_block_is_marked_during_a_stall(self, world: World) -> None:
        world.link.failing["try_mark"] = 0
        swap_id = world.stage.open_swap()
        await world.round()
        world.link.failing["try_mark"] = 1
        await world.block()
        assert await world.state(swap_id) is State.PAID
        world.stage.tao.stalled = True
        await world.block(14)
        assert await world.state(swap_id) is State.MARKING
        assert len([tx for tx in world.stage.tao.canonical[-14:] if tx.body]) == 1


class TestSweeps:
    async def test_one_that_fails_stops_no_other_and_none_overlaps(self) -> None:
        sweeps, order = SweepReconciler(), list[str]()
        running = 0

        def sweep(name: str, error: Exception | None = None) -> Callable[[], object]:
            async def run() -> int:
                nonlocal running
                running += 1
                assert running == 1
                await asyncio.sleep(0)
                running -= 1
                order.append(name)
                if error:
                    raise error
                return 1

            return run

        sweeps.register("a", sweep("a"))  # type: ignore[arg-type]
        sweeps.register("b", sweep("b", ReadFailed("something")))  # type: ignore[arg-type]
        sweeps.register("c", sweep("c"))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="already"):
            sweeps.register("a", sweep("a"))  # type: ignore[arg-type]
        one, _ = await asyncio.gather(sweeps.run(), sweeps.run())
        assert order == ["a", "b", "c"] * 2
        assert (one.changed, list(one.failed)) == ({"a": 1, "c": 1}, ["b"])

    async def test_a_store_that_refuses_ends_them(self) -> None:
        sweeps = SweepReconciler()

        async def refuse() -> int:
            raise StoreUnavailable("full")

        sweeps.register("a", refuse)
        with pytest.raises(StoreUnavailable):
            await sweeps.run()

    async def test_a_failed_sweep_is_made_again_soon(self, world: World) -> None:
        world.btc_link.down = True
        await world.block(SWEEP_BLOCKS)
        world.contract.garbled = {"SwapInitiated"}
        swap_id = world.stage.open_swap()
        await world.block(RETRY_SWEEP_BLOCKS)
        assert await world.state(swap_id) is State.DISCOVERED
        world.btc_link.down = False
        await world.block(RETRY_SWEEP_BLOCKS)
        assert (await world.saga(swap_id)).payout is not None

    async def test_a_state_sweep_that_fails_lets_known_swaps_go_on(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        world.link.failing["next_swap_id"] = -1
        await world.round()
        await world.block(SWEEP_BLOCKS)
        assert await world.state(swap_id) is State.MARKED
        assert world.told.is_ready is True


class TestSpends:
    async def test_an_unexplained_spend_stops_first_sends_on_that_account_only(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(miners=2)
        account = world.stage.miners[0].accounts[Chain.TAO]
        world.foreign.add(world.stage.spend(account, world.stage.miners[1].hotkey, TAO).txid)
        await world.block(SWEEP_BLOCKS)
        (stopped,) = [row for row in await world.store.accounts() if row.stopped]
        assert (stopped.account, "nonce 0" in stopped.stopped) == (account, True)
        waits, goes_on = world.stage.open_swap(), world.stage.open_swap(miner=1)
        other_chain = world.stage.open_swap(Chain.BTC)
        await world.block(2)
        assert (await world.saga(waits)).reason.startswith("account_stopped")
        assert {await world.state(goes_on), await world.state(other_chain)} <= {State.SIGNED, State.MARKING}
        base = await world.tao.baseline(account)
        assert await world.store.clear_account(world.tao.chain_id, account, base, "operator")
        await world.block(SWEEP_BLOCKS + 3)
        assert await world.state(waits) is State.MARKED

    async def test_an_unexplained_spend_of_bitcoin(self, world: World) -> None:
        account = world.stage.miners[0].accounts[Chain.BTC]
        swap_id = world.stage.open_swap(Chain.BTC)
        await world.round()
        lane = await world.payout(swap_id)
        anchor = next(
            o for o, c in world.stage.btc.best.state.coins.items() if c.address == account and o != lane.slot
        )
        tx = transaction([anchor], [(world.stage.miners[0].accounts[Chain.BTC], 1_000)], 1_000)
        world.foreign.add(tx.txid)
        world.stage.btc.force(tx)
        await world.btc_block()
        await world.block(SWEEP_BLOCKS)
        assert [row.account for row in await world.store.accounts() if row.stopped] == [account]
        assert await world.state(swap_id) is State.MARKED

    async def test_an_account_that_could_not_be_read_pays_nothing_yet(self, make_world: MakeWorld) -> None:
        world = World(Stage.make())
        await world.start()
        world.link.failing["nonce"] = -1
        await world.round()
        swap_id = world.stage.open_swap()
        await world.round()
        assert (await world.saga(swap_id)).payout is None
        await world.block(2)
        assert world.stage.tao.submitted == []
        world.link.failing.clear()
        await world.block(3 + RETRY_SWEEP_BLOCKS)
        assert await world.state(swap_id) is State.MARKED
        await world.stop()

    async def test_a_lost_store_pays_nothing_that_may_have_been_paid(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        await world.round()
        await world.block()
        assert len(world.received(swap_id)) == 1
        again = World(world.stage)
        await again.start()
        await again.block(SWEEP_BLOCKS + 3)
        assert await again.state(swap_id) in (State.HELD, State.MARKED)
        assert len(again.received(swap_id)) == 1
        await again.stop()


class TestRecovery:
    async def test_entries_wait_for_the_log(self, world: World) -> None:
        async def refuse(_entry: object) -> None:
            raise StoreUnavailable("the log is full")

        swap_id = world.stage.open_swap()
        await world.store.import_sent([ImportedSend(swap_id, "0x" + "11" * 32, 5)])
        append = world.recovery.append
        world.recovery.append = refuse  # type: ignore[method-assign,assignment]
        await world.round()
        assert world.told.is_ready is False
        world.recovery.append = append  # type: ignore[method-assign]
        await world.block()
        assert world.causes(swap_id) == ["imported_maybe_paid"]
        assert await world.store.pending_recovery() == []


class SteppingClock:
    """Virtual time for what sleeps: it moves when everybody waits for it."""

    def __init__(self, world: World) -> None:
        self._clock = world.stage.clock
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        for _ in range(50):
            await asyncio.sleep(0)
        self._clock.now_ms += round(seconds * 1000)


@pytest.fixture
async def running(world: World) -> AsyncIterator[tuple[World, Supervisor, asyncio.Event]]:
    """A supervisor that runs by itself over a world's services."""
    clock = SteppingClock(world)
    world.supervisor._clock = clock
    world.supervisor._keeper = LeaseKeeper(world.store, clock, LEASE_S / 3)
    stop = asyncio.Event()
    yield world, world.supervisor, stop
    stop.set()


async def until(what: Callable[[], bool]) -> None:
    for _ in range(20_000):
        if what():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


class TestTheLoop:
    async def test_it_follows_the_chain_until_it_is_told_to_stop(
        self, running: tuple[World, Supervisor, asyncio.Event]
    ) -> None:
        world, supervisor, stop = running
        task = asyncio.create_task(supervisor.run(stop))
        swap_id = world.stage.open_swap()
        for _ in range(3):
            seen = world.told.progressed
            world.stage.tao_block()
            await until(lambda seen=seen: world.told.progressed > seen)  # type: ignore[misc]
        assert await world.state(swap_id) is State.MARKED
        stop.set()
        await task

    async def test_a_stop_lets_the_round_under_way_finish(
        self, running: tuple[World, Supervisor, asyncio.Event]
    ) -> None:
        world, supervisor, stop = running
        swap_id = world.stage.open_swap()

        def stop_now(name: str) -> None:
            if name == "prepare":
                stop.set()

        world.link.on_call = stop_now
        await supervisor.run(stop)
        assert await world.state(swap_id) is State.SIGNED
        assert len(world.stage.tao.submitted) == 1

    async def test_no_endpoint_answering_is_survived(
        self, running: tuple[World, Supervisor, asyncio.Event]
    ) -> None:
        world, supervisor, stop = running
        world.link.failing["follow"] = 3
        seen = world.told.progressed
        task = asyncio.create_task(supervisor.run(stop))
        world.stage.tao_block()
        await until(lambda: world.told.progressed > seen)
        stop.set()
        await task

    async def test_another_daemon_on_the_store_ends_it(self, make_world: MakeWorld) -> None:
        world = await make_world(on_disk=True)
        other = SimStore(world.url, owner="another", lease_ttl_s=LEASE_S, clock_ms=world.stage.clock)
        await other.open()
        world.supervisor._keeper = LeaseKeeper(other, world.stage.clock, 1.0)
        with pytest.raises(LeaseLost):
            await world.supervisor.run(asyncio.Event())
        await other.close()

    async def test_heads_stay_as_they_are_between_two_polls(self, world: World) -> None:
        heads = world.node.heads()
        assert heads == Heads(world.stage.tao.best.head, world.stage.tao.finalised.head)


class TestHeartbeats:
    @pytest.mark.parametrize(
        "error", [StoreUnavailable("full"), LeaseLost("watch", "another", 5)], ids=["full", "lost"]
    )
    async def test_whatever_it_meets_it_goes_on(
        self, world: World, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        beats = 0

        async def beat() -> list[str]:
            nonlocal beats
            beats += 1
            if beats < 3:
                raise error
            return ["saga/1"] if beats == 3 else []

        monkeypatch.setattr(world.store, "heartbeat", beat)
        keeper = LeaseKeeper(world.store, SteppingClock(world), 10.0)
        task = asyncio.create_task(keeper.run())
        await until(lambda: beats > 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert keeper.lost_any() is True
        assert keeper.lost_any() is False

    async def test_who_lost_the_cursor_lets_its_sagas_end(self, make_world: MakeWorld) -> None:
        """Whoever has the cursor takes them; one that stands by would keep them from being worked on."""
        world = await make_world(on_disk=True)
        swap_id = world.stage.open_swap()
        await world.round()
        other = SimStore(world.url, owner="another", lease_ttl_s=LEASE_S, clock_ms=world.stage.clock)
        await other.open()
        world.stage.clock.now_ms += round(LEASE_S * 1000) + 1
        await other.acquire(WATCH)
        await world.store.lease_sagas()  # as a process does that was stopped before it, and goes on
        await world.block()
        assert world.told.is_ready is False
        leader = LeaseKeeper(other, world.stage.clock, LEASE_S / 3)
        assert await leader.take_sagas(), "it is held still"
        for _ in range(4):
            world.stage.clock.now_ms += round(LEASE_S * 1000 / 3)
            await world.keeper.beat()
            await leader.beat()
        assert not await leader.take_sagas()
        assert [saga.key.swap_id for saga in await other.open_sagas()] == [swap_id]
        await other.close()
