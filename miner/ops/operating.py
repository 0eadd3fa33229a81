"""What changes something: the CLI's recovery commands, pause and resume, rebuild; and looking at settings.

What is asked for a swap is a row in the store that the daemon takes up in its next round, as for commands.
A request is a dry run unless it says otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from miner.model import Asked, Came, OperatorRequest, Standing, Verb
from miner.model import Outcome as Found
from miner.ops.desk import Call, OpsDesk
from miner.ops.facts import plain
from miner.ops.problems import Problem, told
from miner.ops.reading import the_saga
from miner.ops.shapes import OnTransaction, Pause, Rebuild, Release, Retry, Validate

LOOK_S = 30.0
"""What a dry run may take: it asks the chains."""


def asking(verb: Verb) -> Callable[[OpsDesk, Call], Awaitable[web.Response]]:
    """Who answers requests of a verb."""

    async def answer(desk: OpsDesk, call: Call) -> web.Response:
        said = call.said(Retry)
        await the_saga(desk, call.swap_id)
        asked = _asked(verb, call.swap_id, said)
        found = await _look(desk, asked) if said.dry_run else await _done(desk, asked, said.wait_s)
        return _told(found, said.dry_run)

    answer.__doc__ = _WHAT[verb]
    return answer


_WHAT = {
    Verb.RETRY: "Try now what waits for its next attempt: a refused mark, a payout being looked for.",
    Verb.RELEASE: "Give back the money that is set aside for a swap whose payout is not signed yet.",
    Verb.QUARANTINE: "Close a held swap for good; refused while its payout may be out, or money is at stake.",
    Verb.ADOPT: "Credit a transaction that was made outside the daemon as the payout of a swap.",
    Verb.MARK: "Have a swap marked with a payout that is final, credited first where it is not.",
}


async def _look(desk: OpsDesk, asked: Asked) -> Found:
    async with asyncio.timeout(LOOK_S):
        return await desk.hands.look(asked)


def _asked(verb: Verb, swap_id: int, said: Retry) -> Asked:
    on = said if isinstance(said, OnTransaction) else None
    return Asked(
        verb=verb,
        swap_id=swap_id,
        actor=_actor(said.actor),
        reason=said.reason.strip(),
        txid=on.txid if on is not None else "",
        block=on.block if on is not None else 0,
        hold_s=said.hold_s if isinstance(said, Release) else 0,
    )


def _actor(named: str) -> str:
    return f"operator:{named or 'ops'}"


async def _done(desk: OpsDesk, asked: Asked, wait_s: int) -> Found:
    """Have it done by whoever works on the swap; what nobody has taken by then is withdrawn."""
    ids = await desk.store.ask([asked], wait_s * 1000)
    try:
        (request,) = await _answered(desk, ids, wait_s)
    except BaseException:
        await asyncio.shield(desk.store.withdraw(ids))
        raise
    return request.outcome or _unanswered(request, wait_s)


async def _answered(desk: OpsDesk, ids: Any, wait_s: int) -> Any:
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    while True:
        found = await desk.store.requests(ids)
        if all(request.standing is Standing.ANSWERED for request in found):
            return found
        if loop.time() >= until or not await desk.turn():
            return await desk.store.withdraw(ids)


def _unanswered(request: OperatorRequest, wait_s: int) -> Found:
    swap_id = request.asked.swap_id
    if request.standing is Standing.WITHDRAWN:
        text = f"the daemon has not answered in {wait_s} s; the request is withdrawn and nothing was done"
        remedy = "see what keeps it: swap-miner status; then ask again"
    else:
        text = f"the daemon is at it and has not answered in {wait_s} s"
        remedy = f"see what came of it: swap-miner show {swap_id}"
    return Found(swap_id=swap_id, came=Came.UNKNOWN, text=text, remedy=remedy)


def _told(found: Found, dry_run: bool) -> web.Response:
    """Done or not: a refusal is a 409, and what is not known a 503, with the same members."""
    facts = {
        "swap_id": found.swap_id,
        "dry_run": dry_run,
        "outcome": found.came.value,
        "text": plain(found.text),
        "at_stake": plain(found.stake),
        "next": found.remedy,
        "facts": plain(found.detail),
    }
    status = {Came.REFUSED: 409, Came.UNKNOWN: 503}.get(found.came)
    if status is not None:
        raise Problem(status, facts["text"], **facts)
    return told(facts)


async def pause(desk: OpsDesk, call: Call) -> web.Response:
    """Begin no more payouts, of one chain or all; what is signed is still followed, sent again and marked."""
    return await _set_paused(desk, call.said(Pause), True)


async def resume(desk: OpsDesk, call: Call) -> web.Response:
    """Begin payouts again. Accounts that were stopped, and a changed contract, need the command line."""
    return await _set_paused(desk, call.said(Pause), False)


async def _set_paused(desk: OpsDesk, said: Pause, paused: bool) -> web.Response:
    what = "all" if said.chain is None else said.chain.value
    changed = await desk.store.set_paused(what, paused, _actor(said.actor))
    now = sorted(await desk.store.paused())
    return told({"what": what, "paused": paused, "changed": changed, "now_paused": now})


async def rebuild(desk: OpsDesk, call: Call) -> web.Response:
    """Compute a swap's row from its journal anew; written, where it differs, under the daemon's lease."""
    said = call.said(Rebuild)
    await the_saga(desk, call.swap_id)
    if said.dry_run:
        (found,) = await desk.store.audit(only=[call.swap_id])
    else:
        found = await desk.hands.rebuild(call.swap_id, _actor(said.actor))
    columns = {each.column: {"row": each.row, "journal": each.journal} for each in found.differences}
    return told(
        plain(
            {
                "swap_id": call.swap_id,
                "dry_run": said.dry_run,
                "agrees": found.agrees,
                "written": not said.dry_run and bool(found.differences),
                "broken": found.broken or None,
                "columns": columns,
            }
        )
    )


async def validate(desk: OpsDesk, call: Call) -> web.Response:
    """Look at settings as `check` does, but for nodes and keys: nothing is changed and nobody is asked."""
    said = call.said(Validate)
    ok, checks = await desk.hands.validate(said.config, said.files)
    return told(plain({"ok": ok, "checks": checks}))
