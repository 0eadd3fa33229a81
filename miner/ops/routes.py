"""Every path of the server in one table: who may use it, what it takes, what it answers.

The OpenAPI document is made from it, so that nothing is served that is not told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel

from miner.model import Verb
from miner.ops import (
    affairs,
    dashboard,
    deciding,
    forms,
    health,
    notices,
    operating,
    reading,
    recovering,
    shapes,
    streams,
)
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


def _read(
    path: str, answer: Answer, tells: type[BaseModel], query: type[BaseModel] | None = None, *problems: int
) -> Route:
    return Route("GET", f"/api/v1/{path}", answer, tells, query=query, problems=problems)


def _do(path: str, answer: Answer, tells: type[BaseModel], body: type[BaseModel], *problems: int) -> Route:
    return Route("POST", f"/api/v1/{path}", answer, tells, Scope.OPERATE, body=body, problems=problems)


def _wait(path: str, answer: Answer, tells: type[BaseModel], body: type[BaseModel]) -> Route:
    """One that may wait for the daemon's next round."""
    return Route(
        "POST",
        f"/api/v1/{path}",
        answer,
        tells,
        Scope.OPERATE,
        body=body,
        patient=True,
        problems=(404, 409),
    )


def _ask(verb: Verb, body: type[BaseModel]) -> Route:
    return _wait(f"swaps/{{swap_id}}/{verb.value}", operating.asking(verb), shapes.Outcome, body)


def _ask_for_miner(path: str, verb: Verb, body: type[BaseModel]) -> Route:
    return _wait(path, affairs.asking_for_miner(verb), forms.AffairOutcome, body)


def _stream(path: str, answer: Answer, query: type[BaseModel], media: str) -> Route:
    where = f"/api/v1/{path}"
    return Route("GET", where, answer, query=query, media=media, patient=True, problems=(429,))


def _file(path: str) -> Route:
    media = dashboard.FILES[path][1]
    return Route("GET", path, dashboard.page(path), scope=Scope.HEALTH, media=media)


ROUTES: tuple[Route, ...] = (
    *(_file(path) for path in dashboard.FILES),
    Route("GET", "/livez", health.livez, scope=Scope.HEALTH),
    Route("GET", "/readyz", health.readyz, scope=Scope.HEALTH),
    Route("GET", "/metrics", health.metrics, media="text/plain"),
    Route("GET", "/openapi.json", openapi, shapes.Document),
    _read("status", reading.status, shapes.Overview),
    _read("swaps", reading.swaps, shapes.SwapPage, shapes.SwapsQuery),
    _read("swaps/{swap_id}", reading.swap, shapes.SwapWhole, None, 404),
    _read("swaps/{swap_id}/events", reading.events, shapes.EntryPage, shapes.JournalQuery, 404),
    _read("swaps/{swap_id}/evidence", reading.evidence, forms.Evidence, None, 404),
    _read("swaps/{swap_id}/chain", reading.chain_now, forms.ChainNow, None, 404),
    _read("recovery", recovering.entries, shapes.RecoveryPage, shapes.RecoveryQuery),
    _read("wallet", affairs.wallet, forms.Wallet, forms.MinersQuery, 404),
    _read("collateral", affairs.collateral, forms.Standing, forms.MinersQuery, 404),
    _read("quote", affairs.quote, forms.Quoted, forms.QuoteQuery, 404, 409),
    _read("activation", affairs.activation, forms.AffairOutcome, forms.MinerQuery, 404, 409),
    _read("notify", notices.notices, forms.Notices, forms.NoticesQuery),
    _stream("events", streams.events, shapes.FeedQuery, "text/event-stream"),
    _stream("export", streams.export, shapes.ExportQuery, "application/jsonl"),
    _do("validate", operating.validate, shapes.Checks, shapes.Validate),
    _do("pause", deciding.pause, shapes.Paused, shapes.Pause),
    _do("resume", deciding.resume, shapes.Paused, shapes.Pause),
    _do("resume/account", deciding.resume_account, forms.Cleared, forms.Account, 404, 409),
    _do("resume/code", deciding.resume_code, forms.Accepted, forms.Code, 409),
    _wait("drain", deciding.drain, forms.Draining, forms.Drain),
    _ask_for_miner("collateral/deposit", Verb.DEPOSIT, forms.Collateral),
    _ask_for_miner("collateral/withdraw", Verb.WITHDRAW, forms.Collateral),
    _ask_for_miner("quote/set", Verb.QUOTE, forms.NewQuote),
    _ask_for_miner("deactivate", Verb.DEACTIVATE, forms.OfMiner),
    _do("recovery/resolve", recovering.resolve, forms.Resolved, forms.Resolve, 404, 409),
    _do("notify/test", notices.send_test, forms.Tested, forms.Target, 404),
    _do("notify/replay", notices.replay, forms.Replayed, forms.Replay),
    _ask(Verb.APPROVE, shapes.Quarantine),
    _ask(Verb.RETRY, shapes.Retry),
    _ask(Verb.RELEASE, shapes.Release),
    _ask(Verb.QUARANTINE, shapes.Quarantine),
    _ask(Verb.ADOPT, shapes.OnTransaction),
    _ask(Verb.MARK, shapes.OnTransaction),
    _do("swaps/{swap_id}/rebuild", operating.rebuild, shapes.Rebuilt, shapes.Rebuild, 404, 409),
)
