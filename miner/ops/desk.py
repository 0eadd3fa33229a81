"""What every handler of the ops server works with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel

from miner.ops.access import Gate
from miner.ops.board import Board
from miner.ops.hands import Hands
from miner.ops.metrics import Metrics
from miner.ops.problems import Problem
from miner.ops.wallets import Wallets
from miner.ports import Store

T = TypeVar("T", bound=BaseModel)

MOST_STREAMS = 16
"""Streams at once; each asks the store twice a second."""
TURN_S = 0.5
"""Between two looks at what is waited for."""


@dataclass(slots=True)
class OpsDesk:
    """The parts of a running ops server.

    Attributes:
        board: What the daemon has told.
        store: A store of the server's own: what is read here waits for nobody, and nobody for it.
        gate: Who may do what.
        wallets: Looks at the accounts.
        metrics: The metrics.
        hands: What the daemon does for it.
        ending: Set when the server is to end: streams end by it.
    """

    board: Board
    store: Store
    gate: Gate
    wallets: Wallets
    metrics: Metrics
    hands: Hands
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0

    async def turn(self) -> bool:
        """Wait a little; whether the server goes on."""
        try:
            await asyncio.wait_for(self.ending.wait(), TURN_S)
        except TimeoutError:
            return True
        return False

    @asynccontextmanager
    async def streaming(self) -> AsyncIterator[None]:
        """A place among the streams.

        Raises:
            Problem: 429 where there is none.
        """
        if self.streams >= MOST_STREAMS:
            raise Problem(429, f"{MOST_STREAMS} streams are open already", {"Retry-After": "10"})
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was understood.

    Attributes:
        request: As it came.
        swap_id: From the path.
        query: From the query, where the route has one.
        body: From the body, where the route has one.
    """

    request: web.Request
    swap_id: int = 0
    query: Any = None
    body: Any = None

    def said(self, shape: type[T]) -> T:
        """The body as what its route says it is."""
        assert isinstance(self.body, shape)  # noqa: S101 (tells the type checker; the route parsed it)
        return self.body

    def asked(self, shape: type[T]) -> T:
        """The query as what its route says it is."""
        assert isinstance(self.query, shape)  # noqa: S101 (as above)
        return self.query
