"""What a step costs, and how long a store with years of history takes to be ready. Bounds are generous."""

from __future__ import annotations

import sqlite3
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import event

from miner.model import SightingKind, Step
from miner.saga import Event, State
from miner.store import SqlStore
from tests.conformance.store_builders import (
    CONTRACT,
    GENESIS,
    HOTKEY,
    PAYER,
    TAO,
    VirtualClock,
    discover,
    get,
    mark_of,
    marking,
    payout_of,
    seen,
    swap,
)

ENDED, OPEN = 100_000, 1_000

HISTORY = f"""
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ENDED + OPEN})
INSERT INTO sagas (id, swap_id, version, state, ended, miner, timeout_block, swap, reason, payment_chain,
    payment_txid, payout_lane_id, mark_lane_id, mark_retries, next_attempt_ms, created_at_ms, updated_at_ms)
SELECT i, i, 8, iif(i <= {ENDED}, 'COMPLETED', 'MARKING'), i <= {ENDED}, '{HOTKEY}', i,
    replace(:swap, '"id":7', '"id":' || i), '', 'btc', 'source' || i, 2 * i, 2 * i + 1, 0, 0, 1, 1 FROM n;
"""
LANES = f"""
INSERT INTO lanes (id, saga_id, chain, account, slot, nonce, purpose, recipient, amount, state, closed, txid,
    block_height, block_hash, checked_height, allotted_at_ms)
SELECT 2 * id + k, id, '{TAO}', iif(k, '{HOTKEY}', '{PAYER}'), id, id, iif(k, 'mark', 'payout'), '5User',
    1000, iif(ended, 'landed', 'signed'), ended, iif(ended, '0x' || (2 * id + k), NULL), 5, '0x', 5, 1
FROM sagas, (SELECT 0 AS k UNION SELECT 1);
"""
REST = (
    "INSERT INTO slots SELECT chain, account, slot, id FROM lanes",
    """INSERT INTO attempts SELECT id, 0, chain, iif(purpose = 'mark', 'mark', 'payment'), '0x' || id,
       zeroblob(200), 5, 1, 900, '["' || slot || '"]', 1 FROM lanes""",
    """INSERT INTO journal SELECT id, k, 1, 1, 'daemon:x', 1, 'NOTED', 'MARKING', 'MARKING',
       '{"waiting":"payment"}', 8 * id + k FROM sagas, (SELECT 1 AS k UNION SELECT 2 UNION SELECT 3
       UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8)""",
    """INSERT INTO leases SELECT 'saga/' || id, id, NULL, 1, 1, 1, 0, 30000 FROM sagas""",
    f"""INSERT INTO reservations SELECT id, '{TAO}', '{PAYER}', 5, 1, '{TAO}', '{HOTKEY}', 1,
       iif(ended, 'captured', 'reserved'), iif(ended, 'captured', 'reserved') FROM sagas""",
)


def fill(path: Path) -> None:
    """Years of history, written by the database itself."""
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA synchronous = OFF")
    conn.execute(HISTORY, {"swap": orjson.dumps(swap(7).to_json()).decode()})
    for statement in (LANES, *REST):
        conn.execute(statement)
    conn.commit()
    conn.close()


async def fresh(path: Path) -> SqlStore:
    store = SqlStore(path, clock_ms=VirtualClock())
    await store.open()
    await store.bind(GENESIS, CONTRACT)
    return store


