"""The recovery log: JSON lines, append-only, one for each time that a swap put money at risk.

A line is written whole and synced, or it is no line: a tail without its newline (power cut, full disk) is
moved to `<file>.torn-<n>` before the next append and is never taken for an entry. The file is read again at
each append, so that a rotated, deleted or shared file is never misjudged from memory; appends are rare.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from miner.durable import as_its_folder, sync_folder
from miner.errors import InvariantBroken, StoreUnavailable
from miner.model import PendingRecovery

SCHEMA_VERSION = 1
FIELDS = (
    "schema_version",
    "id",
    "at",
    "swap_id",
    "contract",
    "genesis",
    "state",
    "cause",
    "what_to_do",
    "detail",
)

_EXACT = 2**53  # above it, JSON readers round
_LONGEST_LINE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """What a recovery log holds.

    Attributes:
        entries: Every whole line, oldest first.
        damage: Every line that is no entry: where it is and what is wrong with it.
    """

    entries: tuple[Mapping[str, Any], ...] = ()
    damage: tuple[str, ...] = ()


class RecoveryFile:
    """The log in a file; see `miner.ports.RecoveryLog`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._one_at_a_time = asyncio.Lock()

    async def append(self, pending: PendingRecovery) -> None:
        """Append and sync one line; an entry that is already in the file is left as it is.

        An entry is recognised by its id together with what it is about: ids begin anew with a new store.

        Raises:
            StoreUnavailable: It could not be written; a part of it does not count.
            InvariantBroken: It holds something that must not be written down, such as signed bytes.
        """
        line = line_of(pending)
        async with self._one_at_a_time:
            await asyncio.to_thread(self._append, line)

    def _append(self, line: bytes) -> None:
        try:
            is_new = not self._path.exists()
            with _locked(self._path) as file:
                _set_torn_tail_aside(self._path, file)
                if _identity(json.loads(line)) not in map(_identity, parse(_read(file)).entries):
                    _write_whole(file, line)
                os.fsync(file)  # also after a crash between the write and the sync of a known line
            if is_new:
                sync_folder(self._path.parent)
        except OSError as exc:
            raise StoreUnavailable(f"recovery log {self._path}: {exc.strerror or exc}") from exc


def read(path: Path) -> Reading:
    """Read a recovery log, also while it is being written; nothing is changed.

    Returns:
        Its entries and its damage; nothing where there is no file.

    Raises:
        StoreUnavailable: It cannot be read.
    """
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return Reading()
    except OSError as exc:
        raise StoreUnavailable(f"recovery log {path}: {exc.strerror or exc}") from exc


def parse(raw: bytes) -> Reading:
    """As `read`, from the file's bytes."""
    entries: list[Mapping[str, Any]] = []
    damaged: list[str] = []
    *lines, tail = raw.split(b"\n")
    for number, line in enumerate(lines, 1):
        found = _entry(line)
        if isinstance(found, str):
            damaged.append(f"line {number}: {found}")
        else:
            entries.append(found)
    if tail:
        damaged.append(f"line {len(lines) + 1}: torn: it has no end, and does not count")
    return Reading(tuple(entries), tuple(damaged))


def line_of(pending: PendingRecovery) -> bytes:
    """An entry as its line, newline included.

    Raises:
        InvariantBroken: It holds something that is no JSON value, or is far too long.
    """
    record = {
        "schema_version": SCHEMA_VERSION,
        "id": pending.id,
        "at": datetime.fromtimestamp(pending.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "swap_id": pending.saga.swap_id,
        "contract": pending.saga.contract,
        "genesis": pending.saga.genesis,
        "state": pending.state.value,
        "cause": pending.entry.cause,
        "what_to_do": pending.entry.what_to_do,
        "detail": _plain(pending.entry.detail),
    }
    line = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
    if len(line) > _LONGEST_LINE:
        raise InvariantBroken(f"recovery entry {pending.id} is {len(line)} bytes long")
    return line


def _plain(value: object) -> object:
    """A JSON value with integers that every reader keeps exact."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return value if abs(value) < _EXACT else str(value)
    raise InvariantBroken(f"a recovery entry may not hold a {type(value).__name__}")


def _entry(line: bytes) -> Mapping[str, Any] | str:
    """The entry of a line, or what is wrong with it."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return "no JSON"
    if not isinstance(found, dict):
        return "no entry"
    missing = [field for field in FIELDS if field not in found]
    if missing:
        return f"no {', '.join(missing)}"
    if not isinstance(found["id"], int) or not isinstance(found["detail"], dict):
        return "an id or detail of the wrong kind"
    return found


def _identity(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry[field]) for field in ("id", "genesis", "contract", "swap_id", "cause"))


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, made if it is missing (0600), under an exclusive lock."""
    is_new = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        if is_new:
            as_its_folder(path)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _read(file: int) -> bytes:
    size, out = os.fstat(file).st_size, bytearray()
    while len(out) < size:
        piece = os.pread(file, size - len(out), len(out))
        if not piece:
            break
        out += piece
    return bytes(out)


def _set_torn_tail_aside(path: Path, file: int) -> None:
    raw = _read(file)
    whole = raw.rfind(b"\n") + 1
    if whole == len(raw):
        return
    aside = _new_file_beside(path)
    try:
        _write_whole(aside, raw[whole:])
        os.fsync(aside)
    finally:
        os.close(aside)
    sync_folder(path.parent)
    os.ftruncate(file, whole)
    os.fsync(file)


def _new_file_beside(path: Path) -> int:
    number = 1
    while True:
        try:
            beside = path.with_name(f"{path.name}.torn-{number}")
            return os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            number += 1


def _write_whole(file: int, data: bytes) -> None:
    """Append all of it, or nothing."""
    before = os.fstat(file).st_size
    try:
        done = os.write(file, data)
        if done != len(data):
            raise OSError(f"only {done} of {len(data)} bytes were written: is the disk full?")
    except OSError:
        os.ftruncate(file, before)
        raise
