"""Each sweep repairs exactly what is broken here, and without it that stays broken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from miner.amounts import Chain
from miner.errors import InvariantBroken
from miner.model import LaneState, RecoveryEntry, Step
from miner.saga import Event, State
from miner.store.outbox import SqlOutbox
from miner.sweep import canonical, records
from miner.sweep.holding import hold
from miner.sweep.settlement import resume_settlements
from miner.sweep.wallets import WalletSweep
from miner.verify import MinerAccounts
from tests.simulation.sim_store import SimStore
from tests.simulation.stage import TAO
from tests.simulation.world import BTC_FINAL, LEASE_S, SWEEP_BLOCKS, World
from tests.unit import service_worlds
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world
matrix = pytest.mark.matrix("Sweeps", "model chains, SQLite")
Break = Callable[[World], Awaitable[int]]


async def sql(world: World, statement: str, **values: Any) -> None:
    """Break the store behind everybody's back."""

    def write(conn: Connection) -> None:
        conn.execute(text(statement), values)

    await world.store._db.write(write)


async def without(world: World, name: str) -> None:
    """Take a sweep away, and let the time of two sweeps pass."""
    kept = world.sweeps._sweeps.pop(name)
    await world.block(2 * SWEEP_BLOCKS)
    world.sweeps._sweeps[name] = kept


async def paid(world: World) -> int:
    """A swap whose payout is in a block that is not final yet, and is kept there."""
    swap_id = world.stage.open_swap()
    await world.round()
    assert await world.state(swap_id) is State.SIGNED
    return swap_id


@matrix
class TestStaleLeases:
    async def test_a_lease_that_ran_out_is_told_and_its_swap_taken_up(
        self, make_world: MakeWorld, record_property: Callable[[str, object], None]
    ) -> None:
        world = await make_world(on_disk=True)
        swap_id = world.stage.open_swap()
        await world.round()
        saga = await world.saga(swap_id)
        await sql(
            world,
            "UPDATE leases SET owner = 'dead', epoch = epoch + 1, expires_at_ms = :at WHERE saga_id = :id",
            at=world.stage.clock.now_ms + 1,
            id=saga.id,
        )
        world.stage.clock.now_ms += 10
        world.store._owner.held.discard(f"saga/{saga.id}")  # it was another process's all along
        await without(world, "stale_leases")
        assert await world.store.open_sagas() == [], "nobody works on it"
        with capture_logs() as logs:
            await world.block(SWEEP_BLOCKS)
        assert [each["holder"] for each in logs if each["event"] == "stale_lease"] == ["dead"]
        await world.block(2)
        assert await world.state(swap_id) is State.MARKED
        assert world.received(swap_id) == [(await world.payout(swap_id)).amount]
        record_property("payouts", 1)
        record_property("end", "MARKED")

    async def test_what_another_works_on_is_left_to_it(self, make_world: MakeWorld) -> None:
        world = await make_world(on_disk=True)
        swap_id = world.stage.open_swap()
        await world.round()
        saga = await world.saga(swap_id)
        other = SimStore(world.url, owner="other", lease_ttl_s=100 * LEASE_S, clock_ms=world.stage.clock)
        await other.open()
        await sql(world, "UPDATE leases SET owner = NULL, expires_at_ms = 0 WHERE saga_id = :id", id=saga.id)
        await other.acquire(f"saga/{saga.id}")
        assert (await world.sweeps.run("stale_leases")).changed == {"stale_leases": 0}
        assert await world.store.open_sagas() == []
        await other.close()


@matrix
class TestMissedSwaps:
    async def test_a_swap_whose_event_was_lost_is_found_within_one_interval(
        self, world: World, record_property: Callable[[str, object], None]
    ) -> None:
        world.contract.garbled = {"SwapInitiated"}
        swap_id = world.stage.open_swap()
        await without(world, "missed_swaps")
        assert await world.store.known([swap_id]) == {}
        await world.block(SWEEP_BLOCKS)
        assert (await world.saga(swap_id)).payout is not None
        record_property("end", "SIGNED")


