"""Wiring: every adapter and service of a running daemon, made in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from miner.affairs.drain import Drain
from miner.amounts import Chain
from miner.app import crash, telling
from miner.app.bitcoin import bitcoin_rail
from miner.app.keys import load_keys
from miner.app.tell import SystemClock
from miner.chains.substrate.commitments import SubnetCommitments
from miner.chains.substrate.lanes import Lanes
from miner.chains.substrate.link import Limits
from miner.chains.substrate.node import SubstrateNode
from miner.chains.tao import TaoRail
from miner.config import Settings, to_policy
from miner.contract import Contract, load
from miner.errors import ReadFailed
from miner.lease import LeaseKeeper
from miner.model import Route
from miner.notify.recovery import RecoveryFile
from miner.ports import Affairs, Rail, Store, Tell
from miner.recover import Recoverer
from miner.settle import Settler
from miner.settle.desk import CODE_HASH, Desk
from miner.store import SqlStore
from miner.supervise import Pace, Supervisor
from miner.sweep import SweepReconciler, register_all
from miner.verify import MinerAccounts, Verifier
from miner.watch import Watcher

log = structlog.get_logger("app")


@dataclass(slots=True)
class Outside:
    """The adapters, connected.

    Attributes:
        node: The contract's chain.
        contract: The swap contract.
        affairs: The miners' own business with it.
        rails: By chain.
        miners: By hotkey address.
        code_hash: The contract's code hash as read at start.
    """

    node: SubstrateNode
    contract: Contract
    affairs: Affairs
    rails: Mapping[Chain, Rail]
    miners: Mapping[str, MinerAccounts]
    code_hash: str

    async def close(self) -> None:
        """Release every connection."""
        for rail in self.rails.values():
            await rail.close()
        await self.node.close()


WITNESS = "newest-signed"
"""File in the state folder that remembers what a PostgreSQL server has committed."""


def make_store(settings: Settings, *, bystander: bool = False) -> SqlStore:
    """The store, not yet open; for one that only looks and asks, as a bystander."""
    wanted = settings.store
    secret = wanted.password_file
    store = SqlStore(
        wanted.file if wanted.url is None else wanted.url,
        lease_ttl_s=wanted.lease_ttl_s,
        busy_timeout_s=wanted.busy_timeout_s,
        password=None if secret is None else secret.read,
        witness=None if bystander else wanted.path / WITNESS,
        bystander=bystander,
    )
    return crash.asked_for(settings).around(store, "store")


def make_node(settings: Settings, accounts: tuple[str, ...], clock: SystemClock) -> SubstrateNode:
    """The contract's chain, not yet connected."""
    contract = settings.contract
    return SubstrateNode(
        contract.endpoints,
        clock,
        genesis=contract.genesis,
        archive_urls=(contract.archive_endpoint,) if contract.archive_endpoint else (),
        accounts=accounts,
        limits=Limits(reply_s=contract.request_timeout_s, stall_s=contract.stall_timeout_s),
    )


async def connect(settings: Settings, clock: SystemClock) -> Outside:
    """Every adapter, connected and checked.

    Raises:
        ConfigError: A key, an address, the network or the contract is not what the settings say.
        ReadFailed: A node does not answer.
    """
    metadata = load(settings.contract.metadata)
    keyring, miners = await asyncio.to_thread(load_keys, settings)
    node = make_node(settings, keyring.accounts, clock)
    opened: list[Rail] = []
    try:
        await node.connect()
        lanes = Lanes(node, keyring)
        contract = Contract(
            node,
            lanes,
            metadata,
            settings.contract.address,
            mark_fee=settings.limits.tao.mark_fee,
            error_name=(await node.blocks.runtime()).error_name,
            commitments=SubnetCommitments(node, settings.contract.netuid),
        )
        heads = await node.heads()
        code_hash = await contract.check_code(heads.finalised)
        payers = [miner.accounts[Chain.TAO] for miner in miners.values()]
        rails: dict[Chain, Rail] = {Chain.TAO: TaoRail(node, lanes, payers)}
        if settings.bitcoin is not None:
            rails[Chain.BTC] = bitcoin_rail(settings, settings.bitcoin, miners, clock)
        for rail in rails.values():
            opened.append(rail)
            await _connect_rail(rail)
    except BaseException:
        for rail in opened:
            await rail.close()
        await node.close()
        raise
    points = crash.asked_for(settings)
    rails = {chain: points.around(rail, chain) for chain, rail in rails.items()}
    affairs = points.around(contract.affairs, "affairs")
    return Outside(node, points.around(contract, "contract"), affairs, rails, miners, code_hash)


async def _connect_rail(rail: Rail) -> None:
    """Connect; a payout chain that does not answer yet keeps nobody from serving the other one."""
    try:
        await rail.connect()
    except ReadFailed as failed:
        log.error(
            "payout_chain_does_not_answer", chain=rail.chain, cause=str(failed), remedy="it is tried on"
        )


def make_desk(settings: Settings, store: Store, outside: Outside) -> Desk:
    """What the services work with, over connected adapters and an open store."""
    policy = to_policy(settings)
    return Desk(
        node=outside.node,
        contract=outside.contract,
        store=store,
        rails=outside.rails,
        verifier=Verifier(outside.rails, outside.miners, policy),
        policy=policy,
        affairs=outside.affairs,
    )


async def supervisor(
    settings: Settings, store: Store, outside: Outside, tell: Tell, routes: Callable[[], Sequence[Route]]
) -> Supervisor:
    """The services over connected adapters and an open store, which is tied to the contract here.

    Args:
        settings: What it runs by.
        store: Open.
        outside: Connected.
        tell: Told how it goes.
        routes: Which notices go where, as the settings are when it is called.

    Raises:
        StoreDamaged: The store belongs to another contract or chain.
    """
    clock = SystemClock()
    await store.bind(outside.node.genesis, outside.contract.address)
    pinned = await store.pin(CODE_HASH, outside.code_hash)
    if pinned != outside.code_hash:
        log.error(
            "contract_code_changed",
            pinned=pinned,
            found=outside.code_hash,
            remedy="first sends wait; read what changed, then `swap-miner resume --code`",
        )
    desk = make_desk(settings, store, outside)
    sweeps = SweepReconciler()
    watcher = Watcher(outside.node, outside.contract, store, outside.miners)
    recovery = crash.asked_for(settings).around(RecoveryFile(settings.recovery_file), "recovery")
    told = telling.make_outbox(settings, store)
    register_all(sweeps, desk, watcher, outside.miners, recovery, told, routes)
    return Supervisor(
        node=outside.node,
        store=store,
        watcher=watcher,
        settler=Settler(desk),
        sweeps=sweeps,
        recoverer=Recoverer(desk),
        keeper=LeaseKeeper(store, clock, settings.store.lease_ttl_s / 3, outside.node),
        tell=tell,
        clock=clock,
        pace=pace_of(settings),
        drain=Drain(store, outside.affairs, {m.hotkey: m.name for m in outside.miners.values()}),
    )


def pace_of(settings: Settings) -> Pace:
    """How often things happen."""
    return Pace(
        poll_s=settings.contract.poll_interval_s,
        sweep_blocks=settings.contract.sweep_interval_blocks,
        stall_s=settings.contract.stall_timeout_s,
    )
