"""The swap contract: its metadata, its codec, its reads and its marks.

`load` reads and checks a metadata file; `Contract` implements the port `SwapContract`.
"""

from miner.contract.client import Contract
from miner.contract.metadata import Metadata
from miner.contract.needs import load

__all__ = ["Contract", "Metadata", "load"]
