"""The outbox: told with what it tells of, on the edge; each delivery by one node, until it is there."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from miner.errors import StaleSaga
from miner.model import Alarm, Delivery, DeliveryStanding, NoticeKind, Phase, Route, SagaPatch, Severity, Step
from miner.saga import Event
from miner.store import SqlStore
from miner.store.outbox import SqlOutbox
from tests.conformance import store_fixtures
from tests.conformance.store_builders import TAO, discover, get, held, paid, recovery
from tests.conformance.store_fixtures import House

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other
ALL = Route("ops")
MINUTE_MS = 60_000


def outbox_of(store: SqlStore) -> SqlOutbox:
    return SqlOutbox(store.database, store.owner)


@pytest.fixture
def outbox(store: SqlStore) -> SqlOutbox:
    return outbox_of(store)


async def told(outbox: SqlOutbox) -> list[tuple[NoticeKind, Phase, str]]:
    """Everything that was committed to be told, oldest first."""
    await outbox.route([ALL])
    found = await outbox.deliveries(limit=1000)
    return [(d.notice.alarm.kind, d.notice.phase, d.notice.alarm.subject) for d in reversed(found)]


def low(subject: str = "5Payer") -> Alarm:
    return Alarm(kind=NoticeKind.LOW_BALANCE, subject=subject, text="low", detail={"has": "1"})


class TestWhatIsTold:
    async def test_a_swap_is_told_from_its_assignment_to_its_payout(
        self, store: SqlStore, outbox: SqlOutbox
    ) -> None:
        await paid(store, 1)
        assert await told(outbox) == [
            (NoticeKind.SWAP_ASSIGNED, Phase.TOLD, "swap/1"),
            (NoticeKind.SWAP_PAID, Phase.TOLD, "swap/1"),
        ]

    async def test_a_hold_is_told_once_and_when_it_is_over(self, store: SqlStore, outbox: SqlOutbox) -> None:
        saga = await held(store, 1)
        saga = await store.step(saga, Step(event=Event.HELD_FOR_OPERATOR, recovery=recovery("again")))
        await store.step(saga, Step(event=Event.SWAP_ENDED_UNPAID, patch=SagaPatch(reason="cancelled")))
        assert (await told(outbox))[1:] == [
            (NoticeKind.SWAP_HELD, Phase.RAISED, "swap/1"),
            (NoticeKind.RECOVERY_ENTRY, Phase.TOLD, "swap/1"),
            (NoticeKind.SWAP_HELD, Phase.CLEARED, "swap/1"),
            (NoticeKind.SWAP_NOT_PAID, Phase.TOLD, "swap/1"),
        ]

    async def test_a_failed_swap_is_told_with_what_to_do(self, store: SqlStore, outbox: SqlOutbox) -> None:
        saga = await held(store, 1)
        await store.step(saga, Step(event=Event.SWAP_ENDED_PAID, recovery=recovery()))
        assert (await told(outbox))[2:] == [(NoticeKind.SWAP_FAILED, Phase.TOLD, "swap/1")]
        (newest, *_) = await outbox.deliveries()
        assert newest.notice.alarm.what_to_do == recovery().what_to_do
        assert newest.notice.alarm.kind.severity is Severity.CRITICAL
        assert await outbox.conditions() == [], "a failed swap is held no more"

    async def test_a_step_that_lost_tells_nothing(self, store: SqlStore, outbox: SqlOutbox) -> None:
        (saga,) = await discover(store, 1)
        step = Step(event=Event.HELD_FOR_OPERATOR, recovery=recovery("held"))
        await store.step(saga, step)
        with pytest.raises(StaleSaga):
            await store.step(saga, step)
        assert [kind for kind, _, _ in await told(outbox)].count(NoticeKind.SWAP_HELD) == 1

    async def test_pauses_stops_and_doubts_are_told_on_the_edge(
        self, store: SqlStore, outbox: SqlOutbox
    ) -> None:
        for _ in range(2):
            await store.set_paused("all", True, "operator:bob")
            await store.stop_account(TAO, "5Payer", "nonce 9")
            await store.begin_doubt("operator:bob", "restored")
        for _ in range(2):
            await store.set_paused("all", False, "operator:bob")
            await store.clear_account(TAO, "5Payer", 10, "operator:bob")
            await store.doubted_until(5)
            await store.dispel_doubt()
        kinds = [
            (NoticeKind.PAUSED, "all"),
            (NoticeKind.ACCOUNT_STOPPED, "5Payer"),
            (NoticeKind.STORE_DOUBTED, "store"),
        ]
        assert await told(outbox) == [
            *((kind, Phase.RAISED, subject) for kind, subject in kinds),
            *((kind, Phase.CLEARED, subject) for kind, subject in kinds),
        ]

    async def test_a_finality_violation_is_told_as_such(self, store: SqlStore, outbox: SqlOutbox) -> None:
        await store.set_paused("all", True, "daemon:finality_violated")
        await store.set_paused("all", False, "operator:bob")
        kind = NoticeKind.FINALITY_VIOLATED
        assert await told(outbox) == [(kind, Phase.RAISED, "all"), (kind, Phase.CLEARED, "all")]


class TestAlarms:
    async def test_an_alarm_is_told_once_until_it_is_over(self, outbox: SqlOutbox) -> None:
        assert [await outbox.begin(low()), await outbox.begin(low())] == [True, False]
        assert await outbox.begin(low("other"))
        assert [subject for _, subject, _ in await outbox.conditions()] == ["5Payer", "other"]
        assert [await outbox.end(low()), await outbox.end(low())] == [True, False]
        assert await outbox.begin(low()), "and again, when it is so again"

    async def test_a_node_that_stands_by_raises_and_delivers_nothing(
        self, store: SqlStore, other: SqlStore, outbox: SqlOutbox
    ) -> None:
        await store.acquire("watch")
        beside = outbox_of(other)
        assert not await beside.begin(low())
        assert await outbox.begin(low())
        assert not await beside.end(low())
        assert await beside.route([ALL]) == 0
        assert await outbox.route([ALL]) == 1
        assert await beside.take("ops", MINUTE_MS, 5) == []
        assert await beside.drop_targets([]) == 0
        assert len(await outbox.take("ops", MINUTE_MS, 5)) == 1

    async def test_who_takes_over_delivers(
        self, house: House, store: SqlStore, other: SqlStore, outbox: SqlOutbox
    ) -> None:
        await store.acquire("watch")
        await outbox.begin(low())
        await outbox.route([ALL])
        (before,) = await outbox.take("ops", MINUTE_MS, 5)
        house.clock.pass_s(61)
        await other.acquire("watch")
        (after,) = await outbox_of(other).take("ops", MINUTE_MS, 5)
        assert (after.id, after.attempts) == (before.id, 2), "the same delivery, under the same id"
        assert not await outbox.delivered(before), "the one that lost it records nothing"
        assert await outbox_of(other).delivered(after)


class TestDeliveries:
    async def test_routes_choose_by_kind_and_severity(self, store: SqlStore, outbox: SqlOutbox) -> None:
        await held(store, 1)
        routes = [
            Route("all"),
            Route("grave", least=Severity.CRITICAL),
            Route("new", frozenset({NoticeKind.SWAP_ASSIGNED})),
        ]
        assert await outbox.route(routes) == 2
        assert await outbox.route(routes) == 0, "each notice is routed once"
        found = {(d.target, d.notice.alarm.kind) for d in await outbox.deliveries()}
        assert found == {
            ("all", NoticeKind.SWAP_ASSIGNED),
            ("all", NoticeKind.SWAP_HELD),
            ("grave", NoticeKind.SWAP_HELD),
            ("new", NoticeKind.SWAP_ASSIGNED),
        }
        assert len({d.id for d in await outbox.deliveries()}) == 4

    async def test_a_delivery_is_taken_by_one_and_due_again_when_its_taker_died(
        self, house: House, outbox: SqlOutbox
    ) -> None:
        await outbox.begin(low())
        await outbox.route([ALL])
        (first,) = await outbox.take("ops", MINUTE_MS, 5)
        assert await outbox.take("ops", MINUTE_MS, 5) == []
        house.clock.pass_s(61)
        (again,) = await outbox.take("ops", MINUTE_MS, 5)
        assert again.id == first.id
        assert again.notice == first.notice, "so its body is the same, too"
        assert (first.attempts, again.attempts) == (1, 2)
        assert await outbox.delivered(again)
        house.clock.pass_s(10_000)
        assert await outbox.take("ops", MINUTE_MS, 5) == []

    async def test_of_two_that_take_at_once_one_gets_it(self, store: SqlStore, other: SqlStore) -> None:
        one, two = outbox_of(store), outbox_of(other)
        await one.begin(low())
        await one.route([ALL])
        found = await asyncio.gather(one.take("ops", MINUTE_MS, 5), two.take("ops", MINUTE_MS, 5))
        assert sorted(map(len, found)) == [0, 1]

    async def test_a_failure_waits_and_its_reason_is_kept(self, house: House, outbox: SqlOutbox) -> None:
        await outbox.begin(low())
        await outbox.route([ALL])
        (taken,) = await outbox.take("ops", MINUTE_MS, 5)
        assert await outbox.failed(taken, "answered 500", 20_000, give_up=False)
        house.clock.pass_s(19)
        assert await outbox.take("ops", MINUTE_MS, 5) == []
        house.clock.pass_s(2)
        (again,) = await outbox.take("ops", MINUTE_MS, 5)
        assert again.last_error == "answered 500"

    async def test_what_is_given_up_is_dead_told_of_and_replayed(
        self, house: House, store: SqlStore, outbox: SqlOutbox
    ) -> None:
        await outbox.begin(low())
        await outbox.route([ALL])
        (taken,) = await outbox.take("ops", MINUTE_MS, 5)
        assert await outbox.failed(taken, "answered 404", 0, give_up=True)
        (dead,) = await outbox.deliveries([DeliveryStanding.DEAD])
        assert dead.id == taken.id
        assert [kind for kind, _, _ in await outbox.conditions()] == [
            NoticeKind.LOW_BALANCE,
            NoticeKind.TARGET_FAILING,
        ]
        assert await outbox.replay("operator:bob", "elsewhere") == 0
        assert await outbox.replay("operator:bob", "ops", dead.notice.id + 1) == 0
        assert await outbox.replay("operator:bob") == 1
        assert await outbox.counts() == {("ops", DeliveryStanding.WAITING): 1}
        (again,) = await outbox.take("ops", MINUTE_MS, 5)
        assert (again.id, again.attempts) == (taken.id, 1)
        assert await outbox.delivered(again)
        assert [kind for kind, _, _ in await outbox.conditions()] == [NoticeKind.LOW_BALANCE]

    async def test_a_target_that_is_gone_gets_nothing_more(self, outbox: SqlOutbox) -> None:
        await outbox.begin(low())
        await outbox.route([ALL, Route("kept")])
        assert await outbox.drop_targets(["kept"]) == 1
        (dead,) = await outbox.deliveries([DeliveryStanding.DEAD])
        assert (dead.target, dead.last_error) == ("ops", "the settings name no such target any more")

    async def test_old_ones_are_forgotten_but_what_waits(self, house: House, outbox: SqlOutbox) -> None:
        for number in range(3):
            await outbox.begin(low(str(number)))
        await outbox.route([ALL])
        first, second, third = await outbox.take("ops", MINUTE_MS, 5)
        await outbox.delivered(first)
        await outbox.failed(second, "no", 0, give_up=True)
        await outbox.failed(third, "no", 0, give_up=False)
        assert await outbox.prune(1000) == 0
        house.clock.pass_s(2)
        await outbox.begin(low("new"))
        assert await outbox.prune(1000) == 2
        assert [d.notice.alarm.subject for d in await outbox.deliveries()] == ["2"]

    async def test_the_id_of_a_delivery_is_its_own(self, outbox: SqlOutbox) -> None:
        await outbox.begin(low())
        await outbox.route([ALL, Route("two")])
        one, two = await outbox.deliveries()
        assert one.id != two.id
        assert isinstance(one, Delivery)
        later = replace(one, notice=replace(one.notice, at_ms=one.notice.at_ms + 1))
        assert later.id != one.id, "ids begin anew with a new store"


async def test_a_saga_whose_hold_was_never_told_ends_quietly(store: SqlStore, outbox: SqlOutbox) -> None:
    """As one that an older program held."""
    await held(store, 1)
    await outbox.end(Alarm(kind=NoticeKind.SWAP_HELD, subject="swap/1", text="as if"))
    saga = await get(store, 1)
    await store.step(saga, Step(event=Event.QUARANTINED))
    assert (await told(outbox))[-1][1] is Phase.CLEARED
    assert len(await told(outbox)) == 3
