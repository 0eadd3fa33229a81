"""A complete settings folder for tests: metadata, keys, a cookie, and a config that names them."""

from __future__ import annotations

import json
from pathlib import Path

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
REGTEST = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
MAINNET = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"

GOOD = f"""\
[contract]
endpoints = ["ws://127.0.0.1:9944"]
address = "{BOB}"
metadata = "contract.json"

[store]
path = "state"

[limits.tao]
max_fee = "0.01 TAO"

[limits.btc]
max_fee = "0.0005 BTC"

[bitcoin]
url = "http://127.0.0.1:18443"
network = "regtest"
cookie_file = "cookie"

[[miners]]
name = "one"
hotkey = {{ keyfile = "hotkey", password_file = "password" }}
hotkey_address = "{ALICE}"
btc_address = "{REGTEST}"
"""


def write_settings(folder: Path, text: str = GOOD) -> Path:
    """Write the config with everything it names; returns the config's path."""
    (folder / "contract.json").write_text(json.dumps({"spec": {}, "types": []}), encoding="utf-8")
    for name in ("hotkey", "password", "cookie", "mnemonic"):
        secret = folder / name
        secret.write_text(f"canary-{name}\n", encoding="utf-8")
        secret.chmod(0o600)
    config = folder / "swap-miner.toml"
    config.write_text(text, encoding="utf-8")
    return config


def replaced(old: str, new: str, text: str = GOOD) -> str:
    """The text with one thing changed, which must be there."""
    assert old in text, old
    return text.replace(old, new, 1)


def line_with(needle: str, text: str) -> int:
    """The first line that holds something, counted from 1."""
    return next(number for number, line in enumerate(text.split("\n"), 1) if needle in line)
