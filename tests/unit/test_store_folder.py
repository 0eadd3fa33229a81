"""Where a store may lie."""

from pathlib import Path

import pytest

from miner.errors import StoreUnavailable
from miner.store import folder

MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /run tmpfs rw 0 0
server:/export /mnt/nas nfs4 rw 0 0
me@host: /mnt/my\\040disk fuse.sshfs rw 0 0
//box/share /mnt/nas/local/far cifs rw 0 0
/dev/sdb /mnt/nas/local xfs rw 0 0
/dev/sdc /var/lib ext4 rw 0 0
server:/over /var/lib nfs rw 0 0
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/miner", "ext4"),
        ("/run/miner", "tmpfs"),
        ("/mnt/nas", "nfs4"),
        ("/mnt/nasty", "ext4"),
        ("/mnt/nas/state", "nfs4"),
        ("/mnt/nas/local/state", "xfs"),
        ("/mnt/nas/local/far/state", "cifs"),
        ("/mnt/my disk/state", "fuse.sshfs"),
        ("/var/lib/miner", "nfs"),
    ],
)
def test_the_nearest_mount_counts_and_the_later_one_hides(path: str, kind: str) -> None:
    assert folder.file_system_of(Path(path), MOUNTS)[1] == kind
    if kind in {"ext4", "xfs", "tmpfs"}:
        folder.refuse_network(Path(path), MOUNTS)
        return
    with pytest.raises(StoreUnavailable, match="network file system") as caught:
        folder.refuse_network(Path(path), MOUNTS)
    assert path in str(caught.value)
    assert kind in str(caught.value)


def test_without_mounts_nothing_is_known() -> None:
    assert folder.file_system_of(Path("/x"), "") == ("", "")


@pytest.mark.parametrize("kind", "nfs NFS4 cifs smb3 9p fuse.sshfs ceph fuse.glusterfs".split())
def test_kinds_that_are_refused(kind: str) -> None:
    with pytest.raises(StoreUnavailable):
        folder.refuse_network(Path("/x"), f"a / {kind} rw 0 0")


def test_a_missing_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder.prepare(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    folder.prepare(tmp_path / "state")


def test_the_mode_of_a_folder_that_is_there_is_its_owners_business(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder.prepare(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_too_little_room(tmp_path: Path) -> None:
    folder.prepare(tmp_path, free_bytes=lambda path: folder.MIN_FREE_BYTES)
    with pytest.raises(StoreUnavailable, match="49 MiB free") as caught:
        folder.prepare(tmp_path, free_bytes=lambda path: folder.MIN_FREE_BYTES - 1)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, how: False)
    with pytest.raises(StoreUnavailable, match="not writable") as caught:
        folder.prepare(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StoreUnavailable, match="state"):
        folder.prepare(tmp_path / "state")


def test_identity_of_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="gone"):
        folder.identity(tmp_path / "none")
