"""`service install|uninstall`: the system service, with what would be done before it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miner.cli import render
from miner.cli.options import JsonOption
from miner.errors import ConfigError

if TYPE_CHECKING:
    from miner.app.service import Place, Step

service = typer.Typer(no_args_is_help=True, help="The system service (systemd).")

NameOption = Annotated[
    str, typer.Option("--name", metavar="NAME", help="One of several services; none: the machine's only one.")
]
RootOption = Annotated[
    Path, typer.Option("--root", metavar="DIR", help="Write below this folder, and tell systemd nothing.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do it; without it only say what would be done.")]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_NEXT = """Next:
  1. Edit {settings}, and put the secrets that it names into {secrets} (install -m 600 FILE {secrets}/NAME)
  2. This once more, where it names others than above: {again}
  3. swap-miner check --config {settings}
  4. systemctl enable --now {service}; later, to take over other secrets: systemctl restart {service}
  5. journalctl -fu {service}"""
_ENCRYPT = """These secrets lie there unencrypted: {names}
  swap-miner service install --encrypt          # says which commands encrypt them to this machine
  swap-miner service install --encrypt --yes    # runs them, and tells the unit"""
_SHRED = """Once the service has started with the encrypted secrets, keep the plain ones off this machine:
  {commands}"""
_LEFT = "Left as they are: {folder} (settings and secrets) and {state} (signed payouts: keep them)."


@service.command()
def install(
    name: NameOption = "",
    root: RootOption = Path("/"),
    encrypt: Annotated[
        bool,
        typer.Option(
            "--encrypt", help="Encrypt the secrets that the settings name to this machine, and pass those."
        ),
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the units and, where there are none yet, the settings; start nothing.

    Settings that are there are never touched; a unit that differs is shown as a diff, and replaced. The
    service is passed the secrets that the settings name as credential:NAME: run it again when they change. A
    program that pipx or uv keeps in a home works too: the service gets to see that, and nothing else there.

    With --encrypt, secrets of the credentials folder are encrypted by systemd-creds with a key of this
    machine, and the unit loads those. The plain files stay until you remove them.

    Examples: swap-miner service install    sudo swap-miner service install --encrypt --yes
    """
    from miner.app import credentials
    from miner.app import service as app

    place = _place(name, root)
    steps = app.installing(place, credentials.encrypting(place) if encrypt else ())
    if yes:
        app.carry_out(steps)
    _tell(steps, yes, as_json)
    if not as_json:
        _say_secrets(credentials.in_plain(place) if credentials.is_possible() else [], encrypt and yes)
        told = {"settings": place.settings, "secrets": place.secrets, "service": place.service}
        _say(_NEXT.format(**told, again=place.command))


def _say_secrets(plain: Sequence[Path], encrypted: bool) -> None:
    if plain and encrypted:
        _say(_SHRED.format(commands="\n  ".join(f"shred -u {path}" for path in plain)))
    elif plain:
        _say(_ENCRYPT.format(names=", ".join(str(path) for path in plain)))


@service.command()
def uninstall(
    name: NameOption = "", root: RootOption = Path("/"), yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Stop the service and remove its units; settings, secrets and state stay.

    Example: sudo swap-miner service uninstall --yes
    """
    from miner.app import credentials
    from miner.app import service as app

    place = _place(name, root)
    steps = app.removing(place, credentials.left_over(place))
    if yes:
        app.carry_out(steps)
    _tell(steps, yes, as_json)
    if not as_json:
        _say(_LEFT.format(folder=place.settings.parent, state=place.state))


def _place(name: str, root: Path) -> Place:
    from miner.app.service import Place

    if name and not _NAME.fullmatch(name):
        raise ConfigError("--name", f"{name!r} is no name", "Use letters a to z, digits and -, 32 at most")
    return Place.here(root.absolute(), name)


def _tell(steps: Sequence[Step], done: bool, as_json: bool) -> None:
    if as_json:
        rows = [{"act": step.act, "what": step.what, "why": step.why, "diff": step.diff} for step in steps]
        render.say_json({"done": done, "steps": rows})
        return
    table = render.table("step", "what", "why")
    for step in steps:
        render.add(table, step.act, step.what, step.why)
    render.say_table(table)
    for step in steps:
        _say(step.diff)
    if not done:
        render.say("Nothing was changed: give --yes to do it.")


def _say(text: str) -> None:
    for line in text.splitlines():
        render.say(line)
