"""Writes what each case of a matrix showed as one line of JSON, for the table of `make proof`.

A case is a test with the mark `matrix(section, ran_on)`. Its parameters and what it recorded with
`record_property` are the line's columns; `PROOF_ROWS` names the file to append to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROWS = "PROOF_ROWS"


def row_of(item: pytest.Function, report: pytest.TestReport) -> dict[str, Any] | None:
    """The line of a test that is a case of a matrix; None for any other test."""
    mark = item.get_closest_marker("matrix")
    if mark is None:
        return None
    named = {**dict(zip(("section", "ran_on"), mark.args, strict=False)), **mark.kwargs}
    return {
        "section": str(named["section"]),
        "ran_on": str(named["ran_on"]),
        "test": f"{item.path.relative_to(item.config.rootpath)}::{item.originalname}",
        "case": item.callspec.id if hasattr(item, "callspec") else "",
        "outcome": report.outcome,
        "seconds": round(report.duration, 2),
        "found": dict(report.user_properties),
    }


class Rows:
    """Appends the lines to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Iterator[None]:  # pluggy sends the report in and takes it as the generator's value
        report: pytest.TestReport = yield  # type: ignore[assignment]
        decisive = report.when == "call" or report.outcome == "failed"
        if decisive and isinstance(item, pytest.Function) and (row := row_of(item, report)) is not None:
            with self._file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
        return report  # type: ignore[return-value]


def add_rows(config: pytest.Config) -> None:
    """Write rows in this run, where a file is named for them."""
    if ROWS in os.environ:
        config.pluginmanager.register(Rows(Path(os.environ[ROWS])), "proof-rows")
