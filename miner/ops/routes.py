"""Every path of the server in one table: who may use it, what it takes, what it answers.

The OpenAPI document is made from it, so that nothing is served that is not told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel

from miner.model import Verb
from miner.ops import dashboard, health, operating, reading, shapes, streams
from miner.ops.access import Scope
from miner.ops.desk import Call, OpsDesk
from miner.ops.problems import told

Answer = Callable[[OpsDesk, Call], Awaitable[web.StreamResponse]]
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Route:
    """One path and method.

    Attributes:
        method: `GET` or `POST`.
        path: With its parts in braces.
        answer: Who answers it; its docstring says what it does.
        tells: What an answer looks like.
        scope: What a caller needs.
        query: What its query may say.
        body: What its body may say.
        media: What an answer is.
        patient: Whether it may take as long as it takes: a stream, or one that waits for the daemon.
        problems: Statuses of its own, beyond those that every path has.
    """

    method: str
    path: str
    answer: Answer
    tells: type[BaseModel] = shapes.Health
    scope: Scope = Scope.READ
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    media: str = JSON
    patient: bool = False
    problems: Sequence[int] = ()


async def openapi(_desk: OpsDesk, _call: Call) -> web.Response:
    """The OpenAPI document of everything that is served here."""
    from miner.ops.openapi import document

    return told(document(ROUTES))


def _ask(verb: Verb, body: type[BaseModel]) -> Route:
    return Route(
        "POST",
        f"/api/v1/swaps/{{swap_id}}/{verb.value}",
        operating.asking(verb),
        shapes.Outcome,
        Scope.OPERATE,
        body=body,
        patient=True,
        problems=(404, 409),
    )


def _file(path: str) -> Route:
    media = dashboard.FILES[path][1]
    return Route("GET", path, dashboard.page(path), scope=Scope.HEALTH, media=media)


ROUTES: tuple[Route, ...] = (
    *(_file(path) for path in dashboard.FILES),
    Route("GET", "/livez", health.livez, scope=Scope.HEALTH),
    Route("GET", "/readyz", health.readyz, scope=Scope.HEALTH),
    Route("GET", "/metrics", health.metrics, media="text/plain"),
    Route("GET", "/openapi.json", openapi, shapes.Document),
    Route("GET", "/api/v1/status", reading.status, shapes.Overview),
    Route("GET", "/api/v1/swaps", reading.swaps, shapes.SwapPage, query=shapes.SwapsQuery),
    Route("GET", "/api/v1/swaps/{swap_id}", reading.swap, shapes.SwapWhole, problems=(404,)),
    Route(
        "GET",
        "/api/v1/swaps/{swap_id}/events",
        reading.events,
        shapes.EntryPage,
        query=shapes.JournalQuery,
        problems=(404,),
    ),
    Route("GET", "/api/v1/recovery", reading.recovery, shapes.RecoveryPage, query=shapes.RecoveryQuery),
    Route(
        "GET",
        "/api/v1/events",
        streams.events,
        query=shapes.FeedQuery,
        media="text/event-stream",
        patient=True,
        problems=(429,),
    ),
    Route(
        "GET",
        "/api/v1/export",
        streams.export,
        query=shapes.ExportQuery,
        media="application/jsonl",
        patient=True,
        problems=(429,),
    ),
    Route("POST", "/api/v1/validate", operating.validate, shapes.Checks, Scope.OPERATE, body=shapes.Validate),
    Route("POST", "/api/v1/pause", operating.pause, shapes.Paused, Scope.OPERATE, body=shapes.Pause),
    Route("POST", "/api/v1/resume", operating.resume, shapes.Paused, Scope.OPERATE, body=shapes.Pause),
    _ask(Verb.RETRY, shapes.Retry),
    _ask(Verb.RELEASE, shapes.Release),
    _ask(Verb.QUARANTINE, shapes.Quarantine),
    _ask(Verb.ADOPT, shapes.OnTransaction),
    _ask(Verb.MARK, shapes.OnTransaction),
    Route(
        "POST",
        "/api/v1/swaps/{swap_id}/rebuild",
        operating.rebuild,
        shapes.Rebuilt,
        Scope.OPERATE,
        body=shapes.Rebuild,
        problems=(404, 409),
    ),
)
