"""Keys to sign with: loaded once at start, never shown.

Each source is a file: a wallet's keyfile (plain, or encrypted with a password that comes as a credential), or
a mnemonic or seed. Development URIs (`//Alice`) are for devnets.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import bittensor_core

from miner.chains.substrate.addresses import address_of
from miner.errors import ConfigError, Refused

_SEED_HEX = 64
_WORDS = (12, 15, 18, 21, 24)


class Keypair(Protocol):
    """What is used of a key pair (`bittensor.Keypair` is one)."""

    @property
    def public_key(self) -> bytes:
        """32 bytes."""

    @property
    def crypto_type(self) -> int:
        """0: ed25519, 1: sr25519; as in the chain's `MultiSignature`."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""


class Key:
    """A key that can sign; its secret is never shown.

    Attributes:
        account: Its address, SS58 (prefix 42).
        public: Its public key, 32 bytes.
        scheme: Kind of its signatures: 0 ed25519, 1 sr25519.
    """

    def __init__(self, pair: Keypair) -> None:
        self.public = bytes(pair.public_key)
        self.account = address_of(self.public)
        self.scheme = int(pair.crypto_type)
        self._pair = pair

    def __repr__(self) -> str:
        return f"Key({self.account})"

    def sign(self, payload: bytes) -> bytes:
        """A signature; random for sr25519, so two of one payload differ."""
        return bytes(self._pair.sign(payload))


class Keyring:
    """Every account that we can sign for."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.account: key for key in keys}

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    def __contains__(self, account: object) -> bool:
        return account in self._keys

    @property
    def accounts(self) -> tuple[str, ...]:
        """Addresses, SS58."""
        return tuple(self._keys)

    def key(self, account: str) -> Key:
        """The key of an account.

        Raises:
            Refused: `no_key`: it is not ours to sign for.
        """
        if account not in self._keys:
            raise Refused(account, "no_key", "no key for this account is configured")
        return self._keys[account]


def from_keyfile(path: Path, password: str | None = None, *, passed: bool = False) -> Key:
    """A key from a wallet's keyfile, as `btcli` writes it.

    Args:
        path: The file (`…/hotkeys/NAME`, `…/coldkey`).
        password: For an encrypted one.
        passed: Whether systemd passes it: its access list for the service's user shows as group bits.

    Raises:
        ConfigError: It cannot be read, is open to others while unencrypted, or the password is wrong.
    """
    data = _read(path)
    encrypted = bool(bittensor_core.keyfile_data_is_encrypted(data))
    if encrypted and password is None:
        raise ConfigError(str(path), "the keyfile is encrypted", "give its password as a credential")
    if not encrypted:
        _check_private(path, 0o027 if passed else 0o077)
    try:
        plain = bytes(bittensor_core.decrypt_keyfile_data(data, password)) if encrypted else data
        return Key(bittensor_core.deserialize_keypair_from_keyfile_data(plain))
    except bittensor_core.WrongPasswordError as exc:
        raise ConfigError(str(path), "the password is wrong", "check the credential") from exc
    except (bittensor_core.KeyfileError, ValueError, TypeError):
        # without the cause: a parser may quote what it read
        raise ConfigError(str(path), "it is no keyfile, or the password is wrong", "check both") from None


def from_secret(text: str, where: str) -> Key:
    """A key from a mnemonic or a seed (64 hex digits), as it was read from a file or credential.

    Args:
        text: The secret.
        where: What held it, for messages.

    Raises:
        ConfigError: It is neither.
    """
    try:
        words = text.split()
        if len(words) in _WORDS:
            return Key(bittensor_core.Keypair.create_from_mnemonic(" ".join(words)))
        seed = bytes.fromhex(text.strip().removeprefix("0x"))
        if len(seed) * 2 != _SEED_HEX:
            raise ValueError("length")
        return Key(bittensor_core.Keypair.create_from_seed(seed))
    except (ValueError, TypeError):
        # without the cause: a parser may quote what it read
        raise ConfigError(
            where, "it holds neither a mnemonic nor a seed of 64 hex digits", "check it"
        ) from None


def from_uri(uri: str, *, devnet: bool) -> Key:
    """A well-known development key (`//Alice`).

    Raises:
        ConfigError: Not on a devnet: everybody has this key; or it is no URI.
    """
    if not devnet:
        raise ConfigError("key uri", f"{uri[:2]}… is a development key that everybody has", "use a keyfile")
    if not uri.startswith("//"):
        raise ConfigError("key uri", "a development key starts with //", "use a keyfile for others")
    try:
        return Key(bittensor_core.Keypair.create_from_uri(uri))
    except (ValueError, TypeError):
        raise ConfigError("key uri", "it does not read", "write it as //Name") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        problem = f"it cannot be read: {exc.strerror}"
        raise ConfigError(
            str(path), problem, "check the path, and that the daemon's user may read it"
        ) from exc


def _check_private(path: Path, forbidden: int) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as exc:
        raise ConfigError(str(path), f"it cannot be read: {exc.strerror}", "check the path") from exc
    if mode & forbidden:
        raise ConfigError(str(path), f"others may read this secret (mode {mode:o})", f"chmod 600 {path}")
