"""Random histories keep the laws; the same seed is the same history; what once broke does not break again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulation.dice import FAULTS, History, history
from tests.simulation.faults import Faults
from tests.simulation.many import FIGURES, many, play
from tests.simulation.shrink import REGRESSIONS, load, save, shrink

ROOT = Path(__file__).parents[2]
FIRST_SEED = 20_261_121
HISTORIES = 500
SAVED = sorted(REGRESSIONS.glob("*.json"))
ONCE = {
    "calm": False, "miners": 1, "lag": 1, "timeout": 26, "btc_margin": 9, "btc_every": 2, "coins": 3,
    "confirm_after": 1, "timeout_after": 0, "absent_until": 0, "tells_outcomes": True, "lists_active": True,
    "strict_marks": False,
}  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.matrix("Simulated histories", "model chains")
def test_random_histories_keep_the_laws(record_property: Callable[[str, object], None]) -> None:
    """A fixed budget; `make simulate` and `make proof` play more."""
    found = many(FIRST_SEED, HISTORIES, jobs=1, quietly=True)
    for name in FIGURES:
        record_property(name, found[name])
    assert found["failing_seeds"] == [], "python -m tests.simulation --seed <one of them>"
    assert found["payouts"] > HISTORIES // 2


@pytest.mark.parametrize("path", SAVED, ids=[path.stem for path in SAVED])
def test_what_once_broke_a_law_does_not_any_more(path: Path) -> None:
    assert play(load(path)).broken == []


def test_a_history_is_the_same_whatever_was_played_before_it() -> None:
    first = [play(history(seed)).digest for seed in (FIRST_SEED, FIRST_SEED + 1)]
    again = [play(history(seed)).digest for seed in (FIRST_SEED + 1, FIRST_SEED)]
    assert again == first[::-1]
    assert len(set(first)) == 2


def test_a_seed_is_the_same_history_in_every_process() -> None:
    seen = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "7"],
            cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout)
    assert len(seen) == 1
    assert "digest" in seen.pop()


def test_every_kind_of_fault_is_drawn_and_can_be_done() -> None:
    drawn = {action["do"] for seed in range(400) for action in history(seed).actions}
    kinds = {"block", "open", "trap", "fork"}
    assert len(FAULTS) > 30
    assert drawn >= kinds | {"violate", "rival", "rival_anchor", "bump", "restore", "clock", "full", "second"}


def with_actions(*actions: dict[str, object]) -> History:
    return History(0, dict(ONCE), [dict(action) for action in actions])


def test_a_failing_history_is_shrunk_to_what_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block: dict[str, object] = {"do": "block"}
    opened: dict[str, object] = {"do": "open", "dest": "tao", "miner": 0, "sat": 300_000, "kind": "good"}
    culprit: dict[str, object] = {"do": "other_mark", "pick": 0}
    whole = with_actions(block, opened, block, block, block, culprit, block, block)
    least = shrink(whole, lambda each: culprit in each.actions and opened in each.actions)
    assert least.actions == [opened, culprit]
    monkeypatch.setattr("tests.simulation.shrink.REGRESSIONS", tmp_path)
    assert load(save(least, ["a law"], "kept", "why")).actions == [opened, culprit]


def test_a_history_that_raises_is_a_failing_one() -> None:
    assert play(with_actions({"do": "nothing that is known"})).laws == {"history raised"}


def test_a_history_that_stands_still_is_a_failing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process was stopped while the history waited for its ordered end, and nobody let it go on."""

    async def for_ever(_play: Faults, **_how: int) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Faults, "_do_restart", for_ever)
    found = play(with_actions({"do": "block"}, {"do": "restart", "blocks": 1}))
    assert [each.how for each in found.broken] == [
        "tests.simulation.run.StandstillError: every task waits, and for no time"
    ]
