"""The decoders under a coverage-guided fuzzer: nothing crashes them, and nothing is half taken."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.targets import targets

ROOT = Path(__file__).parents[2]
RUNS = 50_000
SLOW = {"settings": 5_000}


def fuzz(name: str, runs: int, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz", name, "--runs", str(runs), "--keep", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.proof
@pytest.mark.matrix("Fuzzed decoders", "atheris, coverage-guided")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(targets()))
def test_no_input_breaks_a_decoder(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    done = fuzz(name, SLOW.get(name, RUNS), tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
    record_property("inputs", int(counts["number_of_executed_units"]))
    record_property("that reached something new", int(counts["new_units_added"]))


@pytest.mark.parametrize("name", sorted(targets()))
def test_what_is_fuzzed_takes_what_it_begins_with(name: str) -> None:
    for seed in targets()[name].seeds():
        targets()[name].run(seed)
        targets()[name].run(seed + b"\x00")


def test_the_fuzzer_finds_what_no_guess_would(tmp_path: Path) -> None:
    """A decoder that takes a compact integer in two forms is found out within a few thousand inputs."""
    script = tmp_path / "weak.py"
    script.write_text(
        "import sys\n"
        "import miner.chains.substrate.scale as scale\n"
        "scale._LEAST = (0, 0, 0, 0)\n"
        "sys.argv = ['fuzz', 'compact-integer', '--runs', '20000', '--keep', sys.argv[1]]\n"
        "from tests.fuzz.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "fuzz: compact-integer breaks on" in done.stderr
