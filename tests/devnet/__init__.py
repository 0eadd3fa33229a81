"""The local devnet: a chain with contracts, a Bitcoin node, and everybody a miner deals with."""
