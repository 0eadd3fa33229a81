"""Keys come from private files alone, and are never shown."""

from __future__ import annotations

import json
from pathlib import Path

import bittensor_core
import pytest
from substrateinterface import Keypair

from miner.chains.substrate.keys import Key, Keyring, from_keyfile, from_secret, from_uri
from miner.errors import ConfigError, Refused

MNEMONIC = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
SEED = "0xfac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e"
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
PASSWORD = "correct horse"


def keyfile(folder: Path, password: str | None = None, mode: int = 0o600) -> Path:
    pair = bittensor_core.Keypair.create_from_uri("//Alice")
    data = bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair))
    if password is not None:
        data = bytes(bittensor_core.encrypt_keyfile_data(data, password))
    path = folder / "hotkey"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_a_mnemonic_and_its_seed_are_one_key() -> None:
    wanted = Keypair.create_from_mnemonic(MNEMONIC, ss58_format=42).ss58_address
    assert from_secret(f"  {MNEMONIC}\n", "here").account == wanted
    assert from_secret(SEED + "\n", "here").account == wanted
    assert from_secret(SEED[2:], "here").account == wanted


@pytest.mark.parametrize(
    "text", ["", "0x12", "bottom " * 12, MNEMONIC.replace("walk", "run"), "0x" + "zz" * 32]
)
def test_what_is_no_secret_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigError, match="here") as told:
        from_secret(text, "here")
    assert told.value.__suppress_context__
    assert not text.strip() or text.strip() not in str(told.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_plain_keyfile_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        from_keyfile(keyfile(tmp_path, mode=mode))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing"):
        from_keyfile(tmp_path / "nothing")


def test_a_plain_keyfile_is_read(tmp_path: Path) -> None:
    assert from_keyfile(keyfile(tmp_path)).account == ALICE


def test_an_encrypted_keyfile_wants_its_password(tmp_path: Path) -> None:
    path = keyfile(tmp_path, PASSWORD, mode=0o644)
    assert from_keyfile(path, PASSWORD).account == ALICE
    for password in (None, "wrong"):
        with pytest.raises(ConfigError, match="password") as told:
            from_keyfile(path, password)
        assert PASSWORD not in str(told.value)


def test_what_is_no_keyfile_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = keyfile(tmp_path)
    path.write_text(json.dumps({"secretPhrase": "hush"}))
    with pytest.raises(ConfigError) as told:
        from_keyfile(path)
    assert "hush" not in str(told.value)
    assert told.value.__suppress_context__


def test_development_keys_are_for_devnets() -> None:
    assert from_uri("//Alice", devnet=True).account == ALICE
    assert from_uri("//miner/0", devnet=True).account == Keypair.create_from_uri("//miner/0").ss58_address
    for uri, devnet in (("//Alice", False), (MNEMONIC, True)):
        with pytest.raises(ConfigError) as told:
            from_uri(uri, devnet=devnet)
        assert MNEMONIC not in str(told.value)


def test_a_key_signs_and_hides_its_secret() -> None:
    key = from_uri("//Alice", devnet=True)
    assert Keypair(public_key=key.public, ss58_format=42).verify(b"text", key.sign(b"text"))
    ring = Keyring([key])
    assert (repr(key), repr(ring)) == (f"Key({ALICE})", f"Keyring({ALICE})")
    assert (key.scheme, ALICE in ring, ring.accounts, ring.key(ALICE) is key) == (1, True, (ALICE,), True)
    with pytest.raises(Refused) as told:
        ring.key("5Nobody")
    assert told.value.name == "no_key"


def test_an_ed25519_key_says_so() -> None:
    key = Key(bittensor_core.Keypair.create_from_uri("//Alice", bittensor_core.CRYPTO_ED25519))
    assert key.scheme == 0
