"""What a shell offers for an argument: swaps, miners and targets. Whatever is wrong, it offers nothing.

Swaps are asked of a running daemon only: opening the store could migrate it, and a key pressed must not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from miner.errors import MinerError

if TYPE_CHECKING:
    from miner.config import Settings

WAIT_S = 2.0
"""How long a shell waits for the daemon."""
MOST = 100
"""So many of the newest swaps are offered."""

Offers = list[tuple[str, str]]
"""Values, each with the words that a shell may show beside it."""


def swaps(ctx: typer.Context, incomplete: str) -> Offers:
    """The newest swaps that the daemon knows, each with its state."""
    from miner.cli import daemon

    settings = _settings(ctx)
    found = None if settings is None else daemon.told(settings, f"/api/v1/swaps?limit={MOST}", WAIT_S)
    rows = [] if found is None else found["swaps"]
    return _beginning(incomplete, [(str(row["swap_id"]), str(row["state"])) for row in rows])


def miners(ctx: typer.Context, incomplete: str) -> Offers:
    """The miners of the settings."""
    settings = _settings(ctx)
    known = () if settings is None else settings.miners
    return _beginning(incomplete, [(each.name, each.hotkey_address or "") for each in known])


def targets(ctx: typer.Context, incomplete: str) -> Offers:
    """The settings' targets of messages."""
    settings = _settings(ctx)
    known = () if settings is None else settings.notify
    return _beginning(incomplete, [(each.name, str(each.kind)) for each in known])


def _beginning(incomplete: str, offers: Offers) -> Offers:
    return [each for each in offers if each[0].startswith(incomplete)]


def _settings(ctx: typer.Context) -> Settings | None:
    """The settings that the line names or the program would find; None where they cannot be used."""
    from miner.cli.options import settings_of

    named = ctx.params.get("config")
    try:
        return settings_of(None if named is None else Path(named))
    except (MinerError, OSError):
        return None
