"""What commands print is what docs/sessions.md shows, and in JSON what a golden file has: each is run again.

What differs from run to run is masked on both sides: times, folders, ids of processes, the width of columns.
After a change that is meant, have both written anew with `SESSIONS=write`, and look at the difference.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from miner.affairs.holdings import Quotes
from tests.unit.cli_world import CANARY, World
from tests.unit.test_cli import filled, run, world
from tests.unit.test_cli_affairs import PURSE, STANDING, committed

__all__ = ["filled", "run", "world"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "sessions.md"
GOLDEN = Path(__file__).parent / "golden" / "sessions.md"
COMMANDS = (
    "status",
    "swaps",
    "show 2",
    "wallet",
    "collateral view",
    "quote show",
    "recovery list --open",
    "recovery show 1",
    "notify list",
    "check",
)
IN_TEXT = [*COMMANDS, "swaps --state HELD", "pause btc", "resume btc", "version"]
IN_JSON = [f"{command} --json" for command in COMMANDS] + ["evidence 2"]
CHAIN = {
    "finalised": {"height": 20, "hash": "0x20"}, "status": "Active", "blocks_left": 82,
    "dest_tx_hash": "", "dest_tx_block": 0, "timeout_block": 102,
    "lanes": [{"lane": 1, "purpose": "payout", "seen": "unseen", "txid": None, "block": None}],
}  # fmt: skip
HEAD = """# What commands print

Each session is run by `tests/unit/test_sessions.py`, on a store that holds three swaps: one was assigned, one
has a payout that is in no block yet, and one is held. TIME and ID stand for what differs from run to run, and
columns are set closer. In JSON the same commands are in `tests/unit/golden/sessions.md`.
"""
MASKS = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", "TIME"),
    (r'(_ms": )\d{13}\b', r"\1TIME"),
    (r"\b\d+ (s|min)(?=  )", "TIME"),
    (r"\b[0-9a-f]{16}\b", "ID"),
    (r"(\\u001b|\ufffd)\[31mred(\\u202e|\ufffd)", "…"),  # what a stranger wrote, made harmless
    (r"(?<=\S) {2,}(?=\S)", "  "),
    (r"─{2,}", "──"),
    (r" +$", ""),
)


def masked(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text.strip("\n")


def shown(document: Path) -> dict[str, str]:
    """What each command prints, as a document has it."""
    text = document.read_text(encoding="utf-8")
    found = re.findall(r"^```\n\$ swap-miner ([^\n]*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return {command: said.rstrip("\n") for command, said in found}


@pytest.mark.parametrize(
    ("document", "head", "commands"),
    [pytest.param(DOCUMENT, HEAD, IN_TEXT, id="text"), pytest.param(GOLDEN, "", IN_JSON, id="json")],
)
def test_what_commands_print_is_what_is_shown(
    filled: World, run: Any, document: Path, head: str, commands: list[str]
) -> None:
    filled.wired.purses, filled.wired.standing = [PURSE], [("alice", STANDING)]
    filled.wired.quoted, filled.wired.chain = Quotes((committed(),), 100, 7), CHAIN
    said = {}
    for command in commands:
        ran = run(*command.split())
        assert (ran.code, ran.err) == (0, ""), command
        assert CANARY.decode() not in ran.out
        if document is GOLDEN:
            json.loads(ran.out)
        said[command] = masked(ran.out)
    if os.environ.get("SESSIONS") == "write":
        blocks = [f"```\n$ swap-miner {command}\n{text}\n```\n" for command, text in said.items()]
        document.write_text("\n".join([head, *blocks] if head else blocks), encoding="utf-8")
    expected = shown(document)
    assert list(expected) == commands
    for command in commands:
        assert said[command] == expected[command], command
