"""`completion`: a shell's completion script, printed or installed for the user who asks."""

from __future__ import annotations

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from miner.cli.options import JsonOption
from miner.cli.render import say, say_json
from miner.durable import supersede
from miner.errors import ConfigError

PROGRAM = "swap-miner"
VARIABLE = "_SWAP_MINER_COMPLETE"
"""What a script sets to be told completions in place of a command's work."""


class Shell(StrEnum):
    """A shell whose completion is known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[
        Shell | None, typer.Argument(metavar="[bash|zsh|fish]", help="Your shell; $SHELL without it.")
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Write it where your shell reads it, and say where.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a shell's completion script, or install it for you (not for the whole machine).

    It completes commands, options and states, the names of miners and targets, and, while a daemon runs that
    answers you, the ids of swaps.

    Examples: swap-miner completion --install
    swap-miner completion bash > /etc/bash_completion.d/swap-miner
    """
    shell = shell or _own_shell()
    script = script_of(shell)
    if not install:
        if as_json:
            say_json({"shell": shell.value, "script": script})
        else:
            sys.stdout.write(script)
        return
    try:
        wrote, line_in = put(shell, script)
    except OSError as exc:
        raise ConfigError(
            str(exc.filename), f"cannot be written ({exc.strerror})", "Print it instead"
        ) from exc
    if as_json:
        told = None if line_in is None else str(line_in)
        say_json({"shell": shell.value, "file": str(wrote), "line_added_to": told})
        return
    say(f"wrote {wrote}")
    if line_in is not None:
        say(f"added a line to {line_in} that reads it")
    say(f"it works in the next {shell.value} that you open")


def script_of(shell: Shell) -> str:
    """The script, ended by a line feed."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    return str(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell.value)) + "\n"


def put(shell: Shell, script: str) -> tuple[Path, Path | None]:
    """Write a script where the user's shell finds it; doing so again changes nothing further.

    Returns:
        The script's file, and the start-up file that got a line to read it: None where it has one, or
        where the shell needs none.

    Raises:
        OSError: One of them could not be written.
    """
    file = _place(shell)
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, script)
    if shell is Shell.FISH:
        return file, None
    folder = os.environ.get("ZDOTDIR") if shell is Shell.ZSH else None
    starts = (Path(folder) if folder else Path.home()) / f".{shell.value}rc"
    return file, starts if _add_line(starts, _reading(shell, file)) else None


def _own_shell() -> Shell:
    name = Path(os.environ.get("SHELL", "")).name
    try:
        return Shell(name)
    except ValueError:
        raise typer.BadParameter("say which: bash, zsh or fish", param_hint="SHELL") from None


def _place(shell: Shell) -> Path:
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return {
        Shell.BASH: data / "bash-completion/completions" / PROGRAM,
        Shell.ZSH: data / "zsh/site-functions" / f"_{PROGRAM}",
        Shell.FISH: settings / "fish/completions" / f"{PROGRAM}.fish",
    }[shell]


def _reading(shell: Shell, file: Path) -> str:
    """The line of a start-up file. It does no harm once the script is gone."""
    path = shlex.quote(str(file))
    first = "autoload -Uz compinit && compinit; " if shell is Shell.ZSH else ""
    return f"{first}[ -r {path} ] && . {path}"


def _add_line(file: Path, line: str) -> bool:
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    if line in before.splitlines():
        return False
    gap = "" if not before or before.endswith("\n") else "\n"
    with file.open("a", encoding="utf-8") as out:
        out.write(f"{gap}{line}\n")
    return True


def _write(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        supersede(draft, file)
    finally:
        draft.unlink(missing_ok=True)
