"""Bitcoin, in node mode: Bitcoin Core or Knots over JSON-RPC."""

from miner.chains.bitcoin.fees import FeePolicy
from miner.chains.bitcoin.networks import Network
from miner.chains.bitcoin.rail import BitcoinRail
from miner.chains.bitcoin.rpc import BitcoinRpc

__all__ = ["BitcoinRail", "BitcoinRpc", "FeePolicy", "Network"]
