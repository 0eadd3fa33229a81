"""The pinned addresses, the wallets that hold their keys, and the node they are asked of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from miner.chains.bitcoin.addresses import is_p2tr, is_p2wpkh, script_of
from miner.chains.bitcoin.networks import Network
from miner.chains.bitcoin.node import Node
from miner.chains.bitcoin.rpc import WALLET_NOT_LOADED, RpcError, understanding, whole
from miner.errors import ConfigError, ReadFailed, Refused

_WHERE = "bitcoin.accounts"
_OLDEST = 280_000
"""First version (`getnetworkinfo`) whose wallets keep the order of given inputs."""


@dataclass(frozen=True, slots=True)
class Account:
    """A pinned payout address.

    Attributes:
        address: As configured: the one spelling that lanes are stored under.
        wallet: Name of the node's wallet that signs for it.
        script: Its output script.
    """

    address: str
    wallet: str
    script: bytes


class Accounts:
    """All pinned addresses, found by any spelling."""

    def __init__(self, wallets: Mapping[str, str], network: Network) -> None:
        """Read the addresses.

        Args:
            wallets: Wallet name by address.
            network: Which network they must be of.

        Raises:
            ConfigError: An address is bad, of another network, not native segwit, or given twice.
        """
        self._network = network
        self._by_script: dict[bytes, Account] = {}
        for address, wallet in wallets.items():
            account = Account(address, wallet, _pinned_script(address, network))
            if account.script in self._by_script:
                raise ConfigError(_WHERE, f"{address} is given twice", "Name it once.")
            self._by_script[account.script] = account

    def __iter__(self) -> Iterator[Account]:
        return iter(self._by_script.values())

    def of_script(self, script: bytes) -> Account | None:
        """The account with this script, if one is ours."""
        return self._by_script.get(script)

    def find(self, address: str) -> Account | None:
        """The account of an address, if it is ours."""
        try:
            return self.of_script(script_of(address, self._network))
        except Refused:
            return None

    def get(self, address: str) -> Account:
        """The account of an address.

        Raises:
            Refused: `unknown_account`.
        """
        if (found := self.find(address)) is None:
            raise Refused(
                "payout", "unknown_account", f"{address[:90]!r} is none of the configured addresses"
            )
        return found


async def check_node(node: Node, network: Network) -> None:
    """Check that the node is of the network, recent, and has caught up.

    Raises:
        ConfigError: It is of another network, or too old.
        ReadFailed: It did not answer, or is still catching up.
    """
    genesis = await node.hash_at(0)
    info = await node.rpc.read("getblockchaininfo")
    software = await node.rpc.read("getnetworkinfo")
    with understanding("the node's state"):
        chain, syncing = str(info["chain"]), bool(info["initialblockdownload"])
        behind = whole(info["headers"]) - whole(info["blocks"])
        version = whole(software["version"])
    if genesis != network.genesis or chain != network.node_name:
        problem = f"{node.rpc!r} is of the network {chain!r}, wanted is {network.name!r}"
        raise ConfigError(
            "bitcoin.network", problem, "Name the node's network, or point bitcoin.url elsewhere."
        )
    if version < _OLDEST:
        problem = f"{node.rpc!r} runs version {version}, which mixes up the order of inputs"
        raise ConfigError("bitcoin.url", problem, "Run Bitcoin Core or Knots 28 or later.")
    if syncing:
        raise ReadFailed(
            "the Bitcoin chain", f"the node is still catching up, {behind} blocks or more are missing"
        )


async def check_account(node: Node, account: Account) -> None:
    """Check that the account's wallet is loaded, knows the address, and can sign for it unattended.

    Raises:
        ConfigError: It cannot; says what to do.
        ReadFailed: Nothing was learned.
    """
    name = account.wallet
    try:
        wallet = await node.rpc.read("getwalletinfo", wallet=name)
        address = await node.rpc.read("getaddressinfo", account.address, wallet=name)
    except RpcError as exc:
        if exc.code != WALLET_NOT_LOADED:
            raise
        remedy = f"Run `bitcoin-cli -named loadwallet filename={name} load_on_startup=true`."
        raise ConfigError(_WHERE, f"wallet {name!r} is not loaded", remedy) from exc
    with understanding(f"wallet {name}"):
        problem, remedy = _judge(wallet, address, account)
    if problem:
        raise ConfigError(_WHERE, problem, remedy)


def _judge(wallet: Mapping[str, Any], address: Mapping[str, Any], account: Account) -> tuple[str, str]:
    name, shown = account.wallet, account.address
    if bytes.fromhex(address["scriptPubKey"]) != account.script:
        return f"the node reads {shown} as another script", "Compare bitcoin.network with the node's."
    if not address["ismine"] or not address["solvable"] or not address["iswitness"]:
        return f"wallet {name!r} cannot spend from {shown}", "Name the wallet in which the address was made."
    if not wallet["private_keys_enabled"] or wallet.get("external_signer", False):
        return f"wallet {name!r} holds no keys", "Name a wallet that can sign by itself."
    if wallet.get("unlocked_until") == 0:
        return f"wallet {name!r} is locked", f"Run `bitcoin-cli -rpcwallet={name} walletpassphrase …` first."
    if wallet.get("scanning", False):
        return f"wallet {name!r} is being rescanned", "Wait until `getwalletinfo` says `scanning: false`."
    return "", ""


def _pinned_script(address: str, network: Network) -> bytes:
    try:
        script = script_of(address, network)
    except Refused as exc:
        raise ConfigError(_WHERE, str(exc), f"Give an address of {network.name}.") from exc
    if not is_p2wpkh(script) and not is_p2tr(script):
        remedy = "Make one: `bitcoin-cli getnewaddress swaps bech32`."
        raise ConfigError(_WHERE, f"{address} is not a native segwit address of one key", remedy)
    return script
