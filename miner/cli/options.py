"""Options that several commands share, and the settings that they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miner.cli import complete

if TYPE_CHECKING:
    from miner.config import Settings

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="SWAP_MINER_CONFIG",
        metavar="FILE",
        help="The settings. Without it: /etc/swap-miner/config.toml, else ./swap-miner.toml.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON; amounts are decimal strings.")]
SwapArgument = Annotated[
    int,
    typer.Argument(
        metavar="SWAP", min=0, help="The contract's id of the swap.", autocompletion=complete.swaps
    ),
]


def settings_of(config: Path | None, files: bool = False) -> Settings:
    """The settings that a command works with.

    Raises:
        ConfigError: They cannot be used.
    """
    from miner.config import find, load

    return load(find(config), files)
