"""JSON-RPC over one websocket: replies find their requests, notifications their subscriptions.

Nothing is sent twice and nothing reconnects here: whoever asked learns that the connection is gone, and
whether the request may have reached the node.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from miner.chains.asking import BUSY, UNREADABLE, counted, retry_after_s

MAX_MESSAGE = 128 * 1024 * 1024
"""Largest reply, bytes: metadata and full blocks are far below."""
HEARTBEAT_S = 20.0
"""Seconds between pings; a peer that answers none is gone."""
CLOSE_S = 1.0
"""Seconds that a peer gets to say goodbye."""
WEDGED_AFTER = 3
"""Requests in a row without a reply after which the connection is given up."""

TRY_AGAIN_S = 10.0
"""Seconds after a node has closed a connection because it has too much to do."""

EARLY_KEPT = 32
"""Notifications kept that came before the reply that names their subscription."""

OnNotification = Callable[[Any], None]


class RpcError(Exception):
    """The node answered with an error.

    Attributes:
        code: The JSON-RPC code.
        message: The node's words.
        data: What it added, as text; may be empty.
    """

    def __init__(self, code: int, message: str, data: str = "") -> None:
        super().__init__(code, message, data)
        self.code = code
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return f"{self.code} {self.message}" + (f" ({self.data})" if self.data else "")


class Lost(Exception):
    """No reply came.

    Attributes:
        why: In words.
        sent: Whether the request may have reached the node.
        wait_s: How long the node wants to be left alone; 0 where it did not say.
    """

    def __init__(self, why: str, sent: bool, wait_s: float = 0.0) -> None:
        super().__init__(why, sent)
        self.why = why
        self.sent = sent
        self.wait_s = wait_s

    def __str__(self) -> str:
        return self.why


@dataclass(slots=True)
class _Pending:
    reply: asyncio.Future[Any]
    on: OnNotification | None


class Connection:
    """One open websocket. Made by `open`; of no use after `close` or a loss.

    Attributes:
        url: The endpoint.
        lost: Whether it is gone for good.
        why: Why, once it is.
        wait_s: How long the node wants to be left alone after that.
        on_loss: Called once when it is lost or closed.
    """

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, url: str, reply_timeout_s: float) -> None:
        self.url = url
        self.lost = False
        self.why = ""
        self.wait_s = 0.0
        self.on_loss: Callable[[], None] = _nothing
        self._ws = ws
        self._timeout_s = reply_timeout_s
        self._ids = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._subscriptions: dict[str, OnNotification] = {}
        self._early: deque[tuple[str, Any]] = deque(maxlen=EARLY_KEPT)
        self._unanswered = 0
        self._reader = asyncio.create_task(self._read(), name=f"substrate-reader-{url}")

    @classmethod
    async def open(
        cls, session: aiohttp.ClientSession, url: str, connect_timeout_s: float, reply_timeout_s: float
    ) -> Connection:
        """Connect.

        Raises:
            Lost: There is no connection within the time.
        """
        try:
            async with asyncio.timeout(connect_timeout_s):
                closing = aiohttp.ClientWSTimeout(ws_close=CLOSE_S)
                ws = await session.ws_connect(
                    url, max_msg_size=MAX_MESSAGE, heartbeat=HEARTBEAT_S, compress=0, timeout=closing
                )
        except TimeoutError as exc:
            raise Lost(f"no connection in {connect_timeout_s:g} s", sent=False) from exc
        except aiohttp.WSServerHandshakeError as exc:
            wait_s = retry_after_s(exc.headers or {}) if exc.status in BUSY else 0.0
            raise Lost(f"it answers with HTTP status {exc.status}", sent=False, wait_s=wait_s) from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise Lost(f"{type(exc).__name__}: {exc}", sent=False) from exc
        return cls(ws, url, reply_timeout_s)

    async def close(self) -> None:
        """Close; whoever waits for a reply learns `Lost`. Idempotent."""
        self._end("closed")
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader
        await self._ws.close()

    async def request(
        self,
        method: str,
        params: Sequence[Any] = (),
        on: OnNotification | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """The method's result.

        Args:
            method: Name.
            params: Positional parameters.
            on: For a method that subscribes: takes each notification; must neither wait nor raise.
            timeout_s: Instead of the connection's own.

        Raises:
            RpcError: The node said no.
            Lost: There was no reply, or no connection.
        """
        if self.lost:
            raise Lost("not connected", sent=False)
        key = next(self._ids)
        pending = _Pending(asyncio.get_running_loop().create_future(), on)
        self._pending[key] = pending
        try:
            with counted("tao", method, RpcError):
                return await self._exchange(key, method, params, pending, timeout_s or self._timeout_s)
        finally:
            self._pending.pop(key, None)

    async def _exchange(
        self, key: int, method: str, params: Sequence[Any], pending: _Pending, timeout_s: float
    ) -> Any:
        request = {"jsonrpc": "2.0", "id": key, "method": method, "params": list(params)}
        try:
            async with asyncio.timeout(timeout_s):
                await self._ws.send_str(orjson.dumps(request).decode())
                result = await pending.reply
        except TimeoutError as exc:
            self._unanswered += 1
            if self._unanswered >= WEDGED_AFTER:
                self._end("it does not answer")
            raise Lost(f"{method}: no reply in {timeout_s:g} s", sent=True) from exc
        except (aiohttp.ClientError, OSError) as exc:
            self._end(str(exc))
            raise Lost(f"{method}: {exc}", sent=True) from exc
        self._unanswered = 0
        return result

    async def _read(self) -> None:
        why = "the node closed the connection"
        try:
            async for message in self._ws:
                if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    self._take(orjson.loads(message.data))
            if self._ws.close_code == aiohttp.WSCloseCode.TRY_AGAIN_LATER:
                why, self.wait_s = "the node has too much to do", TRY_AGAIN_S
        except UNREADABLE as exc:
            why = f"a reply that does not read: {exc!r}"
        except (aiohttp.ClientError, OSError) as exc:
            why = f"{type(exc).__name__}: {exc}"
        finally:
            self._end(why)

    def _take(self, reply: dict[str, Any]) -> None:
        if "method" in reply:
            told = reply["params"]
            on = self._subscriptions.get(str(told["subscription"]))
            if on is not None:
                on(told["result"])
            else:
                self._early.append((str(told["subscription"]), told["result"]))
            return
        pending = self._pending.get(reply["id"]) if reply.get("id") is not None else None
        if pending is None or pending.reply.done():
            return  # it came too late, or nobody asked
        if (error := reply.get("error")) is not None:
            data = error.get("data")
            pending.reply.set_exception(
                RpcError(
                    int(error.get("code", 0)),
                    str(error.get("message", "")),
                    "" if data is None else str(data),
                )
            )
            return
        if pending.on is not None:  # here, since the first notification may be the next message
            subscription = str(reply["result"])
            self._subscriptions[subscription] = pending.on
            for told in [result for key, result in self._early if key == subscription]:
                pending.on(told)
        pending.reply.set_result(reply["result"])

    def _end(self, why: str) -> None:
        if self.lost:
            return
        self.lost, self.why = True, why
        for pending in self._pending.values():
            if not pending.reply.done():
                pending.reply.set_exception(Lost(why, sent=True))
                pending.reply.exception()  # whoever waited may have been cancelled
        self.on_loss()


def _nothing() -> None:
    return None
