"""What a running daemon answers over its socket; where none runs, the store is read instead."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from miner.saga import State

if TYPE_CHECKING:
    from miner.config import Settings

ANSWER_S = 10.0
"""How long it is waited for."""
PAGE = 500
"""Most that the API tells at once."""


class _OverSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, wait_s: float) -> None:
        super().__init__("ops", timeout=wait_s)
        self._path = path

    def connect(self) -> None:
        """See `HTTPConnection.connect`."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def told(settings: Settings, path: str, wait_s: float = ANSWER_S) -> Any | None:
    """The daemon's answer; None where none runs, or it does not answer this user."""
    if not settings.ops.enabled or not settings.ops_socket.is_socket():
        return None
    connection = _OverSocket(settings.ops_socket, wait_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def status(settings: Settings) -> dict[str, Any] | None:
    """How things stand, with what only a running daemon knows: readiness, nodes, wallets."""
    found: dict[str, Any] | None = told(settings, "/api/v1/status")
    return found


def swap(settings: Settings, swap_id: int) -> dict[str, Any] | None:
    """One swap; None as well where there is no such swap."""
    found: dict[str, Any] | None = told(settings, f"/api/v1/swaps/{swap_id}")
    return found


def evidence(settings: Settings, swap_id: int) -> dict[str, Any] | None:
    """What shows others that a swap was paid and marked."""
    found: dict[str, Any] | None = told(settings, f"/api/v1/swaps/{swap_id}/evidence")
    return found


def wallet(settings: Settings, miner: str | None) -> dict[str, Any] | None:
    """What the miners' accounts hold and owe."""
    return _business(settings, "wallet", miner=miner)


def collateral(settings: Settings, miner: str | None) -> dict[str, Any] | None:
    """How the miners stand with the contract."""
    return _business(settings, "collateral", miner=miner)


def quote(settings: Settings, miner: str | None, text: str | None) -> dict[str, Any] | None:
    """What the miners have committed as quotes, or a text judged as one."""
    return _business(settings, "quote", miner=miner, text=text)


def _business(settings: Settings, what: str, **said: str | None) -> dict[str, Any] | None:
    """Asked of the chains by the daemon, over connections that it has; None where it has none yet."""
    query = urlencode({name: value for name, value in said.items() if value is not None})
    found: dict[str, Any] | None = told(settings, f"/api/v1/{what}" + (f"?{query}" if query else ""))
    return found


def swaps(
    settings: Settings, states: Sequence[State], miner: str | None, limit: int
) -> tuple[list[dict[str, Any]], int] | None:
    """Rows of swaps, newest first, and how many the store knows."""
    rows: list[dict[str, Any]] = []
    asked: list[tuple[str, str]] = [("state", state.value) for state in states]
    asked += [("miner", miner)] if miner is not None else []
    before: list[tuple[str, str]] = []
    while True:
        query = urlencode([*asked, *before, ("limit", str(min(PAGE, limit - len(rows))))])
        page = told(settings, f"/api/v1/swaps?{query}")
        if page is None:
            return None
        rows += page["swaps"]
        if page["next_before"] is None or len(rows) >= limit:
            return rows, int(page["known"])
        before = [("before", str(page["next_before"]))]
