"""Preflight: everything that `run` needs is looked at, nothing is changed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from miner.amounts import Chain, format_amount
from miner.app.bitcoin import bitcoin_rail
from miner.app.keys import load_keys
from miner.app.tell import SystemClock
from miner.app.wiring import make_node, make_store
from miner.chains.substrate.keys import Keyring
from miner.chains.substrate.lanes import Lanes
from miner.chains.substrate.node import SubstrateNode
from miner.chains.tao import TaoRail
from miner.config import CheckLine, Settings, without_credentials
from miner.contract import Contract, Metadata, load
from miner.errors import ConfigError, MinerError
from miner.ports import Rail
from miner.store.schema import HEAD
from miner.verify import MinerAccounts


async def preflight(settings: Settings) -> AsyncIterator[CheckLine]:
    """One line a check; a check that needs what failed before it is told as not looked at."""
    clock = SystemClock()
    try:
        metadata = load(settings.contract.metadata)
        yield CheckLine("contract metadata", True, str(settings.contract.metadata))
        keyring, miners = load_keys(settings)
    except ConfigError as error:
        yield _failed("keys and metadata", error)
        return
    for miner in miners.values():
        yield CheckLine(f"keys of {miner.name}", True, f"hotkey {miner.hotkey}")
    async for line in _store(settings):
        yield line
    node = make_node(settings, keyring.accounts, clock)
    try:
        async for line in _chain(settings, node, keyring, miners, metadata):
            yield line
    finally:
        await node.close()
    if settings.bitcoin is not None:
        rail = bitcoin_rail(settings, settings.bitcoin, miners, clock)
        try:
            async for line in _rail(rail, miners):
                yield line
        finally:
            await rail.close()


def _failed(name: str, error: MinerError) -> CheckLine:
    if isinstance(error, ConfigError):
        return CheckLine(name, False, f"{error.where}: {error.problem}", error.remedy)
    return CheckLine(name, False, str(error), "Mend this, then run `swap-miner check` again")


async def _store(settings: Settings) -> AsyncIterator[CheckLine]:
    """The store, where there is one: opening a missing one would make it."""
    place = settings.store.place
    store = make_store(settings)
    try:
        about = await store.survey()
        if about.server is not None:
            yield CheckLine("store server", True, about.server)
        if not about.exists:
            yield CheckLine("store", None, f"{place} will be made at the first start")
            return
        if about.older is not None:
            yield CheckLine(
                "store", None, _older(place, about.older), "Back it up before you start this version"
            )
            return
        await store.open()
        cursor = await store.cursor()
        yield CheckLine("store", True, f"{place}, at block {cursor.height if cursor else '–'}")
    except MinerError as error:
        yield _failed("store", error)
    finally:
        await store.close()


def _older(place: str, schema: str) -> str:
    return f"{place} has schema {schema}; the first start of this version brings it to {HEAD}, and not back"


async def _chain(
    settings: Settings,
    node: SubstrateNode,
    keyring: Keyring,
    miners: dict[str, MinerAccounts],
    metadata: Metadata,
) -> AsyncIterator[CheckLine]:
    where = ", ".join(without_credentials(url) for url in settings.contract.endpoints)
    try:
        await node.connect()
        heads = await node.heads()
    except MinerError as error:
        yield _failed(f"endpoint {where}", error)
        return
    finalised = heads.finalised
    yield CheckLine(f"endpoint {where}", True, f"genesis {node.genesis}, finalised {finalised.height}")
    lanes = Lanes(node, keyring)
    contract = Contract(node, lanes, metadata, settings.contract.address)
    try:
        code = await contract.check_code(finalised)
        terms = await contract.terms(finalised)
    except MinerError as error:
        yield _failed(f"contract {settings.contract.address}", error)
        return
    yield CheckLine(f"contract {settings.contract.address}", True, f"code {code}")
    if terms.halted:
        yield CheckLine("contract halted", None, "no new swaps begin while it is")
    async for line in _rail(TaoRail(node, lanes, [m.accounts[Chain.TAO] for m in miners.values()]), miners):
        yield line
    for miner in miners.values():
        yield await _balance(f"mark fees of {miner.name}", node, miner.hotkey, settings.limits.tao.mark_fee)


async def _balance(name: str, node: SubstrateNode, account: str, needed: int) -> CheckLine:
    try:
        free = (await node.account(account)).spendable(0)
    except MinerError as error:
        return _failed(name, error)
    shown = format_amount(free, Chain.TAO)
    if free < needed:
        return CheckLine(name, False, f"{account} has {shown}", "Send it TAO: a mark costs a fee")
    return CheckLine(name, True, f"{account} has {shown}")


async def _rail(rail: Rail, miners: dict[str, MinerAccounts]) -> AsyncIterator[CheckLine]:
    name = f"{rail.chain} node"
    try:
        await rail.connect()
        tip = await rail.tip()
    except MinerError as error:
        yield _failed(name, error)
        return
    yield CheckLine(name, True, f"{rail.chain_id}, height {tip.height}")
    for miner in miners.values():
        account = miner.accounts.get(rail.chain)
        if account is None:
            problem = (
                f"{miner.name} has no {rail.chain}_address: its swaps cannot be paid, which costs collateral"
            )
            yield CheckLine(f"{rail.chain} of {miner.name}", False, problem, f"Set {rail.chain}_address")
        else:
            yield await _payable(rail, miner.name, account)


async def _payable(rail: Rail, who: str, account: str) -> CheckLine:
    name = f"{rail.chain} of {who}"
    try:
        spendable = await rail.spendable(account)
    except MinerError as error:
        return _failed(name, error)
    shown = format_amount(spendable, rail.chain)
    if spendable == 0:
        return CheckLine(name, None, f"{account} has nothing to pay with", f"Send {rail.chain.upper()} to it")
    return CheckLine(name, True, f"{account} can pay {shown}")