@pytest.mark.parametrize("clean", [True, False])
async def test_a_restart_with_much_history(tmp_path: Path, clean: bool) -> None:
    path = tmp_path / "store.sqlite"
    await (await fresh(path)).close()
    fill(path)
    blocker = sqlite3.connect(path) if not clean else None
    if blocker is not None:  # a write-ahead log is left behind, as by a crash
        blocker.execute("INSERT INTO meta VALUES ('x', 'y')")
        blocker.commit()
    store = SqlStore(path, clock_ms=VirtualClock())
    marks = [("start", time.process_time(), time.perf_counter())]
    for name, work in (("open", store.open), ("lease_sagas", store.lease_sagas)):
        await work()
        marks.append((name, time.process_time(), time.perf_counter()))
    sagas = await store.open_sagas()
    marks.append(("open_sagas", time.process_time(), time.perf_counter()))
    lanes = await store.open_lanes()
    marks.append(("open_lanes", time.process_time(), time.perf_counter()))
    assert (len(sagas), len(lanes)) == (OPEN, 2 * OPEN)
    assert (sagas[0].state, mark_of(sagas[0]).slot) == (State.MARKING, str(ENDED + 1))
    for before, after in pairwise(marks):
        print(f"{after[0]:12} {after[1] - before[1]:.3f} s CPU, {after[2] - before[2]:.3f} s")
    print(f"{path.stat().st_size >> 20} MiB, {'clean' if clean else 'left open'}")
    began = time.process_time()
    assert await store.reserved(TAO, PAYER) == 6 * OPEN
    assert await store.outflow(TAO, 2) == 0
    assert (await store.count_by_state())[State.COMPLETED] == ENDED
    assert await store.heartbeat() == []
    print(f"reads        {time.process_time() - began:.3f} s CPU")
    await store.close()
    if blocker is not None:
        blocker.close()
    assert marks[-1][1] - marks[0][1] < 10


async def test_what_a_swap_costs(tmp_path: Path) -> None:
    store = await fresh(tmp_path / "store.sqlite")
    statements: list[str] = []
    event.listen(store._db._engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    for swap_id in range(5):
        await marking(store, swap_id)
    statements.clear()
    cpu, wall, swaps = time.process_time(), time.perf_counter(), 50
    for swap_id in range(5, 5 + swaps):
        saga = await marking(store, swap_id)
        await store.sight(mark_of(saga), seen(SightingKind.IN_BLOCK, 9, mark_of(saga), final=True))
        saga = await store.step(saga, Step(event=Event.MARK_FULFILLED))
        await store.step(saga, Step(event=Event.SWAP_COMPLETED))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    commits = sum(s.startswith("BEGIN IMMEDIATE") for s in statements)
    print(f"a swap: {1000 * cpu / swaps:.2f} ms CPU, {1000 * wall / swaps:.2f} ms, {commits / swaps} commits")
    print(f"a transaction: {1000 * cpu * 1 / commits:.2f} ms CPU, {len(statements) / commits:.1f} statements")
    statements.clear()
    (saga,) = await discover(store, 99)
    statements.clear()
    await store.step(saga, Step(event=Event.NOTED))
    assert len(statements) == 3, statements  # begin, compare-and-set, journal
    lane = payout_of(await get(store, 5))
    statements.clear()
    await store.sight(lane, seen(SightingKind.UNSEEN, 10))
    assert len(statements) == 3  # closed: only read
    await store.close()
    assert cpu / swaps < 0.5


async def test_hot_statements_use_the_partial_indexes(tmp_path: Path) -> None:
    store = await fresh(tmp_path / "store.sqlite")
    plans: dict[str, list[str]] = {}

    def explain(conn: object, cursor: sqlite3.Cursor, statement: str, values: Any, *rest: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA", "EXPLAIN", "INSERT")):
            rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans[statement] = [str(row[3]) for row in rows]

    event.listen(store._db._engine, "before_cursor_execute", explain)
    saga = await marking(store, 1)
    await store.lease_sagas()
    await store.heartbeat()
    await store.open_sagas()
    await store.open_lanes()
    await store.reserved(TAO, PAYER)
    await store.outflow(TAO, 5)
    await store.pending_recovery()
    await store.sight(payout_of(saga), seen(SightingKind.UNSEEN, 1))
    await store.close()
    for statement, plan in plans.items():
        for line in plan:
            table = line.split()[1]
            scans_all = line.startswith("SCAN ") and "INDEX" not in line and table.islower()
            assert not scans_all or table == "watch_cursor", (line, statement)  # one row
    (held,) = (plan for statement, plan in plans.items() if "reservations.mark_fee" in statement)
    assert not any("ix_lanes_allotted" in line for line in held), held  # all lanes of a chain, at each look
    assert len(plans) > 20
