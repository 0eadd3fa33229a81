"""Whatever happened to a swap: the row is what its journal leads to, and is written anew from it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import text

from miner.errors import InvariantBroken, LeaseLost, MinerError
from miner.model import (
    Adopted,
    Ending,
    EndingKind,
    Head,
    Ingest,
    LaneState,
    Observation,
    RecoveryEntry,
    Saga,
    SagaPatch,
    SightingKind,
    Step,
    SwapStatus,
    TakerEffect,
)
from miner.saga import TABLE, Event, State
from miner.store import SqlStore
from tests.conformance import store_builders as build
from tests.conformance import store_fixtures
from tests.conformance.store_fixtures import House

house, store = store_fixtures.house, store_fixtures.store
SWAPS = (1, 2, 3)
GONE = RecoveryEntry("landed_payout_is_gone", "look")
MAKES: dict[Event, Callable[[Saga], Step]] = {
    Event.SOURCE_VERIFIED: lambda saga: Step(
        event=Event.SOURCE_VERIFIED,
        payload={"txid": "x"},
        patch=SagaPatch(payment=build.payment(saga.key.swap_id), reason=""),
    ),
    Event.INVENTORY_RESERVED: lambda _: Step(event=Event.INVENTORY_RESERVED, reserve=build.reservation()),
    Event.PAYOUT_SIGNED: lambda _: Step(event=Event.PAYOUT_SIGNED, claim=build.payout_claim()),
    Event.MARK_SIGNED: lambda saga: Step(
        event=Event.MARK_SIGNED,
        claim=build.mark_claim(),
        patch=SagaPatch(mark_retries=saga.mark_retries + 1, next_attempt_ms=12_345),
    ),
    Event.PAYOUT_RESIGNED: lambda saga: Step(
        event=Event.PAYOUT_RESIGNED, replacement=build.resigned(build.payout_of(saga))
    ),
    Event.CANCEL_SIGNED: lambda saga: Step(
        event=Event.CANCEL_SIGNED, replacement=build.filler(build.payout_of(saga))
    ),
    Event.PAYOUT_ADOPTED: lambda saga: Step(
        event=Event.PAYOUT_ADOPTED,
        patch=SagaPatch(reason=""),
        adopt=Adopted(
            build.TAO, build.PAYER, f"0x{saga.key.swap_id:064d}", build.head(5), build.USER, build.AMOUNT
        ),
    ),
}


ONWARD = {
    State.DISCOVERED: Event.SOURCE_VERIFIED,
    State.VERIFIED: Event.INVENTORY_RESERVED,
    State.RESERVED: Event.PAYOUT_SIGNED,
    State.SIGNED: Event.PAYOUT_INCLUDED,
    State.PAID: Event.MARK_SIGNED,
    State.MARKING: Event.MARK_FULFILLED,
    State.HELD: Event.PAYOUT_ADOPTED,
}
"""The next event of a swap that gets on."""


def step_of(saga: Saga, event: Event) -> Step:
    """A step of an event with all that belongs to it."""
    made = MAKES.get(event)
    if made is not None:
        return made(saga)
    gives_up = TABLE[saga.state][event].ended
    return Step(
        event=event,
        payload={"why": event.value},
        patch=SagaPatch(reason=event.value.lower(), mark_retries=saga.mark_retries),
        recovery=build.recovery(f"{event.value}"),
        release=gives_up,
    )


class Histories(RuleBasedStateMachine):
    """Any history of steps, sightings, observations and rewinds; after each the rows are looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = build.VirtualClock()
        path = str(Path(self.folder.name) / "state" / "store.sqlite")
        self.store = SqlStore(path, owner="one", lease_ttl_s=10**6, clock_ms=self._tick)

    def _tick(self) -> int:
        """Each question finds another time: what is stored twice would differ."""
        self.clock.now_ms += 1
        return self.clock.now_ms

    def do(self, work: Awaitable[object]) -> object:
        return self.loop.run_until_complete(asyncio.ensure_future(work, loop=self.loop))

    @initialize()
    def begin(self) -> None:
        async def make() -> None:
            await self.store.open()
            await self.store.bind(build.GENESIS, build.CONTRACT)
            await build.discover(self.store, *SWAPS)

        self.do(make())

    @rule(swap_id=st.sampled_from(SWAPS), pick=st.integers(0, 2**16), most=st.integers(1, 6))
    def steps(self, swap_id: int, pick: int, most: int) -> None:
        async def go(number: int) -> None:
            saga = await build.get(self.store, swap_id)
            moves = sorted(TABLE[saga.state])
            with suppress(MinerError, AssertionError):  # what is refused leaves the row as it was
                await self.store.step(saga, step_of(saga, moves[number % len(moves)]))

        for turn in range(most):
            self.do(go(pick // 7**turn))

    @rule(swap_id=st.sampled_from(SWAPS), most=st.integers(1, 5))
    def onward(self, swap_id: int, most: int) -> None:
        async def go() -> None:
            saga = await build.get(self.store, swap_id)
            event = ONWARD.get(saga.state, Event.NOTED)
            lost = saga.payout is not None and saga.payout.state is LaneState.TAKEN
            event = Event.PAYOUT_FREED if lost and saga.state is State.SIGNED else event
            with suppress(MinerError, AssertionError):
                await self.store.step(saga, step_of(saga, event))

        for _ in range(most):
            self.do(go())

    @rule(swap_id=st.sampled_from(SWAPS), kind=st.sampled_from(list(SightingKind)), final=st.booleans())
    def look(self, swap_id: int, kind: SightingKind, final: bool) -> None:
        async def go() -> None:
            lane = (await build.get(self.store, swap_id)).payout
            if lane is None or not lane.attempts:
                return
            in_block = kind is SightingKind.IN_BLOCK
            told: dict[str, Any] = {"final": final} if in_block else {}
            if kind is SightingKind.TAKEN:
                told = {
                    "taker": TakerEffect.PAYS_NOTHING,
                    "txid": "0xaa",
                    "block": build.head(299),
                    "final": True,
                }
            await self.store.sight(lane, build.seen(kind, 300, lane if in_block else None, **told))

        self.do(go())

    @rule(
        swap_id=st.sampled_from(SWAPS),
        status=st.sampled_from(list(SwapStatus)),
        end=st.sampled_from([None, *EndingKind]),
        terms=st.booleans(),
    )
    def observe(self, swap_id: int, status: SwapStatus, end: EndingKind | None, terms: bool) -> None:
        async def go() -> None:
            lease = await self.store.acquire("watch")
            cursor = await self.store.cursor()
            assert cursor is not None
            block = build.head(cursor.height + 1)
            other = {"rate": "1"} if terms else {}
            swap = build.swap(swap_id, status=status, timeout_block=cursor.height + 500, **other)
            ending = None if end is None else Ending(end, block.height, slash_amount=2**70)
            seen = Observation(swap_id, swap, ending, build.recovery("late"))
            await self.store.ingest(Ingest(cursor, (block,), (), (seen,)), lease)

        self.do(go())

    @rule(back=st.integers(1, 3))
    def rewind(self, back: int) -> None:
        async def go() -> None:
            lease = await self.store.acquire("watch")
            heads = await self.store.recent_heads(back + 1)
            await self.store.rewind(heads[-1], lease)

        self.do(go())

    @invariant()
    def rows_are_what_their_journals_lead_to(self) -> None:
        if self.store._db.is_open:
            told = self.do(self.store.audit(limit=10, ended=True))
            assert isinstance(told, list)
            assert [each.swap_id for each in told] == list(SWAPS)
            assert [each for each in told if not each.agrees] == []

    def teardown(self) -> None:
        self.do(self.store.close())
        self.loop.close()
        self.folder.cleanup()


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=30,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


async def spoil(store: SqlStore, **columns: object) -> None:
    """Change the row of swap 1 behind the store's back."""

    def write(conn: object) -> None:
        for name, value in columns.items():
            conn.execute(text(f"UPDATE sagas SET {name} = :v WHERE swap_id = 1"), {"v": value})  # type: ignore[attr-defined]

    await store._db.write(write)


SPOILED = {
    "state": "DISCOVERED",
    "reason": "somebody",
    "payout_lane_id": None,
    "payment": None,
    "timeout_block": 7,
    "mark_retries": 3,
    "version": 2,
    "swap": "{}",
    "ended": 1,
}


@pytest.mark.parametrize("column", sorted(SPOILED))
async def test_a_row_that_was_changed_is_found_and_written_anew(store: SqlStore, column: str) -> None:
    before = await build.paid(store, 1)
    await spoil(store, **{column: SPOILED[column]})
    (told,) = await store.audit(ended=True)
    assert [each.column for each in told.differences] == [column]
    lease = await store.acquire("watch")
    assert (await store.reproject(1, lease, "operator:me")).differences == told.differences
    (after,) = await store.audit(ended=True)
    assert after.agrees
    now = await build.get(store, 1)
    assert replace(now, version=before.version, updated_at_ms=before.updated_at_ms) == before
    last = (await store.journal(now.id))[-1]
    assert (list(last.payload["rebuilt"]), last.actor) == ([column], "operator:me:one")  # type: ignore[arg-type]
    assert now.version == before.version + 1, "a copy that was read before does not win"


async def test_what_agrees_is_left_alone(store: SqlStore) -> None:
    before = await build.paid(store, 1)
    assert (await store.reproject(1, await store.acquire("watch"), "me")).agrees
    assert await build.get(store, 1) == before


async def test_no_row_is_made_of_a_broken_journal(store: SqlStore) -> None:
    await build.paid(store, 1)

    def cut(conn: object) -> None:
        conn.execute(text("DELETE FROM journal WHERE seq = 2"))  # type: ignore[attr-defined]

    await store._db.write(cut)
    (told,) = await store.audit(ended=True)
    assert "entry 3 where 2 was due" in told.broken
    with pytest.raises(InvariantBroken, match="where 2 was due"):
        await store.reproject(1, await store.acquire("watch"), "me")


async def test_only_the_holder_of_the_store_writes_anew(house: House) -> None:
    one, two = await house.open("one"), await house.open("two")
    await build.paid(one, 1)
    lease = await one.acquire("watch")
    with pytest.raises(LeaseLost):
        await two.acquire("watch")
    with pytest.raises(LeaseLost):
        await two.reproject(1, replace(lease, owner="two"), "me")


async def test_of_many_a_part_is_looked_at_and_ended_ones_when_asked(store: SqlStore) -> None:
    sagas = await build.discover(store, *range(1, 8))
    await store.step(sagas[3], Step(event=Event.REFUSED, recovery=build.recovery("refused:x")))
    assert [each.swap_id for each in await store.audit(limit=3)] == [1, 2, 3]
    assert [each.swap_id for each in await store.audit(after=3, limit=3)] == [5, 6, 7]
    assert [each.swap_id for each in await store.audit(after=3, limit=3, ended=True)] == [4, 5, 6]
    assert [each.swap_id for each in await store.audit(only=[7, 4, 99])] == [4, 7]


async def test_a_lane_that_is_open_again_has_its_money_set_aside_again(store: SqlStore) -> None:
    saga = await build.paid(store, 1)
    assert await store.reserved(build.TAO, build.PAYER) == 0
    assert await store.reopen(build.payout_of(saga), saga.state, GONE)
    assert [each.entry for each in await store.pending_recovery()] == [GONE], "told in the same transaction"
    assert await store.unreserved() == []
    assert (await store.account(build.TAO, build.PAYER, 0)).seen == 3, "its nonce is not used"
    assert await store.reserved(build.TAO, build.PAYER) > build.AMOUNT
    assert not (await build.get(store, 1)).payout.state.closed  # type: ignore[union-attr]
    assert not await store.reopen(build.payout_of(saga), saga.state, GONE), "it is open already"


async def test_a_lane_stays_closed_where_another_took_its_place(store: SqlStore) -> None:
    saga = await build.signed(store, 1)
    lane = build.payout_of(saga)
    assert not await store.reopen(lane, saga.state, GONE)
    assert await store.pending_recovery() == []
    assert saga.state is State.SIGNED
    assert Head(1, "x") != lane.block


async def test_a_payout_that_was_freed_is_pointed_to_no_more(store: SqlStore) -> None:
    saga = await build.signed(store, 1)
    taken = build.seen(
        SightingKind.TAKEN,
        300,
        txid="0xaa",
        block=build.head(299),
        final=True,
        taker=TakerEffect.PAYS_NOTHING,
    )
    await store.sight(build.payout_of(saga), taken)
    freed = await store.step(saga, Step(event=Event.PAYOUT_FREED))
    (told,) = await store.audit()
    assert (freed.payout, told.agrees) == (None, True)
