"""Everything at once: both chains, the contract with its miners, users and validators."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Self

from tests.devnet import accounts
from tests.devnet.bitcoin import PASSWORD, USER, BitcoinNode
from tests.devnet.chain import ContractsChain
from tests.devnet.contract import SwapContract, Terms
from tests.devnet.driver import Driver, Miner
from tests.devnet.substrate import Substrate
from tests.devnet.validators import Validators

MINER_FUNDS_SAT = 10**8


@dataclass
class Devnet:
    """A running devnet, with a deployed contract and active miners.

    Attributes:
        chain: the contracts chain.
        node: the Bitcoin node; None in a devnet without.
        contract: the swap contract.
        driver: users, and the votes that open swaps.
        validators: they judge payouts.
        miners: active, with collateral, TAO and BTC. Miner i is `//miner/i`; its BTC is in wallet `miner-i`.
    """

    chain: ContractsChain
    node: BitcoinNode | None
    contract: SwapContract
    driver: Driver
    validators: Validators
    miners: list[Miner]

    @classmethod
    async def start(
        cls,
        *,
        miners: int = 8,
        bitcoin: bool = True,
        terms: Terms | None = None,
        users: int = 64,
        validators: int = 3,
        wallet: str | None = None,
        port: int = 0,
        bitcoin_port: int = 0,
        timestamp_step_s: float | None = 12,
    ) -> Self:
        """Starts both chains at once, deploys, activates miners, and keeps that as the state of `reset`.

        Args:
            miners: how many; about 0.25 s each.
            bitcoin: whether there is a Bitcoin node.
            terms: the contract's settings.
            users: how many have funds.
            validators: how many vote; each vote costs about 75 ms, so benches take 1.
            wallet: one Bitcoin wallet for all miners, instead of one each.
            port: the contracts chain's; 0 takes a free one.
            bitcoin_port: the Bitcoin endpoint's; 0 takes a free one.
            timestamp_step_s: block time told by the chain; None takes the wall clock's.

        Raises:
            DevnetError: something is missing or failed; whatever had been started is stopped.
        """
        balances = accounts.default_balances(max(miners, 8), users, max(validators, 8))
        chain_task = asyncio.create_task(
            ContractsChain.start(balances=balances, port=port, timestamp_step_s=timestamp_step_s)
        )
        node_task = asyncio.create_task(BitcoinNode.start(proxy_port=bitcoin_port)) if bitcoin else None
        tasks = [task for task in (chain_task, node_task) if task is not None]
        try:
            await asyncio.gather(*tasks)
            node = node_task.result() if node_task else None
            return await cls._set_up(chain_task.result(), node, miners, validators, wallet, terms)
        except BaseException:
            for started in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(started, ContractsChain | BitcoinNode):
                    await started.stop()
            raise

    @classmethod
    async def _set_up(
        cls,
        chain: ContractsChain,
        node: BitcoinNode | None,
        miners: int,
        validators: int,
        wallet: str | None,
        terms: Terms | None,
    ) -> Self:
        substrate = await Substrate.connect(chain)
        try:
            voters = [str(accounts.validator(index).ss58_address) for index in range(validators)]
            contract = await SwapContract.deploy(substrate, validators=voters, terms=terms)
            driver = Driver(substrate, node, contract)
            made = [await driver.miner(index, wallet=wallet) for index in range(miners)]
            if node is not None and made:
                await node.fund_many({miner.btc_address: MINER_FUNDS_SAT for miner in made})
            if made:
                await contract.activate([str(miner.hotkey.ss58_address) for miner in made])
            await chain.keep_base()
        except BaseException:
            await substrate.close()
            raise
        return cls(chain, node, contract, driver, Validators(contract, node), made)

    @property
    def bitcoin(self) -> BitcoinNode:
        """The Bitcoin node of a devnet that has one."""
        assert self.node is not None, "this devnet has no Bitcoin node"
        return self.node

    async def reset(self) -> None:
        """Goes back to the start: no swaps, an empty pool, no faults, counts, lag or clock.

        Bitcoin's blocks and balances stay; what waits in its mempool is mined.
        """
        await self.chain.reset()
        self.validators = Validators(self.contract, self.node)
        if self.node is not None:
            self.node.proxy.clear_faults()
            self.node.proxy.requests(reset=True)
            if await self.node.rpc("getrawmempool"):
                await self.node.mine()

    async def stop(self) -> None:
        """Ends everything."""
        await self.contract.substrate.close()
        await self.chain.stop()
        if self.node is not None:
            await self.node.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    def describe(self) -> dict[str, Any]:
        """Endpoints and accounts, as JSON takes them. The secrets are the public development phrase's."""
        told: dict[str, Any] = {
            "chain": {
                "url": self.chain.url,
                "http_url": self.chain.http_url,
                "genesis_hash": self.chain.genesis_hash,
            },
            "contract": {
                "address": self.contract.address,
                "owner": "//Alice",
                "quorum": self.contract.quorum,
            },
            "validators": list(self.contract.validators),
            "miners": [
                {
                    "uri": f"//miner/{index}",
                    "hotkey": miner.hotkey.ss58_address,
                    "tao_address": miner.tao_address,
                    "btc_address": miner.btc_address,
                    "btc_wallet": miner.btc_wallet,
                    "rate": miner.rate,
                }
                for index, miner in enumerate(self.miners)
            ],
        }
        if self.node is not None:
            told["bitcoin"] = {"url": self.node.url, "user": USER, "password": PASSWORD, "network": "regtest"}
        return told
