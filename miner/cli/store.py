"""`store info|copy`: the store as a whole."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from miner.cli import render
from miner.cli.gateway import actor, wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.errors import ConfigError

store = typer.Typer(no_args_is_help=True, help="The store as a whole: what it is, and moving it elsewhere.")


@store.command()
def info(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell where the store is, what serves it, and what it holds. Changes nothing.

    Examples: swap-miner store info    swap-miner store info --json
    """
    found = asyncio.run(wiring().store_info(settings_of(config)))
    if as_json:
        render.say_json(found)
        return
    render.say(f"store     {found['store']}")
    if found["server"]:
        render.say(f"server    {found['server']}")
    if not found["exists"]:
        render.say("there is no store yet: the first start makes it")
        return
    render.say(f"schema    {found['schema']}")
    if not found["tables"]:
        render.say(
            "an older version wrote it: the first start of this one brings it up to date, and not back"
        )
        return
    if found["moved_to"]:
        render.say(f"moved to  {found['moved_to']}: this one is kept for inspection only")
    if found["doubt"] is not None:
        until = f"block {found['doubt']}" if found["doubt"] else "a block that the daemon will tell"
        render.say(f"in doubt  up to {until}: it may lack signed transactions, so no TAO payout is begun")
    render.say_table(_table(found["tables"]))


@store.command()
def copy(
    to: Annotated[
        str, typer.Option("--to", metavar="URL|FILE", help="postgresql://user@host/db, or a file.")
    ],
    password_file: Annotated[
        str | None,
        typer.Option("--password-file", metavar="FILE", help="Holds the target's password; or env:NAME."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without it only say what would be copied.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move the store to another database: from SQLite to PostgreSQL, or back.

    Stop the daemon first: nothing is copied while anybody holds a lease. The target must be empty. What
    arrived is compared with what was sent, row by row; then the old store is marked as moved, and no daemon
    starts on it again.

    Examples: swap-miner store copy --to postgresql://miner@db/miner    swap-miner store copy --to … --yes
    """
    from miner.config.problems import BadValue
    from miner.config.secrets import parse_secret

    settings = settings_of(config)
    try:
        secret = None if password_file is None else parse_secret(_absolute(password_file))
    except BadValue as bad:
        raise ConfigError("--password-file", "names no file", bad.remedy) from None
    with _bar(yes and not as_json) as progress:
        found = asyncio.run(wiring().store_copy(settings, to, secret, actor(), do=yes, progress=progress))
    if as_json:
        render.say_json(found)
        return
    render.say_table(_table(found["tables"]))
    rows = sum(table["rows"] for table in found["tables"].values())
    if not yes:
        render.say(f"{rows} rows of {found['from']} would be copied to {found['to']}; nothing was copied")
        render.say("do it: the same command with --yes")
        return
    render.say(f"copied {rows} rows from {found['from']} to {found['to']}, and compared them")
    render.say("the old store is marked as moved; now name the new one in [store] and start the daemon")


def _absolute(name: str) -> str:
    return name if name.startswith(("env:", "credential:")) else str(Path(name).absolute())


def _table(tables: Mapping[str, Any]) -> Any:
    found = render.table("table", "rows", "digest")
    for name, content in tables.items():
        found.add_row(name, str(content["rows"]), content["digest"][:16])
    return found


@contextmanager
def _bar(shown: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal's standard error; elsewhere nothing."""
    if not shown or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done)

        yield tell
