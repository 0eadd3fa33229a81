"""Everything that is not well, as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from aiohttp import web

from miner.errors import ConfigError, LeaseLost, MinerError, ReadFailed, Refused, StoreError

log = structlog.get_logger("ops")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """Why a request is not answered as it was asked.

    Attributes:
        status: The HTTP status.
        detail: What is wrong and what would be right, for people.
        headers: To send with it.
        more: Members beyond those of the RFC.
    """

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: object
    ) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def response(self) -> web.Response:
        """As it is sent."""
        title = HTTPStatus(self.status).phrase
        body = {
            "type": "about:blank",
            "title": title,
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }
        return web.Response(
            status=self.status, body=orjson.dumps(body), content_type=MEDIA_TYPE, headers=self.headers
        )


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever goes wrong; nothing of it leaves this request."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as known:
        return _of_http(known).response()
    except TimeoutError:
        return Problem(503, "it took too long; nothing is known of what came of it").response()
    except MinerError as error:
        return _of_ours(error).response()
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        log.exception("ops_request_broke", method=request.method, path=request.path)
        return Problem(500, "a mistake in this program; its log tells more").response()


def _of_http(known: web.HTTPException) -> Problem:
    details = {
        404: "there is nothing at this path; see /openapi.json",
        405: "this path does not know the method; see the Allow header",
        413: "the request's body is too large",
    }
    allow = {"Allow": known.headers["Allow"]} if "Allow" in known.headers else {}
    return Problem(known.status, details.get(known.status, known.reason), allow)


def _of_ours(error: MinerError) -> Problem:
    """An error of the daemon's as a status; the words of what nobody foresaw stay here."""
    match error:
        case LeaseLost() | Refused():
            return Problem(409, str(error))
        case ConfigError():
            return Problem(409, f"the settings do not allow it: {error}")
        case StoreError():
            return Problem(503, f"the store refuses: {error}", {"Retry-After": "5"})
        case ReadFailed():
            return Problem(503, f"a chain could not be asked: {error}", {"Retry-After": "5"})
    log.warning("ops_request_failed", error=str(error), kind=type(error).__name__)
    return Problem(500, f"it failed: {type(error).__name__}; the log tells more")


def told(found: Any, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(status=status, body=orjson.dumps(found), content_type="application/json")
