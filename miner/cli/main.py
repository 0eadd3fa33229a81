"""The program: its commands, and how each error ends it."""

from __future__ import annotations

import inspect
import os
import re
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from miner.cli import act, affairs, backup, look, recover, setup
from miner.cli.collateral import collateral
from miner.cli.completion import PROGRAM, VARIABLE, completion
from miner.cli.exits import EXIT_CODES, Exit, code_of, from_group, lines_of
from miner.cli.logs import logs
from miner.cli.notify import notify
from miner.cli.options import JsonOption
from miner.cli.quote import quote
from miner.cli.rebuild import rebuild
from miner.cli.recovery import recovery
from miner.cli.render import say, say_json
from miner.cli.service import service
from miner.cli.store import store
from miner.cli.wallet import wallet
from miner.errors import MinerError

app = typer.Typer(
    name=PROGRAM,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
    epilog=EXIT_CODES,
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an error.")] = False,
) -> None:
    """Pay the swaps of a cross-chain swap contract: once each, in time, and followed to the end.

    First steps: swap-miner init; edit swap-miner.toml; swap-miner check; swap-miner run.

    Day by day: swap-miner status; swap-miner swaps; swap-miner show 7; swap-miner recovery list.
    """


app.command()(setup.init)
app.command()(setup.check)
app.command()(setup.run)
app.command()(look.status)
app.command()(look.swaps)
app.command()(look.show)
app.command()(look.evidence)
app.command()(wallet)
app.command()(affairs.activate)
app.command()(affairs.deactivate)
app.add_typer(collateral, name="collateral")
app.add_typer(quote, name="quote")
app.command()(act.pause)
app.command()(act.resume)
app.command()(act.drain)
app.command("import-sent")(act.import_sent)
app.command()(recover.approve)
app.command()(recover.retry)
app.command()(recover.release)
app.command()(recover.quarantine)
app.command("adopt-payout")(recover.adopt_payout)
app.command()(recover.mark)
app.command()(rebuild)
app.command()(logs)
app.command()(backup.backup)
app.command()(backup.restore)
app.add_typer(recovery, name="recovery")
app.add_typer(store, name="store")
app.add_typer(service, name="service")
app.add_typer(notify, name="notify")
app.command()(completion)


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the program's version.

    Example: swap-miner version
    """
    try:
        found = version_of(PROGRAM)
    except PackageNotFoundError:
        found = "(not installed)"
    if as_json:
        say_json({"program": PROGRAM, "version": found})
    else:
        say(f"{PROGRAM} {found}")


def _complete_help(group: typer.Typer) -> None:
    """Each command's help has its examples a line each, and ends with what its exit codes mean."""
    for command in group.registered_commands:
        command.help = _a_line_each(inspect.getdoc(command.callback) or "")
        command.epilog = EXIT_CODES
    for below in group.registered_groups:
        if below.typer_instance is not None:
            _complete_help(below.typer_instance)


def _a_line_each(text: str) -> str:
    """A docstring as Markdown. Its examples stand last, a line each or with four spaces between two."""
    before, found, shown = text.rpartition("\nExample")
    _, _, lines = shown.partition(": ")
    examples = "\n".join(f"- `{each}`" for each in re.split(r" {4,}|\n", lines.strip()))
    return f"{before}\nExamples:\n\n{examples}\n" if found else text


_complete_help(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        argv: Arguments; those of the process by default.

    Returns:
        The exit code; see `Exit`.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    if VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
    try:
        app(arguments, prog_name=PROGRAM)
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else Exit.OK if exc.code is None else Exit.WRONG
    except Exception as exc:  # noqa: BLE001 (the edge of the process: nothing above could say it better)
        return _told(exc, debug)
    return Exit.OK


def _told(error: Exception, debug: bool) -> int:
    """Say what went wrong, and give the exit code."""
    found = from_group(error)
    if debug:
        traceback.print_exception(error)
    if isinstance(found, MinerError):
        for line in lines_of(found):
            sys.stderr.write(line + "\n")
        return code_of(found)
    # Only the kind: the words of an error nobody foresaw may hold anything, keys included.
    sys.stderr.write(f"internal error: {type(found).__name__}. Run it again with: {PROGRAM} --debug …\n")
    return Exit.INTERNAL
