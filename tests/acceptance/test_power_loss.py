"""Power loss: every cut of what was written and not yet synced leaves a store that is as it was acknowledged.

The trace is of a real process, by strace: a store's making, a dozen swaps' steps, its checkpoints, the
recovery log and the settings file. See `tests/acceptance/power/disk.py` for what a cut may keep.
"""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from miner.config import example
from miner.notify import recovery
from miner.store import SqlStore
from miner.sweep import write_recovery
from tests.acceptance.power.disk import Disk, cuts
from tests.acceptance.power.trace import Call, record
from tests.acceptance.power.workload import LOG, MARKS, SETTINGS, STORE, digest

Record = Callable[[str, object], None]
FAST = Path("/dev/shm")
ROOT = Path(__file__).parents[2]


@dataclass
class Told:
    """What the process had acknowledged at a cut, and what it was about to.

    Attributes:
        lines: Each acknowledged thing, with the digest of the store after it.
        next: The one under way.
    """

    lines: list[dict[str, str]] = field(default_factory=list)
    next: dict[str, str] | None = None

    def has(self, what: str) -> bool:
        return any(line["done"] == what for line in self.lines)

    @property
    def digests(self) -> set[str]:
        """What the store may hold: all that was acknowledged, and perhaps what was under way."""
        return {self.lines[-1]["digest"], (self.next or self.lines[-1])["digest"]}


@dataclass(frozen=True)
class Trace:
    """The calls of one life, without those on its marks, which stand beside.

    Attributes:
        folder: Where it lived.
        calls: In order.
        marks: Acknowledged things, by the number of calls before them.
    """

    folder: Path
    calls: list[Call]
    marks: list[tuple[int, dict[str, str]]]

    def of_store(self, number: int) -> bool:
        """Whether a call is on the store's files."""
        return number < len(self.calls) and Path(self.calls[number].path).name.startswith(Path(STORE).name)

    def told(self, done: int) -> Told:
        """As of so many calls."""
        lines = [line for at, line in self.marks if at <= done]
        later = [line for at, line in self.marks if at > done]
        return Told(lines, later[0] if later else None)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    folder = tmp_path_factory.mktemp("power")
    command = [sys.executable, "-m", "tests.acceptance.power.workload", str(folder)]
    calls: list[Call] = []
    marks: list[tuple[int, dict[str, str]]] = []
    for call in record(command, folder, tmp_path_factory.mktemp("trace") / "strace.log"):
        if call.path != str(folder / MARKS):
            calls.append(call)
        elif call.name == "write":
            marks.append((len(calls), json.loads(call.data)))
    return Trace(folder, calls, marks)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Where cuts are reopened: in memory where there is a file system in memory."""
    return (FAST if FAST.is_dir() else tmp_path) / f"power-{tmp_path.name}"


@dataclass
class Judge:
    """Reopens what a cut left.

    Attributes:
        room: Where.
        seen: How often each thing was found.
    """

    room: Path
    seen: Counter[str] = field(default_factory=Counter)

    async def judge(self, left: dict[str, bytes], told: Told) -> None:
        """Everything acknowledged is there, nothing is there in half, and the daemon's start is sound."""
        self.seen["cuts"] += 1
        shutil.rmtree(self.room, ignore_errors=True)
        for name, content in left.items():
            file = self.room / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        self._settings(told)
        await self._store(told)

    def _settings(self, told: Told) -> None:
        file = self.room / SETTINGS
        if not file.exists():
            assert not told.has("settings"), "the settings file is lost"
            return
        assert file.read_text() == example(), "the settings file is there in part"
        tomllib.loads(file.read_text())

    async def _store(self, told: Told) -> None:
        file = self.room / STORE
        if not file.exists():
            assert not told.has("store"), "the store is lost"
            self.seen["no store yet"] += 1
            return
        store = SqlStore(file, owner="the one after it", lease_ttl_s=3600)
        await store.open()
        try:
            if told.has("store"):
                assert digest(file) in told.digests, f"not as acknowledged after {told.lines[-1]['done']}"
                under_way = digest(file) != told.lines[-1]["digest"]
                self.seen["the transaction under way was kept" if under_way else "as acknowledged"] += 1
            await self._recovery_log(store)
        finally:
            await store.close()

    async def _recovery_log(self, store: SqlStore) -> None:
        """What the store takes for written is written; the rest is written now; torn lines are no entries."""
        path = self.room / LOG
        pending = {entry.id for entry in await store.pending_recovery()}
        before = recovery.read(path)
        self.seen["torn lines"] += len(before.damage)
        await write_recovery(store, recovery.RecoveryFile(path))
        held = [saga for saga in await store.list_sagas() if saga.state == "HELD"]
        lines = Counter(entry["swap_id"] for entry in recovery.read(path).entries)
        assert lines == {saga.key.swap_id: 1 for saga in held}, "an entry is lost, or there twice"
        assert len(held) - len(pending) <= len(before.entries), "taken for written, and lost"


def points(trace: Trace) -> Iterator[tuple[int, Disk]]:
    """The disk just before each sync, and at the end: every other moment's choices are among these."""
    disk = Disk()
    for number, call in enumerate(trace.calls):
        if call.name == "sync":
            yield number, disk
        if not call.path.endswith("-shm"):  # shared memory: made anew by whoever opens first
            disk.run(call)
    yield len(trace.calls), disk


@pytest.mark.matrix("Power loss", "strace of a real process, SQLite")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("every", "more"),
    [
        pytest.param(12, 2, id="a-sample-of-cuts"),
        pytest.param(1, 60, id="every-cut", marks=pytest.mark.proof),
    ],
)
async def test_every_cut_leaves_what_was_acknowledged(
    trace: Trace, every: int, more: int, record_property: Record, room: Path
) -> None:
    """The sample takes the making, the recovery log, and every twelfth sync of the store."""
    judge = Judge(room)
    syncs = 0
    try:
        for number, disk in points(trace):
            syncs += 1
            told = trace.told(number)
            if syncs % every and told.has("store") and trace.of_store(number):
                continue
            done: set[int] = set()
            for keep in cuts(disk.changes, seed=number, more=more):
                left = {
                    name.removeprefix(f"{trace.folder}/"): data for name, data in disk.after(keep).items()
                }
                if (one := hash(tuple(sorted(left.items())))) not in done:
                    done.add(one)
                    await judge.judge(left, told)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    for name, count in {"syncs": syncs, "payouts": 0, "lost_swaps": 0, **judge.seen}.items():
        record_property(name, count)
    found: dict[str, Any] = dict(judge.seen)
    assert found["cuts"] > 300
    assert found["the transaction under way was kept"] > 3
    assert found["torn lines"] > 0


def test_the_disk_loses_what_was_not_synced() -> None:
    """The model has teeth: an unsynced write, an unsynced name, and the first half of a torn write go."""
    disk = Disk()
    for call in (Call("create", "/d/a"), Call("write", "/d/a", data=b"x" * 1000), Call("sync", "/d/a")):
        disk.run(call)
    assert disk.after(lambda *_: False) == {}
    disk.run(Call("sync", "/d"))
    assert disk.after(lambda *_: False) == {"/d/a": b"x" * 1000}
    disk.run(Call("write", "/d/a", offset=0, data=b"y" * 1000))
    left = [disk.after(keep)["/d/a"] for keep in cuts(disk.changes, seed=1, more=0)]
    assert b"x" * 1000 in left
    assert b"y" * 1000 in left
    assert b"y" * 512 + b"x" * 488 in left
    assert b"x" * 512 + b"y" * 488 in left
