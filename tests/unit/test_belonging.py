"""What root makes in the state folder of a service belongs to the service's user, who is to go on with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from miner.model import PendingRecovery, RecoveryEntry, SagaKey
from miner.notify.recovery import RecoveryFile
from miner.saga import State
from miner.store import SqlStore

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files in the folders of others")
SERVICE = 61_185


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, SERVICE, SERVICE)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def owners(folder: Path) -> set[tuple[int, int]]:
    return {(path.stat().st_uid, path.stat().st_gid) for path in folder.iterdir()}


async def test_a_store_that_root_makes(state: Path) -> None:
    store = SqlStore(state / "store.sqlite")
    await store.open()
    await store.set_paused("btc", True, "operator:root")
    assert len(names(state)) > 1, "the log beside it is there as well"
    assert owners(state) == {(SERVICE, SERVICE)}
    await store.close()


async def test_a_recovery_log_that_root_begins(state: Path) -> None:
    entry = RecoveryEntry("evidence_contradicts", "look", {})
    key = SagaKey("0x" + "11" * 32, "5Contract", 1)
    await RecoveryFile(state / "recovery.jsonl").append(PendingRecovery(1, key, State.HELD, 1, entry))
    assert owners(state) == {(SERVICE, SERVICE)}
