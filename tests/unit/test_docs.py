"""The documents tell the truth: what they name exists, and what they list is whole."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer.main

from miner.amounts import Chain
from miner.cli.exits import Exit
from miner.cli.main import app
from miner.config import example
from miner.config.notify import NotifySettings
from miner.model import LaneState
from miner.store.schema import metadata

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md", "RUNBOOK.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md",
    "docs/upgrading.md", "docs/comparison.md", "docs/api.md",
)  # fmt: skip
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}

TOP_LEVEL = "miner tests config systemd contracts docs scripts requirements .ci".split()
PATH = re.compile(
    rf"(?:{'|'.join(map(re.escape, TOP_LEVEL))})/[\w./*-]*|[A-Z]+\.md|LICENSE|Makefile|pyproject\.toml"
)
SETTING = re.compile(r"(?:contract|store|limits|retry|bitcoin|log|recovery|ops)(?:\.(?!conf\b)\w+)+")

document = pytest.mark.parametrize("name", DOCUMENTS)


def code_of(text: str) -> Iterator[str]:
    """Everything a document sets in backticks, blocks and spans alike."""
    for block in re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        yield from (line.strip() for line in block.splitlines())
    spans = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", spans)


def commands() -> dict[str, Any]:
    """Every command of the program; those of a group as `group command`."""
    group = typer.main.get_command(app)
    found: dict[str, Any] = {}
    assert hasattr(group, "commands")
    for name, command in group.commands.items():
        found[name] = command
        for inner, below in getattr(command, "commands", {}).items():
            found[f"{name} {inner}"] = below
    return found


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def rows_after(text: str, header: str) -> list[list[str]]:
    """Rows of the table whose header begins so."""
    _, _, rest = text.partition(f"\n{header}")
    rows = rest.split("\n\n")[0].splitlines()[2:]
    assert rows, f"there is no table that begins with {header}"
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


# commands


def called(text: str) -> Iterator[list[str]]:
    """Words after `swap-miner` in the document's code."""
    for code in code_of(text):
        for words in re.findall(r"(?<![\w/.=-])swap-miner((?: +[\w.\[\]|\\-]+)+)", code):
            yield words.split()


@document
def test_every_command_that_is_named_exists(name: str) -> None:
    known = commands()
    for words in called(TEXTS[name]):
        command = known.get(words[0])
        if words[0] == "COMMAND":
            continue
        assert command is not None, f"{name}: swap-miner {words[0]}"
        inner = f"{words[0]} {words[1]}" if len(words) > 1 else words[0]
        if hasattr(command, "commands") and len(words) > 1:
            assert inner in known, f"{name}: swap-miner {inner}"
            command = known[inner]
        options = {opt for param in command.params for opt in param.opts} | {"--help"}
        for option in (word for word in words if word.startswith("--")):
            assert option in options, f"{name}: swap-miner {inner} {option}"


def test_every_command_is_in_the_readme() -> None:
    listed = [row[0] for row in rows_after(README, "| command | what it does |")]
    told = {" ".join(re.findall(r"\b[a-z][a-z-]*\b", row.split("[")[0])[1:]) for row in listed}
    assert told == {name for name, command in commands().items() if not hasattr(command, "commands")}


def test_the_exit_codes_are_the_programs() -> None:
    rows = rows_after(README, "| exit code | name | meaning |")
    assert {row[1].strip("`"): int(row[0]) for row in rows} == {code.name: code.value for code in Exit}


# files, targets, tests


@document
def test_every_target_that_is_named_exists(name: str) -> None:
    known = targets()
    for code in code_of(TEXTS[name]):
        for target in re.findall(r"^(?:\S+=\S+ )*make ([a-z-]+)", code):
            assert target in known, f"{name}: make {target}"


@document
def test_every_path_that_is_named_exists(name: str) -> None:
    for code in code_of(TEXTS[name]):
        for word in code.split():
            if PATH.fullmatch(word.rstrip(",;:")):
                assert list(ROOT.glob(word.rstrip(",;:/"))), f"{name}: {word}"


@document
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXTS[name]):
        found = target.startswith("https://") or (ROOT / name).parent.joinpath(target).exists()
        assert found, f"{name}: {target}"


@document
def test_every_source_that_is_named_is_told_and_every_one_told_is_named(name: str) -> None:
    """Links by reference: `[text][source]`, and a line `[source]: https://…`."""
    named = set(re.findall(r"\]\[([\w-]+)\]", TEXTS[name]))
    told = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", TEXTS[name], re.MULTILINE))
    assert named == set(told)
    assert all(where.startswith("https://") for where in told.values())


@document
def test_every_link_within_leads_to_a_heading(name: str) -> None:
    headings = re.findall(r"^#+ (.+)$", TEXTS[name], re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXTS[name])) <= anchors


def test_a_comparison_is_of_a_commit_that_stays() -> None:
    text = TEXTS["docs/comparison.md"]
    for where in re.findall(r"^\[[\w-]+\]: (\S+)$", text, re.MULTILINE):
        assert re.search(r"/[0-9a-f]{40}(/|$)", where), where


