"""The daemon's settings for a devnet."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tests.devnet import paths
from tests.devnet.world import Devnet


def write_config(
    folder: Path,
    devnet: Devnet,
    *,
    miners: int | None = None,
    only: Collection[int] | None = None,
    extra: str = "",
    lease_ttl_s: float = 3.0,
    tao_margin: int = 9,
    sweep_blocks: int = 10,
    store_url: str | None = None,
    standby: bool = False,
) -> Path:
    """Writes a config of `swap-miner` for the devnet's miners.

    Args:
        folder: where to; the daemon's state goes to `folder/state`.
        devnet: the chains and miners.
        miners: how many of the miners; all without it.
        only: which of the miners, by index; all without it.
        extra: TOML tables to add.
        lease_ttl_s: after how long another process takes over.
        tao_margin: contract blocks before the deadline from which no TAO payout is begun.
        sweep_blocks: finalised blocks between two sweeps.
        store_url: a PostgreSQL database for the store.
        standby: whether it waits while another works on that database.

    Returns:
        The file.
    """
    told = devnet.describe()
    lines = [
        "[contract]",
        f'endpoints = ["{told["chain"]["url"]}"]',
        f'address = "{told["contract"]["address"]}"',
        f'metadata = "{paths.CONTRACT_METADATA}"',
        f'genesis = "{told["chain"]["genesis_hash"]}"',
        "allow_dev_keys = true",
        "poll_interval_s = 1",
        f"sweep_interval_blocks = {sweep_blocks}",
        "[store]",
        f'path = "{folder / "state"}"',
        f"lease_ttl_s = {lease_ttl_s}",
        "busy_timeout_s = 1",
        *([] if store_url is None else [f'url = "{store_url}"', f"standby = {str(standby).lower()}"]),
        "[log]",
        'level = "debug"',
        "repeat_s = 0",
        "[limits.tao]",
        "source_confirmations = 1",
        f"margin_blocks = {tao_margin}",
        "[limits.btc]",
        "source_confirmations = 2",
        "validators_extend_timeouts = true",
    ]
    if "bitcoin" in told:
        cookie = folder / "bitcoin-auth"
        cookie.write_text(f"{told['bitcoin']['user']}:{told['bitcoin']['password']}")
        cookie.chmod(0o600)
        lines += [
            "[bitcoin]",
            f'url = "http://{told["bitcoin"]["url"].rpartition("@")[2]}"',
            'network = "regtest"',
            f'cookie_file = "{cookie}"',
        ]
    lines.append(extra)
    for index, miner in enumerate(told["miners"][:miners]):
        if only is not None and index not in only:
            continue
        lines += [
            "[[miners]]",
            f'name = "miner-{index}"',
            f'hotkey = {{ uri = "{miner["uri"]}" }}',
            f'tao_address = "{miner["tao_address"]}"',
        ]
        if "bitcoin" in told:
            lines += [f'btc_address = "{miner["btc_address"]}"', f'btc_wallet = "{miner["btc_wallet"]}"']
    path = folder / "swap-miner.toml"
    path.write_text("\n".join(lines) + "\n")
    return path
