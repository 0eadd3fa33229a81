"""The command line: `swap-miner`."""

from miner.cli.main import main

__all__ = ["main"]
