"""Alert: what operators are told is brought to them, beside the loop and never in its way."""

from miner.alert.deliver import Deliverer, Effort, tidy
from miner.alert.vigil import Vigil

__all__ = ["Deliverer", "Effort", "Vigil", "tidy"]
