"""Lanes that no swap owns: of the one table, fenced by the watch lease, closed with a line in the log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from miner.errors import InvariantBroken, LeaseLost, StaleSaga
from miner.model import AttemptKind, Claim, LanePurpose, LaneState, Replacement, SightingKind, SignedTx
from miner.store import SqlStore, migrate
from tests.conformance import store_fixtures
from tests.conformance.store_builders import CONTRACT, HOTKEY, TAO, head, marking, seen
from tests.conformance.test_store_migrations import empty

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other

DETAIL: dict[str, Any] = {"verb": "deposit", "amount": "5"}


def claim(floor: int = 3, amount: int = 5, txid: str = "0xaffair", **changes: Any) -> Claim:
    made = Claim(
        TAO,
        HOTKEY,
        LanePurpose.AFFAIR,
        lambda slot: SignedTx(f"{txid}{slot}", b"bytes", 1, 10, 34, (slot,)),
        CONTRACT,
        amount,
        nonce_floor=floor,
    )
    return replace(made, **changes)


async def actions(store: SqlStore) -> list[str]:
    def read(conn: Any) -> list[str]:
        rows = conn.execute(text("SELECT action FROM operator_log ORDER BY id"))
        return [row.action for row in rows if row.action.startswith("affair")]

    return await store.database.read(read)


async def test_its_nonce_comes_from_the_marks_own_count(store: SqlStore) -> None:
    lease = await store.acquire("watch")
    saga = await marking(store, 1)
    assert saga.mark is not None
    lane = await store.begin_affair(claim(floor=0), lease, "operator:x", DETAIL)
    if saga.mark.account == HOTKEY:
        assert int(lane.slot) == int(saga.mark.slot) + 1
    assert lane.saga_id is None
    assert [each.kind for each in lane.attempts] == [AttemptKind.CALL]
    assert lane.slot in await store.slots(TAO, HOTKEY)
    assert lane.id in {each.id for each in await store.open_lanes()}
    assert await store.affairs() == [lane]


async def test_another_owner_writes_nothing(store: SqlStore, other: SqlStore) -> None:
    lease = await store.acquire("watch")
    stale = replace(lease, epoch=lease.epoch + 1)
    for bad in (stale, replace(lease, owner=other.owner)):
        with pytest.raises(LeaseLost):
            await store.begin_affair(claim(), bad, "operator:x", DETAIL)
    assert await store.affairs() == []
    assert await store.slots(TAO, HOTKEY) == frozenset()
    lane = await store.begin_affair(claim(), lease, "operator:x", DETAIL)
    filler = Replacement(lane.id, AttemptKind.FILLER, SignedTx("0xfill", b"x", 1, 20, 84, (lane.slot,)))
    with pytest.raises(LeaseLost):
        await store.fill_affair(filler, stale)


@pytest.mark.parametrize("purpose", [LanePurpose.PAYOUT, LanePurpose.MARK])
async def test_only_an_affair_has_no_swap(store: SqlStore, purpose: LanePurpose) -> None:
    lease = await store.acquire("watch")
    with pytest.raises(InvariantBroken):
        await store.begin_affair(claim(purpose=purpose), lease, "operator:x", DETAIL)
    assert await store.open_lanes() == []


async def test_a_stopped_account_signs_nothing_of_its_own(store: SqlStore) -> None:
    lease = await store.acquire("watch")
    await store.stop_account(TAO, HOTKEY, "nonce 9")
    with pytest.raises(StaleSaga, match="nonce 9"):
        await store.begin_affair(claim(), lease, "operator:x", DETAIL)


async def test_what_is_on_its_way_is_reserved_until_it_is_final(store: SqlStore) -> None:
    lease = await store.acquire("watch")
    before = await store.reserved(TAO, HOTKEY)
    lane = await store.begin_affair(claim(amount=50), lease, "operator:x", DETAIL)
    assert await store.reserved(TAO, HOTKEY) == before + 50
    pending = seen(SightingKind.IN_BLOCK, 20, txid=lane.latest.tx.txid, block=head(21), succeeded=True)
    lane = await store.sight(lane, pending)
    assert lane.state is LaneState.IN_BLOCK
    assert await store.reserved(TAO, HOTKEY) == before + 50
    final = replace(pending, at=head(22), final=True, kind_seen=AttemptKind.CALL)
    assert (await store.sight(lane, final)).state is LaneState.LANDED
    assert await store.reserved(TAO, HOTKEY) == before
    assert await actions(store) == ["affair_signed", "affair_settled"]


async def test_whoever_took_its_nonce_ends_it(store: SqlStore) -> None:
    lease = await store.acquire("watch")
    lane = await store.begin_affair(claim(), lease, "operator:x", DETAIL)
    taken = seen(SightingKind.TAKEN, 30, txid="0xother", block=head(30), final=True)
    assert (await store.sight(lane, taken)).state is LaneState.TAKEN


async def test_a_filler_takes_the_lane_of_bytes_that_died(store: SqlStore) -> None:
    lease = await store.acquire("watch")
    lane = await store.begin_affair(claim(), lease, "operator:x", DETAIL)
    filler = Replacement(lane.id, AttemptKind.FILLER, SignedTx("0xfill", b"x", 1, 20, 84, (lane.slot,)))
    filled = await store.fill_affair(filler, lease)
    assert [each.kind for each in filled.attempts] == [AttemptKind.CALL, AttemptKind.FILLER]
    landed = seen(SightingKind.IN_BLOCK, 40, txid="0xfill", block=head(39), final=True, succeeded=True)
    assert (await store.sight(filled, landed)).state is LaneState.CANCELLED
    with pytest.raises(StaleSaga):
        await store.fill_affair(filler, lease)


@pytest.mark.parametrize("implementation", store_fixtures.IMPLEMENTATIONS)
async def test_lanes_of_an_older_store_are_kept(implementation: str, tmp_path: Path) -> None:
    """0003's tables with a lane in them become today's, and take a lane without a swap."""
    engine = empty(implementation, tmp_path / "old")
    with engine.begin() as conn:
        migrate.upgrade(conn, "0003")
        conn.execute(
            text(
                "INSERT INTO sagas (id, swap_id, version, state, ended, miner, timeout_block, swap, reason, "
                "mark_retries, next_attempt_ms, created_at_ms, updated_at_ms) "
                "VALUES (1, 1, 1, 'SIGNED', 0, 'm', 9, '{}', '', 0, 0, 0, 0)"
            )
        )
        lane = (
            "INSERT INTO lanes (id, saga_id, chain, account, slot, purpose, recipient, amount, state, "
            "closed, checked_height, allotted_at_ms) "
            "VALUES ({}, {}, 'c', 'a', '{}', '{}', 'r', 1, 'signed', 0, 0, 0)"
        )
        conn.execute(text(lane.format(1, 1, 7, "payout")))
        conn.execute(text("INSERT INTO slots VALUES ('c', 'a', '7', 1)"))
    with engine.begin() as conn:
        migrate.upgrade(conn)
        conn.execute(text(lane.format(2, "NULL", 8, "affair")))
    with engine.connect() as conn:
        rows = conn.execute(text("SELECT id, saga_id, slot FROM lanes ORDER BY id")).all()
        assert [tuple(row) for row in rows] == [(1, 1, "7"), (2, None, "8")]
        assert conn.execute(text("SELECT count(*) FROM slots")).scalar_one() == 1
        if implementation == "sqlite":
            assert conn.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
            assert conn.execute(text("PRAGMA foreign_key_check")).all() == []
    engine.dispose()