@matrix
class TestSettlement:
    async def test_past_the_pivot_without_a_reservation_is_held_never_ended_and_nothing_new_is_signed(
        self, world: World, record_property: Callable[[str, object], None]
    ) -> None:
        swap_id = await paid(world)
        before = await world.payout(swap_id)
        await sql(world, "DELETE FROM reservations")
        with pytest.raises(InvariantBroken, match=rf"\[{swap_id}\] are past the pivot"):
            await resume_settlements(world.desk)
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.HELD, "reservation_missing")
        assert await resume_settlements(world.desk) == 0, "it is told once"
        await world.sweeps.run("recovery_entries")
        assert world.causes(swap_id) == ["reservation_missing"]
        await world.block(SWEEP_BLOCKS)
        assert not (await world.saga(swap_id)).state.ended
        assert (await world.payout(swap_id)).attempts == before.attempts
        assert len(world.received(swap_id)) == 1
        record_property("end", "HELD")

    async def test_without_the_sweep_nobody_says_so(self, world: World) -> None:
        swap_id = await paid(world)
        await sql(world, "DELETE FROM reservations")
        world.sweeps._sweeps.pop("settlement_resume")
        await world.block()
        assert await world.state(swap_id) is not State.HELD

    async def test_before_the_pivot_it_is_set_aside_anew(
        self, world: World, record_property: Callable[[str, object], None]
    ) -> None:
        world.link.failing["code_hash"] = -1
        swap_id = world.stage.open_swap()
        await world.round()
        assert await world.state(swap_id) is State.RESERVED
        await sql(world, "DELETE FROM reservations")
        world.sweeps._sweeps, kept = {}, world.sweeps._sweeps
        world.sweeps._sweeps["recovery_entries"] = kept["recovery_entries"]
        await world.block(SWEEP_BLOCKS)
        assert (
            await world.store.reserved(
                world.tao.chain_id, (await world.saga(swap_id)).swap.miner_dest_address
            )
            == 0
        )
        world.sweeps._sweeps = kept
        await world.block(SWEEP_BLOCKS)
        assert await world.state(swap_id) is State.RESERVED
        assert (
            await world.store.reserved(
                world.tao.chain_id, (await world.saga(swap_id)).swap.miner_dest_address
            )
            > 0
        )
        world.link.failing.clear()
        await world.block(3)
        assert len(world.received(swap_id)) == 1
        record_property("payouts", 1)

    async def test_a_payout_that_landed_needs_none(self, world: World) -> None:
        swap_id = await paid(world)
        await world.block(3)
        await sql(world, "DELETE FROM reservations")
        assert await resume_settlements(world.desk) == 0
        assert await world.state(swap_id) is State.MARKED


