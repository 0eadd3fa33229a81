"""Every command that the program or its documents name exists, and every cause has a remedy."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import miner
from miner.cli.main import app
from miner.verdict.remedies import OTHERWISE, REMEDIES, command_for

ROOT = Path(__file__).parents[2]
SOURCES = sorted(Path(miner.__file__).parent.rglob("*.py"))
DOCUMENTS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "config").rglob("*.*")})
GROUPS = {"collateral", "notify", "quote", "recovery", "service", "store"}
"""Commands that have commands of their own."""
PROSE = set("of has is will would says keeps does and with as in on for to that".split())
"""Words that follow the program's name in a sentence about it."""
_NAMED = re.compile(r"(?<![\w/.=-])swap-miner((?: +(?:--?)?[A-Za-z][\w-]*)+)")
RUNNER = CliRunner()


def strings(path: Path) -> Iterator[tuple[str, int]]:
    """Every string in a module, docstrings and the texts of f-strings included, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [each.value if isinstance(each, ast.Constant) else "X" for each in node.values]
            yield "".join(map(str, parts)), node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno


def code_in(text: str) -> Iterator[str]:
    """What a document sets in backticks, or in blocks."""
    yield from re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", text)


def named(text: str) -> Iterator[tuple[str, ...]]:
    """Commands in a text, groups with their own command, each with the options named beside it."""
    for match in _NAMED.finditer(text):
        words = match[1].split()
        if words[0] in PROSE or words[0].isupper() or words[0].startswith("-"):
            continue
        depth = 2 if words[0] in GROUPS and len(words) > 1 and not words[1].startswith("-") else 1
        yield (*words[:depth], *(word for word in words[depth:] if word.startswith("--")))


def everywhere() -> dict[tuple[str, ...], str]:
    """Each command that is named anywhere, with a place."""
    found: dict[tuple[str, ...], str] = {}
    for path in SOURCES:
        for text, line in strings(path):
            for command in named(text):
                found.setdefault(command, f"{path.relative_to(ROOT)}:{line}")
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8", errors="replace")
        for code in code_in(text) if path.suffix == ".md" else [text]:
            for command in named(code):
                found.setdefault(command, str(path.relative_to(ROOT)))
    return found


NAMED = everywhere()


@pytest.mark.parametrize("command", sorted(NAMED), ids=" ".join)
def test_every_command_that_is_named_parses(command: tuple[str, ...]) -> None:
    words = [word for word in command if not word.startswith("--")]
    options = [word for word in command if word.startswith("--")]
    told = RUNNER.invoke(app, [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
    assert told.exit_code == 0, f"{NAMED[command]} names `swap-miner {' '.join(words)}`, which does not exist"
    for option in options:
        assert option in told.output, f"{NAMED[command]}: {' '.join(words)} has no {option}"


def test_the_recovery_commands_are_among_them() -> None:
    heads = {command[0] for command in NAMED}
    assert {"retry", "release", "quarantine", "adopt-payout", "mark", "recovery", "evidence"} <= heads


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert list(named("run `swap-miner recover 7`, or swap-miner recovery resolve --reason x")) == [
        ("recover",),
        ("recovery", "resolve", "--reason"),
    ]
    assert RUNNER.invoke(app, ["recover", "--help"]).exit_code != 0


def causes() -> Iterator[str]:
    """First words of the causes that the daemon writes into the recovery log."""
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name) and isinstance(node.value.value, str)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and _called(node) in ("RecoveryEntry", "hold"):
                yield from _first_word(node.args[0], constants)


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _first_word(node: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        yield str(node.values[0].value).partition(":")[0]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in constants:
        yield constants[node.id]


def test_every_cause_has_its_own_remedy() -> None:
    found = set(causes()) - {"resolved"}
    assert len(found) > 10
    assert not found - set(REMEDIES), "add these to miner/verdict/remedies.py"


@pytest.mark.parametrize("cause", [*REMEDIES, "what nobody thought of"])
def test_a_remedy_is_a_command(cause: str) -> None:
    command = command_for(cause, 7)
    assert list(named(command)), command
    assert " 7" in command
    assert REMEDIES.get(cause, OTHERWISE).means
