"""The commented example, which `swap-miner init` writes and `config/swap-miner.toml` repeats."""

from __future__ import annotations

from importlib.resources import files


def example() -> str:
    """Every setting, explained, with its default."""
    return files("miner.config").joinpath("example.toml").read_text(encoding="utf-8")
