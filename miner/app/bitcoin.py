"""The Bitcoin rail from its settings."""

from __future__ import annotations

from collections.abc import Mapping

from miner.app.tell import SystemClock
from miner.chains.bitcoin import BitcoinRail, BitcoinRpc, FeePolicy, Network
from miner.config import BitcoinSettings, Settings
from miner.verify import MinerAccounts

SAT_PER_KVB = 1000
"""One sat per vbyte in the node's unit."""


def bitcoin_rail(
    settings: Settings, bitcoin: BitcoinSettings, miners: Mapping[str, MinerAccounts], clock: SystemClock
) -> BitcoinRail:
    """The rail, not yet connected.

    Raises:
        ConfigError: An address is not one of the network, or the credentials cannot be read.
    """
    wallets = {}
    for miner in settings.miners:
        wallet = settings.wallet_of(miner)
        if miner.btc_address is not None and wallet is not None:
            wallets[miner.btc_address] = wallet
    network = Network.named("bitcoin" if bitcoin.network == "mainnet" else bitcoin.network)
    floor = int(bitcoin.fee_floor_sat_vb * SAT_PER_KVB)
    fees = FeePolicy(
        floor=floor,
        cap=int(bitcoin.fee_cap_sat_vb * SAT_PER_KVB),
        fallback=floor if network.name == "regtest" else None,
        target_blocks=bitcoin.fee_target_blocks,
    )
    return BitcoinRail(
        BitcoinRpc(bitcoin.url, lambda: credentials(bitcoin), timeout_s=bitcoin.request_timeout_s),
        network,
        wallets,
        clock,
        max_fee=settings.limits.btc.max_fee,
        fees=fees,
        final_confirmations=settings.limits.btc.final_confirmations,
    )


def credentials(bitcoin: BitcoinSettings) -> str:
    """`user:password` as it is now: the node writes a new cookie at each of its starts.

    Raises:
        ConfigError: The file cannot be read.
    """
    if bitcoin.cookie_file is not None:
        return bitcoin.cookie_file.read(shared_with_group=True)
    if bitcoin.user is None or bitcoin.password_file is None:
        return ""
    return f"{bitcoin.user}:{bitcoin.password_file.read()}"
