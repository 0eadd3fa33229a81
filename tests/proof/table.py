"""The table of the proof: rows of the matrices, and the simulator's summaries, as one Markdown page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LAWS = {
    "double_payouts": "double payouts",
    "lost_swaps": "lost swaps",
    "missed": "avoidable missed deadlines",
}
"""Counts that must be 0, as the rows name them, and as people do."""

INTRO = """# The proof

What `make proof` found: every case is a run of the real services; the second column of each table's heading
says over which chains. Payouts are counted on the chains afterwards, never taken from what the daemon says.
This page is written by `make proof`; nothing in it is written by hand.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One case of a matrix.

    Attributes:
        section: The matrix.
        ran_on: Which chains, nodes and servers were real.
        test: The test, `file::name`.
        case: Its parameters' id; empty where it has none.
        outcome: `passed`, `failed` or `skipped`.
        seconds: How long it took.
        found: What it recorded.
    """

    section: str
    ran_on: str
    test: str
    case: str
    outcome: str
    seconds: float
    found: Mapping[str, Any] = field(default_factory=dict)


def newest(rows: Iterable[Row]) -> list[Row]:
    """The last row of each case: a case that was run again counts once."""
    return list({(row.test, row.case): row for row in rows}.values())


def page(rows: Sequence[Row], histories: Sequence[Mapping[str, Any]], facts: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        rows: One a case.
        histories: Summaries of the simulator's runs, with `command`, `what`, and how it was `mended`.
        facts: When, on what, with which command.
    """
    parts = [INTRO, *(f"- {name}: {value}" for name, value in facts.items()), "", *_summary(rows, histories)]
    for section in dict.fromkeys(row.section for row in rows):
        parts += ["", *_section(section, [row for row in rows if row.section == section])]
    return "\n".join(parts) + "\n"


def violations(rows: Iterable[Row], histories: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How often each thing that must never happen did happen, by the name people use.

    A run of histories whose defects were mended since (`mended` says how) is shown, and not counted.
    """
    found: Counter[str] = Counter(dict.fromkeys(LAWS.values(), 0))
    for row in rows:
        for name, words in LAWS.items():
            found[words] += int(row.found.get(name, 0))
    for run in histories:
        if run.get("mended"):
            continue
        found["double payouts"] += int(run["double_payouts"])
        found["lost swaps"] += int(run["lost_swaps"])
        found["avoidable missed deadlines"] += int(run["avoidable_misses"])
    return found


def _summary(rows: Sequence[Row], histories: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| matrix | cases | passed | payouts seen | double payouts | lost swaps | avoidable misses |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for section in dict.fromkeys(row.section for row in rows):
        mine = [row for row in rows if row.section == section]
        passed = sum(row.outcome == "passed" for row in mine)
        counts = [_sum(mine, name) for name in ("payouts", *LAWS)]
        yield f"| {section} | {len(mine)} | {passed} | {' | '.join(counts)} |"
    if histories:
        yield from _histories(histories)


def _sum(rows: Iterable[Row], name: str) -> str:
    """The sum of a count; a dash where no row has it."""
    values = [int(row.found[name]) for row in rows if name in row.found]
    return f"{sum(values):,}" if values else "–"


COUNTED = [
    *("histories", "swaps", "crashes", "reorgs", "faults", "takeovers", "payouts"),
    *("double_payouts", "lost_swaps", "avoidable_misses", "slashes"),
]


def _histories(histories: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield ""
    yield "## Simulated histories"
    yield ""
    yield "| run | " + " | ".join(name.replace("_", " ") for name in COUNTED) + " | failing seeds |"
    yield "|---|" + "---:|" * (len(COUNTED) + 1)
    for run in histories:
        counts = " | ".join(f"{int(run.get(name, 0)):,}" for name in COUNTED)
        yield f"| {run['what']}: `{run['command']}` | {counts} | {len(run['failing_seeds'])} |"
    for run in histories:
        if run.get("mended"):
            yield ""
            yield f"`{run['command']}`, mended since: {run['mended']}"


def _section(section: str, rows: Sequence[Row]) -> Iterator[str]:
    yield f"## {section}"
    for test in dict.fromkeys(row.test for row in rows):
        mine = [row for row in rows if row.test == test]
        ran_on = ", ".join(dict.fromkeys(row.ran_on for row in mine))
        yield ""
        yield f"{_sentence(test)} ({ran_on}; {_count(mine)})"
        yield ""
        yield "```"
        yield f'make proof PROOF_ARGS="{test}"'
        yield "```"
        if any(row.case or row.found for row in mine):
            yield ""
            yield from _cases(mine)


def _sentence(test: str) -> str:
    words = test.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    return f"**{words[:1].upper()}{words[1:]}**"


def _count(rows: Sequence[Row]) -> str:
    outcomes = Counter(row.outcome for row in rows)
    cases = "1 case" if len(rows) == 1 else f"{len(rows)} cases"
    return f"{cases}: " + ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items()))


def _cases(rows: Sequence[Row]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row.found))
    yield "| case | outcome | " + " | ".join(name.replace("_", " ") for name in columns) + " |"
    yield "|---|---|" + "---|" * len(columns)
    for row in rows:
        values = " | ".join(_cell(row.found.get(name, "")) for name in columns)
        yield f"| {_cell(row.case)} | {row.outcome} | {values} |"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
