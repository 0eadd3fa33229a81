"""Shrink a failing history to the actions that it takes, and keep it as a regression."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.simulation.dice import Action, History

REGRESSIONS = Path(__file__).parent / "regressions"
SMALLER = {"miners": 1, "lag": 1, "timeout_after": 0, "absent_until": 0, "strict_marks": False}

Fails = Callable[[History], bool]
"""Whether a history still fails in the same way."""


def shrink(history: History, fails: Fails, most: int = 400) -> History:
    """The smallest history found that still fails; delta debugging over its actions.

    Args:
        history: One that fails.
        fails: Plays one.
        most: Histories to play at most.
    """
    left = [most]

    def still(setting: dict[str, object], actions: Sequence[Action]) -> bool:
        if left[0] <= 0:
            return False
        left[0] -= 1
        return fails(History(history.seed, dict(setting), list(actions)))

    actions = _without(history.actions, lambda kept: still(history.setting, kept))
    setting = dict(history.setting)
    for name, value in SMALLER.items():
        if setting[name] != value and still({**setting, name: value}, actions):
            setting[name] = value
    actions = _without(actions, lambda kept: still(setting, kept))
    return History(history.seed, setting, actions)


def _without(actions: Sequence[Action], fails: Callable[[list[Action]], bool]) -> list[Action]:
    """Remove stretches, the longest first, as long as what is left fails."""
    kept = list(actions)
    size = max(len(kept) // 2, 1)
    while size:
        at = 0
        while at < len(kept):
            fewer = kept[:at] + kept[at + size :]
            if len(fewer) < len(kept) and fails(fewer):
                kept = fewer
            else:
                at += size
        size //= 2
    return kept


def save(history: History, laws: Sequence[str], name: str, why: str) -> Path:
    """Write a regression: a history that once broke a law."""
    REGRESSIONS.mkdir(exist_ok=True)
    path = REGRESSIONS / f"{name}.json"
    lines = ",\n    ".join(json.dumps(action) for action in history.actions)
    text = (
        f'{{\n  "why": {json.dumps(why)},\n  "broke": {json.dumps(sorted(laws))},\n'
        f'  "seed": {history.seed},\n'
        f'  "setting": {json.dumps(history.setting)},\n  "actions": [\n    {lines}\n  ]\n}}\n'
    )
    path.write_text(text, encoding="utf-8")
    return path


def load(path: Path) -> History:
    """Read one."""
    return History.from_json(json.loads(path.read_text(encoding="utf-8")))
