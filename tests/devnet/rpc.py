"""JSON-RPC over HTTP, for the devnet's own calls."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import aiohttp

from tests.devnet.errors import RpcRefused


class JsonRpc:
    """One endpoint and its session."""

    def __init__(self, url: str, user: str = "", password: str = "", *, timeout_s: float = 300) -> None:
        self.url = url
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"} if user else {}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._ids = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None

    async def call(self, method: str, *params: Any, path: str = "") -> Any:
        """Answers the method's result.

        Raises:
            RpcRefused: the node answered with an error.
            aiohttp.ClientError: it did not answer.
        """
        if self._session is None:
            connector = aiohttp.TCPConnector(
                force_close=True
            )  # no pool: it would outlive the test that filled it
            self._session = aiohttp.ClientSession(
                headers=self._headers, timeout=self._timeout, connector=connector
            )
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
        async with self._session.post(self.url + path, json=request) as response:
            reply = await response.json(content_type=None)
        if error := reply.get("error"):
            raise RpcRefused(method, error.get("code", 0), error.get("message", ""), error.get("data"))
        return reply["result"]

    async def close(self) -> None:
        """Closes the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None
