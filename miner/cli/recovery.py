"""`recovery list` and `recovery show`: the append-only log of swaps that put money at risk."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from miner.cli.exits import Exit, printable
from miner.cli.facts import plain
from miner.cli.gateway import wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.render import add, say, say_json, say_table, table

recovery = typer.Typer(
    no_args_is_help=True, help="Read the log of swaps that put money at risk, and what to do about each."
)


@recovery.command("list")
def list_entries(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List every entry, oldest first.

    Example: swap-miner recovery list
    """
    entries, damaged = _read(config)
    if as_json:
        say_json({"entries": entries, "damaged": damaged})
    else:
        if entries:
            say_table(_table(entries))
        say(f"{len(entries)} entries, {len(damaged)} damaged lines")
    if damaged:
        raise typer.Exit(Exit.WRONG)


@recovery.command("show")
def show_entry(
    entry: Annotated[int, typer.Argument(metavar="ID", help="The entry's id, from `recovery list`.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one entry in full: the cause, what to do, and every amount, hash and block that belongs to it.

    Example: swap-miner recovery show 3
    """
    entries, _ = _read(config)
    found = [one for one in entries if one.get("id") == entry]
    if not found:
        sys.stderr.write(f"error: none of the {len(entries)} entries has the id {entry}\n")
        raise typer.Exit(Exit.WRONG)
    if as_json:
        say_json(found[0] if len(found) == 1 else found)
        return
    for one in found:
        for line in _lines(one):
            say(line)


def _read(config: Path | None) -> tuple[list[Mapping[str, Any]], list[str]]:
    entries, damaged = wiring().read_recovery(settings_of(config))
    for line in damaged:
        sys.stderr.write(printable(f"warning: recovery log, {line}") + "\n")
    return [plain(one) for one in entries], list(damaged)


def _table(entries: Sequence[Mapping[str, Any]]) -> Any:
    out = table("id", "at", "swap", "state", "cause", "what to do")
    for one in entries:
        add(out, *(one.get(key) for key in ("id", "at", "swap_id", "state", "cause", "what_to_do")))
    return out


def _lines(entry: Mapping[str, Any]) -> list[str]:
    lines = [
        f"entry {entry.get('id')} of {entry.get('at')}: swap {entry.get('swap_id')}, {entry.get('state')}",
        f"  cause: {entry.get('cause')}",
        f"  what to do: {entry.get('what_to_do')}",
        f"  contract: {entry.get('contract')}",
    ]
    return lines + [f"  {key}: {value}" for key, value in dict(entry.get("detail") or {}).items()]
