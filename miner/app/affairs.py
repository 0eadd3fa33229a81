"""What the commands on a miner's own business look at: wallets, collateral, quotes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from miner.affairs.wallet import Purse, purses
from miner.amounts import Chain
from miner.app.keys import load_keys
from miner.app.tell import SystemClock
from miner.app.wiring import Outside, connect, make_store
from miner.chains.substrate.commitments import committed
from miner.config import Settings
from miner.errors import ConfigError, ReadFailed
from miner.model import Head, Lane, MinerStanding
from miner.notify.log import configure
from miner.ports import Store
from miner.saga import State
from miner.verify import MinerAccounts

_OPEN = tuple(state for state in State if not state.ended)
_MOST_OPEN = 10_000


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


def chosen(miners: Mapping[str, MinerAccounts], named: str | None) -> list[MinerAccounts]:
    """The miners, or the one that is named or given by its hotkey's address.

    Raises:
        ConfigError: There is none such.
    """
    found = [each for each in miners.values() if named in (None, each.name, each.hotkey)]
    if not found:
        names = ", ".join(each.name for each in miners.values())
        raise ConfigError("--miner", f"there is no miner {named!r}", f"There are: {names}")
    return found


def one_miner(settings: Settings, named: str | None) -> tuple[str, str]:
    """Name and hotkey of the miner that is named, or of the only one.

    Raises:
        ConfigError: There is none such, or several and none is named.
    """
    _, miners = load_keys(settings)
    found = chosen(miners, named)
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise ConfigError("--miner", "is missing", f"Name one of {names}")
    return found[0].name, found[0].hotkey


async def wallets(settings: Settings, named: str | None) -> Sequence[Purse]:
    """What the miners' accounts hold and owe."""
    async with connected(settings) as outside, _store_if_any(settings) as store:
        finalised = (await outside.node.heads()).finalised
        divisor = (await outside.contract.terms(finalised)).fee_divisor
        sagas = await store.list_sagas(_OPEN, limit=_MOST_OPEN) if store else ()
        return await purses(outside.rails, chosen(outside.miners, named), store, sagas, divisor)


@dataclass(frozen=True, slots=True)
class Standings:
    """Miners by name, with how each stands with the contract.

    Attributes:
        miners: Name and standing, in the settings' order.
        best_height: Best head, by which cooldowns are counted.
        sent: Their newest transactions of their own, newest first.
    """

    miners: Sequence[tuple[str, MinerStanding]]
    best_height: int
    sent: Sequence[Lane] = ()


async def standings(settings: Settings, named: str | None) -> Standings:
    """How the miners stand with the contract, at the best head."""
    async with connected(settings) as outside, _store_if_any(settings) as store:
        best = (await outside.node.heads()).best
        found = [
            (miner.name, await outside.affairs.standing(miner.hotkey, best))
            for miner in chosen(outside.miners, named)
        ]
        hotkeys = {standing.miner for _, standing in found}
        lanes = await store.affairs() if store is not None else ()
        return Standings(found, best.height, [lane for lane in lanes if lane.account in hotkeys])


@dataclass(frozen=True, slots=True)
class Committed:
    """What a miner has committed on chain.

    Attributes:
        miner: The operator's name for it.
        hotkey: Who committed.
        accounts: Its configured addresses, by chain.
        text: The commitment; None where there is none, or it is no text.
        block: When it was made; 0 for never.
        problem: Why it could not be read; empty where it was.
    """

    miner: str
    hotkey: str
    accounts: Mapping[Chain, str]
    text: str | None = None
    block: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Quotes:
    """What miners have committed, and what a user's amount is divided by for the fee."""

    miners: Sequence[Committed]
    fee_divisor: int
    height: int


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
    netuid = settings.contract.netuid
    if read and netuid is None:
        raise ConfigError("contract.netuid", "is not set", "Say on which subnet the quotes are committed")
    async with connected(settings) as outside:
        at = (await outside.node.heads()).finalised
        divisor = (await outside.contract.terms(at)).fee_divisor
        miners = chosen(outside.miners, named)
        if netuid is None or not read:
            told = [Committed(each.name, each.hotkey, each.accounts) for each in miners]
        else:
            told = [await _committed(outside, netuid, each, at) for each in miners]
        return Quotes(told, divisor, at.height)


async def _committed(outside: Outside, netuid: int, miner: MinerAccounts, at: Head) -> Committed:
    try:
        found = await committed(outside.node, netuid, miner.hotkey, at)
    except ReadFailed as failed:
        return Committed(miner.name, miner.hotkey, miner.accounts, problem=str(failed))
    if found is None:
        return Committed(miner.name, miner.hotkey, miner.accounts)
    return Committed(miner.name, miner.hotkey, miner.accounts, found.text, found.block)
