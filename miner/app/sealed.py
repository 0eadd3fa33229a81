"""Backup files: a tar of store, recovery log and settings, with a manifest, encrypted with age.

The manifest names each file's digest, so that what is unpacked is known to be what was packed. Nothing of it
is ever on disk in the clear but in a folder of the state folder's owner, for as long as it is worked on.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyrage

from miner.durable import sync_file
from miner.errors import ConfigError, StoreDamaged, StoreUnavailable
from miner.store.backup import Copied

STORE, RECOVERY, SETTINGS, MANIFEST = "store.sqlite", "recovery.jsonl", "settings.toml", "manifest.json"
SCHEMA_VERSION = 1
_PARTS = frozenset({STORE, RECOVERY, SETTINGS, MANIFEST})
_LARGEST_MANIFEST = 1 << 20


def recipients_of(texts: Sequence[str]) -> list[Any]:
    """The public keys that a backup is encrypted for.

    Raises:
        ConfigError: One is none, or there is none at all.
    """
    found = []
    for text in texts:
        try:
            found.append(pyrage.x25519.Recipient.from_str(text.strip()))
        except pyrage.RecipientError as exc:
            raise ConfigError("--recipient", "is no age public key", "Write age1…, from age-keygen") from exc
    if not found:
        remedy = "Make one with age-keygen, keep its secret part elsewhere, and write --recipient age1…"
        raise ConfigError("--recipient", "is missing: a backup is always encrypted", remedy)
    return found


def identities_of(path: Path) -> list[Any]:
    """The secret keys of an age identity file.

    Raises:
        ConfigError: It cannot be read, is open to others, or holds none.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError("--identity", f"{path} is open to other users", f"chmod 600 {path}")
        lines = path.read_text(encoding="utf-8").split()
        return [
            pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith("AGE-SECRET-KEY-")
        ] or _none(path)
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError("--identity", f"{path} cannot be read", "Name age-keygen's file") from exc
    except pyrage.IdentityError as exc:
        raise ConfigError("--identity", f"{path} holds no age secret key", "Name age-keygen's file") from exc


def _none(path: Path) -> list[Any]:
    raise ConfigError("--identity", f"{path} holds no age secret key", "Name age-keygen's file")


def pack(folder: Path, about: Copied, at: str, program: str) -> Path:
    """Put what lies in a folder into one tar, with its manifest; the tar's path."""
    parts = [name for name in (STORE, RECOVERY, SETTINGS) if (folder / name).exists()]
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "at": at,
        "program": program,
        "store": asdict(about),
        "files": {name: digest(folder / name) for name in parts},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    packed = folder / "packed.tar"
    with tarfile.open(packed, "x") as tar:
        for name in (MANIFEST, *parts):
            tar.add(folder / name, name, filter=_plain)
    return packed


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    return info


def unpack(packed: Path, folder: Path) -> Mapping[str, Any]:
    """Take a tar apart into a folder; every file is what the manifest says. The manifest.

    Raises:
        StoreDamaged: It is no backup of this program, or not whole.
    """
    try:
        with tarfile.open(packed) as tar:
            for member in tar:
                if member.name not in _PARTS or not member.isfile():
                    raise StoreDamaged(f"the backup holds {member.name!r}, which is no part of one")
                tar.extract(member, folder, filter="data")
                (folder / member.name).chmod(0o600)
        with (folder / MANIFEST).open("rb") as file:
            manifest: dict[str, Any] = json.loads(file.read(_LARGEST_MANIFEST))
        files = dict(manifest["files"])
    except (tarfile.TarError, OSError, ValueError, KeyError, TypeError) as exc:
        raise StoreDamaged(f"this is no backup of this program ({type(exc).__name__})") from exc
    if manifest.get("schema_version") != SCHEMA_VERSION or STORE not in files:
        raise StoreDamaged("this backup was written by another version of this program")
    for name, due in files.items():
        if name not in _PARTS or not (folder / name).is_file() or digest(folder / name) != due:
            raise StoreDamaged(f"the backup's {name} is not what its manifest says")
    return manifest


def seal(packed: Path, sealed: Path, recipients: Sequence[Any]) -> None:
    """Encrypt into a file of its own (0600), synced.

    Raises:
        StoreUnavailable: It could not be written.
    """
    try:
        os.close(os.open(sealed, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        pyrage.encrypt_file(str(packed), str(sealed), list(recipients))
        sync_file(sealed)
    except (OSError, pyrage.EncryptError) as exc:
        raise StoreUnavailable(f"{sealed} could not be written ({exc})") from exc


def open_sealed(sealed: Path, packed: Path, identities: Sequence[Any]) -> None:
    """Decrypt into a file of its own (0600); what is cut off or changed is not decrypted.

    Raises:
        StoreDamaged: It is damaged, or not encrypted for these identities.
        StoreUnavailable: It cannot be read.
    """
    try:
        os.close(os.open(packed, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        pyrage.decrypt_file(str(sealed), str(packed), list(identities))
    except (OSError, pyrage.DecryptError) as exc:
        if getattr(exc, "errno", None) is not None:  # the library gives an OSError for a broken stream, too
            raise StoreUnavailable(f"{sealed} cannot be read ({exc})") from exc
        raise StoreDamaged(
            f"{sealed} cannot be decrypted: it is damaged or cut off, or was encrypted for others ({exc})"
        ) from exc


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
