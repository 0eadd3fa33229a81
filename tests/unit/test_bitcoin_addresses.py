"""Addresses and ids: the vectors of BIP 173 and BIP 350, base58 of every network, dust."""

from __future__ import annotations

import pytest
from embit import base58
from hypothesis import given
from hypothesis import strategies as st

from miner.chains.bitcoin.addresses import canonical_txid, dust_limit, script_of, witness_program
from miner.chains.bitcoin.networks import NETWORKS, Network
from miner.errors import ConfigError, Refused

MAIN, REGTEST = NETWORKS["bitcoin"], NETWORKS["regtest"]
TESTS = [NETWORKS[name] for name in ("testnet3", "testnet4", "signet")]
V0 = "751e76e8199196d454941c45d1b3a323f1433bd6"
VALID = {  # BIP 350: address → script
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4": f"0014{V0}",
    "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7": (
        "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262"
    ),
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y": f"5128{V0}{V0}",
    "BC1SW50QGDZ25J": "6002751e",
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs": "5210751e76e8199196d454941c45d1b3a323",
    "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy": (
        "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"
    ),
    "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c": (
        "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"
    ),
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": (
        "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    ),
}
INVALID = """
tc1qw508d6qejxtdg4y5r3zarvary0c5xw7kg3g4ty
tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut
bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd
tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf
BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL
bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh
tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47
bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4
BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R
bc1pw5dgrnzv
bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav
BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P
tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq
bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf
tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j
bc1gmk9yu
bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5
bc10w508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kw5rljs90
bc1rw5uspcuh
tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sL5k7
""".split()


def name_of(address: str, network: Network) -> str:
    with pytest.raises(Refused) as told:
        script_of(address, network)
    return told.value.name


@pytest.mark.parametrize(("address", "script"), VALID.items())
def test_bip350_valid(address: str, script: str) -> None:
    hrp, version, program = witness_program(address)
    assert bytes([0x50 + version if version else 0, len(program)]) + program == bytes.fromhex(script)
    network = MAIN if hrp == "bc" else TESTS[0]
    if version == 0 or (version == 1 and len(program) == 32):
        assert script_of(address, network).hex() == script
        assert name_of(address, REGTEST) == "recipient_of_another_network"
    else:
        assert name_of(address, network) == "bad_address", "nobody could spend it"


@pytest.mark.parametrize("address", INVALID)
def test_bip173_and_bip350_invalid(address: str) -> None:
    for network in NETWORKS.values():
        assert name_of(address, network) == "bad_address"
    if not address.startswith("tc1"):
        with pytest.raises(Refused):
            witness_program(address)


@pytest.mark.parametrize(
    ("address", "script"),
    [
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"),
        ("3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87"),
    ],
)
def test_base58_of_the_main_network(address: str, script: str) -> None:
    assert script_of(address, MAIN).hex() == script
    for network in (*TESTS, REGTEST):
        assert name_of(address, network) == "recipient_of_another_network"


@given(st.sampled_from([0x6F, 0xC4]), st.binary(min_size=20, max_size=20))
def test_base58_of_the_test_networks(version: int, payload: bytes) -> None:
    address = base58.encode_check(bytes([version]) + payload)
    assert payload in script_of(address, REGTEST)
    assert name_of(address, MAIN) == "recipient_of_another_network"
    wrong = address[:-1] + ("2" if address[-1] != "2" else "3")
    assert name_of(wrong, REGTEST) == "bad_address"


@pytest.mark.parametrize(
    "address",
    [
        "", " ", "x", "1" * 91, "bc1", "0x" + "00" * 20, "\x00", "bc1\x7f1",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa ", "1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf0a",
        "\uff11A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "LVg2kJoFNg45Nbpy53h7Fe1wKyeXVRhMH9",
    ],
)  # fmt: skip
def test_what_is_no_address(address: str) -> None:
    assert name_of(address, MAIN) == "bad_address"


@given(st.text(max_size=120))
def test_any_text_is_refused_or_read(text: str) -> None:
    for network in (MAIN, REGTEST):
        assert outcome(text, network) in ("paid", "bad_address", "recipient_of_another_network")


def outcome(text: str, network: Network) -> str:
    try:
        return "paid" if script_of(text, network) else "nothing"
    except Refused as refused:
        return refused.name


def test_ids_have_one_spelling() -> None:
    txid = "ab" * 32
    for spelling in (txid, txid.upper(), "0x" + txid, "0x" + txid.upper()):
        assert canonical_txid(spelling) == txid
    for bad in (
        "",
        txid[:-1],
        txid + "0",
        "0X" + txid,
        " " + txid,
        txid + "\n",
        "zz" * 32,
        "0x0x" + txid,
        "\u0663" * 64,
    ):
        with pytest.raises(Refused, match="bad_txid"):
            canonical_txid(bad)


@pytest.mark.parametrize(
    ("script", "limit"),
    [("76a914" + "00" * 20 + "88ac", 546), ("a914" + "00" * 20 + "87", 540), ("0014" + "00" * 20, 294),
     ("0020" + "00" * 32, 330), ("5120" + "00" * 32, 330)],
)  # fmt: skip
def test_dust_is_what_core_calls_dust(script: str, limit: int) -> None:
    assert dust_limit(bytes.fromhex(script)) == limit


def test_networks_are_named() -> None:
    assert Network.named("signet").chain_id.startswith("btc:00000008819873e9")
    assert len({network.genesis for network in NETWORKS.values()}) == len(NETWORKS)
    with pytest.raises(ConfigError, match="testnet4"):
        Network.named("mainnet")
