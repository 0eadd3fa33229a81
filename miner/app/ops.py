"""The ops server over a store of its own, around the daemon's life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from miner.amounts import Chain
from miner.app.hands import DaemonHands
from miner.app.telling import make_outbox
from miner.app.wiring import Outside, make_store
from miner.config import Settings
from miner.errors import MinerError
from miner.ops.access import Gate
from miner.ops.board import Board, Outlook
from miner.ops.desk import OpsDesk
from miner.ops.metrics import Metrics
from miner.ops.server import serving
from miner.ops.wallets import Wallets
from miner.ports import Store

log = structlog.get_logger("app")


@asynccontextmanager
async def ops_served(settings: Settings, board: Board, daemons: Store) -> AsyncIterator[DaemonHands]:
    """Serve while this is open, where the settings ask for it; gives what is to know the outside.

    Args:
        settings: The daemon's.
        board: What it tells.
        daemons: Its own store, open.
    """
    wanted = settings.ops
    store = make_store(settings, bystander=True)
    hands = DaemonHands(settings, daemons, store)
    if not wanted.enabled:
        yield hands
        return
    try:
        await store.open()
    except MinerError as refused:
        log.error("ops_not_served", cause=str(refused), remedy="the daemon works without it")
        await store.close()
        yield hands
        return
    try:
        wallets = Wallets(board, store)
        metrics = Metrics(board, store, wallets, make_outbox(settings, store))
        desk = OpsDesk(board, store, Gate(wanted), wallets, metrics, hands)
        async with serving(desk, settings.ops_socket, wanted.address):
            yield hands
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


@dataclass(frozen=True, slots=True)
class Window:
    """What the ops server sees of the outside: nothing before the daemon has connected, nor when it ends."""

    board: Board
    hands: DaemonHands

    def opens_on(self, outside: Outside) -> None:
        """The daemon has connected, and waits for its lease."""
        self.board.outlook = outlook_of(outside)
        self.hands.outside = outside
        self.board.ready(False, "waiting for the store's lease")

    def closes(self) -> None:
        """The connections are about to be closed."""
        self.board.outlook = None
        self.hands.outside = None
