"""Sends one message to one target over HTTP. Errors are told without addresses, which hold access keys."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from miner.errors import ConfigError, EffectError, NotSent, NotYet, OutcomeUnknown, Refused
from miner.model import Delivery
from miner.notify import formats, guard, message

Secret = Callable[[], str]
"""Reads a secret anew: it may be changed without a restart."""
AGENT = "swap-miner"
LONGEST_WAIT_S = 3600.0
"""A `Retry-After` beyond this is cut."""
_ANSWER_READ = 4096
_GONE, _TOO_MANY, _UNAVAILABLE = 410, 429, 503
_NOT_TAKEN = frozenset({408, 425, _TOO_MANY, _UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Target:
    """One target, as the settings have it.

    Attributes:
        name: What messages and commands call it.
        kind: `webhook`, `discord`, `slack` or `telegram`.
        url: Where to; it may hold an access key.
        secret: The key that webhooks are signed with, or the Telegram bot's token.
        chat: The Telegram chat.
        allow_loopback: Whether this machine itself may be the target.
        timeout_s: How long one attempt may take, answer included.
    """

    name: str
    kind: str
    url: Secret = field(repr=False)
    secret: Secret | None = field(default=None, repr=False)
    chat: str = ""
    allow_loopback: bool = False
    timeout_s: float = 10.0


class HttpMessenger:
    """See `miner.ports.Messenger`. A connection is made for each message, and closed after it."""

    def __init__(self, target: Target, clock_s: Callable[[], float] = time.time) -> None:
        self._target = target
        self._clock_s = clock_s

    async def send(self, delivery: Delivery) -> None:
        """See `Messenger.send`."""
        what = f"message to {self._target.name}"
        try:
            url, headers, payload = self._request(delivery)
        except (ConfigError, ValueError) as exc:
            raise NotSent(what, "its address or key cannot be read, or will not do") from exc
        await self._post(what, url, headers, payload)

    def _request(self, delivery: Delivery) -> tuple[str, Mapping[str, str], bytes]:
        """Address, headers and body."""
        target = self._target
        url, secret = target.url(), target.secret() if target.secret else ""
        headers = {"content-type": "application/json", "user-agent": AGENT}
        if target.kind == "telegram":
            call = orjson.dumps(formats.telegram(delivery, target.chat))
            return f"{url.rstrip('/')}/bot{secret}/sendMessage", headers, call
        if target.kind in formats.JSON_FORMATS:
            return url, headers, orjson.dumps(formats.JSON_FORMATS[target.kind](delivery))
        body, at = message.body(delivery), int(self._clock_s())
        signed = {
            "webhook-id": delivery.id,
            "webhook-timestamp": str(at),
            "webhook-signature": formats.signature(secret, delivery.id, at, body),
        }
        return url, {**headers, **signed}, body

    async def _post(self, what: str, url: str, headers: Mapping[str, str], payload: bytes) -> None:
        encrypted = urlsplit(url).scheme == "https"
        make = guard.make_socket(self._target.allow_loopback, encrypted)
        limit = aiohttp.ClientTimeout(total=self._target.timeout_s)
        connector = aiohttp.TCPConnector(socket_factory=make, force_close=True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=limit, trust_env=False) as session,
                session.post(url, data=payload, headers=headers, allow_redirects=False) as answer,
            ):
                said = await answer.content.read(_ANSWER_READ) if answer.status == _TOO_MANY else b""
                judge(what, answer.status, answer.headers, said, self._clock_s())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise meaning(what, exc) from exc


def meaning(what: str, exc: BaseException) -> EffectError:
    """What an error of the transport says; by its kind alone, since its words hold the address."""
    for cause in _causes(exc):
        if isinstance(cause, guard.Forbidden):
            return Refused(what, "forbidden_target", str(cause))
    if isinstance(exc, aiohttp.InvalidURL | ValueError):
        return NotSent(what, "its address is no web address")
    if isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return NotSent(what, "no connection")
    if isinstance(exc, TimeoutError):
        return OutcomeUnknown(what, "no answer in time")
    return OutcomeUnknown(what, f"the connection broke ({type(exc).__name__})")


def _causes(exc: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    waiting = [exc]
    while waiting:
        each = waiting.pop()
        if each is None or each in found:
            continue
        found.append(each)
        waiting += [each.__cause__, each.__context__, getattr(each, "os_error", None)]
        waiting += list(getattr(each, "exceptions", ()))
    return found


def judge(what: str, status: int, headers: Mapping[str, str], said: bytes, now_s: float) -> None:
    """What an answer says; nothing where the message arrived.

    Raises:
        NotSent: It was not taken; `NotYet` where the target says when to come again.
        OutcomeUnknown: The target failed with it in hand.
        Refused: `redirected` or `gone`.
    """
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Refused(what, "redirected", f"answered {status}; redirects are not followed")
    if status == _GONE:
        raise Refused(what, "gone", "answered 410")
    after = retry_after(headers.get("Retry-After"), said, now_s)
    if after is not None:
        raise NotYet(what, f"answered {status}", math.ceil(min(after, LONGEST_WAIT_S)))
    if status >= 500 and status not in _NOT_TAKEN:
        raise OutcomeUnknown(what, f"answered {status}")
    raise NotSent(what, f"answered {status}")


def retry_after(header: str | None, said: bytes, now_s: float) -> float | None:
    """How many seconds a target asks to wait, by its header or (Discord, Telegram) by its answer."""
    if header is not None:
        return _header_s(header.strip(), now_s)
    try:
        found: Any = orjson.loads(said)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    inner = found.get("parameters")
    value = inner.get("retry_after") if isinstance(inner, dict) else found.get("retry_after")
    return max(float(value), 0.0) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _header_s(header: str, now_s: float) -> float | None:
    if header.isascii() and header.isdigit():
        return float(header[:9])
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(when.replace(tzinfo=when.tzinfo or UTC).timestamp() - now_s, 0.0)
