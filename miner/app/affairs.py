"""What the commands on a miner's own business look at, over connections of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from miner.affairs.holdings import Quotes, Standings
from miner.affairs.wallet import Purse
from miner.app import holdings
from miner.app.keys import load_keys, quoted_miners
from miner.app.tell import SystemClock
from miner.app.wiring import Outside, connect, make_store
from miner.config import Settings
from miner.notify.log import configure
from miner.ports import Store
from miner.verify import MinerAccounts


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Outside]:
    """The adapters, with the log of what follows on standard error, where it spoils no command's answer."""
    configure("warning", settings.log.format)
    outside = await connect(settings, SystemClock())
    try:
        yield outside
    finally:
        await outside.close()


@asynccontextmanager
async def _store_if_any(settings: Settings) -> AsyncIterator[Store | None]:
    """The store, where there is one: looking makes none."""
    store = make_store(settings)
    try:
        if settings.store.may_exist and (await store.survey()).exists:
            await store.open()
            yield store
        else:
            yield None
    finally:
        await store.close()


def one_miner(settings: Settings, named: str | None) -> MinerAccounts:
    """The miner that is named, or the only one; a wallet is opened only for an address that is not quoted.

    Raises:
        ConfigError: There is none such, or several and none is named.
    """
    return holdings.the_one(quoted_miners(settings) or load_keys(settings)[1], named)


async def wallets(settings: Settings, named: str | None) -> Sequence[Purse]:
    """What the miners' accounts hold and owe."""
    async with connected(settings) as outside, _store_if_any(settings) as store:
        return await holdings.wallets(outside, store, named)


async def standings(settings: Settings, named: str | None) -> Standings:
    """How the miners stand with the contract, at the best head."""
    async with connected(settings) as outside, _store_if_any(settings) as store:
        return await holdings.standings(outside, store, named)


async def quotes(settings: Settings, named: str | None, *, read: bool = True) -> Quotes:
    """What the miners have committed as quotes, at the finalised head.

    Args:
        settings: `contract.netuid` says on which subnet.
        named: One miner; None for all.
        read: Whether to look; without it only who there is, and the fee.

    Raises:
        ConfigError: `contract.netuid` is not set.
        Refused: `no_commitments`: this chain holds no quotes.
    """
    netuid = holdings.netuid_for_quotes(settings.contract.netuid, read)
    async with connected(settings) as outside:
        return await holdings.quotes(outside, netuid, named)
