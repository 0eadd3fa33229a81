"""One websocket through the fault proxy: requests up, replies and notifications down, spoiled on the way."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from tests.devnet.faults import Fault, FaultKind, FaultList
from tests.devnet.spoils import error_reply, spoiled

_LARGEST = 256 * 2**20
TRY_AGAIN_LATER = 1013
"""The close code of a node that has too much to do."""
_TOO_MANY = -32005


class Faulty(Protocol):
    """What a relay needs of its proxy."""

    faults: FaultList

    def taken(self, calls: list[dict[str, Any]]) -> Fault | None:
        """Counts requests, and tells the fault that hits one of them."""


@dataclass(frozen=True)
class _Asked:
    method: str
    params: Any
    fault: Fault | None


class Relay:
    """One client's websocket and the node's."""

    def __init__(self, proxy: Faulty, session: aiohttp.ClientSession) -> None:
        self._proxy = proxy
        self._session = session
        self._asked: dict[Any, _Asked] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._client = web.WebSocketResponse(max_msg_size=_LARGEST, heartbeat=None)
        self._node: aiohttp.ClientWebSocketResponse | None = None
        self._request: web.Request | None = None

    async def run(self, request: web.Request, target: str) -> web.StreamResponse:
        """Relays until either side goes."""
        self._request = request
        try:
            self._node = await self._session.ws_connect(target, max_msg_size=_LARGEST)
        except aiohttp.ClientError:
            close_now(request)
            return web.Response()
        try:
            await self._client.prepare(request)
            down = asyncio.create_task(self._down(self._node), name="relay-down")
            up = asyncio.create_task(self._up(self._node), name="relay-up")
            await asyncio.wait({down, up}, return_when=asyncio.FIRST_COMPLETED)
            self._tasks |= {down, up}
        finally:
            await self._finish()
        return self._client

    async def end(self) -> None:
        """Breaks it: the client sees the connection go."""
        if self._request is not None:
            close_now(self._request)
        if self._node is not None:
            await self._node.close()

    async def _finish(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._node is not None:
            await self._node.close()
        if self._request is not None:
            close_now(self._request)

    async def _up(self, node: aiohttp.ClientWebSocketResponse) -> None:
        async for message in self._client:
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                continue
            text = message.data if isinstance(message.data, str) else bytes(message.data).decode()
            call = json.loads(text)
            fault = self._proxy.taken([call])
            if fault is not None and await self._before(fault, call):
                continue
            self._asked[call.get("id")] = _Asked(str(call.get("method")), call.get("params"), fault)
            await node.send_str(text)

    async def _before(self, fault: Fault, call: dict[str, Any]) -> bool:
        """Whether the request was dealt with before it reached the node."""
        reply = {"jsonrpc": "2.0", "id": call.get("id")}
        match fault.kind:
            case FaultKind.REFUSE:
                await self._tell(json.dumps(error_reply(reply, fault)))
            case FaultKind.REPLACE:
                await self._tell(json.dumps({**reply, "result": fault.result}))
            case FaultKind.BUSY:
                busy = Fault(fault.method, FaultKind.REFUSE, code=_TOO_MANY, message="too many requests")
                await self._tell(json.dumps(error_reply(reply, busy)))
                await self._client.close(code=TRY_AGAIN_LATER, message=b"too many requests", drain=False)
            case FaultKind.HANG:
                pass
            case FaultKind.CLOSE if fault.before:
                await self.end()
            case _:
                return False
        return True

    async def _down(self, node: aiohttp.ClientWebSocketResponse) -> None:
        async for message in node:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            told = json.loads(message.data)
            asked = self._what(told)
            if asked.fault is None:
                await self._tell(message.data)
            else:
                await self._spoil(asked.fault, message.data, asked)

    def _what(self, told: dict[str, Any]) -> _Asked:
        if "method" not in told:
            return self._asked.pop(told.get("id"), _Asked("", None, None))
        fault = self._proxy.faults.take("notification", str(told["method"]))
        return _Asked(str(told["method"]), told.get("params"), fault)

    async def _spoil(self, fault: Fault, text: str, asked: _Asked) -> None:
        match fault.kind:
            case FaultKind.DROP | FaultKind.HANG:
                return
            case FaultKind.CLOSE:
                await self.end()
            case FaultKind.RESET:
                self._break_off(text)
            case FaultKind.DELAY:
                self._later(text, (fault.ms or 1000) / 1000)
            case FaultKind.DUPLICATE:
                await self._tell(text)
                await self._tell(text)
            case _:
                await self._tell(spoiled(text, fault, asked.method, asked.params))

    def _break_off(self, text: str) -> None:
        """The head of a frame that promises more than comes."""
        assert self._request is not None
        if self._request.transport is not None:
            self._request.transport.write(b"\x81\x7e\xff\xff" + text.encode()[:20])
        close_now(self._request)

    def _later(self, text: str, seconds: float) -> None:
        async def tell() -> None:
            await asyncio.sleep(seconds)
            await self._tell(text)

        task = asyncio.create_task(tell(), name="relay-delay")
        self._tasks.add(task)

    async def _tell(self, text: str) -> None:
        with suppress(ConnectionError, RuntimeError):
            await self._client.send_str(text)


def close_now(request: web.BaseRequest) -> None:
    """Breaks the connection, without a goodbye."""
    if request.transport is not None:
        request.transport.abort()
