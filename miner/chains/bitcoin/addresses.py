"""Addresses to scripts and back: what may be paid, and how a transaction id is written.

Sources: BIP 13 and 16 (base58 versions), BIP 173 (bech32), BIP 350 (bech32m for witness version 1 and up),
Bitcoin Core `policy.cpp` (`GetDustThreshold`).
"""

from __future__ import annotations

import re

from embit import base58, bech32

from miner.chains.bitcoin.networks import NETWORKS, Network
from miner.errors import Refused

_TXID = re.compile(r"(?:0x)?([0-9a-fA-F]{64})", re.ASCII)
_LONGEST = 90
_PREFIXES = frozenset(network.hrp for network in NETWORKS.values())
_VERSIONS = frozenset(version for network in NETWORKS.values() for version in (network.p2pkh, network.p2sh))


def canonical_txid(text: str) -> str:
    """The one way to write a transaction id: 64 hex digits, lower case.

    Raises:
        Refused: `bad_txid`.
    """
    if not (match := _TXID.fullmatch(text)):
        raise Refused("transaction id", "bad_txid", f"{text[:80]!r} is not 64 hex digits")
    return match.group(1).lower()


def script_of(address: str, network: Network) -> bytes:
    """The output script that pays an address: P2PKH, P2SH, P2WPKH, P2WSH or P2TR.

    Raises:
        Refused: `bad_address`, or `recipient_of_another_network`.
    """
    if not address.isascii() or not address.isprintable() or not 0 < len(address) <= _LONGEST:
        raise _bad(address, "it is empty, too long, or not printable ASCII")
    if address.rpartition("1")[0].lower() in _PREFIXES:
        return _segwit_script(address, network)
    return _base58_script(address, network)


def address_of(script: bytes, network: Network) -> str | None:
    """The address that an output script pays; None for a script that no address stands for."""
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return str(base58.encode_check(bytes([network.p2pkh]) + script[3:23]))
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return str(base58.encode_check(bytes([network.p2sh]) + script[2:22]))
    version = script[0] - 0x50 if script[:1] > b"\x50" else 0
    if len(script) in (22, 34) and script[:1] in (b"\x00", b"\x51") and script[1] == len(script) - 2:
        return str(bech32.encode(network.hrp, version, script[2:]))
    return None


def witness_program(address: str) -> tuple[str, int, bytes]:
    """Prefix, witness version and program of a segwit address of any network, by BIP 173 and BIP 350.

    Raises:
        Refused: `bad_address`.
    """
    if address not in (address.lower(), address.upper()):
        raise _bad(address, "it mixes upper and lower case")
    encoding, hrp, data = bech32.bech32_decode(address)
    if encoding is None or not data:
        raise _bad(address, "its checksum or alphabet is wrong")
    version, program = data[0], bech32.convertbits(data[1:], 5, 8, False)
    if program is None or not 2 <= len(program) <= 40 or version > 16:
        raise _bad(address, "its witness program is malformed")
    if version == 0 and len(program) not in (20, 32):
        raise _bad(address, "a version 0 program has 20 or 32 bytes")
    if (encoding == bech32.Encoding.BECH32) != (version == 0):
        raise _bad(address, "version 0 is written in bech32, all others in bech32m")
    return str(hrp), int(version), bytes(program)


def dust_limit(script: bytes) -> int:
    """Smallest output to this script that nodes relay, in sat, at Core's dust rate of 3 sat/vB."""
    witness = 4 <= len(script) <= 42 and script[0] in (0, *range(0x51, 0x61))
    spending = 32 + 4 + 1 + 107 // 4 + 4 if witness else 32 + 4 + 1 + 107 + 4
    return 3 * (8 + 1 + len(script) + spending)


def is_p2wpkh(script: bytes) -> bool:
    """Whether a script is a version 0 program of 20 bytes."""
    return len(script) == 22 and script[:2] == b"\x00\x14"


def is_p2tr(script: bytes) -> bool:
    """Whether a script is a version 1 program of 32 bytes."""
    return len(script) == 34 and script[:2] == b"\x51\x20"


def _segwit_script(address: str, network: Network) -> bytes:
    hrp, version, program = witness_program(address)
    if hrp != network.hrp:
        raise _foreign(address, network)
    if version > 1 or (version == 1 and len(program) != 32):
        raise _bad(address, f"nothing standard is paid by witness version {version}, {len(program)} bytes")
    return bytes([0x50 + version if version else 0, len(program)]) + program


def _base58_script(address: str, network: Network) -> bytes:
    try:
        payload: bytes = base58.decode_check(address)
    except ValueError as exc:
        raise _bad(address, "neither bech32 nor base58 with a right checksum") from exc
    if len(payload) != 21 or payload[0] not in _VERSIONS:
        raise _bad(address, "its version or length is none of Bitcoin's")
    if payload[0] == network.p2pkh:
        return b"\x76\xa9\x14" + payload[1:] + b"\x88\xac"
    if payload[0] == network.p2sh:
        return b"\xa9\x14" + payload[1:] + b"\x87"
    raise _foreign(address, network)


def _bad(address: str, why: str) -> Refused:
    return Refused("address", "bad_address", f"{address[:_LONGEST]!r}: {why}")


def _foreign(address: str, network: Network) -> Refused:
    return Refused("address", "recipient_of_another_network", f"{address!r} is not of {network.name}")
