"""Amounts and addresses as an operator writes them. No float touches an amount."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from miner.amounts import Chain
from miner.config.problems import BadValue
from miner.errors import ConfigError

SS58_PREFIX = 42
_AMOUNT = re.compile(r"([0-9][0-9_]{0,30})(?:\.([0-9]{1,20}))?\s*([A-Za-z]+)", re.ASCII)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_SUMS = (1, 0x2BC830A3)
_HUMAN_PART = {"mainnet": "bc", "testnet": "tb", "testnet4": "tb", "signet": "tb", "regtest": "bcrt"}
_ACCOUNT_BYTES = 32


def amount_of(chain: Chain) -> Callable[[object], int]:
    """A reader of amounts of `chain`: `"1.5 TAO"` or `"1500000000 rao"` gives rao."""

    def read(value: object) -> int:
        return parse_amount(value, chain)

    return read


def parse_amount(value: object, chain: Chain) -> int:
    """An amount with its unit, in the smallest unit.

    Raises:
        BadValue: It is a bare number, names another unit, has too many places, or is more than can exist.
    """
    coin, unit = chain.upper(), chain.unit
    same = 15 * 10 ** (chain.decimals - 1)
    remedy = f'Write the amount with its unit, in quotes: "1.5 {coin}" or "{same} {unit}"'
    if not isinstance(value, str):
        what = (
            "has no unit"
            if isinstance(value, int | float) and not isinstance(value, bool)
            else "is no amount"
        )
        raise BadValue("{value} " + what, remedy)
    found = _AMOUNT.fullmatch(value.strip())
    if found is None:
        raise BadValue("{value} is no amount", remedy)
    whole, places, named = found[1].replace("_", ""), found[2] or "", found[3].lower()
    if named not in (coin.lower(), unit):
        raise BadValue(f"{{value}} is not in {coin} or {unit}", remedy)
    decimals = chain.decimals if named == coin.lower() else 0
    if len(places) > decimals:
        raise BadValue(f"{{value}} has more than {decimals} decimal places", remedy)
    amount = int(whole + places.ljust(decimals, "0"))
    if amount > chain.supply:
        raise BadValue(f"{{value}} is more than all {coin} that can exist", remedy)
    return amount


def amount_in_tao(text: str) -> int:
    """An amount given to a command, in rao.

    Raises:
        ConfigError: It is none.
    """
    try:
        return parse_amount(text, Chain.TAO)
    except BadValue as bad:
        raise ConfigError("AMOUNT", bad.problem.replace("{value}", repr(text[:40])), bad.remedy) from None


def check_ss58(value: str) -> str:
    """The address as given, once its checksum and network prefix (42) are right.

    Raises:
        BadValue: They are not.
    """
    remedy = f"Copy the address again; it begins with 5 (SS58, prefix {SS58_PREFIX})"
    raw = _base58_decode(value)
    if raw is None or len(raw) != 1 + _ACCOUNT_BYTES + 2:
        raise BadValue("{value} is no SS58 address", remedy)
    if hashlib.blake2b(b"SS58PRE" + raw[:-2]).digest()[:2] != raw[-2:]:
        raise BadValue("{value} has a wrong checksum", remedy)
    if raw[0] != SS58_PREFIX:
        raise BadValue(f"{{value}} is an address of network prefix {raw[0]}, not {SS58_PREFIX}", remedy)
    return value


def check_segwit(value: str, network: str) -> str:
    """The address as given, once it is a native-segwit address of the network with the right checksum.

    Raises:
        BadValue: It is not.
    """
    human = _HUMAN_PART[network]
    remedy = f"Payouts leave from a native-segwit address of {network}: one that begins with {human}1"
    if value not in (value.lower(), value.upper()):
        raise BadValue("{value} mixes upper and lower case", remedy)
    found, _, data = value.lower().rpartition("1")
    if found in _HUMAN_PART.values() and found != human:
        raise BadValue(f"{{value}} is an address of another network than {network}", remedy)
    if found != human or any(c not in _BECH32 for c in data) or not 14 <= len(data) <= 71:
        raise BadValue("{value} is no native-segwit address", remedy)
    if _bech32_sum(human, data) != _BECH32_SUMS[min(_BECH32.index(data[0]), 1)]:
        raise BadValue("{value} has a wrong checksum", remedy)
    return value


def _base58_decode(text: str) -> bytes | None:
    if not text or len(text) > 64 or any(c not in _BASE58 for c in text):
        return None
    number = 0
    for c in text:
        number = number * 58 + _BASE58.index(c)
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _bech32_sum(human: str, data: str) -> int:
    """BIP 173's checksum polynomial over the whole address."""
    values = (
        [ord(c) >> 5 for c in human] + [0] + [ord(c) & 31 for c in human] + [_BECH32.index(c) for c in data]
    )
    total = 1
    for value in values:
        top = total >> 25
        total = (total & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            total ^= generator if top >> bit & 1 else 0
    return total
