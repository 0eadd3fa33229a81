"""Runs every matrix and a run of the simulator, and writes PROOF.md.

`python -m tests.proof`               everything, and the page anew
`python -m tests.proof TEST…`         these tests only; the page keeps what it knows of the others
`python -m tests.proof --page`        the page alone, from what was found before
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.proof.plugin import ROWS
from tests.proof.table import Row, newest, page, violations

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "proof"
FOUND = FOLDER / "rows.jsonl"
RUNS = FOLDER / "histories.jsonl"
PAGE = ROOT / "PROOF.md"
SUITES = ("unit", "conformance", "devnet", "acceptance", "simulation")


def run_matrices(tests: Sequence[str], rows: Path) -> int:
    """Run the matrices; pytest's exit code."""
    wanted = tests or [f"tests/{suite}" for suite in SUITES]
    command = [sys.executable, "-m", "pytest", "-m", "matrix or proof", "--no-cov", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *wanted], cwd=ROOT, env={**os.environ, ROWS: str(rows)}, check=False
    ).returncode


def run_histories(count: int, seed: int) -> int:
    """Run the simulator, and keep its summary; its exit code."""
    args = ["--histories", str(count), "--seed", str(seed), "--jobs", str(os.cpu_count() or 1), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    keep_run("a run of `make proof`", f"make simulate N={count} SEED={seed}", done.stdout.splitlines()[-1])
    return done.returncode


def keep_run(what: str, command: str, summary: str) -> None:
    """Keep a run's summary, in place of an earlier one of the same command."""
    runs = {run["command"]: run for run in _lines(RUNS)}
    runs[command] = {"what": what, "command": command, **json.loads(summary)}
    _write(RUNS, runs.values())


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _write(file: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def cases() -> int:
    """How many cases the matrices have."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "--no-cov", "-m", "matrix or proof"]
    told = subprocess.run(
        [*command, *(f"tests/{suite}" for suite in SUITES)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
    return sum("::" in line for line in told.splitlines())


def write_page() -> dict[str, int]:
    """Write PROOF.md from what is kept.

    Returns:
        How often each thing that must never happen did.
    """
    rows, runs = newest(Row(**row) for row in _lines(FOUND)), _lines(RUNS)
    _write(FOUND, [asdict(row) for row in rows])
    facts = {
        "written": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": "`make proof`, or parts of it: each row is its case's last run",
        "cases": f"{len(rows):,} of {cases():,} have run",
        "machine": f"{os.cpu_count()} cores, Linux, Python {platform.python_version()}",
    }
    PAGE.write_text(page(rows, runs, facts))
    return dict(violations(rows, runs))


def main() -> int:
    """Run, write, say."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.proof", description="Run the matrices; write PROOF.md."
    )
    parser.add_argument(
        "tests", nargs="*", help="tests as pytest names them; all matrices where none is named"
    )
    parser.add_argument("--page", action="store_true", help="write the page only")
    parser.add_argument(
        "--histories", type=int, default=10_000, help="simulated histories (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--keep", metavar="WHAT", help="keep the simulator's summary read from standard input"
    )
    args = parser.parse_args()
    code = 0
    if args.keep:
        line = sys.stdin.read().strip().splitlines()[-1]
        known = json.loads(line)
        keep_run(args.keep, f"make simulate N={known['histories']} SEED={args.seed}", line)
    elif not args.page:
        FOLDER.mkdir(parents=True, exist_ok=True)
        if not args.tests:
            FOUND.unlink(missing_ok=True)
        code = run_matrices(args.tests, FOUND)
        if not args.tests:
            code = run_histories(args.histories, args.seed) or code
    broken = write_page()
    print("proof:", ", ".join(f"{count} {name}" for name, count in broken.items()), f"({PAGE.name} written)")
    return code or int(any(broken.values()))


if __name__ == "__main__":
    sys.exit(main())
