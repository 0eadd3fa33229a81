"""Leases: one holder at a time, by the database's clock, whatever owners do in whatever order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miner.errors import InvariantBroken, LeaseLost, StaleSaga
from miner.model import Lease, Saga, Step
from miner.saga import Event
from miner.store import SqlStore, project
from tests.conformance import store_fixtures
from tests.conformance.store_builders import (
    VirtualClock,
    discover,
    get,
    marking,
    verified,
)
from tests.conformance.store_fixtures import House

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other

TTL_MS = 30_000
NOTED = Step(event=Event.NOTED)


class TestAcquire:
    async def test_the_first_comer_holds_it(self, house: House, store: SqlStore) -> None:
        until = house.clock.now_ms + TTL_MS
        assert await store.acquire("watch") == Lease("watch", "one", 1, until)
        assert await store.leases() == [Lease("watch", "one", 1, until)]

    async def test_another_is_told_who_and_until_when(
        self, house: House, store: SqlStore, other: SqlStore
    ) -> None:
        lease = await store.acquire("watch")
        house.clock.pass_s(29.999)
        with pytest.raises(LeaseLost) as caught:
            await other.acquire("watch")
        lost = caught.value
        assert (lost.resource, lost.holder, lost.expires_at_ms) == ("watch", "one", lease.expires_at_ms)
        assert await store.leases() == [lease]

    async def test_another_takes_over_only_after_expiry(
        self, house: House, store: SqlStore, other: SqlStore
    ) -> None:
        await store.acquire("watch")
        house.clock.pass_s(30)
        taken = await other.acquire("watch")
        assert (taken.owner, taken.epoch) == ("two", 2)
        with pytest.raises(LeaseLost, match="two"):
            await store.acquire("watch")

    async def test_its_holder_renews_at_the_same_epoch(self, house: House, store: SqlStore) -> None:
        first = await store.acquire("watch")
        house.clock.pass_s(29)
        again = await store.acquire("watch")
        assert (again.epoch, again.expires_at_ms) == (1, first.expires_at_ms + 29_000)

    async def test_with_a_fresh_epoch_once_it_had_expired(self, house: House, store: SqlStore) -> None:
        await store.acquire("watch")
        house.clock.pass_s(30)
        assert (await store.acquire("watch")).epoch == 2
        house.clock.pass_s(30)
        assert (await store.acquire("watch")).epoch == 3

    async def test_a_clock_set_back_shortens_nothing(self, house: House, store: SqlStore) -> None:
        first = await store.acquire("watch")
        house.clock.pass_s(-100)
        assert (await store.acquire("watch")).expires_at_ms == first.expires_at_ms
        assert await store.heartbeat() == []
        assert (await store.leases())[0].expires_at_ms == first.expires_at_ms

    async def test_a_closed_store_gives_everything_back(
        self, house: House, store: SqlStore, other: SqlStore
    ) -> None:
        await discover(store, 1)
        await store.close()
        assert await other.leases() == []
        assert (await other.acquire("watch")).epoch == 2
        assert await other.lease_sagas() == 1
        assert (await get(other, 1)).lease_epoch == 2

    async def test_of_what_does_not_exist(self, store: SqlStore) -> None:
        with pytest.raises(InvariantBroken):
            await store.acquire("saga/4711")

    async def test_of_a_race_exactly_one_wins(self, house: House, store: SqlStore, other: SqlStore) -> None:
        third = await house.open("three")
        for _ in range(3):
            results = await asyncio.gather(
                *(s.acquire("watch") for s in (store, other, third)), return_exceptions=True
            )
            assert sum(isinstance(r, Lease) for r in results) == 1
            assert sum(isinstance(r, LeaseLost) for r in results) == 2
            house.clock.pass_s(31)


class TestHeartbeat:
    async def test_extends_all_that_is_held(self, house: House, store: SqlStore) -> None:
        await discover(store, 1, 2)
        house.clock.pass_s(20)
        assert await store.heartbeat() == []
        assert {lease.expires_at_ms for lease in await store.leases()} == {house.clock.now_ms + TTL_MS}
        house.clock.pass_s(20)
        assert len(await store.open_sagas()) == 2

    async def test_revives_nothing(self, house: House, store: SqlStore) -> None:
        (saga,) = await discover(store, 1)
        house.clock.pass_s(30)
        name = f"saga/{saga.id}"
        assert await store.heartbeat() == [name, "watch"]
        assert await store.heartbeat() == [name, "watch"]
        assert await store.leases() == []
        assert await store.open_sagas() == []
        with pytest.raises(LeaseLost):
            await store.step(saga, NOTED)
        assert await store.lease_sagas() == 1
        assert await store.heartbeat() == ["watch"]

    async def test_tells_what_another_has_taken(self, house: House, store: SqlStore, other: SqlStore) -> None:
        await store.acquire("watch")
        house.clock.pass_s(31)
        await other.acquire("watch")
        assert await store.heartbeat() == ["watch"]
        assert await store.heartbeat() == []
        assert await other.heartbeat() == []

    async def test_leaves_the_leases_of_others(self, house: House, store: SqlStore, other: SqlStore) -> None:
        lease = await store.acquire("watch")
        house.clock.pass_s(10)
        await other.heartbeat()
        assert await store.leases() == [lease]


class TestLeaseSagas:
    async def test_takes_what_nobody_holds(self, house: House, store: SqlStore, other: SqlStore) -> None:
        await discover(store, 1, 2)
        assert await other.lease_sagas() == 0
        assert await other.open_sagas() == []
        house.clock.pass_s(31)
        assert await other.lease_sagas() == 2
        assert {s.lease_epoch for s in await other.open_sagas()} == {2}
        assert await store.lease_sagas() == 0
        with pytest.raises(LeaseLost):
            await store.acquire(f"saga/{(await get(store, 1)).id}")

    async def test_renewing_keeps_copies_good(self, house: House, store: SqlStore) -> None:
        saga = await verified(store, 1)
        house.clock.pass_s(10)
        assert await store.lease_sagas() == 1
        saga = await store.step(saga, NOTED)
        house.clock.pass_s(31)
        assert await store.lease_sagas() == 1
        with pytest.raises(LeaseLost):
            await store.step(saga, NOTED)

    async def test_leaves_what_has_ended_with_all_its_lanes(self, house: House, store: SqlStore) -> None:
        await store.step(await verified(store, 1), Step(event=Event.REFUSED))
        lingering = await store.step(await marking(store, 2), Step(event=Event.SWAP_COMPLETED))
        house.clock.pass_s(31)
        assert await store.lease_sagas() == 1
        assert [s.id for s in await store.open_sagas()] == [lingering.id]


@dataclass
class Histories:
    """Two owners do anything in any order; a model knows who may write."""

    stores: dict[str, SqlStore]
    clock: VirtualClock
    copies: dict[str, list[Saga]] = field(default_factory=dict)
    holder: str | None = None
    epoch: int = 0
    until: int = 0
    version: int = 1

    async def lease(self, who: str, saga_id: int) -> None:
        free = self.holder in (None, who) or self.until <= self.clock.now_ms
        try:
            got = await self.stores[who].acquire(f"saga/{saga_id}")
        except LeaseLost:
            assert not free
            return
        assert free
        held = self.holder == who and self.until > self.clock.now_ms
        assert got.epoch == self.epoch + (0 if held else 1)
        self.until = max(self.until if held else 0, self.clock.now_ms + TTL_MS)
        assert got.expires_at_ms == self.until
        self.holder, self.epoch = who, got.epoch

    async def read(self, who: str) -> None:
        self.copies.setdefault(who, []).append(await get(self.stores[who], 1))

    async def beat(self, who: str) -> None:
        await self.stores[who].heartbeat()
        if self.holder == who and self.until > self.clock.now_ms:
            self.until = max(self.until, self.clock.now_ms + TTL_MS)

    async def step(self, who: str, which: int) -> None:
        """By any copy, however old: it wins only at the newest version, by the holder at its epoch."""
        for copy in self.copies.get(who, [])[which : which + 1]:
            holds = self.holder == who and self.until > self.clock.now_ms and copy.lease_epoch == self.epoch
            if not holds or copy.version != self.version:
                with pytest.raises(StaleSaga if holds else LeaseLost):
                    await self.stores[who].step(copy, NOTED)
                return
            self.version += 1
            after = await self.stores[who].step(copy, NOTED)
            assert after.version == self.version
            self.copies[who].append(after)


OWNERS = st.sampled_from(["one", "two"])
MOVES = st.one_of(
    st.tuples(st.just("lease"), OWNERS),
    st.tuples(st.just("read"), OWNERS),
    st.tuples(st.just("beat"), OWNERS),
    st.tuples(st.just("step"), OWNERS, st.integers(0, 8)),
    st.tuples(st.just("pass"), st.integers(1, 45)),
)


@settings(max_examples=40, deadline=None)
@given(moves=st.lists(MOVES, max_size=40))
def test_no_history_lets_two_write(moves: list[tuple[str, str | int]]) -> None:
    async def history(folder: Path) -> None:
        house = House(str(folder / "store.sqlite"))
        stores = {name: await house.open(name) for name in ("one", "two")}
        try:
            (saga,) = await discover(stores["one"], 1)
            made = Histories(stores, house.clock, {"one": [saga]}, "one", 1, house.clock.now_ms + TTL_MS)
            for what, *rest in moves:
                await act(made, saga.id, what, rest)
            entries = await stores["one"].journal(saga.id)
            assert len(entries) == made.version
            project(entries)
        finally:
            for store in house.opened:
                await store.close()

    with TemporaryDirectory() as folder:
        asyncio.run(history(Path(folder)))


async def act(made: Histories, saga_id: int, what: str, rest: list[str | int]) -> None:
    who = str(rest[0])
    if what == "pass":
        made.clock.pass_s(int(rest[0]))
    elif what == "lease":
        await made.lease(who, saga_id)
    elif what == "read":
        await made.read(who)
    elif what == "beat":
        await made.beat(who)
    else:
        await made.step(who, int(rest[1]))
