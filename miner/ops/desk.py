"""What every handler of the ops server works with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import web

from miner.ops.access import Gate
from miner.ops.board import Board
from miner.ops.metrics import Metrics
from miner.ports import Store


@dataclass(slots=True)
class OpsDesk:
    """The parts of a running ops server.

    Attributes:
        board: What the daemon has told.
        store: A store of the server's own: what is read here waits for nobody, and nobody for it.
        gate: Who may do what.
        metrics: The metrics.
        ending: Set when the server is to end: streams end by it.
    """

    board: Board
    store: Store
    gate: Gate
    metrics: Metrics
    ending: asyncio.Event = field(default_factory=asyncio.Event)


DESK = web.AppKey("desk", OpsDesk)
