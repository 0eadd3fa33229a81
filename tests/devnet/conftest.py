"""The devnet's own tests use its fixtures."""

from tests.devnet.fixtures import bitcoin_node, chain, devnet, devnet_session

__all__ = ["bitcoin_node", "chain", "devnet", "devnet_session"]
