"""JSON-RPC to a Bitcoin node: one place where its replies and failures become values and our errors."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import aiohttp
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from miner.chains.asking import BUSY, UNREADABLE, counted, retry_after_s
from miner.chains.bitcoin.patience import Patience
from miner.errors import ConfigError, NotSent, OutcomeUnknown, ReadFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEEPALIVE_S: Final = 15
"""Below the node's own idle limit (`rpcservertimeout`, 30 s): no request meets a closing connection."""
_CONNECT_S: Final = 5
MAX_REPLY: Final = 64 * 1024 * 1024
"""Largest reply, bytes: a full block in hex is below 9 MB, a wallet's long history is some more."""
WARMING_UP: Final = -28
WALLET_NOT_LOADED: Final = -18
WALLET_LOCKED: Final = -13
_REMEDIES: Final = {
    WALLET_NOT_LOADED: "load the wallet: `bitcoin-cli -named loadwallet filename=NAME load_on_startup=true`",
    WALLET_LOCKED: "unlock the wallet: `bitcoin-cli -rpcwallet=NAME walletpassphrase …`",
}


class RpcError(ReadFailed):
    """The node answered, with an error. For a read nobody understands it, so nothing was learned.

    Attributes:
        code: The node's number.
        message: Its words.
    """

    def __init__(self, method: str, code: int, message: str) -> None:
        remedy = _REMEDIES.get(code)
        super().__init__(method, f"the node says {code} {message}" + (f"; {remedy}" if remedy else ""))
        self.code = code
        self.message = message


class _Unsent(Exception):
    """The request had certainly no effect."""


class _NoEntry(_Unsent):
    """The credentials were refused or could not be read."""


class _LeftAlone(_Unsent):
    """It was not asked at all, or asked not to be asked again so soon."""


class _Unanswered(Exception):
    """The request may have had its effect."""


@contextmanager
def understanding(what: str) -> Iterator[None]:
    """Reading a reply: one that is not shaped as documented teaches nothing.

    Raises:
        ReadFailed: It is not.
    """
    try:
        yield
    except UNREADABLE as exc:
        raise ReadFailed(what, f"the node's reply does not read ({type(exc).__name__}: {exc})") from exc


