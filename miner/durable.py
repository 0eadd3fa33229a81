"""Files and their names that outlive a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """The names in a folder outlive a power cut.

    Raises:
        OSError: They may not.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """What was written to a file outlives a power cut.

    Raises:
        OSError: It may not.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def as_its_folder(path: Path) -> None:
    """A file that root makes in a folder of somebody else's is theirs.

    The service has a user of its own, who has to work with what an operator's command made by hand.

    Raises:
        OSError: It cannot be given to them.
    """
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def supersede(draft: Path, path: Path) -> None:
    """Give a whole file its name in place of what has it; after a power cut it is the one or the other.

    Raises:
        OSError: It cannot be given; what stands there is as it was, or this.
    """
    sync_file(draft)
    draft.replace(path)
    sync_folder(path.parent)


def publish(draft: Path, path: Path) -> None:
    """Give a file that is whole and synced its name, never in place of another; the draft's own may stay.

    Raises:
        FileExistsError: The name is taken; what stands there is as it was.
        OSError: It cannot be given.
    """
    try:
        _name(draft, path)
    finally:
        sync_folder(path.parent)


def _name(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)
    except PermissionError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(str(path)) from None
        draft.rename(path)
