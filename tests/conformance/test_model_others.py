"""What the simulation has in place of the node and the recovery log does what the real ones promise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from miner.errors import ReadFailed
from miner.model import PendingRecovery, RecoveryEntry, SagaKey
from miner.notify.recovery import RecoveryFile
from miner.ports import RecoveryLog
from miner.saga import State
from tests.simulation.link import Link
from tests.simulation.model_contract import ModelNode
from tests.simulation.stage import Stage
from tests.simulation.world import Entries


def pending(number: int, cause: str) -> PendingRecovery:
    key = SagaKey("0xgenesis", "5Contract", 7)
    return PendingRecovery(number, key, State.FAILED, 1_700_000_000_123, RecoveryEntry(cause, "look"))


@pytest.fixture(params=["file", "model"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> RecoveryLog:
    return RecoveryFile(tmp_path / "recovery.jsonl") if request.param == "file" else Entries()


def causes(log: RecoveryLog, tmp_path: Path) -> list[str]:
    if isinstance(log, Entries):
        return [line.entry.cause for line in log.lines.values()]
    lines = (tmp_path / "recovery.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["cause"] for line in lines]


async def test_an_entry_that_is_there_is_left_as_it_is(log: RecoveryLog, tmp_path: Path) -> None:
    await log.append(pending(1, "first"))
    await log.append(pending(2, "second"))
    await log.append(replace(pending(1, "first"), at_ms=1_800_000_000_000))
    assert causes(log, tmp_path) == ["first", "second"]


async def test_the_model_node_tells_hashes_up_to_its_best_block_and_none_above() -> None:
    stage = Stage.make(lag=2)
    node = ModelNode(stage.tao, Link())
    best = stage.tao.best.head
    assert await node.hash_at(best.height) == best.hash
    assert await node.hash_at(best.height + 1) is None
    assert node.best_height() == best.height
    assert node.heads().finalised.height == best.height - 2
    assert await node.finalised() == node.heads().finalised


async def test_the_model_node_follows_each_change_and_fails_when_it_cannot_be_reached() -> None:
    stage, link = Stage.make(), Link()
    follows = ModelNode(stage.tao, link).follow()
    first = await anext(follows)
    stage.tao_block()
    second = await anext(follows)
    assert second.best.height == first.best.height + 1
    stage.tao_block()
    link.down = True
    with pytest.raises(ReadFailed):
        await anext(follows)
