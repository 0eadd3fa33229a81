"""The secrets that settings name are found by a command run by hand, and passed to the service."""

from __future__ import annotations

from pathlib import Path

import bittensor_core
import pytest

from miner.app.keys import load_key
from miner.app.passing import named, service_line
from miner.app.service import Place, carry_out, installing
from miner.config import KeySource
from miner.config.reading import credentials_of
from miner.config.secrets import SecretFile, SecretKind, own_credentials, parse_secret
from miner.errors import ConfigError

SETTINGS = """
[bitcoin]
password_file = "credential:bitcoin-rpc"
cookie_file = "/a/file"
[[miners]]
name = "credentials: none"
hotkey = { keyfile = "credential:hotkey" }
[[notify]]
url_file = "credential:../../etc/shadow"
secret_file = "env:SECRET"
"""


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def place(root: Path, name: str = "") -> Place:
    return Place(root, name, Path("/opt/swap-miner/bin/swap-miner"), ())


def test_what_settings_name_as_credentials_is_found() -> None:
    assert named(SETTINGS) == ("bitcoin-rpc", "hotkey")
    assert named("no [ settings") == ()


def test_the_service_is_passed_what_the_settings_name(tmp_path: Path) -> None:
    carry_out(installing(place(tmp_path)))
    place(tmp_path).settings.write_text(SETTINGS)
    (place(tmp_path).secrets / "hotkey.cred").touch()
    (step,) = (step for step in installing(place(tmp_path)) if step.what == str(place(tmp_path).passes))
    assert "not there yet: bitcoin-rpc" in step.why
    carry_out([step])
    assert place(tmp_path).passes.read_text().splitlines()[1:] == [
        "[Service]",
        "LoadCredential=bitcoin-rpc:/etc/swap-miner/credentials/bitcoin-rpc",
        "LoadCredentialEncrypted=hotkey:/etc/swap-miner/credentials/hotkey.cred",
    ]


def test_each_of_several_services_is_passed_its_own(tmp_path: Path) -> None:
    carry_out(installing(place(tmp_path, "two")))
    told = (tmp_path / "etc/systemd/system/swap-miner@two.service.d/credentials.conf").read_text()
    assert "LoadCredential=hotkey:/etc/swap-miner/credentials/two/hotkey\n" in told
    for folder in (place(tmp_path, "two").secrets, place(tmp_path).secrets):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert credentials_of(place(tmp_path, "two").settings) == place(tmp_path, "two").secrets
    assert credentials_of(place(tmp_path).settings) == place(tmp_path).secrets


def test_check_tells_what_the_service_is_not_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def line(*names: str) -> tuple[bool | None, str] | None:
        unit = tmp_path / "etc/systemd/system/swap-miner.service"
        found = service_line(names, unit, unit.name, "swap-miner service install --yes")
        return None if found is None else (found.ok, found.detail)

    assert line("hotkey") == (None, "not installed here")
    carry_out(installing(place(tmp_path)))
    assert line("hotkey", "wallet-password") == (False, "is not passed wallet-password")
    there = tmp_path / "there"
    there.touch()
    lines = ["[Service]", f"LoadCredential=hotkey:{there}", f"LoadCredentialEncrypted=bitcoin-rpc:{there}"]
    place(tmp_path).passes.write_text("\n".join(lines))
    assert line("hotkey", "bitcoin-rpc") == (True, "is passed hotkey, bitcoin-rpc")
    mine = place(tmp_path).passes.with_name("override.conf")
    mine.write_text("[Service]\nLoadCredential=wallet-password:/elsewhere\n")
    assert line("hotkey") == (
        False,
        "does not start: it is to be passed /elsewhere, which is not there",
    )
    mine.write_text("[Service]\nSetCredential=wallet-password:word\n")
    assert line("hotkey", "wallet-password") == (True, "is passed hotkey, wallet-password")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert line("hotkey") is None


def test_a_command_run_by_hand_reads_them_beside_the_settings(tmp_path: Path) -> None:
    token = own_credentials.set(tmp_path)
    secret = parse_secret("credential:password")
    own_credentials.reset(token)
    with pytest.raises(ConfigError, match=f"is not in {tmp_path}.* install -m 600 FILE {tmp_path}/password"):
        secret.check()
    (tmp_path / "password").write_text("word")
    (tmp_path / "password").chmod(0o640)  # nobody's access list here
    with pytest.raises(ConfigError, match=f"chmod 600 {tmp_path}/password"):
        secret.read()
    (tmp_path / "password").chmod(0o600)
    assert secret.read() == "word"


def test_what_systemd_passes_is_read_with_the_bits_that_its_access_list_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bittensor_core.Keypair.create_from_uri("//Alice")
    path = tmp_path / "hotkey"
    path.write_bytes(bytes(bittensor_core.serialized_keypair_to_keyfile_data(key)))
    path.chmod(0o440)
    source = KeySource(keyfile=SecretFile(SecretKind.CREDENTIAL, "hotkey", tmp_path))
    with pytest.raises(ConfigError, match="others may read this secret"):
        load_key(source, "miners.one.hotkey", devnet=False)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load_key(source, "miners.one.hotkey", devnet=False).account == key.ss58_address
    path.chmod(0o444)
    with pytest.raises(ConfigError, match="others may read this secret"):
        load_key(source, "miners.one.hotkey", devnet=False)


def test_the_service_says_what_to_do_where_it_was_not_passed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ConfigError, match="swap-miner service install --yes"):
        SecretFile(SecretKind.CREDENTIAL, "hotkey", Path("/elsewhere")).check()
