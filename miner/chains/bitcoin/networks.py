"""The Bitcoin networks: what tells them apart."""

from __future__ import annotations

from dataclasses import dataclass

from miner.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Network:
    """One network.

    Attributes:
        name: As the configuration spells it.
        node_name: As the node spells it (`getblockchaininfo`: `chain`).
        genesis: Hash of block 0.
        p2pkh: Version byte of a base58 key-hash address.
        p2sh: Version byte of a base58 script-hash address.
        hrp: Human-readable part of a segwit address.
    """

    name: str
    node_name: str
    genesis: str
    p2pkh: int
    p2sh: int
    hrp: str

    @property
    def chain_id(self) -> str:
        """`btc:` and the genesis hash."""
        return f"btc:{self.genesis}"

    @classmethod
    def named(cls, name: str) -> Network:
        """The network of that name.

        Raises:
            ConfigError: There is none.
        """
        if (found := NETWORKS.get(name)) is None:
            raise ConfigError(
                "bitcoin.network", f"{name!r} is no network", f"Use one of {', '.join(NETWORKS)}."
            )
        return found


_ALL = (
    Network(
        "bitcoin",
        "main",
        "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
        0x00,
        0x05,
        "bc",
    ),
    Network(
        "testnet3",
        "test",
        "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
        0x6F,
        0xC4,
        "tb",
    ),
    Network(
        "testnet4",
        "testnet4",
        "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
        0x6F,
        0xC4,
        "tb",
    ),
    Network(
        "signet",
        "signet",
        "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
        0x6F,
        0xC4,
        "tb",
    ),
    Network(
        "regtest",
        "regtest",
        "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
        0x6F,
        0xC4,
        "bcrt",
    ),
)
NETWORKS = {network.name: network for network in _ALL}
"""By name. The test networks share their base58 versions, and all but regtest their segwit prefix."""
