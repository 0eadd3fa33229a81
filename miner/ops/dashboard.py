"""The dashboard's files: the same for everybody, without data. What it shows, it asks for with a token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files

from aiohttp import web

from miner.ops.desk import Call, OpsDesk

HTML, SCRIPT, STYLE, IMAGE = "text/html", "text/javascript", "text/css", "image/svg+xml"
FILES: Mapping[str, tuple[str, str]] = {
    "/": ("index.html", HTML),
    "/page/app.js": ("app.js", SCRIPT),
    "/page/api.js": ("api.js", SCRIPT),
    "/page/draw.js": ("draw.js", SCRIPT),
    "/page/words.js": ("words.js", SCRIPT),
    "/page/style.css": ("style.css", STYLE),
    "/page/icon.svg": ("icon.svg", IMAGE),
}
"""File and media type by path."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Nothing is loaded from elsewhere, nothing runs that is not in these files, and no page frames this one."""


def page(path: str) -> Callable[[OpsDesk, Call], Awaitable[web.StreamResponse]]:
    """Who answers one of `FILES`."""
    name, media = FILES[path]
    body = files("miner.ops").joinpath("page", name).read_bytes()

    async def answer(_desk: OpsDesk, _call: Call) -> web.StreamResponse:
        return web.Response(body=body, content_type=media, charset="utf-8", headers=HEADERS)

    answer.__doc__ = f"A file of the dashboard: {name}."
    return answer
