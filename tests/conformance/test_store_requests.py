"""Operators' requests: taken by whoever works on the swap; answered once; withdrawn or done, never both."""

from __future__ import annotations

import pytest

from miner.model import Asked, Came, OperatorRequest, Outcome, Standing, Verb
from miner.store import SqlStore
from tests.conformance import store_fixtures
from tests.conformance.store_builders import discover
from tests.conformance.store_fixtures import House

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other
MINUTE_MS = 60_000


def wish(swap_id: int = 1, verb: Verb = Verb.RETRY) -> Asked:
    return Asked(
        verb=verb, swap_id=swap_id, actor="operator:bob", reason="why", txid="0xab", block=9, hold_s=60
    )


def outcome(swap_id: int = 1) -> Outcome:
    return Outcome(
        swap_id=swap_id, came=Came.DONE, text="done", remedy="r", stake="s", detail={"amount": "1"}
    )


async def standing(store: SqlStore, request_id: int) -> Standing:
    (found,) = await store.requests([request_id])
    return found.standing


async def test_a_request_reads_back_as_it_was_asked(store: SqlStore) -> None:
    (made,) = await store.ask([wish()], MINUTE_MS)
    (found,) = await store.requests([made])
    assert (found.asked, found.standing, found.outcome) == (wish(), Standing.WAITING, None)
    assert found.expires_at_ms == found.at_ms + MINUTE_MS


async def test_it_is_taken_once_told_again_and_answered_once(store: SqlStore) -> None:
    await discover(store, 1)
    (made,) = await store.ask([wish()], MINUTE_MS)
    (taken,) = await store.take_requests()
    assert (taken.id, taken.standing, taken.orphan) == (made, Standing.TAKEN, False)
    assert [again.id for again in await store.take_requests()] == [made]
    assert await store.answer(taken, outcome())
    assert not await store.answer(taken, outcome())
    (found,) = await store.requests([made])
    assert (found.standing, found.outcome) == (Standing.ANSWERED, outcome())
    assert await store.take_requests() == []


async def test_only_who_works_on_the_swap_takes_it(store: SqlStore, other: SqlStore) -> None:
    await discover(store, 1)
    (made,) = await other.ask([wish()], MINUTE_MS)
    assert await other.take_requests() == []
    assert [taken.id for taken in await store.take_requests()] == [made]


async def test_a_request_for_a_swap_that_nobody_works_on_is_taken_by_anybody(
    store: SqlStore, other: SqlStore
) -> None:
    (made,) = await store.ask([wish(swap_id=4711)], MINUTE_MS)
    await other.acquire("watch")
    assert [taken.id for taken in await other.take_requests()] == [made]
    assert await store.take_requests() == []


async def test_what_is_withdrawn_is_never_taken(store: SqlStore) -> None:
    (made,) = await store.ask([wish()], MINUTE_MS)
    assert [each.standing for each in await store.withdraw([made])] == [Standing.WITHDRAWN]
    assert await store.take_requests() == []


async def test_what_is_taken_is_never_withdrawn(store: SqlStore) -> None:
    (made,) = await store.ask([wish()], MINUTE_MS)
    (taken,) = await store.take_requests()
    assert [each.standing for each in await store.withdraw([made])] == [Standing.TAKEN]
    assert await store.answer(taken, outcome())
    assert [each.standing for each in await store.withdraw([made])] == [Standing.ANSWERED]


async def test_what_expired_is_never_taken(house: House, store: SqlStore) -> None:
    (made,) = await store.ask([wish()], MINUTE_MS)
    house.clock.pass_s(MINUTE_MS / 1000)
    assert await store.take_requests() == []
    assert await standing(store, made) is Standing.WAITING


async def test_what_a_dead_owner_took_is_an_orphan_of_the_next(
    house: House, store: SqlStore, other: SqlStore
) -> None:
    await discover(store, 1)
    (made,) = await store.ask([wish()], 10 * MINUTE_MS)
    (dead,) = await store.take_requests()
    assert await other.take_requests() == []
    house.clock.pass_s(31)
    (orphan,) = await other.take_requests()
    assert (orphan.id, orphan.orphan) == (made, True)
    assert not await store.answer(dead, outcome()), "the one that lost it answers nothing"
    assert await other.answer(orphan, outcome())


async def test_an_answer_is_in_the_operators_log(house: House, store: SqlStore) -> None:
    await store.ask([wish()], MINUTE_MS)
    (taken,) = await store.take_requests()
    await store.answer(taken, outcome())
    assert isinstance(taken, OperatorRequest)
    assert await logged(store) == [("operator:bob", "retry")]
    await store.log_operator("operator:eve", "recovery_resolve", {"entry": 3})
    assert await logged(store) == [("operator:bob", "retry"), ("operator:eve", "recovery_resolve")]


async def logged(store: SqlStore) -> list[tuple[str, str]]:
    from sqlalchemy import Connection, select

    from miner.store.schema import operator_log

    def read(conn: Connection) -> list[tuple[str, str]]:
        columns = select(operator_log.c.actor, operator_log.c.action).order_by(operator_log.c.id)
        return [(row.actor, row.action) for row in conn.execute(columns)]

    return await store._db.read(read)


@pytest.mark.parametrize("verb", list(Verb))
async def test_every_verb_can_be_asked(store: SqlStore, verb: Verb) -> None:
    (made,) = await store.ask([wish(verb=verb)], MINUTE_MS)
    (found,) = await store.requests([made])
    assert found.asked.verb is verb
