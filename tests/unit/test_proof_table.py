"""The proof's page: what its rows say, and that what must never happen is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.proof.table import Row, newest, page, violations

RUN: dict[str, Any] = {
    "what": "nightly", "command": "make simulate N=9 SEED=1", "histories": 9, "swaps": 30, "crashes": 4,
    "double_payouts": 0, "lost_swaps": 0, "avoidable_misses": 1, "failing_seeds": [7],
}  # fmt: skip


def row(case: str = "one", outcome: str = "passed", **found: Any) -> Row:
    return Row(
        "Crash points", "real nodes", "tests/x/test_y.py::test_killed_pays_once", case, outcome, 1.0, found
    )


def test_a_case_that_was_run_again_counts_once() -> None:
    assert newest([row(outcome="failed"), row("two"), row()]) == [row(), row("two")]


def test_what_must_never_happen_is_counted() -> None:
    found = violations([row(double_payouts=1), row(double_payouts=2, lost_swaps=1), row()], [RUN])
    assert found == {"double payouts": 3, "lost swaps": 1, "avoidable missed deadlines": 1}


def test_a_run_whose_defects_were_mended_is_shown_and_not_counted() -> None:
    run = {**RUN, "lost_swaps": 3, "mended": "by `test_x`"}
    assert violations([], [run])["lost swaps"] == 0
    told = page([], [run], {})
    assert "| 0 | 3 | 1 |" in told
    assert "`make simulate N=9 SEED=1`, mended since: by `test_x`" in told


def test_the_page_has_a_row_a_case_and_the_command_that_runs_it() -> None:
    text = page([row(payouts=1, end="COMPLETED"), row("a|b", payouts=2)], [RUN], {"command": "`make proof`"})
    assert "| Crash points | 2 | 2 | 3 | – | – | – |" in text
    assert 'make proof PROOF_ARGS="tests/x/test_y.py::test_killed_pays_once"' in text
    assert "| one | passed | 1 | COMPLETED |" in text
    assert "| a\\|b | passed | 2 |  |" in text
    assert "| nightly: `make simulate N=9 SEED=1` | 9 | 30 | 4 |" in text


def test_each_case_of_a_matrix_leaves_its_row(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeconftest("from tests.proof.plugin import add_rows as pytest_configure")
    pytester.makepyfile("""
        import pytest

        @pytest.mark.matrix("Crash points", "nothing real")
        @pytest.mark.parametrize("payouts", [1, 2])
        def test_pays_once(payouts, record_property):
            record_property("payouts", payouts)
            assert payouts == 1

        @pytest.fixture
        def broken():
            raise RuntimeError("no node")

        @pytest.mark.matrix("Crash points", ran_on="nothing real")
        def test_without_its_node(broken):
            pass

        def test_of_no_matrix():
            pass
    """)
    pytester.makeini("[pytest]\nmarkers = matrix(section, ran_on): a case")
    rows = pytester.path / "rows.jsonl"
    monkeypatch.setenv("PROOF_ROWS", str(rows))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.runpytest_subprocess("-p", "no:cacheprovider")
    lines = [Row(**line) for line in map(json.loads, rows.read_text().splitlines())]
    assert [(line.test.rpartition("::")[2], line.case, line.outcome, line.found) for line in lines] == [
        ("test_pays_once", "1", "passed", {"payouts": 1}),
        ("test_pays_once", "2", "failed", {"payouts": 2}),
        ("test_without_its_node", "", "failed", {}),
    ]
