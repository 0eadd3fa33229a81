"""`logs`: what the daemon wrote about a swap; `--redact` for a support bundle."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from miner.cli import complete, render
from miner.cli.exits import Exit
from miner.cli.gateway import wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.errors import ConfigError

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def logs(
    swap: Annotated[
        int | None,
        typer.Option(
            "--swap",
            metavar="SWAP",
            min=0,
            help="Only what tells of this swap.",
            autocompletion=complete.swaps,
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From then on: 2h, 3d, or 2026-01-31T12:00.")
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Replace addresses, amounts, ids, hosts, paths and names.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write a support bundle there (0600).")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="LOG", help="Read this file in place of the journal.")
    ] = None,
    unit: Annotated[
        str, typer.Option("--unit", help="The unit whose journal is read.")
    ] = "swap-miner.service",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the daemon wrote, from the journal or a file of JSON lines; no secret is ever among it.

    With --redact the same thing has the same other name in every line, so that the story can be followed.

    Examples: swap-miner logs --swap 7 --since 2d    swap-miner logs --swap 7 --redact --out bundle.jsonl
    """
    begin = None if since is None else _time(since)
    lines = wiring().read_log(settings_of(config), swap, begin, file, unit, redact)
    if out is not None:
        _write(out, lines, {"swap": swap, "redacted": redact})
        if as_json:
            render.say_json({"file": str(out), "lines": len(lines)})
        else:
            render.say(f"wrote {len(lines)} lines to {out}")
    elif as_json:
        render.say_json({"lines": lines})
    else:
        for line in lines:
            render.say(_words(line))
    if not lines:
        sys.stderr.write("error: no line tells of it\n")
        raise typer.Exit(Exit.WRONG)


def _time(text: str) -> datetime:
    if found := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError("--since", "is no time", "Write 2h, 3d, or 2026-01-31T12:00") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _words(line: dict[str, Any]) -> str:
    told = " ".join(f"{key}={value}" for key, value in line.items() if key not in ("at", "level", "event"))
    return f"{line.get('at', '')} {line.get('level', ''):8} {line.get('event', '')} {told}"


def _write(out: Path, lines: list[dict[str, Any]], about: dict[str, Any]) -> None:
    """A bundle of JSON lines, the first of which says what it is; nothing is overwritten."""
    first = {"bundle": "swap-miner logs", "lines": len(lines), **about}
    try:
        handle = os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise ConfigError("--out", f"{out} exists already", "Name another file") from None
    except OSError as exc:
        raise ConfigError("--out", f"{out} cannot be written ({exc.strerror})", "Name another file") from exc
    with os.fdopen(handle, "wb") as file:
        for line in (first, *lines):
            file.write(orjson.dumps(line, default=str) + b"\n")
