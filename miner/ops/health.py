"""Health and metrics: `/livez`, `/readyz`, `/metrics`."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from miner.ops.desk import Call, OpsDesk
from miner.ops.metrics import MEDIA_TYPE
from miner.ops.problems import Problem, told
from miner.tally import tally

HUNG_S = 900.0
"""Seconds without a round coming round after which the daemon does not count as alive."""


async def livez(desk: OpsDesk, _call: Call) -> web.Response:
    """Alive: the loop answers, and its rounds come round. A restart mends what fails here."""
    now = time.time()
    last = tally.beats().get("rounds")
    age_s = None if last is None else round(now - last, 1)
    if age_s is not None and age_s > HUNG_S:
        raise Problem(503, f"no round has come round for {age_s:g} s: restart the daemon", alive=False)
    return told({"alive": True, "uptime_s": round(now - desk.board.started_s, 1), "last_round_s": age_s})


async def readyz(desk: OpsDesk, _call: Call) -> web.Response:
    """Ready: swaps are served. What fails here is told with its reasons."""
    board = desk.board
    if not board.is_ready:
        raise Problem(503, f"not ready: {board.why}", ready=False, reasons=[board.why], since=_when(board))
    return told({"ready": True, "reasons": [], "since": _when(board)})


def _when(board: Any) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(board.since_s))


async def metrics(desk: OpsDesk, _call: Call) -> web.Response:
    """Everything that is measured, in Prometheus' text format."""
    body = await desk.metrics.expose()
    return web.Response(body=body, headers={"Content-Type": MEDIA_TYPE})
