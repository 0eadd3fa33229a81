"""What good settings give: values, paths, overrides, the policy, and an example that tells everything."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from miner.amounts import Chain, format_amount
from miner.config import (
    KeyKind,
    SecretFile,
    SecretKind,
    Settings,
    example,
    find,
    load,
    read,
    settings_lines,
    to_policy,
)
from miner.config.explain import model_of
from miner.config.quantities import check_segwit, parse_amount
from miner.errors import ConfigError
from miner.model.policy import Caps
from tests.unit.config_files import ALICE, BOB, GOOD, MAINNET, replaced, write_settings

EXAMPLES = Path(__file__).parents[2] / "config"


def test_a_good_file(tmp_path: Path) -> None:
    settings = load(write_settings(tmp_path), files=True)
    assert settings.contract.endpoints == ("ws://127.0.0.1:9944",)
    assert settings.contract.metadata == tmp_path / "contract.json"
    assert settings.store.path == tmp_path / "state"
    assert settings.store.file.parent == tmp_path / "state"
    assert settings.recovery_file == tmp_path / "state" / "recovery.jsonl"
    (miner,) = settings.miners
    assert miner.payout_key is miner.hotkey
    assert miner.hotkey.kind is KeyKind.KEYFILE
    assert miner.hotkey.keyfile == SecretFile(SecretKind.FILE, str(tmp_path / "hotkey"))
    assert miner.hotkey.password_file is not None
    assert miner.hotkey.password_file.read() == "canary-password"
    assert settings.wallet_of(miner) == "swap-miner"
    assert settings.chains == {Chain.TAO, Chain.BTC}
    assert settings.miner("one") is miner
    assert settings.miner("two") is None


def test_secrets_are_not_in_a_repr(tmp_path: Path) -> None:
    text = replaced('{ keyfile = "hotkey", password_file = "password" }', '{ uri = "//canary" }')
    text = replaced("[store]", "allow_dev_keys = true\n[store]", text)
    assert "canary" not in repr(load(write_settings(tmp_path, text)))


def test_settings_do_not_change(tmp_path: Path) -> None:
    settings = load(write_settings(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        settings.contract.address = ALICE  # type: ignore[misc]


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWAP_MINER__LIMITS__TAO__MAX_PER_SWAP", "2 TAO")
    monkeypatch.setenv("SWAP_MINER__CONTRACT__ENDPOINTS", '["wss://a:1", "wss://b"]')
    monkeypatch.setenv("SWAP_MINER__STORE__PATH", "elsewhere")
    monkeypatch.setenv("SWAP_MINER__CONTRACT__REQUEST_TIMEOUT_S", "7")
    settings = load(write_settings(tmp_path))
    assert settings.limits.tao.max_per_swap == 2 * 10**9
    assert settings.limits.tao.max_fee == 10**7
    assert settings.contract.endpoints == ("wss://a:1", "wss://b")
    assert settings.contract.address == BOB
    assert settings.contract.request_timeout_s == 7
    assert settings.store.path == tmp_path / "elsewhere"


def test_where_settings_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = (tmp_path / "etc.toml", Path("swap-miner.toml"))
    monkeypatch.setattr("miner.config.reading.DEFAULT_PATHS", places)
    with pytest.raises(ConfigError, match="swap-miner init"):
        find()
    write_settings(tmp_path)
    assert find() == Path("swap-miner.toml")
    (tmp_path / "etc.toml").touch()
    assert find() == tmp_path / "etc.toml"
    assert find(Path("named")) == Path("named")


@pytest.mark.parametrize(
    ("text", "chain", "amount"),
    [
        ("1.5 TAO", Chain.TAO, 1_500_000_000),
        ("1500000000 rao", Chain.TAO, 1_500_000_000),
        ("1_000 rao", Chain.TAO, 1_000),
        ("0.000000001tao", Chain.TAO, 1),
        ("0 TAO", Chain.TAO, 0),
        ("21000000 TAO", Chain.TAO, 21 * 10**15),
        ("0.00000001 BTC", Chain.BTC, 1),
        ("7 sat", Chain.BTC, 7),
    ],
)
def test_amounts(text: str, chain: Chain, amount: int) -> None:
    assert parse_amount(text, chain) == amount
    assert parse_amount(format_amount(amount, chain), chain) == amount


def test_a_taproot_address_is_native_segwit_too() -> None:
    address = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"
    assert check_segwit(address, "mainnet") == address
    assert check_segwit(MAINNET.upper(), "mainnet") == MAINNET.upper()


def test_the_policy(tmp_path: Path) -> None:
    text = replaced(
        "[limits.btc]", 'max_per_swap = "2 TAO"\nmargin_blocks = 20\nmark_fee = "1 rao"\n[limits.btc]'
    )
    policy = to_policy(load(write_settings(tmp_path, text)))
    tao, btc = policy.rails[Chain.TAO], policy.rails[Chain.BTC]
    assert (tao.margin_blocks, tao.mark_confirmations, tao.max_fee) == (20, 0, 10**7)
    assert tao.caps == Caps(2 * 10**9, None)
    assert (btc.margin_blocks, btc.mark_confirmations, btc.final_confirmations) == (103, 1, 6)
    assert policy.mark_fee == 1
    text = replaced("[bitcoin]", "validators_extend_timeouts = true\n[bitcoin]")
    assert to_policy(load(write_settings(tmp_path, text))).rails[Chain.BTC].margin_blocks == 9


def test_without_a_bitcoin_node_there_is_no_btc_rail() -> None:
    start, end = GOOD.index("[bitcoin]"), GOOD.index("[[miners]]")
    text = "\n".join(
        line for line in (GOOD[:start] + GOOD[end:]).split("\n") if not line.startswith("btc_address")
    )
    settings = read(text, Path("x.toml"))
    assert to_policy(settings).rails.keys() == {Chain.TAO}
    assert any(line.name == "bitcoin" and line.ok is None for line in settings_lines(settings))


def test_what_the_check_says_of_the_settings(tmp_path: Path) -> None:
    second = '\n[[miners]]\nname = "two"\nhotkey = { mnemonic_file = "m" }\n'
    second += f'btc_address = "{_address_of(GOOD)}"\n'
    text = replaced("ws://127.0.0.1:9944", "ws://node.test/v1/canary", GOOD + second)
    lines = {line.name: line for line in settings_lines(load(write_settings(tmp_path, text)))}
    assert "3 for the mark to land + 100" in lines["btc margin"].detail
    assert lines["tao caps"].ok is None
    assert "limits.tao.max_per_swap" in lines["tao caps"].remedy
    assert "shared by one, two" in lines[f"account {_address_of(GOOD)}"].detail
    assert "not encrypted" in lines["ws://node.test/…"].detail
    assert "canary" not in repr(lines)
    assert not [line for line in lines.values() if line.ok is False]


def _address_of(text: str) -> str:
    return str(tomllib.loads(text)["miners"][0]["btc_address"])


# secrets


def test_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = SecretFile(SecretKind.CREDENTIAL, "hot")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match="LoadCredential=hot:"):
        secret.read()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ConfigError, match="No such file"):
        secret.check()
    (tmp_path / "hot").write_text(" x y \n", encoding="utf-8")
    (tmp_path / "hot").chmod(0o440)  # systemd's access list shows as the group's bits
    secret.check()
    assert secret.read() == "x y"
    assert str(secret) == "credential:hot"


def test_secrets_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = SecretFile(SecretKind.ENVIRONMENT, "SOME_SECRET")
    monkeypatch.delenv("SOME_SECRET", raising=False)
    with pytest.raises(ConfigError, match="is not set"):
        secret.check()
    monkeypatch.setenv("SOME_SECRET", "  ")
    with pytest.raises(ConfigError, match="is empty"):
        secret.read()
    monkeypatch.setenv("SOME_SECRET", "canary")
    secret.check()
    assert secret.read() == "canary"
    assert "canary" not in repr(secret)


def test_a_secret_is_checked_again_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("canary", encoding="utf-8")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        SecretFile(SecretKind.FILE, str(path)).read()
    path.chmod(0o640)
    assert SecretFile(SecretKind.FILE, str(path)).read(shared_with_group=True) == "canary"
    path.chmod(0o600)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not text"):
        SecretFile(SecretKind.FILE, str(path)).read()


# the examples


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in model.model_fields.items():
        inner = model_of(field)
        if inner is not None and inner.__name__ != "KeySource":
            yield from leaves(inner, (*path, name))
        else:
            yield (*path, name), field


def uncommented(text: str) -> dict[str, Any]:
    """The example with every setting switched on; of a repeated key the first."""
    seen: set[tuple[str, str]] = set()
    table, out = "", []
    for line in text.split("\n"):
        line = re.sub(r"^#(?=[a-z_]+ = |\[)", "", line)
        if line.startswith("["):
            table = line
        key = re.match(r"[a-z_]+(?= = )", line)
        if key is not None:
            if (table, key[0]) in seen:
                continue
            seen.add((table, key[0]))
        out.append(line)
    return tomllib.loads("\n".join(out))


@pytest.mark.parametrize("name", ["swap-miner.toml", "devnet.toml"])
def test_every_example_is_read(name: str) -> None:
    assert isinstance(load(EXAMPLES / name), Settings)


def test_init_writes_what_the_example_says() -> None:
    assert (EXAMPLES / "swap-miner.toml").read_text(encoding="utf-8") == example()
    read(example(), Path("x.toml"))


@pytest.mark.parametrize(
    ("path", "field"), list(leaves(Settings)), ids=lambda v: ".".join(v) if type(v) is tuple else ""
)
def test_every_setting_is_in_the_example_with_its_default(path: tuple[str, ...], field: Any) -> None:
    value: Any = uncommented(example())
    for part in path:
        value = (value[0] if isinstance(value, list) else value)[part]
    default = field.get_default()
    if default is PydanticUndefined or default is None:
        return
    if isinstance(value, str) and re.search(r" (TAO|BTC)$", value):
        assert parse_amount(value, Chain(value[-3:].lower())) == default
    else:
        assert str(value) == str(default) or value == default or (value, default) == ([], ())


def test_every_setting_is_explained() -> None:
    assert [path for path, field in leaves(Settings) if not field.description] == []
    assert "keyfile" in example()
    assert "mnemonic_file" in example()


def test_a_union_of_tables_would_be_noticed() -> None:
    """`model_of` follows optional tables and tuples of tables, not a choice between two tables."""
    for _, field in leaves(Settings):
        tables = [a for a in get_args(field.annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
        assert len(tables) <= 1 or get_origin(field.annotation) not in (Union, UnionType)
