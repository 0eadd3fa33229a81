"""Commands that get the daemon going: `init`, `check`, `run`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miner.cli.exits import Exit, printable
from miner.cli.gateway import wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.render import checks_table, say, say_json, say_table
from miner.errors import ConfigError, MinerError

if TYPE_CHECKING:
    from miner.config import CheckLine, Settings

_NEXT = """Wrote {file}. Next:
  1. Edit it: contract.endpoints, contract.address, contract.metadata, [bitcoin] and the miners.
  2. Put the keys where it says, readable by their owner alone (chmod 600); credential:NAME is the file
     {file.parent}/credentials/NAME.
  3. swap-miner check --config {file}
  4. Another program mined with these keys before? Stop it, then: swap-miner import-sent FILE --config {file}
  5. swap-miner run --config {file}"""


def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="Where to write it.")] = Path(
        "swap-miner.toml"
    ),
    as_json: JsonOption = False,
) -> None:
    """Write a commented settings file, which you then edit.

    A file that exists is never overwritten.

    Example: swap-miner init /etc/swap-miner/config.toml
    """
    from miner.config import write_example

    try:
        write_example(file)
    except FileExistsError:
        raise ConfigError(str(file), "exists already", "Name another file, or move this one away") from None
    except OSError as exc:
        raise ConfigError(
            str(file), f"cannot be written ({exc.strerror or exc})", "Name another file"
        ) from exc
    told = _NEXT.format(file=file).splitlines()
    if as_json:
        say_json({"file": str(file), "next": [line.partition(". ")[2] for line in told[1:]]})
        return
    for line in told:
        say(line)


def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Test the settings, the files they name, the nodes, the keys, the contract and the store.

    Changes nothing. Exit code 0: everything will do; 1: something fails; 2: the settings are wrong.

    Example: swap-miner check --config /etc/swap-miner/config.toml
    """
    settings = settings_of(config, files=True)
    lines = asyncio.run(_all_lines(settings, config))
    failed = [line for line in lines if line.ok is False]
    if as_json:
        checks = [
            {"name": line.name, "ok": line.ok, "detail": line.detail, "remedy": line.remedy} for line in lines
        ]
        say_json({"ok": not failed, "checks": checks})
    else:
        say_table(checks_table(lines))
        say(f"{len(lines)} checks, {len(failed)} failed")
    if failed:
        raise typer.Exit(Exit.WRONG)


async def _all_lines(settings: Settings, config: Path | None) -> list[CheckLine]:
    """Every line; one more when the preflight itself breaks off."""
    from miner.app.service import service_line
    from miner.config import CheckLine, find, settings_lines

    lines = list(settings_lines(settings))
    if (line := service_line(find(config))) is not None:
        lines.append(line)
    try:
        async for line in wiring().preflight(settings):
            lines.append(line)
    except MinerError as exc:
        lines.append(
            CheckLine("preflight", False, printable(str(exc)), "Mend this first; the rest was not looked at")
        )
    return lines


def run(config: ConfigOption = None) -> None:
    """Run the daemon: watch, verify, pay once, mark, follow to the end.

    Ends on SIGTERM or SIGINT. What is signed is stored before it is sent, so it may be killed at any time.
    On SIGHUP the settings are read anew: limits, retries, intervals and the log change at once; the log
    names what changed and waits for a restart.

    Example: swap-miner run --config /etc/swap-miner/config.toml
    """
    settings = settings_of(config, files=True)
    raise typer.Exit(asyncio.run(wiring().run(settings, lambda: settings_of(config, files=True))))
