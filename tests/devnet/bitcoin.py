"""A Bitcoin node in regtest, as a process and its controls."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from tests.devnet import paths
from tests.devnet.errors import RpcRefused
from tests.devnet.fault_proxy import FaultProxy
from tests.devnet.process import Child
from tests.devnet.rpc import JsonRpc

SAT = 10**8
"""Satoshi in one BTC."""
USER, PASSWORD = "devnet", "devnet"
BANK = "bank"
"""The wallet that mines, and funds all others."""


def btc(sat: int) -> str:
    """An amount as the node takes it: a decimal string in BTC."""
    return f"{Decimal(sat) / SAT:.8f}"


def sats(amount: Any) -> int:
    """An amount as the node answers it (a JSON number in BTC), in satoshi."""
    return int((Decimal(str(amount)) * SAT).to_integral_value())


class BitcoinNode:
    """A running regtest node. Blocks are made by request (`mine`).

    Attributes:
        proxy: the endpoint for what is under test: counts requests and injects faults.
        datadir: the node's folder.
    """

    def __init__(self, folder: tempfile.TemporaryDirectory[str], port: int, options: Sequence[str]) -> None:
        self.datadir = Path(folder.name)
        self.direct_url = f"http://127.0.0.1:{port}"
        self.proxy = FaultProxy(self.direct_url)
        self._folder = folder
        self._options = tuple(options)
        self._rpc = JsonRpc(self.direct_url, USER, PASSWORD)
        self._child: Child | None = None
        self._wallets: set[str] = set()

    @classmethod
    async def start(cls, *, port: int = 0, proxy_port: int = 0, txindex: bool = False) -> Self:
        """Starts a node with 150 blocks and a `bank` wallet of 2,500 BTC.

        Raises:
            DevnetError: there is no bitcoind, or it failed.
        """
        # In memory where that is possible: a node writes through to the disk with each block and wallet.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        folder = tempfile.TemporaryDirectory(prefix="swap-miner-bitcoin-", dir=memory)
        rpc_port = port or _free_port()
        options = [
            "-regtest", "-server", "-printtoconsole", "-listen=0", "-dnsseed=0", "-fixedseeds=0",
            "-connect=0", "-fallbackfee=0.0001", "-keypool=10", f"-txindex={int(txindex)}",
            f"-datadir={folder.name}", f"-rpcport={rpc_port}",
            f"-rpcuser={USER}", f"-rpcpassword={PASSWORD}", "-rpcthreads=8", "-rpcworkqueue=256",
        ]  # fmt: skip
        node = cls(folder, rpc_port, options)
        try:
            await node._run()
            await node.proxy.start(proxy_port)
            await node.wallet(BANK)
            await node.mine(150)
        except BaseException:
            await node.stop()
            raise
        return node

    @property
    def url(self) -> str:
        """The endpoint for what is under test, with its credentials."""
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self.proxy.port}"

    async def _run(self, extra: Sequence[str] = ()) -> None:
        self._child, _ = await Child.start(
            "bitcoind",
            [paths.bitcoind(), *self._options, *extra],
            ready=lambda line: "init message: Done loading" in line,
        )

    async def stop(self) -> None:
        """Ends the node and its proxy, and removes its folder."""
        await self.proxy.stop()
        await self._rpc.close()
        if self._child is not None:
            await self._child.stop()
        self._folder.cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def restart(self, *, kill: bool = False, extra: Sequence[str] = ()) -> None:
        """Ends the node and starts it on the same data, with `extra` options until it is started again.

        With `kill` it ends as in a power cut: the mempool is lost. Its blocks are kept, by a flush before
        the end: a lone node has nobody to fetch them from again.
        """
        assert self._child is not None
        if kill:
            await self.rpc("gettxoutsetinfo", "none")
        await (self._child.kill() if kill else self._child.stop())
        await self._run(extra)
        for name in sorted(self._wallets):
            await self._load(name)

    async def rpc(self, method: str, *params: Any, wallet: str | None = None) -> Any:
        """Any JSON-RPC method of the node, or of one of its wallets; uncounted and without faults.

        Raises:
            RpcRefused: the node answered with an error.
        """
        return await self._rpc.call(method, *params, path=f"/wallet/{wallet}" if wallet else "/")

    async def wallet(self, name: str) -> str:
        """Makes sure that a wallet exists and is loaded; answers its name."""
        if name not in self._wallets:
            try:
                await self.rpc("createwallet", name)
            except RpcRefused:
                await self._load(name)
            self._wallets.add(name)
        return name

    async def _load(self, name: str) -> None:
        if name not in await self.rpc("listwallets"):
            await self.rpc("loadwallet", name)

    async def new_address(self, wallet: str, kind: str = "bech32") -> str:
        """A fresh address of a wallet (`bech32`, `bech32m`, `p2sh-segwit`, `legacy`)."""
        await self.wallet(wallet)
        return str(await self.rpc("getnewaddress", "", kind, wallet=wallet))

    async def height(self) -> int:
        """The best chain's height."""
        return int(await self.rpc("getblockcount"))

    async def mine(self, blocks: int = 1, address: str | None = None) -> list[str]:
        """Mines blocks, with the mempool's transactions; answers their hashes."""
        to = address or await self.new_address(BANK)
        return list(await self.rpc("generatetoaddress", blocks, to))

    async def fund(self, address: str, sat: int, *, confirm: bool = True) -> str:
        """Pays an address from the bank and mines a block; answers the transaction's id."""
        return await self.fund_many({address: sat}, confirm=confirm)

    async def fund_many(self, amounts_sat: Mapping[str, int], *, confirm: bool = True) -> str:
        """Pays many addresses in one transaction; answers its id."""
        outputs = {address: btc(sat) for address, sat in amounts_sat.items()}
        txid = str(await self.rpc("sendmany", "", outputs, wallet=BANK))
        if confirm:
            await self.mine()
        return txid

    async def pay_from(
        self, wallet: str, sender: str, outputs_sat: Mapping[str, int], *, fee_sat: int = 5000
    ) -> str:
        """Pays from one address alone, whose confirmed coins it spends, change back to it; answers the id.

        Raises:
            RpcRefused: the address does not hold enough.
        """
        coins = await self.rpc("listunspent", 1, 9_999_999, [sender], wallet=wallet)
        held = sum(sats(coin["amount"]) for coin in coins)
        change = held - sum(outputs_sat.values()) - fee_sat
        outputs = [{address: btc(sat)} for address, sat in outputs_sat.items()]
        if change > 1000 or change < 0:  # below zero, the node says what is wrong
            outputs.append({sender: btc(change)})
        inputs = [{"txid": coin["txid"], "vout": coin["vout"]} for coin in coins]
        raw = await self.rpc("createrawtransaction", inputs, outputs)
        signed = await self.rpc("signrawtransactionwithwallet", raw, wallet=wallet)
        return str(await self.rpc("sendrawtransaction", signed["hex"]))

    async def confirmations(self, txid: str, wallet: str) -> int:
        """How deep a wallet's transaction is; negative where it conflicts with the chain."""
        return int((await self.rpc("gettransaction", txid, wallet=wallet))["confirmations"])

    async def invalidate(self, block_hash: str) -> None:
        """Takes a block and all after it out of the chain: a reorganisation. Its transactions wait again."""
        await self.rpc("invalidateblock", block_hash)

    async def reorganise(self, depth: int, *, blocks: int | None = None, empty: bool = False) -> list[str]:
        """Replaces the last `depth` blocks by siblings (`depth` + 1 unless told); answers their hashes.

        Args:
            depth: how many blocks leave the chain.
            blocks: how many siblings are mined.
            empty: whether the siblings leave the returned transactions in the mempool.
        """
        await self.invalidate(await self.rpc("getblockhash", await self.height() - depth + 1))
        count = depth + 1 if blocks is None else blocks
        if not empty:
            return await self.mine(count)
        to = await self.new_address(BANK)
        return [(await self.rpc("generateblock", to, []))["hash"] for _ in range(count)]

    async def requests(self, *, reset: bool = False) -> dict[str, int]:
        """Requests over `url` by method, since the last reset."""
        return self.proxy.requests(reset=reset)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
