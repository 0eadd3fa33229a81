"""A miner's own business as it is now, over adapters that are connected: a command's, or the daemon's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from miner.affairs.holdings import Committed, Quotes, Standings
from miner.affairs.wallet import Purse, purses
from miner.app.wiring import Outside
from miner.errors import ConfigError, ReadFailed
from miner.model import Head
from miner.ports import Store
from miner.saga import State
from miner.verify import MinerAccounts

_OPEN = tuple(state for state in State if not state.ended)
_MOST_OPEN = 10_000


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


def the_one(miners: Mapping[str, MinerAccounts], named: str | None) -> MinerAccounts:
    """The miner that is named, or the only one.

    Raises:
        ConfigError: There is none such, or several and none is named.
    """
    found = chosen(miners, named)
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise ConfigError("--miner", "is missing", f"Name one of {names}")
    return found[0]


async def wallets(outside: Outside, store: Store | None, named: str | None) -> Sequence[Purse]:
    """What the miners' accounts hold and owe.

    Raises:
        ConfigError: There is no such miner.
        ReadFailed: The contract's chain does not answer.
    """
    miners = chosen(outside.miners, named)
    finalised = (await outside.node.heads()).finalised
    divisor = (await outside.contract.terms(finalised)).fee_divisor
    sagas = await store.list_sagas(_OPEN, limit=_MOST_OPEN) if store else ()
    return await purses(outside.rails, miners, store, sagas, divisor)


async def standings(outside: Outside, store: Store | None, named: str | None) -> Standings:
    """How the miners stand with the contract, at the best head.

    Raises:
        ConfigError: There is no such miner.
        ReadFailed: The contract's chain does not answer.
    """
    miners = chosen(outside.miners, named)
    best = (await outside.node.heads()).best
    found = [(miner.name, await outside.affairs.standing(miner.hotkey, best)) for miner in miners]
    hotkeys = {standing.miner for _, standing in found}
    lanes = await store.affairs() if store is not None else ()
    return Standings(found, best.height, [lane for lane in lanes if lane.account in hotkeys])


async def quotes(outside: Outside, netuid: int | None, named: str | None) -> Quotes:
    """What the miners have committed as quotes, at the finalised head.

    Args:
        outside: Connected.
        netuid: On which subnet to look; None: only who there is, and the fee.
        named: One miner; None for all.

    Raises:
        ConfigError: There is no such miner.
        ReadFailed: The contract's chain does not answer.
        Refused: `no_commitments`: this chain holds no quotes.
    """
    miners = chosen(outside.miners, named)
    at = (await outside.node.heads()).finalised
    divisor = (await outside.contract.terms(at)).fee_divisor
    if netuid is None:
        told = [Committed(each.name, each.hotkey, each.accounts) for each in miners]
    else:
        told = [await _committed(outside, each, at) for each in miners]
    return Quotes(told, divisor, at.height)


def netuid_for_quotes(netuid: int | None, read: bool) -> int | None:
    """On which subnet quotes are read; None where none is to be read.

    Raises:
        ConfigError: `contract.netuid` is not set, and they are to be read.
    """
    if read and netuid is None:
        raise ConfigError("contract.netuid", "is not set", "Say on which subnet the quotes are committed")
    return netuid if read else None


async def _committed(outside: Outside, miner: MinerAccounts, at: Head) -> Committed:
    try:
        found = await outside.affairs.committed(miner.hotkey, at)
    except ReadFailed as failed:
        return Committed(miner.name, miner.hotkey, miner.accounts, problem=str(failed))
    if found is None:
        return Committed(miner.name, miner.hotkey, miner.accounts)
    return Committed(miner.name, miner.hotkey, miner.accounts, found.text, found.block)
