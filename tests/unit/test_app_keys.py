"""Who the miners are, without opening a wallet where the settings say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from miner.amounts import Chain
from miner.app.affairs import one_miner
from miner.app.keys import load_keys, quoted_miners
from miner.config import load
from miner.errors import ConfigError
from tests.unit.config_files import ALICE, BOB, REGTEST, replaced, write_settings

HOTKEY = 'hotkey = { keyfile = "hotkey", password_file = "password" }\n'
OTHER_KEY = f'{HOTKEY}tao_key = {{ mnemonic_file = "mnemonic" }}\n'
QUOTED = f'hotkey_address = "{ALICE}"\n'


def test_addresses_that_are_quoted_need_no_key(tmp_path: Path) -> None:
    settings = load(write_settings(tmp_path))
    found = one_miner(settings, None)
    assert (found.name, found.hotkey) == ("one", ALICE)
    assert found.accounts == {Chain.TAO: ALICE, Chain.BTC: REGTEST}
    with pytest.raises(ConfigError):
        load_keys(settings)  # the keyfile is none


@pytest.mark.parametrize(
    ("text", "accounts"),
    [
        (replaced(QUOTED, f'tao_address = "{BOB}"\n'), (BOB, BOB)),
        (replaced(HOTKEY, f'{OTHER_KEY}tao_address = "{BOB}"\n'), (ALICE, BOB)),
        (replaced(HOTKEY, OTHER_KEY), None),
        (replaced(QUOTED, "", replaced(HOTKEY, f'{OTHER_KEY}tao_address = "{BOB}"\n')), None),
        (replaced(QUOTED, ""), None),
    ],
    ids=["one-key-pays", "two-keys", "payer-not-quoted", "hotkey-not-quoted", "nothing-quoted"],
)
def test_what_the_settings_quote(tmp_path: Path, text: str, accounts: tuple[str, str] | None) -> None:
    found = quoted_miners(load(write_settings(tmp_path, text)))
    told = None if found is None else [(each.hotkey, each.accounts[Chain.TAO]) for each in found.values()]
    assert told == (None if accounts is None else [accounts])


def test_two_miners_of_one_hotkey_are_told(tmp_path: Path) -> None:
    first = replaced(QUOTED, f'tao_address = "{BOB}"\n')
    second = f'[[miners]]\nname = "two"\nhotkey = {{ mnemonic_file = "mnemonic" }}\ntao_address = "{BOB}"\n'
    settings = load(write_settings(tmp_path, first + second))
    with pytest.raises(ConfigError, match="is the hotkey of one as well"):
        one_miner(settings, "two")


def test_without_a_quoted_address_the_key_tells(tmp_path: Path) -> None:
    settings = load(write_settings(tmp_path, replaced(QUOTED, "")))
    with pytest.raises(ConfigError, match="hotkey"):
        one_miner(settings, None)
