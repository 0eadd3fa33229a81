"""Delivering to real receivers, in virtual time: what fails waits, dies and is replayed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from miner.alert import Deliverer, Effort, Vigil, tidy
from miner.app.points import surround
from miner.model import Alarm, DeliveryStanding, NoticeKind, Phase, Route, Severity
from miner.notify.targets import HttpMessenger
from miner.ports import Messenger
from miner.store.outbox import SqlOutbox
from tests.simulation.sim_store import SimStore
from tests.unit.receivers import Answer, Receiver, receiving, target

EFFORT = Effort(attempts=4, base_s=10, cap_s=30, hold_s=60, rest_s=5)


@dataclass
class Clock:
    """One virtual time for pauses and for the database."""

    now_ms: int = 1_700_000_000_000
    naps: list[float] = field(default_factory=list)

    def __call__(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now_ms += round(seconds * 1000)
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SimStore]:
    made = SimStore(str(tmp_path / "state" / "store.sqlite"), owner="one", clock_ms=clock)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def outbox(store: SimStore) -> SqlOutbox:
    return SqlOutbox(store.database, store.owner)


def low(subject: str = "5Payer") -> Alarm:
    return Alarm(kind=NoticeKind.LOW_BALANCE, subject=subject, text=f"{subject} is low")


def deliverer(outbox: SqlOutbox, clock: Clock, *receivers: Receiver) -> Deliverer:
    ways: dict[str, Messenger] = {
        f"t{n}": HttpMessenger(target(each.url, name=f"t{n}", timeout_s=3))
        for n, each in enumerate(receivers)
    }
    return Deliverer(outbox, ways, [Route(name) for name in ways], clock, lambda: 0.0, EFFORT)


async def test_what_is_told_arrives_once_and_in_order(outbox: SqlOutbox, clock: Clock) -> None:
    await outbox.begin(low())
    await outbox.end(low())
    async with receiving() as receiver:
        work = deliverer(outbox, clock, receiver)
        assert await work.route() == 2
        assert [await work.deliver("t0"), await work.deliver("t0")] == [2, 0]
    assert [got.json["phase"] for got in receiver.got] == ["raised", "cleared"]
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 2
    assert await outbox.counts() == {("t0", DeliveryStanding.DELIVERED): 2}


async def test_a_crash_between_sending_and_recording_sends_the_same_id_again(
    outbox: SqlOutbox, clock: Clock
) -> None:
    class Died(BaseException):
        pass

    def die(point: str) -> None:
        if point == "after:messenger.send":
            raise Died

    await outbox.begin(low())
    async with receiving() as receiver:
        dying = surround(HttpMessenger(target(receiver.url, name="t0")), "messenger", die)
        first = Deliverer(outbox, {"t0": dying}, [Route("t0")], clock, lambda: 0.0, EFFORT)
        await first.route()
        with pytest.raises(Died):
            await first.deliver("t0")
        second = deliverer(outbox, clock, receiver)
        assert await second.deliver("t0") == 0, "the dead one's hold lasts"
        clock.now_ms += 61_000
        assert await second.deliver("t0") == 1
    one, other = receiver.got
    assert one.headers["webhook-id"] == other.headers["webhook-id"]
    assert one.body == other.body


async def test_a_failure_is_tried_again_after_a_growing_pause(outbox: SqlOutbox, clock: Clock) -> None:
    await outbox.begin(low())
    async with receiving(Answer(500), Answer(500), Answer(204)) as receiver:
        work = deliverer(outbox, clock, receiver)
        await work.route()
        assert await work.deliver("t0") == 0
        clock.now_ms += 9_000
        assert await work.deliver("t0") == 0
        assert len(receiver.got) == 1, "not before its time"
        clock.now_ms += 1_000
        assert await work.deliver("t0") == 0
        clock.now_ms += 19_000
        assert await work.deliver("t0") == 0
        assert len(receiver.got) == 2
        clock.now_ms += 1_000
        assert await work.deliver("t0") == 1
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1


def test_pauses_grow_to_a_cap_with_jitter() -> None:
    assert [EFFORT.pause_s(n, 0.0) for n in (1, 2, 3, 400)] == [10, 20, 30, 30]
    assert EFFORT.pause_s(1, 0.999) < 5.1


async def test_a_target_that_says_when_is_left_alone_until_then(outbox: SqlOutbox, clock: Clock) -> None:
    await outbox.begin(low("one"))
    await outbox.begin(low("two"))
    async with receiving(Answer(429, {"Retry-After": "120"}), Answer(204)) as receiver:
        work = deliverer(outbox, clock, receiver)
        await work.route()
        await work.deliver("t0")
        clock.now_ms += 119_000
        await work.deliver("t0")
        assert len(receiver.got) == 1, "nor does the second one go there"
        clock.now_ms += 1_000
        assert await work.deliver("t0") == 2


async def test_after_so_many_attempts_it_is_dead_and_others_are_told(outbox: SqlOutbox, clock: Clock) -> None:
    await outbox.begin(low())
    async with receiving(Answer(404)) as broken, receiving() as well:
        work = deliverer(outbox, clock, broken, well)
        await work.route()
        for _ in range(EFFORT.attempts + 3):
            await work.deliver("t0")
            clock.now_ms += 31_000
        assert len(broken.got) == EFFORT.attempts
        (dead,) = await outbox.deliveries([DeliveryStanding.DEAD])
        assert (dead.attempts, dead.last_error) == (EFFORT.attempts, "message to t0: answered 404")
        await work.route()
        await work.deliver("t1")
        assert [got.json["event"] for got in well.got] == ["low_balance", "target_failing"]
        broken.answers = [Answer(204)]
        assert await outbox.replay("operator:bob", "t0") == 1
        clock.now_ms += 31_000
        assert await work.deliver("t0") == 2
        assert broken.got[-2].headers["webhook-id"] == broken.got[0].headers["webhook-id"]
        await work.route()
        await work.deliver("t1")
        assert (well.got[-1].json["event"], well.got[-1].json["phase"]) == ("target_failing", "cleared")


@pytest.mark.parametrize("answer", [Answer(302, {"Location": "http://127.0.0.1:1/"}), Answer(410)])
async def test_what_is_of_no_use_is_dead_at_once(outbox: SqlOutbox, clock: Clock, answer: Answer) -> None:
    await outbox.begin(low())
    async with receiving(answer) as receiver:
        work = deliverer(outbox, clock, receiver)
        await work.route()
        await work.deliver("t0")
    assert len(receiver.got) == 1
    assert len(await outbox.deliveries([DeliveryStanding.DEAD])) == 1


async def test_a_target_that_hangs_holds_up_nobody(outbox: SqlOutbox, clock: Clock) -> None:
    """`run` with its tasks: while one receiver never answers, the other one hears everything."""
    async with receiving(Answer(hang=True)) as hanging, receiving() as well:
        work = deliverer(outbox, clock, hanging, well)
        running = asyncio.create_task(work.run(), name="deliver")
        for number in range(5):
            await outbox.begin(low(str(number)))
        await well.has(5)
        assert len(hanging.got) == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_store_that_refuses_ends_nothing(store: SimStore, outbox: SqlOutbox, clock: Clock) -> None:
    await outbox.begin(low())
    async with receiving() as receiver:
        work = deliverer(outbox, clock, receiver)
        store.refuse()
        running = asyncio.create_task(work.run(), name="deliver")
        await asyncio.sleep(0.05)
        assert receiver.got == []
        store.allow()
        await receiver.has(1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_sweep_keeps_house(outbox: SqlOutbox, clock: Clock) -> None:
    await outbox.begin(low())
    assert await tidy(outbox, [Route("gone")]) == 0
    assert await outbox.counts() == {("gone", DeliveryStanding.WAITING): 1}
    assert await tidy(outbox, [Route("kept", least=Severity.INFO)]) == 1
    assert await outbox.counts() == {("gone", DeliveryStanding.DEAD): 1}
    clock.now_ms += 31 * 86_400_000
    assert await tidy(outbox, []) == 1
    assert await outbox.deliveries() == []


class TestVigil:
    async def phases(self, outbox: SqlOutbox) -> list[tuple[NoticeKind, Phase]]:
        await outbox.route([Route("x")])
        return [(d.notice.alarm.kind, d.notice.phase) for d in reversed(await outbox.deliveries())]

    async def test_readiness_that_is_lost_for_long_is_told_and_when_it_is_back(
        self, outbox: SqlOutbox, clock: Clock
    ) -> None:
        vigil = Vigil(outbox, clock, 60)
        vigil.heard(True, "")
        assert not await vigil.look()
        vigil.heard(False, "no node answers")
        clock.now_ms += 59_000
        vigil.heard(False, "still none")
        assert not await vigil.look()
        clock.now_ms += 1_000
        assert [await vigil.look(), await vigil.look()] == [True, False]
        vigil.heard(True, "")
        assert [await vigil.look(), await vigil.look()] == [True, False]
        kind = NoticeKind.NOT_READY
        assert await self.phases(outbox) == [(kind, Phase.RAISED), (kind, Phase.CLEARED)]
        assert "still none" in (await outbox.deliveries())[-1].notice.alarm.text

    async def test_a_hiccup_wakes_nobody(self, outbox: SqlOutbox, clock: Clock) -> None:
        vigil = Vigil(outbox, clock, 60)
        for _ in range(10):
            vigil.heard(False, "hiccup")
            clock.now_ms += 30_000
            assert not await vigil.look()
            vigil.heard(True, "")
            assert not await vigil.look()
        assert await self.phases(outbox) == []

    async def test_a_daemon_that_never_became_ready_is_told(self, outbox: SqlOutbox, clock: Clock) -> None:
        vigil = Vigil(outbox, clock, 60)
        vigil.heard(False, "no node")
        clock.now_ms += 61_000
        assert await vigil.look()
        after_restart = Vigil(outbox, clock, 60)
        after_restart.heard(True, "")
        assert await after_restart.look(), "what an earlier process told is cleared by this one"


class TestOtherTargets:
    """What the settings name anew while it delivers."""

    @asynccontextmanager
    async def delivering(self, work: Deliverer) -> AsyncIterator[None]:
        running = asyncio.create_task(work.run(), name="deliver")
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def ways(self, **receivers: Receiver) -> dict[str, Messenger]:
        return {
            name: HttpMessenger(target(each.url, name=name, timeout_s=3)) for name, each in receivers.items()
        }

    async def test_one_that_comes_is_told_what_comes_after(self, outbox: SqlOutbox, clock: Clock) -> None:
        async with receiving() as first, receiving() as second:
            work = Deliverer(outbox, {}, [], clock, lambda: 0.0, EFFORT)
            async with self.delivering(work):
                for name, receiver in (("one", first), ("two", second)):
                    ways = {**work._messengers, **self.ways(**{name: receiver})}
                    work.adopt(ways, [Route(each) for each in ways], 60)
                    await outbox.begin(low(name))
                    await receiver.has(1)
                await first.has(2)
        assert [got.json["subject"] for got in second.got] == ["two"]

    async def test_one_that_moved_is_told_at_its_new_place_what_failed_at_the_old(
        self, outbox: SqlOutbox, clock: Clock
    ) -> None:
        async with receiving(Answer(503)) as old, receiving() as new:
            work = Deliverer(outbox, self.ways(one=old), [Route("one")], clock, lambda: 0.0, EFFORT)
            async with self.delivering(work):
                await outbox.begin(low())
                await old.has(1)
                work.adopt(self.ways(one=new), [Route("one")], 60)
                await new.has(1)
            assert old.got[0].headers["webhook-id"] == new.got[0].headers["webhook-id"]

    async def test_one_that_goes_is_left_alone_and_what_waits_for_it_dies(
        self, outbox: SqlOutbox, clock: Clock
    ) -> None:
        async with receiving(Answer(503)) as gone, receiving() as kept:
            ways = self.ways(gone=gone, kept=kept)
            work = Deliverer(outbox, ways, [Route("gone"), Route("kept")], clock, lambda: 0.0, EFFORT)
            async with self.delivering(work):
                await outbox.begin(low("a"))
                await gone.has(1)
                work.adopt({"kept": ways["kept"]}, [Route("kept")], 60)
                asked = len(gone.got)
                await outbox.begin(low("b"))
                await kept.has(2)
                assert len(gone.got) <= asked + 1, "what was being sent then, at most"
                async with asyncio.timeout(30):
                    arrived = ("kept", DeliveryStanding.DELIVERED)
                    while (await outbox.counts()).get(arrived) != 2:  # noqa: ASYNC110 (the store tells nobody)
                        await asyncio.sleep(0)
            await tidy(outbox, [Route("kept")])
            counts = await outbox.counts()
        assert counts[("gone", DeliveryStanding.DEAD)] == 1
        assert ("gone", DeliveryStanding.WAITING) not in counts

    async def test_one_that_goes_and_comes_back_is_told_again(self, outbox: SqlOutbox, clock: Clock) -> None:
        async with receiving() as one:
            ways = self.ways(one=one)
            work = Deliverer(outbox, ways, [Route("one")], clock, lambda: 0.0, EFFORT)
            async with self.delivering(work):
                await outbox.begin(low("a"))
                await one.has(1)
                work.adopt({}, [], 60)
                await asyncio.sleep(0)
                work.adopt(ways, [Route("one")], 60)
                await outbox.begin(low("b"))
                await one.has(2)