def test_what_the_comparison_says_ours_lacks_it_lacks() -> None:
    text = TEXTS["docs/comparison.md"]
    assert ("quote set" in commands()) != ("does not commit it" in text)
    assert {"tao", "btc"} == {chain.value for chain in Chain}, "it says that there are no other coins"
    assert not {"smtp", "email", "mail"} & set(get_args(NotifySettings.model_fields["kind"].annotation))


def test_the_api_reference_is_current() -> None:
    script = ROOT / "scripts" / "api-reference"
    told = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False, timeout=120
    )
    assert told.returncode == 0, told.stderr


def test_every_document_is_linked_from_the_readme() -> None:
    assert set(re.findall(r"\]\(([\w/.-]+\.md)\)", README)) >= {*DOCUMENTS, "docs/field-lessons.md"} - {
        "README.md"
    }


def test_every_test_that_is_named_exists() -> None:
    known = set()
    for path in (ROOT / "tests").rglob("*.py"):
        known |= set(re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")))
    named = {code for text in TEXTS.values() for code in code_of(text) if re.fullmatch(r"test_\w+", code)}
    assert named
    assert named <= known, named - known


def test_every_function_that_a_law_names_is_where_it_says() -> None:
    """``pay` in `miner/settle/pay.py`` and lists of such names."""
    named = re.findall(r"((?:`\w+`(?:, | and )?)+) (?:in|of) `(miner/[\w/]+\.py)`", ARCHITECTURE)
    assert len(named) > 10
    for names, path in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        for each in re.findall(r"`(\w+)`", names):
            assert re.search(rf"(?:def|class) {each}\b|^{each}\b|\"{each}\"", text, re.MULTILINE), (
                f"{each} in {path}"
            )


def test_every_module_is_in_the_diagram() -> None:
    diagram = re.search(r"```mermaid\nflowchart.*?```", ARCHITECTURE, re.DOTALL)
    assert diagram is not None
    for path in (ROOT / "miner").iterdir():
        if path.stem not in ("__init__", "__pycache__", "py") and path.suffix in ("", ".py"):
            assert re.search(rf"\b{path.stem}\b", diagram[0]), path.name


def test_every_state_of_a_lane_is_explained() -> None:
    rows = rows_after(ARCHITECTURE, "| state of a lane | meaning |")
    told = {re.sub(r"[` ■]", "", row[0]): "■" in row[0] for row in rows}
    assert told == {state.value: state.closed for state in LaneState}


def test_every_table_of_the_store_is_explained() -> None:
    told = " ".join(row[0] for row in rows_after(ARCHITECTURE, "| tables | hold |"))
    assert set(re.findall(r"`(\w+)`", told)) == set(metadata.tables)


def test_the_diagram_is_current() -> None:
    script = ROOT / "scripts" / "saga-diagram"
    told = subprocess.run([script, "--check"], capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 0, told.stderr


# settings


def settings() -> set[str]:
    """Every key of the example, those that are switched off included."""
    found: set[str] = set()
    section = ""
    for line in example().splitlines():
        if head := re.match(r"#?\[+([\w.]+)\]+", line):
            section = head[1]
            found.add(section)
        elif key := re.match(r"#?(\w+) = ", line):
            found.add(f"{section}.{key[1]}")
    return found


@document
def test_every_setting_that_is_named_exists(name: str) -> None:
    known = settings()
    for code in code_of(TEXTS[name]):
        if key := re.match(rf"({SETTING.pattern})(?: = .*)?$", code):
            assert key[1] in known, f"{name}: {key[1]}"


def test_the_miners_settings_that_the_readme_names_exist() -> None:
    (row,) = (row for row in rows_after(README, "| what | where |") if "[[miners]]" in row[1])
    named = re.findall(r"`(\w+)`", row[1])
    assert named
    assert {f"miners.{key}" for key in named} <= settings()


def test_the_examples_that_are_named_are_read() -> None:
    for path in re.findall(r"`(config/[\w.-]+\.toml)`", README):
        found: dict[str, Any] = tomllib.loads((ROOT / path).read_text(encoding="utf-8"))
        assert "contract" in found


# the pictures


def test_the_session_is_a_film_of_real_commands_that_asks_nobody() -> None:
    text = (ROOT / "docs" / "session.svg").read_text(encoding="utf-8")
    assert len(text) < 200_000
    assert not re.search(r"<script|href|url\((?!#)|@import|/tmp/|/home/|/root/", text)
    told = ElementTree.fromstring(text).findtext("{http://www.w3.org/2000/svg}desc") or ""
    scenes = told.split("; ")
    assert len(scenes) > 5
    for scene in scenes:
        words = scene.removeprefix("swap-miner ").split(" | ")[0].split()
        assert " ".join(words[:2]) in commands() or words[0] in commands(), scene


def test_the_picture_is_whole_and_asks_nobody() -> None:
    picture = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    assert picture.rstrip().endswith("</svg>")
    assert "every&#160;swap&#160;came&#160;to&#160;what&#160;it&#160;must" in picture
    assert "url(http" not in picture
    assert "@import" not in picture
