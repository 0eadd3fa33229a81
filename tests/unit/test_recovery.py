"""The recovery log: whole lines, once each, synced; damage is set aside and told, never believed."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.errors import InvariantBroken, StoreUnavailable
from miner.model import Json, PendingRecovery, RecoveryEntry, SagaKey
from miner.notify.recovery import FIELDS, RecoveryFile, line_of, parse, read
from miner.saga import State


def pending(
    number: int = 1, swap_id: int = 7, cause: str = "timed_out_after_payout", **detail: Json
) -> PendingRecovery:
    return PendingRecovery(
        id=number,
        saga=SagaKey("0xgenesis", "5Contract", swap_id),
        state=State.FAILED,
        at_ms=1_700_000_000_123,
        entry=RecoveryEntry(cause, "swap-miner show 7", detail),
    )


def put(log: RecoveryFile, entry: PendingRecovery) -> None:
    asyncio.run(log.append(entry))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recovery.jsonl"


def test_a_line_says_everything(path: Path) -> None:
    put(RecoveryFile(path), pending(amount="1500000000", big=2**60, block=7, list=[2**53, {"x": None}]))
    (line,) = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {
        "schema_version": 1,
        "id": 1,
        "at": "2023-11-14T22:13:20.123+00:00",
        "swap_id": 7,
        "contract": "5Contract",
        "genesis": "0xgenesis",
        "state": "FAILED",
        "cause": "timed_out_after_payout",
        "what_to_do": "swap-miner show 7",
        "detail": {"amount": "1500000000", "big": str(2**60), "block": 7, "list": [str(2**53), {"x": None}]},
    }
    assert tuple(json.loads(line)) == FIELDS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_entry_is_written_once(path: Path) -> None:
    for log in (RecoveryFile(path), RecoveryFile(path)):  # the second as after a restart
        for number in (1, 2, 1, 2):
            put(log, pending(number))
    assert [entry["id"] for entry in read(path).entries] == [1, 2]


async def test_at_once_from_several_writers(path: Path) -> None:
    logs = [RecoveryFile(path) for _ in range(3)]
    await asyncio.gather(*(log.append(pending(number)) for number in range(8) for log in logs))
    reading = read(path)
    assert sorted(entry["id"] for entry in reading.entries) == list(range(8))
    assert reading.damage == ()


def test_the_same_id_of_a_new_store_is_another_entry(path: Path) -> None:
    put(RecoveryFile(path), pending(1, swap_id=7))
    put(RecoveryFile(path), pending(1, swap_id=8))
    put(RecoveryFile(path), pending(1, swap_id=8, cause="another"))
    assert len(read(path).entries) == 3


def test_a_log_that_was_moved_away_begins_anew(path: Path) -> None:
    log = RecoveryFile(path)
    put(log, pending(1))
    path.rename(path.with_suffix(".1"))
    put(log, pending(2))
    assert [entry["id"] for entry in read(path).entries] == [2]


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_torn_line_is_set_aside_and_written_again(path: Path, cut: int) -> None:
    put(RecoveryFile(path), pending(1))
    whole = path.read_bytes()
    put(RecoveryFile(path), pending(2))
    torn = path.read_bytes()[:-cut]
    path.write_bytes(torn)
    assert "torn" in read(path).damage[0]
    put(RecoveryFile(path), pending(2))
    assert [entry["id"] for entry in read(path).entries] == [1, 2]
    assert read(path).damage == ()
    assert path.with_name("recovery.jsonl.torn-1").read_bytes() == torn[len(whole) :]


def test_a_torn_line_that_reads_is_still_not_believed(path: Path) -> None:
    """All but its newline: the sync had not returned, and more may be missing than shows."""
    path.write_bytes(line_of(pending(1)).rstrip(b"\n"))
    assert read(path).entries == ()
    put(RecoveryFile(path), pending(1))
    assert [entry["id"] for entry in read(path).entries] == [1]


def test_torn_lines_do_not_overwrite_each_other(path: Path) -> None:
    for number in (1, 2):
        with path.open("ab") as file:
            file.write(b"torn %d" % number)
        put(RecoveryFile(path), pending(number))
    assert path.with_name("recovery.jsonl.torn-1").read_bytes() == b"torn 1"
    assert path.with_name("recovery.jsonl.torn-2").read_bytes() == b"torn 2"


def test_damage_in_the_middle_is_told_and_kept(path: Path) -> None:
    damage = b"nonsense\n[1]\n{}\n" + line_of(pending(1)).replace(b'"id":1', b'"id":"1"') + b"\xff\n"
    path.write_bytes(damage)
    put(RecoveryFile(path), pending(1))
    assert path.read_bytes().startswith(damage)
    reading = read(path)
    assert len(reading.entries) == 1
    assert [line.split(":")[0] for line in reading.damage] == [f"line {n}" for n in range(1, 6)]
    assert reading.damage[0].endswith("no JSON")


def test_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = RecoveryFile(path)
    put(log, pending(1))
    before = path.read_bytes()
    real_write = os.write

    def full(file: int, data: bytes) -> int:
        real_write(file, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    for broken in (full, lambda file, data: real_write(file, data[:10])):
        monkeypatch.setattr("miner.notify.recovery.os.write", broken)
        with pytest.raises(StoreUnavailable, match=r"recovery\.jsonl"):
            put(log, pending(2))
        assert path.read_bytes() == before
    monkeypatch.setattr("miner.notify.recovery.os.write", real_write)
    put(log, pending(2))
    assert [entry["id"] for entry in read(path).entries] == [1, 2]


def test_a_sync_that_fails_is_no_success(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("miner.notify.recovery.os.fsync", broken)
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        put(RecoveryFile(path), pending(1))


def test_the_file_and_its_folder_are_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real_sync = os.fsync

    def note(file: int) -> None:
        synced.append(os.fstat(file).st_ino)
        real_sync(file)

    monkeypatch.setattr("miner.notify.recovery.os.fsync", note)
    put(RecoveryFile(path), pending(1))
    assert synced == [path.stat().st_ino, path.parent.stat().st_ino]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        put(RecoveryFile(tmp_path / "absent" / "recovery.jsonl"), pending())
    assert read(tmp_path / "absent" / "recovery.jsonl").entries == ()
    with pytest.raises(StoreUnavailable):
        read(tmp_path)


@pytest.mark.parametrize("value", [b"signed", 1.5, object(), [b"signed"], {"x": b"signed"}])
def test_signed_bytes_do_not_get_in(value: Any) -> None:
    with pytest.raises(InvariantBroken):
        line_of(pending(1, value=value))


def test_an_endless_line_is_refused() -> None:
    with pytest.raises(InvariantBroken, match="bytes long"):
        line_of(pending(1, text="x" * 300_000))


@given(
    st.text(),
    st.integers(),
    st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.booleans()),
)
def test_any_entry_is_one_line_that_reads_back(cause: str, number: int, detail: dict[str, Any]) -> None:
    one = PendingRecovery(number, SagaKey("g", "c", 1), State.HELD, 1, RecoveryEntry(cause, "x", detail))
    line = line_of(one)
    assert line.count(b"\n") == 1
    assert line.isascii()
    (entry,) = parse(line).entries
    assert entry["cause"] == cause
    assert set(entry["detail"]) == set(detail)


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(raw: bytes) -> None:
    reading = parse(raw)
    assert len(reading.entries) + len(reading.damage) == len(raw.split(b"\n")) - (
        raw.endswith(b"\n") or not raw
    )
