"""What the demo shows: the live table, the chains' own evidence, and a picture of both."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich import box
from rich.console import CONSOLE_SVG_FORMAT, Console, RenderableType  # type: ignore[attr-defined]
from rich.table import Table
from rich.text import Text

from tests.demo.story import Act

WIDTH = 98
"""Columns of everything the demo prints, and of its picture."""

_STYLES = {
    "COMPLETED": "green",
    "Completed": "green",
    "COMPENSATED": "yellow",
    "TimedOut": "yellow",
    "HELD": "magenta",
    "FAILED": "bold red",
    "QUARANTINED": "bold red",
    "Active": "white",
}
_FONT_FACES = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
_FONTS = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace'


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=f"\n{title}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, header_style="dim"
    )
    for name in columns:
        table.add_column(name, no_wrap=True)
    return table


def _coloured(word: str) -> Text:
    return Text(word, style=_STYLES.get(word, "cyan"))


def live(acts: Iterable[Act], states: Mapping[int, str]) -> Table:
    """Each swap's state by the daemon's store, beside what the contract says."""
    table = _table("swaps", "swap", "direction", "state in the store", "on the contract", "what is special")
    for act in acts:
        seen = act.evidence.status if act.evidence else act.opened.swap.status
        state = states.get(act.opened.id, "")
        table.add_row(str(act.opened.id), act.direction, _coloured(state), _coloured(seen), act.note)
    return table


def evidence(acts: Iterable[Act], recovery: Mapping[int, list[str]]) -> Table:
    """What the chains say became of each swap, and whether it is what must be."""
    table = _table("the chains' own evidence", "swap", "direction", "payouts", "outcome", "recovery log", "")
    for act in acts:
        causes = recovery.get(act.opened.id, [])
        outcome = act.outcome(len(causes))
        good = outcome == act.expected
        table.add_row(
            str(act.opened.id),
            act.direction,
            str(act.evidence.payouts) if act.evidence else "?",
            outcome if good else f"{outcome} (expected: {act.expected})",
            ", ".join(causes),
            Text("✓", style="bold green") if good else Text("✗", style="bold red"),
        )
    return table


def draw(parts: Iterable[RenderableType], path: Path) -> None:
    """Write an SVG of what was printed; it needs no fonts from elsewhere."""
    paper = Console(
        record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor", force_terminal=True
    )
    for part in parts:
        paper.print(part, highlight=False)
    form = _FONT_FACES.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code, monospace", _FONTS)
    path.write_text(paper.export_svg(title="make demo", code_format=form, unique_id="demo"), "utf-8")
