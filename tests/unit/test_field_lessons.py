"""Every lesson from the field is held by a test that exists."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.loading import loaded

ROOT = Path(__file__).parents[2]
LINES = """
| what happened | here | tests |
|---|---|---|
| paid twice | once | `test_a`, `test_b` |
| never looked at | looked at | – |
"""


@pytest.fixture
def script() -> ModuleType:
    return loaded("field-lessons")


def test_every_lesson_names_tests_that_exist(script: ModuleType) -> None:
    page = (ROOT / "docs" / "field-lessons.md").read_text(encoding="utf-8")
    assert len(list(script.lessons(page))) >= 60
    assert script.missing(page, script.tests(ROOT / "tests")) == []


def test_a_lesson_without_a_test_is_named(script: ModuleType) -> None:
    assert script.missing(LINES, {"test_a"}) == [
        "no such test, test_b: paid twice",
        "no test: never looked at",
    ]
