"""The store's contract: what it is tied to, what the watcher brings, what is read, what operators decide."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miner.amounts import Chain
from miner.errors import InvariantBroken, LeaseLost, StaleSaga, StoreDamaged, StoreUnavailable
from miner.model import (
    Discovery,
    Ending,
    EndingKind,
    ImportedSend,
    Ingest,
    Observation,
    SagaPatch,
    Step,
    SwapStatus,
)
from miner.ports import Store
from miner.saga import Event, State
from miner.store import SqlStore, project
from tests.conformance import store_fixtures
from tests.conformance.store_builders import (
    CONTRACT,
    GENESIS,
    HOTKEY,
    discover,
    get,
    head,
    held,
    marking,
    recovery,
    reserved,
    swap,
    verified,
)
from tests.conformance.store_fixtures import House

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other

SLASHED = Ending(EndingKind.TIMED_OUT, 150, slash_amount=2**70)


def test_it_is_a_store() -> None:
    made: Store = SqlStore("sqlite://")
    assert made.owner


class TestWhatItIsTiedTo:
    async def test_the_same_again_is_fine(self, house: House, store: SqlStore) -> None:
        await store.bind(GENESIS, CONTRACT)
        await (await house.open("later")).bind(GENESIS, CONTRACT)

    @pytest.mark.parametrize(("genesis", "contract"), [("0xother", CONTRACT), (GENESIS, "5Other")])
    async def test_another_is_refused_and_both_are_named(
        self, store: SqlStore, genesis: str, contract: str
    ) -> None:
        with pytest.raises(StoreDamaged) as caught:
            await store.bind(genesis, contract)
        for name in (GENESIS, CONTRACT, genesis, contract):
            assert name in str(caught.value)
        await store.bind(GENESIS, CONTRACT)

    async def test_an_unbound_store_takes_no_swaps(self, house: House) -> None:
        store = await house.open("one", bind=False)
        with pytest.raises(InvariantBroken, match="bind"):
            await discover(store, 1)
        assert await store.cursor() is None

    async def test_a_pin_keeps_its_first_value(self, store: SqlStore, other: SqlStore) -> None:
        assert await store.pin("code_hash", "0x1") == "0x1"
        assert await other.pin("code_hash", "0x2") == "0x1"
        assert await other.pin("genesis", "x") == "x"  # a pin never meets what the store is tied to
        await store.bind(GENESIS, CONTRACT)

    async def test_the_clock_is_the_databases(self, house: House, store: SqlStore) -> None:
        assert await store.now_ms() == house.clock.now_ms
        house.clock.pass_s(1.5)
        assert await store.now_ms() == house.clock.now_ms

    async def test_closing_twice_is_fine_and_then_nothing_is_served(self, store: SqlStore) -> None:
        await store.close()
        await store.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.cursor()


class TestIngest:
    async def test_new_swaps_come_with_the_cursor_and_leased(self, house: House, store: SqlStore) -> None:
        lease = await store.acquire("watch")
        found = Discovery(swap(7), reserved_block=90, reserved_at_ms=5)
        batch = Ingest(None, (head(100), head(101)), (found, Discovery(swap(3))), (), {HOTKEY: (90, 5)})
        assert await store.ingest(batch, lease) == [3, 7]
        assert await store.cursor() == head(101)
        assert await store.recent_heads() == [head(101), head(100)]
        assert await store.reserved_at(HOTKEY) == (90, 5)
        saga = await get(store, 7)
        assert (saga.state, saga.version, saga.lease_epoch) == (State.DISCOVERED, 1, 1)
        assert (saga.key.genesis, saga.key.contract, saga.key.swap_id) == (GENESIS, CONTRACT, 7)
        assert (saga.swap, saga.dest, saga.reserved_block, saga.reserved_at_ms) == (swap(7), Chain.TAO, 90, 5)
        assert saga.created_at_ms == saga.updated_at_ms == house.clock.now_ms
        (entry,) = await store.journal(saga.id)
        assert (entry.seq, entry.event, entry.actor) == (1, Event.NOTED, "watch:one")
        assert entry.payload["assigned"] is True
        assert [s.key.swap_id for s in await store.open_sagas()] == [3, 7]  # the earlier deadline first

    async def test_a_swap_that_had_ended_comes_with_its_ending(self, store: SqlStore) -> None:
        lease = await store.acquire("watch")
        await store.ingest(Ingest(None, (head(1),), (Discovery(swap(1), ending=SLASHED),)), lease)
        assert (await get(store, 1)).ending == SLASHED

    async def test_amounts_above_64_bits_and_an_unknown_chain(self, store: SqlStore) -> None:
        lease = await store.acquire("watch")
        large = swap(999, dest_chain="doge")
        await store.ingest(Ingest(None, (head(1),), (Discovery(large),)), lease)
        saga = await get(store, 999)
        assert (saga.swap, saga.dest) == (large, None)

    async def test_a_known_swap_is_skipped(self, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        assert await discover(store, 1) == [saga]
        assert len(await store.journal(saga.id)) == 1

    async def test_only_from_the_cursor(self, store: SqlStore) -> None:
        await discover(store, 1)
        lease = await store.acquire("watch")
        for previous in (None, head(99), head(100, fork=1)):
            with pytest.raises(StaleSaga):
                await store.ingest(Ingest(previous, (head(101),), (Discovery(swap(2)),)), lease)
            with pytest.raises(StaleSaga):
                await store.ingest(Ingest(previous, (), (Discovery(swap(2)),)), lease)
        assert await store.cursor() == head(100)
        assert await store.saga(2) is None

    async def test_a_sweep_leaves_the_cursor(self, store: SqlStore) -> None:
        lease = await store.acquire("watch")
        assert await store.ingest(Ingest(None, ()), lease) == []
        assert await store.cursor() is None
        await discover(store, 1)
        assert await store.ingest(Ingest(head(100), (), (Discovery(swap(2)),)), lease) == [2]
        assert await store.cursor() == head(100)

    async def test_heads_must_rise(self, store: SqlStore) -> None:
        lease = await store.acquire("watch")
        for heads in ((head(5), head(5)), (head(6), head(5))):
            with pytest.raises(InvariantBroken):
                await store.ingest(Ingest(None, heads), lease)

    async def test_not_without_the_lease(self, house: House, store: SqlStore, other: SqlStore) -> None:
        lease = await store.acquire("watch")
        with pytest.raises(LeaseLost):
            await store.ingest(Ingest(None, (head(1),)), replace(lease, epoch=2))
        house.clock.pass_s(31)
        with pytest.raises(LeaseLost):
            await store.ingest(Ingest(None, (head(1),)), lease)
        await other.acquire("watch")
        with pytest.raises(LeaseLost, match="two"):
            await store.ingest(Ingest(None, (head(1),), (Discovery(swap(1)),)), lease)
        with pytest.raises(LeaseLost):
            await store.rewind(head(1), lease)
        assert await store.cursor() is None
        assert await store.saga(1) is None

    async def test_256_heads_are_kept(self, store: SqlStore) -> None:
        lease = await store.acquire("watch")
        await store.ingest(Ingest(None, tuple(head(i) for i in range(1, 301))), lease)
        kept = await store.recent_heads(1000)
        assert (len(kept), kept[0], kept[-1]) == (256, head(300), head(45))
        assert len(await store.recent_heads()) == 64

    async def test_the_newest_reservation_of_a_miner_counts(self, store: SqlStore) -> None:
        lease = await store.acquire("watch")
        await store.ingest(Ingest(None, (head(1),), reserved={HOTKEY: (50, 2)}), lease)
        await store.ingest(Ingest(head(1), (head(2),), reserved={HOTKEY: (40, 1), "m": (1, 1)}), lease)
        assert await store.reserved_at(HOTKEY) == (50, 2)
        await store.ingest(Ingest(head(2), (head(3),), reserved={HOTKEY: (60, 3)}), lease)
        assert await store.reserved_at(HOTKEY) == (60, 3)
        assert await store.reserved_at("nobody") is None

    async def test_rewind_to_an_ancestor(self, store: SqlStore) -> None:
        lease = await store.acquire("watch")
        await store.ingest(Ingest(None, tuple(head(i) for i in range(1, 10))), lease)
        for impossible in (head(10), head(5, fork=1)):
            with pytest.raises(InvariantBroken):
                await store.rewind(impossible, lease)
        await store.rewind(head(5), lease)
        assert await store.cursor() == head(5)
        assert (await store.recent_heads())[0] == head(5)
        await store.ingest(Ingest(head(5), (head(6, fork=1),)), lease)
        assert (await store.recent_heads())[:2] == [head(6, fork=1), head(5)]


class TestObservations:
    async def test_the_saga_is_brought_up_to_date_and_a_concurrent_step_loses(self, store: SqlStore) -> None:
        saga = await verified(store, 1)
        lease = await store.acquire("watch")
        fulfilled = swap(1, status=SwapStatus.FULFILLED, timeout_block=5000)
        await store.ingest(Ingest(head(100), (head(101),), (), (Observation(1, fulfilled, SLASHED),)), lease)
        with pytest.raises(StaleSaga):
            await store.step(saga, Step(event=Event.NOTED))
        now = await get(store, 1)
        assert (now.swap, now.ending, now.version) == (fulfilled, SLASHED, saga.version + 1)
        entry = (await store.journal(saga.id))[-1]
        assert (entry.event, entry.before, entry.after) == (Event.NOTED, State.VERIFIED, State.VERIFIED)
        assert entry.payload["ending"]
        await store.step(now, Step(event=Event.NOTED))

    async def test_whatever_its_lease(self, store: SqlStore, other: SqlStore) -> None:
        await discover(store, 1)
        await store.close()
        await other.lease_sagas()
        lease = await other.acquire("watch")
        await other.ingest(Ingest(head(100), (head(101),), (), (Observation(1, None, SLASHED),)), lease)
        assert (await get(other, 1)).ending == SLASHED

    async def test_what_is_known_moves_nothing(self, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        lease = await store.acquire("watch")
        seen = (Observation(1, swap(1)), Observation(2, swap(2)), Observation(1))
        await store.ingest(Ingest(head(100), (), (), seen), lease)
        assert await get(store, 1) == saga

    async def test_an_ended_saga_gets_the_note_and_its_recovery_entry_once(self, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        patch = SagaPatch(reason="wrong_amount")
        await store.step(saga, Step(event=Event.REFUSED, patch=patch))
        lease = await store.acquire("watch")
        seen = Observation(1, None, SLASHED, recovery("slashed_after_refusal"))
        for height in (101, 102):
            previous = await store.cursor()
            await store.ingest(Ingest(previous, (head(height),), (), (seen,)), lease)
        after = await get(store, 1)
        assert (after.state, after.reason, after.ending) == (State.COMPENSATED, "wrong_amount", SLASHED)
        assert [e.event for e in await store.journal(saga.id)] == [Event.NOTED, Event.REFUSED, Event.NOTED]
        (pending,) = await store.pending_recovery()
        assert (pending.entry, pending.state) == (recovery("slashed_after_refusal"), State.COMPENSATED)

    async def test_an_open_saga_gets_no_recovery_entry(self, store: SqlStore) -> None:
        await discover(store, 1)
        lease = await store.acquire("watch")
        await store.ingest(Ingest(head(100), (), (), (Observation(1, None, SLASHED, recovery()),)), lease)
        assert await store.pending_recovery() == []


class TestReading:
    async def test_known_and_counts(self, store: SqlStore) -> None:
        await discover(store, 1, 2)
        await reserved(store, 3)
        assert await store.known({1, 3, 4}) == {1: State.DISCOVERED, 3: State.RESERVED}
        assert await store.known([]) == {}
        assert len(await store.known(range(5000))) == 3
        assert await store.count_by_state() == {State.DISCOVERED: 2, State.RESERVED: 1}

    async def test_first_unseen_id_never_goes_back(self, store: SqlStore) -> None:
        assert await store.first_unseen_id() == 0
        for told, kept in ((7, 7), (5, 7), (9, 9)):
            await store.set_first_unseen_id(told)
            assert await store.first_unseen_id() == kept

    async def test_list_for_people(self, store: SqlStore, other: SqlStore) -> None:
        await discover(store, *range(6))
        await verified(store, 6)
        assert [s.key.swap_id for s in await other.list_sagas(limit=2)] == [6, 5]
        assert [s.key.swap_id for s in await store.list_sagas(before=2)] == [1, 0]
        assert [s.key.swap_id for s in await store.list_sagas({State.VERIFIED})] == [6]
        assert await store.list_sagas(miner="5Nobody") == []
        assert len(await store.list_sagas(miner=HOTKEY)) == 7
        assert (await other.list_sagas(limit=1))[0].lease_epoch == 0

    async def test_nothing_of_an_unknown_swap(self, store: SqlStore) -> None:
        assert await store.saga(1) is None
        assert await store.journal(1) == []

    async def test_a_saga_reads_the_same_by_itself_and_among_all(self, store: SqlStore) -> None:
        made = [await marking(store, 1), await reserved(store, 2), await held(store, 3)]
        assert list(await store.open_sagas()) == [await get(store, s.key.swap_id) for s in made]
        assert list(await store.open_sagas()) == made

    async def test_the_journal_projects_to_the_row(self, store: SqlStore) -> None:
        for swap_id, made in ((1, marking), (2, held), (3, reserved)):
            saga = await made(store, swap_id)
            entries = await store.journal(saga.id)
            assert project(entries).state is saga.state
            assert entries[-1].seq == saga.version
            assert [e.seq for e in entries] == list(range(1, len(entries) + 1))


class TestOperators:
    async def test_pause_and_resume_tell_whether_they_changed(self, store: SqlStore, other: SqlStore) -> None:
        assert await store.set_paused("all", True, "operator:x")
        assert not await other.set_paused("all", True, "operator:y")
        assert await store.set_paused("tao", True, "operator:x")
        assert set(await other.paused()) == {"all", "tao"}
        assert await store.set_paused("all", False, "operator:x")
        assert not await store.set_paused("btc", False, "operator:x")
        assert set(await store.paused()) == {"tao"}

    async def test_imported_lines_count_once(self, store: SqlStore) -> None:
        sends = [ImportedSend(1, "tao_transfer", 5), ImportedSend(2, "0xab", 6, True, 90)]
        assert await store.import_sent(sends) == 2
        assert await store.import_sent(sends) == 0
        assert await store.imported(1) == sends[0]
        assert await store.imported(2) == sends[1]
        assert await store.imported(3) is None
        assert await store.import_sent([replace(sends[0], marked=True), sends[1]]) == 1
        assert await store.imported(1) == replace(sends[0], marked=True)
        assert await store.import_sent([]) == 0

    async def test_recovery_entries_wait_until_they_are_written(self, house: House, store: SqlStore) -> None:
        one, two = await held(store, 1), await held(store, 2)
        pending = list(await store.pending_recovery())
        assert [p.saga for p in pending] == [one.key, two.key]
        assert {p.at_ms for p in pending} == {house.clock.now_ms}
        assert pending[0].entry == recovery("held")
        assert pending[0].state is State.HELD
        await store.recovery_written(pending[0].id)
        await store.recovery_written(pending[0].id)
        assert list(await store.pending_recovery()) == pending[1:]

    async def test_one_recovery_entry_for_a_saga_and_cause(self, store: SqlStore) -> None:
        saga = await held(store, 1)
        saga = await store.step(saga, Step(event=Event.NOTED, recovery=recovery("held")))
        await store.recovery_written((await store.pending_recovery())[0].id)
        saga = await store.step(saga, Step(event=Event.NOTED, recovery=recovery("held")))
        assert await store.pending_recovery() == []
        await store.step(saga, Step(event=Event.NOTED, recovery=recovery("another")))
        assert [p.entry.cause for p in await store.pending_recovery()] == ["another"]
