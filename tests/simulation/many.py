"""Many histories: in portions, over processes, with a progress bar."""

from __future__ import annotations

import atexit
import multiprocessing
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.simulation.dice import History, history
from tests.simulation.oracle import Broken
from tests.simulation.run import Outcome, Theatre, quiet

FIGURES = ("swaps", "blocks", "crashes", "restarts", "reorgs", "faults", "takeovers", "payouts",
           "double_payouts", "lost_swaps", "avoidable_misses", "slashes")  # fmt: skip
AT_ONCE = 20
"""Histories in one errand of a process."""
RAISED = "history raised"

Result = tuple[dict[str, int], list[tuple[int, list[str]]]]
"""Figures of a few histories, and the failing seeds with what was broken."""

_theatre: list[Theatre] = []


def theatre() -> Theatre:
    """This process's."""
    if not _theatre:
        quiet()
        _theatre.append(Theatre())
    return _theatre[0]


def _close() -> None:
    while _theatre:
        _theatre.pop().close()


atexit.register(_close)


def play(what: History) -> Outcome:
    """Play one; an exception out of it is a failure as well."""
    try:
        return theatre().play(what)
    except Exception:  # noqa: BLE001 - whatever it is, the seed is to be told
        _close()
        told = traceback.format_exc()
        return Outcome([Broken(RAISED, told.strip().splitlines()[-1])], trace=[told])


def some(seeds: range) -> Result:
    """Play a few seeds."""
    counts: Counter[str] = Counter()
    failing = []
    for seed in seeds:
        outcome = play(history(seed))
        counts.update(outcome.counts)
        if outcome.broken:
            failing.append((seed, sorted(outcome.laws)))
    return dict(counts), failing


def errands(first: int, number: int) -> Iterator[range]:
    """The seeds in portions."""
    last = first + number
    return (range(at, min(at + AT_ONCE, last)) for at in range(first, last, AT_ONCE))


@contextmanager
def _mapped(jobs: int, work: Iterable[range]) -> Iterator[Iterator[Result]]:
    if jobs == 1:
        yield map(some, work)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=100) as pool:
        yield pool.imap_unordered(some, work)


def many(first: int, number: int, jobs: int, quietly: bool) -> dict[str, Any]:
    """Play many, with a progress bar; returns the summary."""
    began = time.monotonic()
    counts: Counter[str] = Counter()
    failing: list[tuple[int, list[str]]] = []
    bar = Progress(
        TextColumn("histories"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[bad]} failing"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quietly,
    )
    with bar, _mapped(jobs, errands(first, number)) as results:
        task = bar.add_task("histories", total=number, bad=0)
        for done, (found, bad) in enumerate(results, start=1):
            counts.update(found)
            for seed, laws in bad:
                bar.console.print(f"seed {seed}: {', '.join(laws)}")
            failing += bad
            bar.update(task, completed=min(done * AT_ONCE, number), bad=len(failing))
    summary: dict[str, Any] = {"histories": number, "seed": first}
    summary |= {name: counts[name] for name in FIGURES}
    summary["failing_seeds"] = sorted(seed for seed, _ in failing)
    summary["seconds"] = round(time.monotonic() - began, 1)
    return summary
