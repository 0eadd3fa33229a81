"""What is traced: a store's life from its making on, with its recovery log, and a settings file.

After each thing that was acknowledged one line goes to the file of marks: what it was, and a digest of all
that the store holds then. Run as `python -m tests.acceptance.power.workload FOLDER`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from miner.cli.main import app
from miner.model import RecoveryEntry, SagaPatch, SightingKind, Step
from miner.notify.recovery import RecoveryFile
from miner.saga import Event
from miner.store import SqlStore
from miner.sweep import write_recovery
from tests.conformance import store_builders as build

STORE, LOG, SETTINGS, MARKS = (
    "state/swap-miner.sqlite",
    "state/recovery.jsonl",
    "swap-miner.toml",
    "marks.jsonl",
)
SWAPS = 12
CHECKPOINT_PAGES = 60
"""SQLite's own 1,000 would need a life of hours until the log is first brought into the file."""


def digest(file: Path) -> str:
    """Of every row of every table."""
    conn = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        tables = sorted(row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
        hashed = hashlib.sha256()
        for table in tables:
            rows = sorted(map(repr, conn.execute(f'SELECT * FROM "{table}"')))
            hashed.update(json.dumps([table, rows]).encode())
        return hashed.hexdigest()
    finally:
        conn.close()


@dataclass
class Marks:
    """Says what was acknowledged."""

    folder: Path

    def done(self, what: str) -> None:
        """It is done, and nobody may ever find it undone."""
        file = self.folder / STORE
        line = {"done": what, "digest": digest(file) if file.exists() else ""}
        with (self.folder / MARKS).open("ab", buffering=0) as out:
            out.write(json.dumps(line).encode() + b"\n")


async def live(folder: Path) -> None:
    """Make the settings, make the store, and take a dozen swaps through it."""
    marks = Marks(folder)
    result = CliRunner().invoke(app, ["init", str(folder / SETTINGS)])
    assert result.exit_code == 0, result.output
    marks.done("settings")
    store = SqlStore(folder / STORE, owner="the one before the power cut", lease_ttl_s=3600)
    await store.open()
    _checkpoint_often(store)
    _tell_each_commit(store, marks)
    await store.bind(build.GENESIS, build.CONTRACT)
    marks.done("store")
    for number in range(1, SWAPS + 1):
        await _swap(store, RecoveryFile(folder / LOG), marks, number)


def _checkpoint_often(store: SqlStore) -> None:
    conn = store._db._connected()
    conn.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    conn.rollback()


def _tell_each_commit(store: SqlStore, marks: Marks) -> None:
    """A mark after each transaction, besides those after each thing done: none may be found in half."""
    write = store._db.write

    async def told(work: Any, *args: Any, **named: Any) -> Any:
        answer = await write(work, *args, **named)
        marks.done(work.__name__)
        return answer

    store._db.write = told  # type: ignore[method-assign]


async def _swap(store: SqlStore, log: RecoveryFile, marks: Marks, number: int) -> None:
    await build.discover(store, number)
    marks.done(f"discovered {number}")
    if number % 3 == 0:
        await _held(store, log, marks, number)
        return
    saga = await build.get(store, number)
    patch = SagaPatch(payment=build.payment(number))
    saga = await store.step(saga, Step(event=Event.SOURCE_VERIFIED, patch=patch))
    marks.done(f"verified {number}")
    saga = await store.step(saga, Step(event=Event.INVENTORY_RESERVED, reserve=build.reservation()))
    marks.done(f"reserved {number}")
    saga = await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=build.payout_claim()))
    marks.done(f"signed {number}")
    lane = build.payout_of(saga)
    await store.sight(lane, build.seen(SightingKind.IN_BLOCK, 200, lane, final=True))
    marks.done(f"seen {number}")
    saga = await store.step(saga, Step(event=Event.PAYOUT_INCLUDED))
    marks.done(f"paid {number}")
    await store.step(saga, Step(event=Event.MARK_SIGNED, claim=build.mark_claim()))
    marks.done(f"marked {number}")


async def _held(store: SqlStore, log: RecoveryFile, marks: Marks, number: int) -> None:
    saga = await build.get(store, number)
    entry = RecoveryEntry("held", "look", {"amount": str(2**80), "why": "x" * 900})
    await store.step(saga, Step(event=Event.HELD_FOR_OPERATOR, recovery=entry))
    marks.done(f"held {number}")
    await write_recovery(store, log)
    marks.done(f"written {number}")


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1])))
