"""From key sources to keys, each checked against the address that was quoted for it."""

from __future__ import annotations

from miner.amounts import Chain
from miner.chains.substrate.addresses import address_of, public_key, same
from miner.chains.substrate.keys import Key, Keyring, from_keyfile, from_secret, from_uri
from miner.config import KeySource, MinerSettings, Settings
from miner.errors import ConfigError
from miner.verify import MinerAccounts


def load_key(source: KeySource, where: str, *, devnet: bool) -> Key:
    """The key that a source names.

    Args:
        source: Where it is.
        where: The setting, for messages (`miners.alice.hotkey`).
        devnet: Whether development keys are allowed.

    Raises:
        ConfigError: It cannot be had; names the setting, what is wrong, and what to do.
    """
    if source.uri is not None:
        return from_uri(source.uri, devnet=devnet)
    if source.mnemonic_file is not None:
        return from_secret(source.mnemonic_file.read(), str(source.mnemonic_file))
    path = source.keyfile.path if source.keyfile is not None else None
    if source.keyfile is None or path is None:
        raise ConfigError(where, f"{source.keyfile} was not passed", "Add LoadCredential= to the service")
    password = source.password_file.read() if source.password_file else None
    return from_keyfile(path, password, passed=source.keyfile.is_passed)


def load_keys(settings: Settings) -> tuple[Keyring, dict[str, MinerAccounts]]:
    """Every key, and the miners by hotkey address.

    Raises:
        ConfigError: A key cannot be had, or is another one than the quoted address says.
    """
    keys: list[Key] = []
    miners: dict[str, MinerAccounts] = {}
    opened: dict[KeySource, Key] = {}
    for miner in settings.miners:
        hotkey = _checked(settings, miner, "hotkey", miner.hotkey, miner.hotkey_address, opened)
        payout = _checked(settings, miner, "tao_key", miner.payout_key, miner.tao_address, opened)
        keys += [hotkey, payout]
        _add(miners, miner, hotkey.account, payout.account)
    return Keyring(keys), miners


def _add(miners: dict[str, MinerAccounts], miner: MinerSettings, hotkey: str, tao: str) -> None:
    if hotkey in miners:
        raise ConfigError(
            f"miners.{miner.name}.hotkey",
            f"{hotkey} is the hotkey of {miners[hotkey].name} as well",
            "Remove one of the two",
        )
    btc = {} if miner.btc_address is None else {Chain.BTC: miner.btc_address}
    miners[hotkey] = MinerAccounts(miner.name, hotkey, {Chain.TAO: tao, **btc})


def quoted_miners(settings: Settings) -> dict[str, MinerAccounts] | None:
    """The miners by hotkey address, as the settings quote them: no key is opened, and none is checked.

    Returns:
        None where an address is not quoted, so that only its key tells it.

    Raises:
        ConfigError: Two have one hotkey.
    """
    miners: dict[str, MinerAccounts] = {}
    for miner in settings.miners:
        hotkey, tao = miner.hotkey_address, miner.tao_address
        if miner.payout_key == miner.hotkey:
            hotkey, tao = hotkey or tao, tao or hotkey
        if hotkey is None or tao is None:
            return None
        _add(miners, miner, address_of(public_key(hotkey)), address_of(public_key(tao)))
    return miners


def _checked(
    settings: Settings,
    miner: MinerSettings,
    name: str,
    source: KeySource,
    address: str | None,
    opened: dict[KeySource, Key],
) -> Key:
    """The key, opened once however often it is named: an encrypted one takes seconds of work."""
    where = f"miners.{miner.name}.{name}"
    if source not in opened:
        opened[source] = load_key(source, where, devnet=settings.contract.allow_dev_keys)
    key = opened[source]
    if address is not None and not same(address, key.account):
        raise ConfigError(where, f"the key is that of {key.account}, not of {address}", "Name the right key")
    return key