@matrix
class TestCanonical:
    async def test_a_payout_reorged_after_it_was_final_is_looked_at_and_sent_again(
        self, world: World, record_property: Callable[[str, object], None]
    ) -> None:
        swap_id = world.stage.open_swap(Chain.BTC)
        await world.round()
        await world.block()
        await world.btc_block(BTC_FINAL)
        await world.block(2)
        lane = await world.payout(swap_id)
        assert lane.state is LaneState.LANDED
        assert lane.block is not None
        world.stage.btc.fork(world.stage.btc.best.height - lane.block.height + 1, resubmit=False)
        assert world.received(swap_id) == []
        await without(world, "lanes_canonical")
        assert world.received(swap_id) == [], "nobody sends it again"
        await world.block(SWEEP_BLOCKS)
        await world.btc_block(2)
        assert world.received(swap_id) == [lane.amount]
        assert (await world.payout(swap_id)).txid == lane.txid, "the same bytes"
        assert "landed_payout_is_gone" in world.causes(swap_id)
        record_property("payouts", 1)

    async def test_an_endpoint_that_does_not_answer_changes_nothing(self, world: World) -> None:
        swap_id = await paid(world)
        await world.block(3)
        world.link.failing["hash_at"] = -1
        report = await world.sweeps.run("lanes_canonical")
        assert list(report.failed) == ["lanes_canonical"]
        assert (await world.payout(swap_id)).state is LaneState.LANDED

    async def test_many_are_looked_at_in_turns(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(canonical, "AT_ONCE", 1)
        first, second = await paid(world), await paid(world)
        await world.block(3)
        seen: list[int] = []
        sweep = canonical.CanonicalSweep(world.desk)

        async def gone(lane: Any) -> bool:
            seen.append(lane.saga_id)
            return False

        monkeypatch.setattr(sweep, "_gone", gone)
        for _ in range(3):
            await sweep()
        ids = [(await world.saga(each)).id for each in (first, second)]
        assert seen == [ids[0], ids[1], ids[0]]


@matrix
class TestRecords:
    @pytest.mark.parametrize(
        ("column", "value"),
        [("state", "VERIFIED"), ("payout_lane_id", None), ("payment", None), ("version", 2)],
        ids=["state", "payout", "payment", "version"],
    )
    async def test_a_row_that_is_not_its_journals_is_stopped_and_names_the_command(
        self, world: World, column: str, value: object, record_property: Callable[[str, object], None]
    ) -> None:
        swap_id = await paid(world)
        await sql(world, f"UPDATE sagas SET {column} = :v WHERE swap_id = :id", v=value, id=swap_id)
        assert (await world.sweeps.run("journal_against_row")).changed == {"journal_against_row": 1}
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.HELD, "row_differs_from_journal")
        (pending,) = await world.store.pending_recovery()
        assert f"swap-miner rebuild {swap_id}" in pending.entry.what_to_do
        assert pending.entry.detail["columns"] == [column]
        await world.block(SWEEP_BLOCKS + 1)
        assert len(world.received(swap_id)) == 1
        told = await world.store.reproject(swap_id, await world.lease(), "operator:me")
        assert told.agrees == (column in ("state", "version")), "the rest is for `rebuild --yes`"
        assert [each.agrees for each in await world.store.audit()] == [True]
        record_property("end", "HELD")
        record_property("payouts", 1)

    async def test_without_the_sweep_it_goes_on_unnoticed(self, world: World) -> None:
        swap_id = await paid(world)
        await sql(world, "UPDATE sagas SET payment = NULL WHERE swap_id = :id", id=swap_id)
        await without(world, "journal_against_row")
        assert await world.state(swap_id) is State.MARKED
        assert [each.agrees for each in await world.store.audit()] == [False]

    async def test_what_is_held_for_another_reason_is_told_once_and_keeps_it(self, world: World) -> None:
        swap_id = await paid(world)
        saga = await world.saga(swap_id)
        why = RecoveryEntry("a person must decide", "look")
        await hold(world.desk, saga, why)
        await sql(world, "UPDATE sagas SET mark_retries = 9 WHERE swap_id = :id", id=swap_id)
        for changed in (1, 0):
            report = await world.sweeps.run("journal_against_row")
            assert report.changed == {"journal_against_row": changed}
        assert (await world.saga(swap_id)).reason == "a person must decide"

    async def test_all_have_their_turn_and_ended_ones_cost_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(records, "AT_ONCE", 2)
        for _ in range(3):
            world.stage.vote("vote_reserve", miner=world.stage.miners[0].hotkey)
            world.stage.open_swap()
        await world.round()
        sweep = records.RecordsSweep(world.desk)
        ids = [saga.key.swap_id for saga in await world.store.open_sagas()]
        await sql(world, "UPDATE sagas SET mark_retries = 9 WHERE swap_id = :id", id=max(ids))
        assert [await sweep(), await sweep(), await sweep()] == [0, 1, 0]


