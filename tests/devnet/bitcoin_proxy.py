"""A proxy before the Bitcoin node that counts requests by method and injects faults."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import aiohttp
from aiohttp import web

from tests.devnet.faults import Fault, FaultKind

_GARBLED = b'{"jsonrpc":"2.0","id":1,"resu'


class CountingProxy:
    """Passes JSON-RPC on, single and batched; a fault that hits one request of a batch hits the batch."""

    def __init__(self, target: str) -> None:
        self.port = 0
        self._target = target
        self._counts: Counter[str] = Counter()
        self._faults: list[tuple[Fault, list[int]]] = []
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._stopping = asyncio.Event()

    async def start(self, port: int = 0) -> None:
        """Listens; 0 takes a free port."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/{path:.*}", self._handle)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stops listening."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def fault(self, fault: Fault) -> None:
        """Injects a fault."""
        self._faults.append((fault, [fault.count if fault.count is not None else 1 << 60]))

    def clear_faults(self) -> None:
        """Ends all faults."""
        self._faults.clear()

    def requests(self, *, reset: bool = False) -> dict[str, int]:
        """Requests by method, since the last reset."""
        counts = dict(self._counts)
        if reset:
            self._counts.clear()
        return counts

    def _take(self, calls: list[dict[str, Any]]) -> Fault | None:
        for call in calls:
            for fault, left in self._faults:
                named = fault.method in ("*", call.get("method"))
                matched = fault.match is None or fault.match in json.dumps(call.get("params"))
                if left[0] > 0 and named and matched:
                    left[0] -= 1
                    return fault
        return None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            told = json.loads(body)
        except ValueError:
            told = {}
        calls = told if isinstance(told, list) else [told]
        self._counts.update(str(call.get("method")) for call in calls)
        fault = self._take(calls)
        if fault is None:
            return await self._pass_on(request, body)
        return await self._spoil(fault, request, body, calls[0].get("id"))

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() in ("authorization", "content-type")}
        try:
            async with self._session.post(
                self._target + request.path_qs, data=body, headers=headers
            ) as reply:
                content = await reply.read()
                return web.Response(status=reply.status, body=content, content_type="application/json")
        except aiohttp.ClientConnectionError:
            return _close(request)

    async def _spoil(
        self, fault: Fault, request: web.Request, body: bytes, call_id: Any
    ) -> web.StreamResponse:
        match fault.kind:
            case FaultKind.REFUSE:
                code, message = fault.code or -32000, fault.message or "refused by the devnet"
                error = {"result": None, "error": {"code": code, "message": message}, "id": call_id}
                return web.json_response(error, status=500)
            case FaultKind.REPLACE:
                return web.json_response({"result": fault.result, "error": None, "id": call_id})
            case FaultKind.CLOSE if fault.before:
                return _close(request)
        reply = await self._pass_on(request, body)
        match fault.kind:
            case FaultKind.DELAY:
                await self._wait((fault.ms or 1000) / 1000)
                return reply
            case FaultKind.DROP:
                await self._wait(None)
            case FaultKind.GARBLE:
                return web.Response(body=_GARBLED, content_type="application/json")
        return _close(request)

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


def _close(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
