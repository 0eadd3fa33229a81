"""swap-miner: the daemon of a miner on a cross-chain swap contract.

It watches the contract, verifies what the user paid, pays the user, marks the swap fulfilled
and follows it to its end. `miner.saga` is the state machine, `miner.verdict` decides, `miner.ports`
names what the outside must offer, `miner.app` wires it.
"""

__version__ = "0.1.0"