@matrix
class TestWallets:
    async def test_short_is_told_on_the_edge_and_when_it_clears(
        self, world: World, record_property: Callable[[str, object], None]
    ) -> None:
        world.link.failing["code_hash"] = -1
        swap_id = world.stage.open_swap()
        await world.round()
        assert await world.state(swap_id) is State.RESERVED
        keys = world.stage.miners[0]
        outbox = SqlOutbox(world.store.database, world.store.owner)
        accounts = {keys.hotkey: MinerAccounts("m", keys.hotkey, keys.accounts)}
        sweep = WalletSweep(world.desk, accounts, outbox)
        account, told = keys.accounts[Chain.TAO], []

        async def look(times: int) -> None:
            for _ in range(times):
                with capture_logs() as logs:
                    await sweep()
                told.append([each["event"] for each in logs])

        await look(1)
        world.stage.drain(account, 10**18)
        await world.block()
        await look(3)
        world.stage.send_tao("friend", account, 1000 * TAO)
        await world.block()
        await look(2)
        assert told == [[], [], ["inventory_short"], [], ["inventory_is_there_again"], []]
        record_property("told", 2)


@matrix
class TestEndedUncredited:
    async def test_paid_and_ended_uncredited_is_told_where_its_entry_is_missing(
        self, world: World, record_property: Callable[[str, object], None]
    ) -> None:
        swap_id = await paid(world)
        await world.block()
        saga = await world.saga(swap_id)
        entry = RecoveryEntry("timed_out_after_payout", "look")
        await world.desk.step(saga, Step(event=Event.SWAP_ENDED_PAID, recovery=entry))
        await sql(world, "DELETE FROM recovery")
        await without(world, "ended_uncredited")
        assert world.causes(swap_id) == []
        await world.block(SWEEP_BLOCKS)
        assert world.causes(swap_id) == ["ended_uncredited_untold"]
        assert await world.store.untold() == []
        record_property("end", "FAILED")


@matrix
class TestRecoveryEntries:
    async def test_an_entry_that_was_committed_is_delivered_once_the_file_can_be_written(
        self, world: World, record_property: Callable[[str, object], None]
    ) -> None:
        swap_id = await paid(world)
        await hold(world.desk, await world.saga(swap_id), RecoveryEntry("a person must decide", "look"))
        kept = world.sweeps._sweeps.pop("recovery_entries")

        async def nothing() -> int:
            return 0

        world.sweeps.register("recovery_entries", nothing)
        await world.block(SWEEP_BLOCKS)
        assert world.causes(swap_id) == []
        world.sweeps._sweeps["recovery_entries"] = kept
        await world.block()
        assert world.causes(swap_id) == ["a person must decide"]
        assert await world.store.pending_recovery() == []
        record_property("delivered", 1)


class TestAll:
    async def test_every_sweep_of_the_design_is_registered(self, world: World) -> None:
        assert world.sweeps.names == (
            "stale_leases",
            "missed_swaps",
            "spends_accounted_for",
            "lanes_canonical",
            "settlement_resume",
            "journal_against_row",
            "inventory_against_wallet",
            "ended_uncredited",
            "undelivered_notices",
            "recovery_entries",
        )

    async def test_on_a_healthy_store_they_change_nothing(self, world: World) -> None:
        for dest in (Chain.TAO, Chain.BTC):
            world.stage.open_swap(dest)
            await world.round()
        for _ in range(4):
            report = await world.sweeps.run()
            assert report.failed == {}
            assert set(report.changed.values()) == {0}
            await world.btc_block()

    async def test_whoever_lost_the_race_does_nothing_further(self, world: World) -> None:
        swap_id = await paid(world)
        old = await world.saga(swap_id)
        await world.desk.step(old, Step(event=Event.NOTED, payload={"somebody": "else"}))
        with capture_logs() as logs:
            assert not await hold(world.desk, old, RecoveryEntry("a person must decide", "look"))
        assert [each["event"] for each in logs] == ["lost_the_race"]
        assert await world.store.pending_recovery() == []

    async def test_a_mistake_in_one_stops_no_other(self, world: World) -> None:
        async def breaks() -> int:
            raise ZeroDivisionError

        world.sweeps._sweeps = {"breaks": breaks, **world.sweeps._sweeps}
        report = await world.sweeps.run()
        assert list(report.failed) == ["breaks"]
        assert len(report.changed) == 10
