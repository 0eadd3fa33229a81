"""A terminal session as one animated SVG: typed commands, what each really printed; no script, no host.

Each scene has the screen for itself: the command is typed, its output appears, it is read, and the next
one follows, for ever. Whoever asks for less motion sees the first scene, still. Light and dark by the
reader's own preference.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from rich.console import Console
from rich.text import Text

COLUMNS = 128
FONT_PX, WIDE, HIGH = 14, 8.43, 19
"""A letter of the usual fixed-width fonts at this size; lines are stretched to it, so that columns meet."""
EDGE, BAR = 16, 34
MOST_ROWS = 27
"""Of a screen; what is longer scrolls while it is read."""
TYPED_S, PAUSE_S = 0.045, 0.5
READ_S, READ_LINE_S, READ_MOST_S = 2.2, 0.2, 6.0
PROMPT = "$ "

_STYLE = """
svg { --paper: #ffffff; --bar: #eef1f4; --line: #d0d7de; --ink: #1f2328; --faint: #59636e; --go: #1a7f37;
      --bad: #b42318; --note: #8a5a00; --head: #0550ae; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #0d1117; --bar: #161b22; --line: #30363d; --ink: #e6edf3; --faint: #9198a1; --go: #3fb950;
        --bad: #ff7b72; --note: #e3b341; --head: #79c0ff; } }
text { font: %(font)spx ui-monospace, SFMono-Regular, "DejaVu Sans Mono", Menlo, Consolas, monospace;
       fill: var(--ink); }
.b { font-weight: 700 } .d { fill: var(--faint) } .p { fill: var(--go); font-weight: 700 }
.g { fill: var(--go) } .r { fill: var(--bad) } .y { fill: var(--note) } .h { fill: var(--head) }
.paper { fill: var(--paper); stroke: var(--line) } .bar { fill: var(--bar) } .cover { fill: var(--paper) }
.cursor { fill: var(--faint) }
.s { visibility: hidden; animation: %(total)ss step-end infinite }
.t, .o, .u { animation: %(total)ss linear infinite }
.o { animation-timing-function: step-end }
%(frames)s@media (prefers-reduced-motion: reduce) {
  .s, .t, .o, .u { animation: none !important } .s0 { visibility: visible } .t { display: none } }
"""
_WORDS = {
    "ok": "g", "COMPLETED": "g", "ready": "g", "FAIL": "r", "FAILED": "r", "HELD": "y", "note": "d",
    "refused": "y", "COMPENSATED": "y",
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """A command and what it printed.

    Attributes:
        command: As it was typed.
        output: As the terminal got it, colours included.
    """

    command: str
    output: str

    @property
    def lines(self) -> list[Text]:
        """What was printed, line by line, no wider than the screen."""
        text = Text.from_ansi(self.output.rstrip("\n"))
        paper = Console(width=COLUMNS, file=io.StringIO())
        return [part for line in text.split("\n") for part in (line.wrap(paper, COLUMNS) if line else [line])]

    @property
    def below(self) -> int:
        """How many rows do not fit: the command's, the output's, and the next prompt's."""
        return max(0, len(self.lines) + 2 - MOST_ROWS)


@dataclass(frozen=True)
class Times:
    """When a scene begins, its command is typed, its output is there, and it ends: seconds from the start."""

    begin: float
    typed: float
    told: float
    end: float


def times(scenes: Sequence[Scene]) -> list[Times]:
    """When everything happens."""
    found, at = [], 0.0
    for scene in scenes:
        typed = at + PAUSE_S + TYPED_S * len(scene.command)
        read = min(READ_MOST_S, READ_S + READ_LINE_S * len(scene.lines))
        found.append(Times(at, typed, typed + PAUSE_S, typed + PAUSE_S + read))
        at = found[-1].end
    return found


def film(scenes: Sequence[Scene], title: str) -> str:
    """The whole picture.

    Raises:
        ValueError: There is no scene.
    """
    if not scenes:
        raise ValueError("a film needs a scene")
    plan = times(scenes)
    total = plan[-1].end
    rows = max(len(scene.lines) + 2 - scene.below for scene in scenes)
    width, height = round(COLUMNS * WIDE + 2 * EDGE), BAR + 2 * EDGE + rows * HIGH
    style = _STYLE % {
        "font": FONT_PX,
        "total": f"{total:.2f}",
        "frames": "".join(_frames(number, when, total, scenes[number]) for number, when in enumerate(plan)),
    }
    told = "; ".join(scene.command for scene in scenes)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'aria-labelledby="title what">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="what">{escape(told)}</desc>',
            f"<style>{style}</style>",
            f'<clipPath id="screen"><path d="M1 {BAR}H{width - 1}V{height - EDGE}H1z"/></clipPath>',
            f'<rect class="paper" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>',
            f'<path class="bar" d="M1 {BAR}V9a8 8 0 0 1 8-8H{width - 9}a8 8 0 0 1 8 8V{BAR}z"/>',
            f'<text class="d" x="{width / 2}" y="22" text-anchor="middle">{escape(title)}</text>',
            '<g clip-path="url(#screen)">',
            *(_scene(number, scene, width) for number, scene in enumerate(scenes)),
            "</g>",
            "</svg>",
            "",
        ]
    )


