"""The rules of leases, one adversarial case each, and histories of three owners under a clock that jumps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miner.errors import LeaseLost, StaleSaga
from miner.model import Ingest, Lease, Saga, Step
from miner.saga import Event
from miner.store import SqlStore, project
from tests.conformance import store_fixtures
from tests.conformance.store_builders import CONTRACT, GENESIS, discover, get, head
from tests.conformance.store_fixtures import IMPLEMENTATIONS, House, build

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other

TTL_MS = 30_000
NOTED = Step(event=Event.NOTED)


async def table(of: SqlStore) -> list[Lease]:
    """Every lease as it stands."""
    return list(await of.leases())


class TestWrongOwner:
    async def test_acquiring_what_another_holds_changes_nothing(
        self, store: SqlStore, other: SqlStore
    ) -> None:
        await discover(store, 1)
        before = await table(store)
        for lease in before:
            with pytest.raises(LeaseLost) as told:
                await other.acquire(lease.resource)
            assert (told.value.holder, told.value.expires_at_ms) == ("one", lease.expires_at_ms)
        assert await table(store) == before

    async def test_a_heartbeat_without_a_lease_changes_nothing(
        self, house: House, store: SqlStore, other: SqlStore
    ) -> None:
        await discover(store, 1)
        before = await table(store)
        house.clock.pass_s(10)
        assert await other.heartbeat() == []
        assert await table(store) == before

    async def test_anothers_copy_of_a_saga_writes_nothing(self, store: SqlStore, other: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        with pytest.raises(LeaseLost, match="one"):
            await other.step(saga, NOTED)
        assert (await get(store, 1)).version == saga.version

    async def test_a_lease_that_is_not_held_takes_no_blocks_in_and_rewinds_nothing(
        self, store: SqlStore, other: SqlStore
    ) -> None:
        await discover(store, 1)
        lease = await store.acquire("watch")
        at = await store.cursor()
        assert at is not None
        for forged in (replace(lease, owner="two"), replace(lease, epoch=lease.epoch - 1)):
            with pytest.raises(LeaseLost):
                await other.ingest(Ingest(at, (head(at.height + 1),)), forged)
            with pytest.raises(LeaseLost):
                await other.rewind(head(1), forged)
        assert await store.cursor() == at

    async def test_closing_gives_back_ones_own_leases_alone(self, store: SqlStore, other: SqlStore) -> None:
        await discover(store, 1)
        before = await table(store)
        await other.heartbeat()
        await other.close()
        assert await table(store) == before


class TestExpiry:
    @pytest.mark.parametrize(("waited_ms", "free"), [(TTL_MS - 1, False), (TTL_MS, True), (TTL_MS + 1, True)])
    async def test_at_the_very_millisecond(
        self, house: House, store: SqlStore, other: SqlStore, waited_ms: int, free: bool
    ) -> None:
        first = await store.acquire("watch")
        house.clock.pass_s(waited_ms / 1000)
        if not free:
            with pytest.raises(LeaseLost):
                await other.acquire("watch")
            assert await store.heartbeat() == []
            assert (await table(store))[0].expires_at_ms == house.clock.now_ms + TTL_MS
            return
        assert await store.heartbeat() == ["watch"], "an expired lease is reported, not revived"
        assert await table(store) == []
        assert (await other.acquire("watch")).epoch == first.epoch + 1

    async def test_the_same_owner_gets_a_fresh_epoch_and_its_old_copies_are_fenced(
        self, house: House, store: SqlStore
    ) -> None:
        (saga,) = await discover(store, 1)
        house.clock.pass_s(30)
        with pytest.raises(LeaseLost):
            await store.step(saga, NOTED)
        renewed = await store.acquire(f"saga/{saga.id}")
        assert renewed.epoch == saga.lease_epoch + 1
        with pytest.raises(LeaseLost):
            await store.step(saga, NOTED)
        assert (await store.step(await get(store, 1), NOTED)).version == saga.version + 1

    async def test_whoever_returns_late_is_told_who_has_it_and_writes_nothing(
        self, house: House, store: SqlStore, other: SqlStore
    ) -> None:
        (saga,) = await discover(store, 1)
        house.clock.pass_s(31)
        await other.acquire("watch")
        await other.lease_sagas()
        taken = await table(other)
        with pytest.raises(LeaseLost) as told:
            await store.step(saga, NOTED)
        assert told.value.holder == "two"
        assert set(await store.heartbeat()) == {"watch", f"saga/{saga.id}"}
        assert await store.lease_sagas() == 0
        assert await table(other) == taken
        assert await store.open_sagas() == []


class TestTime:
    async def test_a_holder_of_a_shorter_term_shortens_nothing(self, house: House, store: SqlStore) -> None:
        long = await store.acquire("watch")
        brief = SqlStore(house.url, owner="one", lease_ttl_s=5, busy_timeout_s=5, clock_ms=house.clock)
        house.opened.append(brief)
        await brief.open()
        await brief.bind(GENESIS, CONTRACT)
        assert (await brief.acquire("watch")).expires_at_ms == long.expires_at_ms
        assert await brief.heartbeat() == []
        assert (await table(store))[0].expires_at_ms == long.expires_at_ms

    @pytest.mark.parametrize("hours", [1, 48])
    async def test_a_clock_set_back_for_hours_lets_nobody_in_early(
        self, house: House, store: SqlStore, other: SqlStore, hours: int
    ) -> None:
        first = await store.acquire("watch")
        house.clock.pass_s(-3600 * hours)
        assert await store.heartbeat() == []
        with pytest.raises(LeaseLost):
            await other.acquire("watch")
        assert (await store.acquire("watch")).expires_at_ms == first.expires_at_ms
        house.clock.pass_s(3600 * hours + 30)
        assert (await other.acquire("watch")).epoch == 2

    @pytest.mark.parametrize("hours", [1, 48])
    async def test_of_a_dead_holder_a_clock_set_back_leaves_one_term(
        self, house: House, store: SqlStore, other: SqlStore, hours: int
    ) -> None:
        (saga,) = await discover(store, 1)
        first = await store.acquire("watch")
        house.clock.pass_s(-3600 * hours)
        for _ in range(2):
            with pytest.raises(LeaseLost) as told:
                await other.acquire("watch")
            assert (told.value.holder, told.value.expires_at_ms) == ("one", house.clock.now_ms + TTL_MS)
        house.clock.pass_s(TTL_MS / 1000 - 0.001)
        with pytest.raises(LeaseLost):
            await other.acquire("watch")
        house.clock.pass_s(0.001)
        assert (await other.acquire("watch")).epoch == first.epoch + 1
        assert await other.lease_sagas() == 1, "all that it held is free, not the one resource"
        with pytest.raises(LeaseLost):
            await store.step(saga, NOTED)

    async def test_a_living_holder_keeps_its_lease_however_long_the_clock_was_set_back(
        self, house: House, store: SqlStore, other: SqlStore
    ) -> None:
        first = await store.acquire("watch")
        house.clock.pass_s(-3600)
        for _ in range(12):
            with pytest.raises(LeaseLost):
                await other.acquire("watch")
            house.clock.pass_s(TTL_MS / 3000)
            assert await store.heartbeat() == []
        assert (await store.acquire("watch")).epoch == first.epoch

    async def test_a_holder_of_a_longer_term_is_not_taken_for_one_before_the_clock_was_set_back(
        self, house: House, store: SqlStore
    ) -> None:
        await store.acquire("watch")
        brief = SqlStore(house.url, owner="two", lease_ttl_s=5, busy_timeout_s=5, clock_ms=house.clock)
        house.opened.append(brief)
        await brief.open()
        await brief.bind(GENESIS, CONTRACT)
        for _ in range(5):
            with pytest.raises(LeaseLost):
                await brief.acquire("watch")
            house.clock.pass_s(5)
        assert await store.heartbeat() == []

    async def test_a_clock_set_forward_ends_leases_and_lets_one_in(
        self, house: House, store: SqlStore, other: SqlStore
    ) -> None:
        (saga,) = await discover(store, 1)
        house.clock.pass_s(3600 * 5)
        results = await asyncio.gather(
            *(each.acquire("watch") for each in (store, other)), return_exceptions=True
        )
        assert sum(isinstance(each, Lease) for each in results) == 1
        with pytest.raises(LeaseLost):
            await store.step(saga, NOTED)


@dataclass
class Histories:
    """Three owners do anything in any order while the clock jumps; a model knows who may write.

    Attributes:
        house: The database.
        stores: By owner.
        saga_id: The saga that they want.
        copies: What each owner has read of it, however old.
    """

    house: House
    stores: dict[str, SqlStore]
    saga_id: int
    copies: dict[str, list[Saga]] = field(default_factory=dict)
    holder: str | None = "one"
    epoch: int = 1
    until: int = 0
    version: int = 1
    beaten: int = 0
    silent: dict[str, tuple[object, int]] = field(default_factory=dict)

    @property
    def now(self) -> int:
        return self.house.clock.now_ms

    def holds(self, who: str) -> bool:
        return self.holder == who and self.until > self.now

    async def lease(self, who: str) -> None:
        free = self.holder in (None, who) or self.until <= self.now
        if not free and self.until > self.now + TTL_MS:
            free = await self.is_outlived(who)
            if not free:
                return
        elif not free:
            self.silent.pop(who, None)
            with pytest.raises(LeaseLost) as told:
                await self.stores[who].acquire(f"saga/{self.saga_id}")
            assert (told.value.holder, told.value.expires_at_ms) == (self.holder, self.until)
            return
        got = await self.stores[who].acquire(f"saga/{self.saga_id}")
        assert got.epoch == self.epoch + (0 if self.holds(who) else 1)
        self.until = max(self.until if self.holds(who) else 0, self.now + TTL_MS)
        assert got.expires_at_ms == self.until
        self.holder, self.epoch, self.beaten = who, got.epoch, self.now

    async def is_outlived(self, who: str) -> bool:
        """The clock was set back: the holder loses it after a term without a sign of life."""
        sign = (self.holder, self.epoch, self.beaten)
        seen, since = self.silent.get(who, (None, 0))
        if seen != sign or self.now < since:
            since = self.now
            self.silent[who] = (sign, since)
        if self.now - since >= TTL_MS:
            self.holder, self.until = None, 0
            return True
        with pytest.raises(LeaseLost) as told:
            await self.stores[who].acquire(f"saga/{self.saga_id}")
        assert (told.value.holder, told.value.expires_at_ms) == (self.holder, since + TTL_MS)
        return False

    async def edge(self, who: str, off_ms: int) -> None:
        """Somebody asks for it around the millisecond in which it runs out."""
        if self.until > self.now:
            self.house.clock.pass_s((self.until - self.now + off_ms) / 1000)
        await self.lease(who)

    async def read(self, who: str) -> None:
        self.copies.setdefault(who, []).append(await get(self.stores[who], 1))

    async def beat(self, who: str) -> None:
        told = await self.stores[who].heartbeat()
        if self.holds(who):
            self.until, self.beaten = max(self.until, self.now + TTL_MS), self.now
            assert f"saga/{self.saga_id}" not in told
        elif self.holder == who:
            assert f"saga/{self.saga_id}" in told

    async def step(self, who: str, which: int) -> None:
        """By any copy, however old: it wins only at the newest version, by the holder at its epoch."""
        for copy in self.copies.get(who, [])[which : which + 1]:
            holds = self.holds(who) and copy.lease_epoch == self.epoch
            if not holds or copy.version != self.version:
                with pytest.raises(StaleSaga if holds else LeaseLost):
                    await self.stores[who].step(copy, NOTED)
                return
            self.version += 1
            self.copies[who].append(await self.stores[who].step(copy, NOTED))

    async def leave(self, who: str) -> None:
        """An ordered stop, and a new start under the same name."""
        await self.stores[who].close()
        self.stores[who] = await self.house.open(who)
        self.silent.pop(who, None)
        if self.holder == who:
            self.holder, self.until = None, 0

    async def check(self) -> None:
        """Whoever works on the saga is the one holder; nobody does where there is none."""
        works = [who for who, each in self.stores.items() if await each.open_sagas()]
        assert works == [who for who in self.stores if self.holds(who)]
        assert (await get(self.stores["one"], 1)).version == self.version


OWNERS = st.sampled_from(["one", "two", "three"])
JUMPS = st.sampled_from([29, 30, 1, 15, 31, -1, -20, -3600, 3600])
"""Seconds; a lease lasts 30."""
MOVES = st.one_of(
    st.tuples(st.sampled_from(["lease", "read", "beat", "leave"]), OWNERS),
    st.tuples(st.just("step"), OWNERS, st.integers(0, 8)),
    st.tuples(st.just("edge"), OWNERS, st.sampled_from([-1, 0])),
    st.tuples(st.just("pass"), JUMPS),
)


async def history(implementation: str, folder: Path, moves: list[tuple[str, str | int]]) -> None:
    house = build(implementation, folder)
    try:
        stores = {name: await house.open(name) for name in ("one", "two", "three")}
        (saga,) = await discover(stores["one"], 1)
        made = Histories(house, stores, saga.id, {"one": [saga]}, until=house.clock.now_ms + TTL_MS)
        for what, *rest in moves:
            if what == "pass":
                house.clock.pass_s(int(rest[0]))
            elif what in {"step", "edge"}:
                await getattr(made, what)(str(rest[0]), int(rest[1]))
            else:
                await getattr(made, what)(str(rest[0]))
            await made.check()
        entries = await made.stores["one"].journal(saga.id)
        assert len(entries) == made.version
        assert [e.lease_epoch for e in entries] == sorted(e.lease_epoch for e in entries)
        project(entries)
    finally:
        for each in house.opened:
            await each.close()


@pytest.mark.matrix("Leases", "the store alone")
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@settings(max_examples=25, deadline=None)
@given(moves=st.lists(MOVES, max_size=25))
def test_no_history_of_three_owners_under_a_jumping_clock_has_two_holders(
    implementation: str, moves: list[tuple[str, str | int]]
) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(history(implementation, Path(folder), moves))
