"""What root does by hand in the state folder is left to the service's user, who is somebody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from miner.errors import StoreUnavailable
from miner.model import PendingRecovery, RecoveryEntry, SagaKey
from miner.notify.recovery import RecoveryFile
from miner.saga import State
from miner.store import SqlStore, folder
from miner.store.witness import Witness
from tests.conformance.store_builders import VirtualClock

NOBODY = 61_184
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root acts for others")


ENTRY = PendingRecovery(
    id=1,
    saga=SagaKey("0xgenesis", "5Contract", 7),
    state=State.FAILED,
    at_ms=1,
    entry=RecoveryEntry("timed_out_after_payout", "swap-miner show 7", {}),
)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, NOBODY, NOBODY)
    return state


def owners(state: Path) -> dict[str, int]:
    return {path.name: path.stat().st_uid for path in state.iterdir()}


async def test_a_store_that_root_makes_is_the_services(theirs: Path) -> None:
    store = SqlStore(theirs / "store.sqlite", owner="root", busy_timeout_s=5, clock_ms=VirtualClock())
    await store.open()
    try:
        found = owners(theirs)
        assert {"store.sqlite", "store.sqlite-wal"} <= set(found)
        assert set(found.values()) == {NOBODY}
    finally:
        await store.close()
    assert set(owners(theirs).values()) == {NOBODY}


async def test_a_recovery_log_and_a_witness_that_root_begins_are_the_services(theirs: Path) -> None:
    await RecoveryFile(theirs / "recovery.jsonl").append(ENTRY)
    Witness(theirs / "witness").write("7")
    assert owners(theirs) == {"recovery.jsonl": NOBODY, "witness": NOBODY}


async def test_a_log_that_is_there_stays_whose_it_is(theirs: Path) -> None:
    (theirs / "recovery.jsonl").touch(0o600)
    await RecoveryFile(theirs / "recovery.jsonl").append(ENTRY)
    assert owners(theirs) == {"recovery.jsonl": 0}


def test_a_folder_that_systemd_left_a_link_to_is_made(tmp_path: Path) -> None:
    link = tmp_path / "swap-miner"
    link.symlink_to("private/swap-miner")
    folder.prepare(link)
    assert (tmp_path / "private" / "swap-miner").stat().st_mode & 0o777 == 0o700
    assert link.is_symlink()


def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StoreUnavailable, match="cannot be made"):
        folder.prepare(tmp_path / "a")