def _frames(number: int, when: Times, total: float, scene: Scene) -> str:
    """The keyframes of one scene: shown from begin to end, typed letter by letter, told, and scrolled."""

    def frames(name: str, *looks: tuple[tuple[float, ...], str]) -> str:
        shown = (
            f"{', '.join(f'{100 * at / total:.3f}%' for at in sorted(ats))} {{ {css} }}" for ats, css in looks
        )
        own = f"{name}{number}"
        return f"@keyframes {own} {{ {' '.join(shown)} }}\n.{own} {{ animation-name: {own} }}\n"

    letters = len(scene.command)
    here, gone = "visibility: visible", "visibility: hidden"
    shown: list[tuple[tuple[float, ...], str]] = [((0.0,), gone)] if when.begin else []
    shown.append(((when.begin,), here))
    shown += [((when.end,), gone)] if when.end < total else []
    typing = f"transform: none; animation-timing-function: steps({letters})"
    typed = f"transform: translateX({letters * WIDE:.1f}px); animation-timing-function: step-end"
    away = f"transform: translateX({(COLUMNS + 9) * WIDE:.0f}px)"
    up = f"transform: translateY({-scene.below * HIGH}px)"
    return "".join(
        [
            frames("s", *shown),
            frames(
                "t", ((0.0, when.begin + PAUSE_S), typing), ((when.typed,), typed), ((when.told, total), away)
            ),
            frames("o", ((0.0,), "opacity: 0"), ((when.told, total), "opacity: 1")),
            frames("u", ((0.0, when.told + PAUSE_S), "transform: none"), ((when.end - READ_S, total), up))
            if scene.below
            else "",
        ]
    )


def _scene(number: int, scene: Scene, width: int) -> str:
    y = BAR + EDGE + FONT_PX
    begin = EDGE + len(PROMPT) * WIDE
    lines = scene.lines
    parts = [
        f'<g class="s s{number}"><g class="u u{number}">',
        _run(PROMPT, 0, y, "p"),
        _run(scene.command, len(PROMPT), y, "b"),
    ]
    cover = f'<rect class="cover" x="{begin:.1f}" y="{y - 14}" width="{width}" height="{HIGH}"/>'
    parts += [f'<g class="t t{number}">', cover, _cursor(y), "</g>", f'<g class="o o{number}">']
    for row, line in enumerate(lines, 1):
        parts.extend(_runs(line, y + row * HIGH))
    last = y + (len(lines) + 1) * HIGH
    parts.append(_run(PROMPT, 0, last, "p"))
    parts.append(_cursor(last))
    return "\n".join([*parts, "</g></g></g>"])


def _cursor(y: int) -> str:
    x = EDGE + len(PROMPT) * WIDE
    return f'<rect class="cursor" x="{x:.1f}" y="{y - 13}" width="{WIDE}" height="16"/>'


def _runs(line: Text, y: int) -> Iterator[str]:
    """A line as stretches of one look, blank ones left out."""
    for column, words, look in _stretches(line):
        if words.strip():
            blank = len(words) - len(words.lstrip())
            yield _run(words.strip(), column + blank, y, look)


def _stretches(line: Text) -> Iterator[tuple[int, str, str]]:
    """Column, letters and look. Words that say how things stand have a colour of their own."""
    paper = Console(file=io.StringIO(), force_terminal=True)
    column, first = 0, True
    for part in line.render(paper):
        words, style = part.text, part.style
        look = "b" if style and style.bold else "d" if style and style.dim else ""
        for word in _split(words):
            state = _WORDS.get(word.strip(" :,;"), "")
            if state and (first or state != "d"):
                yield column, word, state
            else:
                yield column, word, look
            column += len(word)
            first = first and not word.strip()


def _split(words: str) -> Iterator[str]:
    """Stretches, cut where a word of `_WORDS` begins and ends."""
    plain = ""
    pieces = words.split(" ")
    for index, piece in enumerate(pieces):
        gap = " " if index < len(pieces) - 1 else ""
        if piece.strip(":,;") in _WORDS:
            if plain:
                yield plain
            yield piece + gap
            plain = ""
        else:
            plain += piece + gap
    if plain:
        yield plain


def _run(words: str, column: int, y: int, look: str) -> str:
    kind = f' class="{look}"' if look else ""
    held = escape(words.rstrip(" ")).replace(" ", "\N{NO-BREAK SPACE}")
    long = len(words.rstrip(" ")) * WIDE
    return f'<text{kind} x="{EDGE + column * WIDE:.1f}" y="{y}" textLength="{long:.1f}">{held}</text>'
