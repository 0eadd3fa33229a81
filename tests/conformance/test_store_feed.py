"""The journals of all swaps as one feed: in the order of the commits, none missed, whoever wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from miner.model import FeedEntry, Step
from miner.saga import Event, State
from miner.store import SqlStore, migrate
from tests.conformance import store_fixtures
from tests.conformance.store_builders import discover, get, held, reserved, swap, verified

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other


async def test_entries_come_in_the_order_of_their_commits(store: SqlStore) -> None:
    assert await store.journal_since(0) == []
    assert await store.last_position() == 0
    await discover(store, 1, 2)
    await verified(store, 2)
    await store.step(await get(store, 1), Step(event=Event.NOTED))
    found = await store.journal_since(0)
    assert [(each.swap_id, each.entry.event) for each in found][-2:] == [
        (2, Event.SOURCE_VERIFIED),
        (1, Event.NOTED),
    ]
    positions = [each.position for each in found]
    assert positions == sorted(set(positions))
    assert positions[-1] == await store.last_position()
    assert [each.entry for each in found if each.swap_id == 1] == list(
        await store.journal((await get(store, 1)).id)
    )
    assert all(each.dest_chain == swap(1).dest_chain and each.assigned_at_ms for each in found)


async def test_reading_on_misses_nothing_that_another_wrote(store: SqlStore, other: SqlStore) -> None:
    await discover(store, 1, 2, 3)
    seen: list[FeedEntry] = []
    position = 0
    for writer, swap_id in ((store, 1), (store, 2), (store, 3)):
        await writer.step(await get(writer, swap_id), Step(event=Event.NOTED))
        found = await other.journal_since(position, 2)
        seen += found
        position = found[-1].position
    while found := await other.journal_since(position, 2):
        seen += found
        position = found[-1].position
    assert seen == await store.journal_since(0)
    assert len(seen) == await store.last_position()


async def test_the_next_deadlines_are_those_of_open_swaps(store: SqlStore) -> None:
    await discover(store, 1, 2, 3)
    await reserved(store, 2)
    await held(store, 3)
    due = {each: (await get(store, each)).swap.timeout_block for each in (1, 2, 3)}
    assert await store.next_deadlines() == {
        State.DISCOVERED: due[1],
        State.RESERVED: due[2],
        State.HELD: due[3],
    }
    await store.step(await get(store, 1), Step(event=Event.REFUSED, release=True))
    assert State.COMPENSATED not in await store.next_deadlines()


def test_entries_from_before_the_feed_have_their_places(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/old.sqlite", poolclass=NullPool)
    with engine.connect() as conn:
        command.upgrade(migrate.config(conn), "0003")
        conn.execute(
            text(
                "INSERT INTO sagas (id, swap_id, version, state, ended, miner, timeout_block, swap, reason, "
                "mark_retries, next_attempt_ms, created_at_ms, updated_at_ms) VALUES "
                "(1, 7, 1, 'HELD', 0, 'm', 9, '{}', '', 0, 0, 1, 1), "
                "(2, 8, 1, 'HELD', 0, 'm', 9, '{}', '', 0, 0, 1, 1)"
            )
        )
        for saga, seq, at in ((1, 1, 10), (1, 2, 30), (2, 1, 20)):
            conn.execute(
                text(
                    "INSERT INTO journal (saga_id, seq, schema_version, at_ms, actor, lease_epoch, event, "
                    f"state_before, state_after, payload) VALUES ({saga}, {seq}, 1, {at}, 'a', 1, 'NOTED', "
                    "'HELD', 'HELD', '{}')"
                )
            )
        conn.commit()
        command.upgrade(migrate.config(conn), "head")
        conn.commit()
        rows = conn.execute(text("SELECT saga_id, seq, position FROM journal ORDER BY position")).all()
    assert [tuple(row) for row in rows] == [(1, 1, 1), (2, 1, 2), (1, 2, 3)]


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_limit_is_kept(store: SqlStore, limit: int) -> None:
    await discover(store, 1, 2, 3)
    assert len(await store.journal_since(0, limit)) == limit
