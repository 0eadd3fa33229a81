"""A proxy before a node that counts requests by method and injects faults: HTTP and websocket JSON-RPC."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import web

from tests.devnet.faults import Fault, FaultKind, FaultList
from tests.devnet.sockets import Relay, close_now
from tests.devnet.spoils import error_reply, spoiled

_AFTER = frozenset({FaultKind.DELAY, FaultKind.DROP, FaultKind.CLOSE, FaultKind.RESET, FaultKind.DUPLICATE})
"""Faults of the transport: the reply's text stays."""


class FaultProxy:
    """Passes JSON-RPC on, single and batched; a fault that hits one request of a batch hits the batch.

    Attributes:
        port: where it listens.
        busy: while set, every connection and request is answered 429 with so many seconds of Retry-After.
        target: the node behind it.
        opened: connections of websockets that were asked for since the last reset.
    """

    def __init__(self, target: str) -> None:
        self.port = 0
        self.busy: int | None = None
        self.opened = 0
        self.faults = FaultList()
        self.target = target
        self._counts: Counter[str] = Counter()
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._session: aiohttp.ClientSession | None = None
        self._relays: set[Relay] = set()
        self._stopping = asyncio.Event()

    @property
    def url(self) -> str:
        """The endpoint of a websocket node."""
        return f"ws://127.0.0.1:{self.port}"

    async def start(self, port: int = 0) -> None:
        """Listens; 0 takes a free port."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_get("/{path:.*}", self._upgrade)
        app.router.add_post("/{path:.*}", self._handle)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await self._listen(port)
        self.port = int(self._runner.addresses[0][1])

    async def _listen(self, port: int) -> None:
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True)
        await self._site.start()

    async def stop(self) -> None:
        """Stops listening."""
        self._stopping.set()
        await self.disconnect()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    # the whole endpoint

    async def down(self) -> None:
        """Refuses connections, and breaks those that are open."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        await self.disconnect()

    async def up(self) -> None:
        """Listens again, where it did."""
        if self._site is None:
            await self._listen(self.port)

    async def disconnect(self) -> None:
        """Breaks the open websockets."""
        for relay in list(self._relays):
            await relay.end()

    async def retarget(self, target: str) -> None:
        """Stands before another node from now on; who is connected has to come again."""
        self.target = target
        await self.disconnect()

    async def back(self) -> None:
        """No faults: passes everything on."""
        self.clear_faults()
        await self.up()

    # single requests

    def fault(self, fault: Fault) -> None:
        """Injects a fault."""
        self.faults.add(fault)

    def clear_faults(self) -> None:
        """Ends all faults; those who wait for a reply that was dropped go on waiting."""
        self.faults.clear()
        self.busy = None

    def requests(self, *, reset: bool = False) -> dict[str, int]:
        """Requests by method, since the last reset."""
        counts = dict(self._counts)
        if reset:
            self._counts.clear()
            self.opened = 0
        return counts

    def taken(self, calls: list[dict[str, Any]]) -> Fault | None:
        """Counts requests, and tells the fault that hits one of them."""
        self._counts.update(str(call.get("method")) for call in calls)
        for call in calls:
            fault = self.faults.take(str(call.get("method")), json.dumps(call.get("params")))
            if fault is not None:
                return fault
        return None

    # websockets

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        self.opened += 1
        if self.busy is not None:
            return _too_many(self.busy)
        assert self._session is not None
        relay = Relay(self, self._session)
        self._relays.add(relay)
        try:
            return await relay.run(request, self.target.replace("http://", "ws://"))
        finally:
            self._relays.discard(relay)

    # HTTP

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            told = json.loads(body)
        except ValueError:
            told = {}
        calls = told if isinstance(told, list) else [told]
        fault = self.taken(calls)
        if self.busy is not None:
            return _too_many(self.busy)
        if fault is None:
            return await self._pass_on(request, body)
        return await self._before(fault, request, calls[0]) or await self._spoil(
            fault, request, body, calls[0]
        )

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() in ("authorization", "content-type")}
        target = self.target.replace("ws://", "http://")
        try:
            async with self._session.post(target + request.path_qs, data=body, headers=headers) as reply:
                content = await reply.read()
                return web.Response(status=reply.status, body=content, content_type="application/json")
        except aiohttp.ClientConnectionError:
            return _close(request)

    async def _before(self, fault: Fault, request: web.Request, call: dict[str, Any]) -> web.Response | None:
        """The answer to a request that never reaches the node; None where it does."""
        match fault.kind:
            case FaultKind.REFUSE:
                return web.json_response(error_reply({"id": call.get("id")}, fault), status=500)
            case FaultKind.REPLACE:
                return web.json_response({"result": fault.result, "error": None, "id": call.get("id")})
            case FaultKind.BUSY:
                return _too_many(fault.retry_after_s)
            case FaultKind.CLOSE if fault.before:
                return _close(request)
            case FaultKind.HANG:
                await self._wait(None)
                return _close(request)
        return None

    async def _spoil(
        self, fault: Fault, request: web.Request, body: bytes, call: dict[str, Any]
    ) -> web.StreamResponse:
        reply = await self._pass_on(request, body)
        match fault.kind:
            case FaultKind.DELAY:
                await self._wait((fault.ms or 1000) / 1000)
                return reply
            case FaultKind.DROP:
                await self._wait(None)
                return _close(request)
            case FaultKind.RESET:
                return await _break_off(request, bytes(reply.body or b""))  # type: ignore[arg-type]
            case kind if kind in _AFTER:
                return reply if kind is FaultKind.DUPLICATE else _close(request)
        text = spoiled(reply.text or "", fault, str(call.get("method")), call.get("params"))
        return web.Response(body=text.encode(), content_type="application/json")

    async def _wait(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _too_many(retry_after_s: int | None) -> web.Response:
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return web.Response(status=429, text="too many requests", headers=headers)


async def _break_off(request: web.Request, body: bytes) -> web.StreamResponse:
    """Half of a reply whose length was told, then nothing."""
    reply = web.StreamResponse(headers={"Content-Type": "application/json"})
    reply.content_length = len(body)
    await reply.prepare(request)
    await reply.write(body[: len(body) // 2])
    close_now(request)
    return reply


def _close(request: web.Request) -> web.Response:
    close_now(request)
    return web.Response()
