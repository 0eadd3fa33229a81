"""RUNBOOK.md has an entry for whatever the program can say to its operator, and for nothing else."""

import re
from pathlib import Path

import pytest

from miner.cli.exits import Exit
from miner.verdict.remedies import REMEDIES

RUNBOOK = (Path(__file__).parents[2] / "RUNBOOK.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def entries(title: str) -> dict[str, str]:
    parts = re.split(r"^### (.+)\n", section(title), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_recovery_reason_has_an_entry_and_no_other() -> None:
    assert set(entries("Recovery reasons")) == set(REMEDIES)


@pytest.mark.parametrize("cause", sorted(REMEDIES))
def test_an_entry_says_what_it_means_and_what_to_do(cause: str) -> None:
    text = entries("Recovery reasons")[cause]
    assert "- **Means:**" in text
    assert "- **Do:**" in text


@pytest.mark.parametrize("cause", sorted(REMEDIES))
def test_an_entry_names_the_command_that_the_program_names(cause: str) -> None:
    verb = REMEDIES[cause].command.removeprefix("swap-miner ").split()[0]
    text = entries("Recovery reasons")[cause] + section("Recovery reasons").partition("###")[0]
    other = set(re.findall(r"\]\(#(\w+)\)", text)) & set(REMEDIES)
    assert f"swap-miner {verb}" in text + "".join(entries("Recovery reasons")[each] for each in other)


def test_every_exit_code_has_an_entry_and_no_other() -> None:
    assert set(entries("Exit codes")) == {str(code.value) for code in Exit}


def test_every_link_within_it_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", RUNBOOK)) <= anchors


PLANTED = (
    "A payout is stuck",
    "An account has too little",
    "A node is down",
    "A paid swap timed out",
    "The state folder is lost",
    "The disk is full",
)
"""Incidents that `tests/acceptance/test_runbook.py` plants, and resolves by their entries."""


@pytest.mark.parametrize("title", PLANTED)
def test_an_incident_is_found_from_what_shows_it_and_has_its_commands(title: str) -> None:
    anchor = title.lower().replace(" ", "-")
    told = [*entries("Alerts").items(), *entries("Recovery reasons").items()]
    leads_here = [name for name, text in told if f"](#{anchor})" in text]
    assert leads_here, "nothing leads to it"
    entry = entries("Incidents")[title]
    assert set(leads_here) <= set(re.findall(r"\[(\w+)\]\(#\w+\)", entry)), "it does not lead back"
    assert re.search(r"^ *```\n", entry, re.MULTILINE)
    acceptance = (Path(__file__).parents[1] / "acceptance" / "test_runbook.py").read_text(encoding="utf-8")
    assert f'follow("{title}")' in acceptance
