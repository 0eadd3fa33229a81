"""`backup`: a consistent, encrypted and verified copy of everything that must not be lost, but the keys."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from miner.app import sealed
from miner.config import Settings
from miner.durable import publish
from miner.errors import ConfigError, StoreUnavailable
from miner.store import backup

PREFIX, SUFFIX = "swap-miner-", ".age"


async def make(
    settings: Settings, config: Path, to: Path, recipients: Sequence[str], identity: Path | None, keep: int
) -> dict[str, Any]:
    """Write a backup; nothing under its name before it is whole and verified.

    Args:
        settings: Name the store.
        config: The settings' file, which is put into it.
        to: The file to write, or a folder for one that is named by the time.
        recipients: age public keys that it is encrypted for.
        identity: An age identity file to verify it with; without it the copy is verified before encryption.
        keep: How many of a folder's backups stay; 0: all.

    Returns:
        File, size, what it holds, how it was verified, and which older ones were removed.

    Raises:
        ConfigError: The store is on a server, the file exists, or a key will not do.
        StoreError: The store could not be read, or the backup not be written.
    """
    if settings.store.url is not None:
        raise ConfigError(
            "store.url",
            "the store is on a PostgreSQL server, whose own tools make consistent copies",
            f"pg_dump --format=custom --file=swap-miner.dump '{settings.store.place}', then age -r age1… -o "
            "swap-miner.dump.age swap-miner.dump; or the server's base backups",
        )
    keys = sealed.recipients_of(recipients)
    identities = sealed.identities_of(identity) if identity is not None else []
    return await asyncio.to_thread(_make, settings, config, to, keys, identities, keep)


def _make(
    settings: Settings, config: Path, to: Path, keys: Sequence[Any], identities: Sequence[Any], keep: int
) -> dict[str, Any]:
    now = datetime.now(UTC)
    file = to / f"{PREFIX}{now:%Y%m%dT%H%M%SZ}{SUFFIX}" if to.is_dir() else to
    if file.exists():
        raise ConfigError(str(file), "exists already, and is not overwritten", "Name another file")
    found = _write(settings, config, file, keys, identities, now)
    return {"file": str(file), **found, "removed": _prune(file, keep) if to.is_dir() and keep else []}


def _write(
    settings: Settings,
    config: Path,
    file: Path,
    keys: Sequence[Any],
    identities: Sequence[Any],
    now: datetime,
) -> dict[str, Any]:
    draft = file.with_name(f".{file.name}.{now:%f}.new")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=settings.store.path) as name:
            work = Path(name)
            about = _gather(settings, config, work)
            packed = sealed.pack(work, about, now.isoformat(timespec="seconds"), version("swap-miner"))
            sealed.seal(packed, draft, keys)
            if identities:
                _verify(packed, draft, work, identities)
            publish(draft, file)
    except FileExistsError as exc:
        raise ConfigError(str(file), "exists already, and is not overwritten", "Name another file") from exc
    except OSError as exc:
        raise StoreUnavailable(f"{file} could not be written ({exc.strerror or exc})") from exc
    finally:
        with suppress(OSError):
            draft.unlink()
    verified = "reopened, encrypted and decrypted" if identities else "reopened before encryption"
    return {"bytes": file.stat().st_size, "store": asdict(about), "verified": verified}


def _gather(settings: Settings, config: Path, work: Path) -> backup.Copied:
    """Store first, then the recovery log: a line more of that is no harm, a line less would be."""
    backup.copy_online(settings.store.file, work / sealed.STORE)
    about = backup.look_into(work / sealed.STORE)
    for source, name in ((settings.recovery_file, sealed.RECOVERY), (config, sealed.SETTINGS)):
        with suppress(FileNotFoundError):
            (work / name).write_bytes(source.read_bytes())
    return about


def _verify(packed: Path, draft: Path, work: Path, identities: Sequence[Any]) -> None:
    again = work / "again"
    again.mkdir(mode=0o700)
    sealed.open_sealed(draft, again / "packed.tar", identities)
    if sealed.digest(again / "packed.tar") != sealed.digest(packed):
        raise StoreUnavailable(f"{draft}: what was written is not what is read")
    sealed.unpack(again / "packed.tar", again)
    backup.look_into(again / sealed.STORE)


def _prune(newest: Path, keep: int) -> list[str]:
    """Remove the oldest of a folder's own backups; the new one is never among them."""
    old = sorted(newest.parent.glob(f"{PREFIX}????????T??????Z{SUFFIX}"), reverse=True)
    removed = [each for each in old[keep:] if each != newest]
    for each in removed:
        each.unlink()
    return [str(each) for each in removed]
