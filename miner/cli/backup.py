"""`backup` and `restore`: what must not be lost, encrypted; and back, compared with the chains."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from miner.cli import render
from miner.cli.exits import Exit
from miner.cli.gateway import actor, wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of


def backup(
    to: Annotated[
        Path, typer.Argument(metavar="FILE|DIR", help="Where to; in a folder it is named by the time.")
    ],
    recipient: Annotated[
        list[str] | None,
        typer.Option(
            "--recipient",
            metavar="age1…",
            envvar="SWAP_MINER_BACKUP_RECIPIENT",
            help="Public key it is encrypted for; may be given several times.",
        ),
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option("--identity", metavar="FILE", help="Verify it by decrypting with this secret key."),
    ] = None,
    keep: Annotated[
        int, typer.Option("--keep", min=0, help="In a folder: keep so many, remove older ones. 0: all.")
    ] = 0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy store, recovery log and settings into one encrypted file, while the daemon runs. Never keys.

    The copy is reopened and read through before it is encrypted; with --identity the file is decrypted and
    compared as well. Nothing stands under its name before that, and nothing is overwritten.

    Examples: swap-miner backup /mnt/usb --recipient age1…    swap-miner backup today.age --recipient age1…
    """
    from miner.config import find

    settings, keys = settings_of(config), recipient or []
    made = wiring().backup(settings, find(config), to.absolute(), keys, identity, keep)
    found = asyncio.run(made)
    if as_json:
        render.say_json(found)
        return
    held = found["store"]
    render.say(
        f"wrote {found['file']}, {found['bytes']} bytes: {held['sagas']} swaps up to block {held['height']}"
    )
    render.say(f"verified: {found['verified']}")
    for name in found["removed"]:
        render.say(f"removed {name}")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    identity: Annotated[
        Path, typer.Option("--identity", metavar="FILE", help="The age secret key that opens it (chmod 600).")
    ],
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Although the chains show more than it holds.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup into an empty state folder, after comparing it with the chains.

    Where the chains show spends or swaps that it lacks, nothing is written, and they are listed: look for a
    newer backup first. With --reconcile it is put back all the same. In any case every account is audited
    before it pays, and TAO payouts wait until what was signed since the backup has landed or died.

    Examples: swap-miner restore new.age --identity key.txt
    swap-miner restore new.age --identity key.txt --reconcile
    """
    settings = settings_of(config)
    made = wiring().restore(settings, file.absolute(), identity, actor(), reconcile=reconcile)
    found = asyncio.run(made)
    if as_json:
        render.say_json(found)
    else:
        for line in found["missing"]:
            render.say(f"missing: {line}")
        render.say(_words(found))
    if not found["restored"]:
        raise typer.Exit(Exit.WRONG)


def _words(found: dict[str, object]) -> str:
    what = f"the backup of {found['at']} ({found['sagas']} swaps, up to block {found['height']})"
    if found["restored"]:
        return f"restored {what} to {found['state']}; its settings are beside it; start the daemon"
    return f"{what} is older than the chains; nothing was written. A newer one? Else: --reconcile"
