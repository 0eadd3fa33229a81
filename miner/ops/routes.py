"""Every path of the server in one table: who may use it, what it takes, what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from miner.ops import health
from miner.ops.access import Scope
from miner.ops.desk import OpsDesk

Answer = Callable[[OpsDesk, web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One path and method.

    Attributes:
        method: `GET` or `POST`.
        path: With its parts in braces.
        answer: Who answers it.
        scope: What a caller needs.
        streams: Whether it may take as long as it takes.
    """

    method: str
    path: str
    answer: Answer
    scope: Scope = Scope.READ
    streams: bool = False


ROUTES: tuple[Route, ...] = (
    Route("GET", "/livez", health.livez, Scope.HEALTH),
    Route("GET", "/readyz", health.readyz, Scope.HEALTH),
    Route("GET", "/metrics", health.metrics),
)
