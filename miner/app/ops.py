"""The ops server over a store of its own, around the daemon's life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from miner.amounts import Chain
from miner.app.wiring import Outside, make_store
from miner.config import Settings
from miner.errors import StoreError
from miner.ops.access import Gate
from miner.ops.board import Board, Outlook
from miner.ops.desk import OpsDesk
from miner.ops.metrics import Metrics
from miner.ops.server import serving
from miner.ops.wallets import Wallets

log = structlog.get_logger("app")


@asynccontextmanager
async def ops_served(settings: Settings, board: Board) -> AsyncIterator[None]:
    """Serve while this is open, where the settings ask for it. The daemon's store is open already."""
    wanted = settings.ops
    if not wanted.enabled:
        yield
        return
    store = make_store(settings)
    try:
        await store.open()
    except StoreError as refused:
        log.error("ops_not_served", cause=str(refused), remedy="the daemon works without it")
        await store.close()
        yield
        return
    try:
        desk = OpsDesk(board, store, Gate(wanted), Metrics(board, store, Wallets(board, store)))
        async with serving(desk, settings.ops_socket, wanted.address):
            yield
    finally:
        await store.close()


def outlook_of(outside: Outside) -> Outlook:
    """What the board tells of the outside, once it is connected."""
    payers = {
        (chain, account) for miner in outside.miners.values() for chain, account in miner.accounts.items()
    }
    accounts = sorted(payers | {(Chain.TAO, miner.hotkey) for miner in outside.miners.values()})
    return Outlook(
        endpoints=outside.node.endpoints.standing,
        best_height=outside.node.best_height,
        rails=outside.rails,
        accounts=[(chain, account) for chain, account in accounts if chain in outside.rails],
    )
