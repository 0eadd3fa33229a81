"""The commented example, which `swap-miner init` writes and `config/swap-miner.toml` repeats."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from miner.durable import publish


def example() -> str:
    """Every setting, explained, with its default."""
    return files("miner.config").joinpath("example.toml").read_text(encoding="utf-8")


def write_example(file: Path) -> None:
    """Write the example under a name that is free.

    The file is whole and synced before it has its name, so that a power cut leaves it whole or not there.

    Raises:
        FileExistsError: The name is taken; what stands there is as it was.
        OSError: It cannot be written.
    """
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}.new")
    try:
        with draft.open("x", encoding="utf-8") as out:
            out.write(example())
            out.flush()
            os.fsync(out.fileno())
        publish(draft, file)
    finally:
        with suppress(OSError):
            draft.unlink()
