"""Who is told what, whether it arrives, and what was given up."""

from __future__ import annotations

from aiohttp import web

from miner.model import DeliveryStanding
from miner.ops.desk import Call, OpsDesk
from miner.ops.facts import delivery_facts, plain
from miner.ops.forms import NoticesQuery, Replay, Target
from miner.ops.operating import actor_of
from miner.ops.problems import Problem, told


async def notices(desk: OpsDesk, call: Call) -> web.Response:
    """Targets with what waits, arrived and was given up; what is wrong now; and the newest messages."""
    query = call.asked(NoticesQuery)
    found = dict(await desk.hands.notices())
    newest = await desk.hands.outbox().deliveries(query.standing or tuple(DeliveryStanding), query.limit)
    return told(plain({**found, "deliveries": [delivery_facts(each) for each in newest]}))


async def send_test(desk: OpsDesk, call: Call) -> web.Response:
    """Send a test message to a target, or to all of them, and say what came of each."""
    target = call.said(Target).target
    found = list(await desk.hands.send_test(target))
    if not found:
        raise Problem(404, "the settings name no [[notify]] target" + (" of this name" if target else ""))
    return told(plain({"targets": found}))


async def replay(desk: OpsDesk, call: Call) -> web.Response:
    """Have messages that were given up sent again, under the same ids; how many that were."""
    said = call.said(Replay)
    changed = await desk.hands.outbox().replay(actor_of(said.actor), said.target or "", said.notice)
    return told({"replayed": changed})
