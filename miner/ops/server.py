"""The server itself: its sockets, its limits, its beginning and its end.

Whatever fails here is logged and leaves the daemon as it is: a port that is taken, a path that is too long, a
request that breaks. It has a store of its own, so that no reader holds up a payout.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web

from miner.errors import StoreError
from miner.ops.desk import OpsDesk
from miner.ops.problems import Problem, as_problems
from miner.ops.routes import ROUTES, Route
from miner.ops.understanding import understood

log = structlog.get_logger("ops")

LARGEST_BODY = 1024 * 1024
"""Bytes of a request's body; settings to validate are the largest."""
ANSWER_S = 30.0
"""What a request may take that is no stream and waits for no daemon."""
GOODBYE_S = 2.0
"""What open connections get to end when the daemon stops."""
BACKLOG = 64


def application(desk: OpsDesk) -> web.Application:
    """The routes over a desk."""
    app = web.Application(middlewares=[as_problems], client_max_size=LARGEST_BODY)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, partial(_answer, desk, route))
    return app


async def _answer(desk: OpsDesk, route: Route, request: web.Request) -> web.StreamResponse:
    desk.gate.check(request, route.scope)
    if (request.content_length or 0) > LARGEST_BODY:
        raise Problem(413, f"the body is larger than {LARGEST_BODY} bytes")
    async with asyncio.timeout(ANSWER_S):
        call = await understood(request, route.query, route.body)
        if not route.patient:
            return await route.answer(desk, call)
    return await route.answer(desk, call)


@asynccontextmanager
async def serving(desk: OpsDesk, path: Path | None, address: tuple[str, int] | None) -> AsyncIterator[None]:
    """Serve while this is open, over the Unix socket and the loopback port.

    Args:
        desk: What the handlers work with.
        path: The Unix socket; None for none.
        address: Host and port; None for none.
    """
    runner = web.AppRunner(
        application(desk),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=GOODBYE_S,
        lingering_time=GOODBYE_S,
    )
    await runner.setup()
    ours = await _open_path(runner, path)
    await _open_port(runner, address)
    try:
        with suppress(StoreError):  # then it counts from its first scrape on
            await desk.metrics.begin()
        yield
    finally:
        desk.ending.set()
        await runner.cleanup()
        if path is not None and ours is not None:
            _remove(path, ours)


async def _open_path(runner: web.AppRunner, path: Path | None) -> int | None:
    """Listen on the Unix socket; returns its inode, None where it is not served."""
    if path is None:
        return None
    try:
        found = await asyncio.to_thread(_bound, path)
        await web.SockSite(runner, found, backlog=BACKLOG).start()
    except OSError as error:
        _not_served(str(path), error)
        return None
    log.info("ops_served", at=str(path))
    return await asyncio.to_thread(_inode, path)


def _bound(path: Path) -> socket.socket:
    """A socket at a path, open to our own user alone. One that a dead process left is replaced."""
    if _answers(path):
        raise OSError("another process serves there")
    draft = path.with_name(f"{path.name}.{secrets.token_hex(2)}")
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        found.bind(str(draft))
        draft.chmod(0o600)
        draft.rename(path)
    except OSError:
        found.close()
        draft.unlink(missing_ok=True)
        raise
    found.setblocking(False)
    return found


def _answers(path: Path) -> bool:
    if not path.exists():
        return False
    if not path.is_socket():
        raise OSError("something else has this name")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        try:
            trial.connect(str(path))
        except OSError:
            return False
    return True


async def _open_port(runner: web.AppRunner, address: tuple[str, int] | None) -> None:
    if address is None:
        return
    host, port = address
    try:
        await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
    except OSError as error:
        _not_served(f"{host}:{port}", error)
        return
    log.info("ops_served", at=f"{host}:{port}")


def _not_served(where: str, error: OSError) -> None:
    log.error(
        "ops_not_served",
        at=where,
        cause=error.strerror or str(error),
        remedy="the daemon works without it; correct [ops] and restart",
    )


def _inode(path: Path) -> int:
    return path.stat(follow_symlinks=False).st_ino


def _remove(path: Path, inode: int) -> None:
    """Take the socket away, unless the name is another process's by now."""
    with suppress(OSError):
        if _inode(path) == inode:
            path.unlink()
