"""A receiver of messages on this machine, that answers as a test wants it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from miner.model import Alarm, Delivery, Notice, NoticeKind, Phase
from miner.notify.targets import Target


@dataclass
class Answer:
    """How the receiver answers: with a status, or never."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    drop: bool = False


@dataclass
class Got:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Receiver:
    """Listens on loopback; answers each request with the next answer, the last one for ever."""

    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    got: list[Got] = field(default_factory=list)
    url: str = ""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def has(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(30), self.came:
            await self.came.wait_for(lambda: len(self.got) >= count)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.got.append(Got(request.path, dict(request.headers), await request.read()))
        async with self.came:
            self.came.notify_all()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.hang:
            await self.let_go.wait()
        if answer.drop and request.transport is not None:
            request.transport.abort()
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """The address of an application on loopback while the body runs."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def receiving(*answers: Answer) -> AsyncIterator[Receiver]:
    """A receiver while the body runs."""
    receiver = Receiver(list(answers) or [Answer()])
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver._answer)
    async with serving(app) as url:
        receiver.url = f"{url}/hook/canary-path"
        try:
            yield receiver
        finally:
            receiver.let_go.set()


SECRET = "canary-key"


def target(url: str, kind: str = "webhook", **changes: Any) -> Target:
    """A target at an address on this machine."""
    values: dict[str, Any] = {
        "name": "ops", "kind": kind, "url": lambda: url, "secret": lambda: SECRET,
        "allow_loopback": True, "timeout_s": 5.0,
    }  # fmt: skip
    return Target(**(values | changes))


def delivery(kind: NoticeKind = NoticeKind.SWAP_HELD, **changes: Any) -> Delivery:
    """A delivery as the store gives it."""
    alarm: dict[str, Any] = {
        "kind": kind,
        "subject": "swap/7",
        "text": "swap 7: it waits for you (lane_taken_ambiguously)",
        "what_to_do": "run `swap-miner recovery show --swap 7`",
        "swap_id": 7,
        "detail": {"cause": "lane_taken_ambiguously"},
    }
    phase = changes.pop("phase", Phase.RAISED)
    notice = Notice(
        id=12, at_ms=1_700_000_000_000, phase=phase, alarm=Alarm(**(alarm | changes)),
        genesis="0x" + "aa" * 32, contract="5Contract",
    )  # fmt: skip
    return Delivery(notice=notice, target="ops", attempts=1)