class BitcoinRpc:
    """A node's endpoint. Credentials are read at the first request, and again when the node refuses them.

    Attributes:
        requests: Requests sent so far, by method.
    """

    def __init__(
        self,
        url: str,
        credentials: Path | Callable[[], str],
        *,
        timeout_s: float = 30.0,
        max_in_flight: int = 8,
        read_attempts: int = 3,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Nothing is opened yet.

        Args:
            url: `http://host:port`, without credentials.
            credentials: The node's cookie, or a file of the same form: one line, `user:password`; or what
                gives that line.
            timeout_s: Limit of one request.
            max_in_flight: Most requests at once; the rest wait here.
            read_attempts: How often a read is tried before `ReadFailed`.
            sleep: How to wait between attempts.

        Raises:
            ConfigError: The URL is none, or holds credentials.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("bitcoin.url", "it is no http address", "Write it as http://127.0.0.1:8332.")
        if parts.username is not None or parts.password is not None:
            raise ConfigError("bitcoin.url", "it holds credentials", "Put them in a file.")
        self.requests: Counter[str] = Counter()
        self._url = url.rstrip("/")
        self._source = credentials
        self._auth: str | None = None
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(_CONNECT_S, timeout_s))
        self._gate = asyncio.Semaphore(max_in_flight)
        self._max_in_flight = max_in_flight
        self._read_attempts = read_attempts
        self._sleep = sleep
        self._ids = itertools.count(1)
        self._session: aiohttp.ClientSession | None = None
        self._patience = Patience(self._knock, sleep)

    def __repr__(self) -> str:
        return f"BitcoinRpc({self._url})"

    async def read(self, method: str, *params: object, wallet: str | None = None) -> Any:
        """The result of a method that changes no chain; tried again when the node did not answer.

        Args:
            method: Its name.
            params: Its positional parameters.
            wallet: Name of the wallet it is asked of, where it is one's.

        Raises:
            RpcError: The node answered with an error (a `ReadFailed` for whoever does not know its code).
            ReadFailed: It did not answer, or not so that it reads.
        """
        retrying = AsyncRetrying(
            sleep=self._sleep,
            stop=stop_after_attempt(self._read_attempts),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            retry=retry_if_exception_type((_Unsent, _Unanswered))
            & retry_if_not_exception_type((_NoEntry, _LeftAlone)),
            reraise=True,
        )
        try:
            return await retrying(self._exchange, method, params, wallet)
        except (_Unsent, _Unanswered) as exc:
            raise ReadFailed(f"{method} of the Bitcoin node", str(exc)) from exc

    async def send(self, method: str, *params: object) -> Any:
        """The result of a method that may change the chain; asked once.

        Raises:
            RpcError: The node answered with an error.
            NotSent: It did not get the request, or did not take it up.
            OutcomeUnknown: It may have.
        """
        try:
            return await self._exchange(method, params, None)
        except _Unsent as exc:
            raise NotSent(method, str(exc)) from exc
        except _Unanswered as exc:
            raise OutcomeUnknown(method, str(exc)) from exc

    async def close(self) -> None:
        """Close every connection; idempotent."""
        await self._patience.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(self, method: str, params: tuple[object, ...], wallet: str | None) -> Any:
        with counted("btc", method, RpcError):
            return await self._ask(method, params, wallet)

    async def _ask(self, method: str, params: tuple[object, ...], wallet: str | None) -> Any:
        call_id = next(self._ids)
        async with self._gate:
            if why := self._patience.why_not():
                raise _LeftAlone(why)
            for fresh in (False, True):
                auth = await self._credentials(fresh)
                status, body = await self._post(auth, call_id, method, params, wallet)
                if status not in (401, 403):
                    break
            else:
                raise _NoEntry(f"it refuses the credentials{self._where()}; compare them with the node's")
        if status in BUSY:
            raise (
                _LeftAlone("it has too many requests") if self._patience.why_not() else _Unsent("it is busy")
            )
        return _result(call_id, method, status, body)

    async def _knock(self) -> bool:
        """Whether the node answers something that costs it nothing, be it an error."""
        try:
            await self._post(await self._credentials(False), next(self._ids), "uptime", (), None)
        except (_Unsent, _Unanswered):
            return False
        return True

    @property
    def losses(self) -> int:
        """How often no answer came: after each, the endpoint may lead to another node."""
        return self._patience.losses

    async def _credentials(self, fresh: bool) -> str:
        """The `Authorization` header. A node that starts anew writes a new cookie."""
        if self._auth is None or fresh:
            try:
                text = await asyncio.to_thread(self._read_source)
            except (OSError, UnicodeDecodeError, ConfigError) as exc:
                why = exc.strerror if isinstance(exc, OSError) else type(exc).__name__
                raise _NoEntry(f"no credentials{self._where()}: {why}; is the node running?") from exc
            if ":" not in text:
                raise _NoEntry(f"the credentials{self._where()} are not `user:password`")
            self._auth = "Basic " + base64.b64encode(text.strip().encode()).decode()
        return self._auth

    def _read_source(self) -> str:
        source = self._source
        return source.read_text(encoding="utf-8") if isinstance(source, Path) else source()

    def _where(self) -> str:
        return f" in {self._source}" if isinstance(self._source, Path) else ""

    async def _post(
        self, auth: str, call_id: int, method: str, params: tuple[object, ...], wallet: str | None
    ) -> tuple[int, bytes]:
        path = "/" if wallet is None else f"/wallet/{quote(wallet, safe='')}"
        request = {"jsonrpc": "1.0", "id": call_id, "method": method, "params": params}
        self.requests[method] += 1
        try:
            async with self._opened().post(
                self._url + path, json=request, headers={"Authorization": auth}, allow_redirects=False
            ) as reply:
                if reply.status in BUSY and (wait_s := retry_after_s(reply.headers)):
                    self._patience.leave_alone(wait_s)
                body = await _read_whole(reply)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            self._patience.lost(hung=False)
            raise _Unsent(f"no connection to {self._url}") from exc
        except (aiohttp.ClientError, OSError) as exc:  # a timeout is one of these
            self._patience.lost(hung=isinstance(exc, TimeoutError))
            raise _Unanswered(f"no answer ({type(exc).__name__})") from exc
        self._patience.answered()
        return reply.status, body

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._max_in_flight, keepalive_timeout=_KEEPALIVE_S)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        return self._session


def whole(told: object) -> int:
    """A whole number of a reply.

    Raises:
        ValueError: It is none: a fraction, a text, a truth value.
    """
    if not isinstance(told, int) or isinstance(told, bool):
        raise ValueError(f"{str(told)[:80]!r} is no whole number")
    return told


async def _read_whole(reply: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in reply.content.iter_chunked(2**18):
        parts.append(part)
        size += len(part)
        if size > MAX_REPLY:
            reply.close()
            raise aiohttp.ClientPayloadError("the reply is too long")
    return b"".join(parts)


def _result(call_id: int, method: str, status: int, body: bytes) -> Any:
    try:
        reply = json.loads(body, parse_float=Decimal)
        error, result = reply["error"], reply["result"]
        code, message = (whole(error["code"]), str(error["message"])) if error is not None else (0, "")
    except UNREADABLE as exc:
        raise _Unanswered(f"its reply (status {status}) does not read") from exc
    if reply.get("id") != call_id:
        raise _Unanswered("its reply is to another request")
    if error is None:
        return result
    if code == WARMING_UP:
        raise _Unsent(f"it is starting up: {message}")
    raise RpcError(method, code, message)
