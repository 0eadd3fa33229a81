"""Where the store's file lies: on a local disk, writable, with room, and for its owner's eyes alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from miner.durable import sync_folder
from miner.errors import StoreUnavailable

MIN_FREE_BYTES = 50 * 1024 * 1024
"""Less room than this and the store does not open: a write-ahead log grows before it shrinks."""

NETWORK_FILE_SYSTEMS = frozenset(
    "nfs nfs4 cifs smb smb2 smb3 smbfs ncpfs 9p afs ceph coda glusterfs gfs gfs2 lustre ocfs2 beegfs pvfs2 "
    "orangefs davfs fuse.sshfs fuse.s3fs fuse.gcsfuse fuse.rclone fuse.glusterfs fuse.ceph fuse.davfs2 "
    "fuse.curlftpfs fuse.juicefs fuse.goofys fuse.mfs fuse.moosefs fuse.smbnetfs fuse.nfs".split()
)
"""Types on which locks or syncs are not to be relied on."""

_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def file_system_of(path: Path, mounts: str) -> tuple[str, str]:
    """The mount that holds a path.

    Args:
        path: Absolute and resolved.
        mounts: Text in the form of `/proc/mounts`.

    Returns:
        Mount point and file system type; empty strings where no line matches.
    """
    best = ("", "")
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1]
        for escape, char in _ESCAPES:
            point = point.replace(escape, char)
        if path.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, fields[2])
    return best


def refuse_network(path: Path, mounts: str) -> None:
    """Refuse a network file system.

    Raises:
        StoreUnavailable: Names the mount, its type and what to do.
    """
    point, kind = file_system_of(path, mounts)
    if kind.lower() in NETWORK_FILE_SYSTEMS:
        raise StoreUnavailable(
            f"{path} is on {point}, a network file system ({kind}): its locks and syncs cannot be relied on. "
            "Put the state folder on a local disk"
        )


def prepare(folder: Path, free_bytes: Callable[[Path], int] | None = None) -> None:
    """Make sure of the folder; create it (0700) where it is missing.

    Raises:
        StoreUnavailable: It cannot be made or written, is on a network file system, or has no room.
    """
    try:
        _make(folder)
    except OSError as exc:
        raise StoreUnavailable(f"{folder}: the state folder cannot be made ({exc.strerror})") from exc
    mounts = Path("/proc/mounts")
    if mounts.exists():
        refuse_network(folder.resolve(), mounts.read_text(encoding="utf-8", errors="surrogateescape"))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreUnavailable(f"{folder}: the state folder is not writable")
    free = (free_bytes or _free_bytes)(folder)
    if free < MIN_FREE_BYTES:
        raise StoreUnavailable(
            f"{folder}: {free >> 20} MiB free, at least {MIN_FREE_BYTES >> 20} MiB are needed. Make room"
        )


def _make(folder: Path) -> None:
    """Make the folder and those above it, each safe before anything is put in it."""
    if folder.is_dir():
        return
    if folder.is_symlink():  # as systemd leaves it to a service with a user of its own
        folder = Path(os.path.realpath(folder))
    _make(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def identity(path: Path) -> tuple[int, int]:
    """Which file stands under the path now: device and inode.

    Raises:
        StoreUnavailable: None does.
    """
    try:
        found = path.stat()
    except OSError as exc:
        raise StoreUnavailable(f"{path}: the store's file is gone ({exc.strerror})") from exc
    return found.st_dev, found.st_ino


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
