"""Every command, whichever there are: an example that works, JSON, exit codes told, a test that runs it."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from miner.cli import main
from miner.cli.exits import Exit
from miner.cli.main import app

TESTS = Path(__file__).parents[1]
WITHOUT_JSON = {"run": "it ends when it is told to, and its log is lines of JSON already"}
RUNS_COMMANDS = re.compile(r"from miner\.cli(\.main)? import main|\btest_cli\b|\bcli\(")
"""What stands in a test file that calls the program."""


def commands(group: Any, *above: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *above, name)
        else:
            yield " ".join((*above, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))
each = pytest.mark.parametrize("name", COMMANDS)


def examples(command: Any) -> list[str]:
    """What a command's help shows after `Examples:`, a line each."""
    return re.findall(r"^- `(.+)`$", (command.help or "").partition("\nExamples:\n")[2], re.MULTILINE)


def words_of(example: str) -> list[str]:
    """An example's words for the program: without who runs it, and where its output goes."""
    words = shlex.split(example)
    words = words[1:] if words[0] == "sudo" else words
    assert words[0] == "swap-miner", example
    return words[1 : words.index(">") if ">" in words else None]


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Which command the words call, with which arguments; raises where they are wrong."""
    command: Any = typer.main.get_command(app)
    named: list[str] = []
    while hasattr(command, "commands"):
        command = command.commands[words[len(named)]]
        named.append(words[len(named)])
    with command.make_context(named[-1], words[len(named) :]) as context:
        return " ".join(named), context.params


def test_there_are_commands() -> None:
    assert {"status", "recovery list", "store copy"} <= set(COMMANDS)


@each
def test_help_has_an_example_that_the_program_accepts(name: str) -> None:
    shown = examples(COMMANDS[name])
    assert shown
    for example in shown:
        assert parsed(words_of(example))[0] == name, example


@each
def test_help_tells_the_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == Exit.OK
    told = " ".join(capsys.readouterr().out.split()).partition("Exit codes: ")[2]
    assert [int(code) for code in re.findall(r"(?:^|· )(\d+) ", told)] == [code.value for code in Exit]


@each
def test_every_option_is_explained(name: str) -> None:
    assert COMMANDS[name].help
    for param in COMMANDS[name].params:
        assert param.help or param.name == "help", param.name


@each
def test_it_answers_in_json(name: str) -> None:
    options = {option for param in COMMANDS[name].params for option in param.opts}
    assert ("--json" in options) != (name in WITHOUT_JSON)


def test_only_commands_are_excused_from_json() -> None:
    assert set(WITHOUT_JSON) <= set(COMMANDS)


@each
def test_some_test_runs_it(name: str) -> None:
    words = tuple(name.split())
    assert any(call[: len(words)] == words for call in run_by_tests())


@cache
def run_by_tests() -> frozenset[tuple[str, ...]]:
    """The leading words of whatever is passed, or listed, in a test file that runs commands."""
    found: set[tuple[str, ...]] = set()
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        if path != Path(__file__) and RUNS_COMMANDS.search(text):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call):
                    found.add(leading(node.args))
                elif isinstance(node, ast.List | ast.Tuple):
                    found.add(leading(node.elts))
    return frozenset(found)


def leading(nodes: Sequence[ast.expr]) -> tuple[str, ...]:
    """The words that stand first, up to what is no literal text: an option's value, a variable."""
    words: list[str] = []
    for node in nodes:
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            break
        words.append(node.value)
    return tuple(words)
