"""What changes something of a swap: the CLI's recovery commands and rebuild; and looking at settings.

What is asked for a swap is a row in the store that the daemon takes up in its next round, as for commands.
A request is a dry run unless it says otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from miner.model import Asked, Came, Standing, Verb
from miner.model import Outcome as Found
from miner.ops.desk import Call, OpsDesk
from miner.ops.facts import plain
from miner.ops.problems import Problem, told
from miner.ops.reading import the_saga
from miner.ops.shapes import OnTransaction, Rebuild, Release, Retry, Validate
from miner.recover.answers import outcome_of

LOOK_S = 30.0
"""What a dry run may take: it asks the chains."""


def asking(verb: Verb) -> Callable[[OpsDesk, Call], Awaitable[web.Response]]:
    """Who answers requests of a verb."""

    async def answer(desk: OpsDesk, call: Call) -> web.Response:
        said = call.said(Retry)
        await the_saga(desk, call.swap_id)
        found = await settled(desk, _asked(verb, call.swap_id, said), said.dry_run, said.wait_s)
        return came_of(found, said.dry_run, swap_id=found.swap_id)

    answer.__doc__ = _WHAT[verb]
    return answer


_WHAT = {
    Verb.RETRY: "Try now what waits for its next attempt: a refused mark, a payout being looked for.",
    Verb.RELEASE: "Give back the money that is set aside for a swap whose payout is not signed yet.",
    Verb.QUARANTINE: "Close a held swap for good; refused while its payout may be out, or money is at stake.",
    Verb.ADOPT: "Credit a transaction that was made outside the daemon as the payout of a swap.",
    Verb.APPROVE: "Let a payout go that is above hold_above; for this swap and its amount alone.",
    Verb.MARK: "Have a swap marked with a payout that is final, credited first where it is not.",
}


async def settled(desk: OpsDesk, asked: Asked, dry_run: bool, wait_s: int) -> Found:
    """What came of a request, or would."""
    if not dry_run:
        return await done(desk, asked, wait_s)
    async with asyncio.timeout(LOOK_S):
        return await desk.hands.look(asked)


def _asked(verb: Verb, swap_id: int, said: Retry) -> Asked:
    on = said if isinstance(said, OnTransaction) else None
    return Asked(
        verb=verb,
        swap_id=swap_id,
        actor=actor_of(said.actor),
        reason=said.reason.strip(),
        txid=on.txid if on is not None else "",
        block=on.block if on is not None else 0,
        hold_s=said.hold_s if isinstance(said, Release) else 0,
    )


def actor_of(named: str) -> str:
    """Who acts, for journals and the operator's log."""
    return f"operator:{named or 'ops'}"


async def done(desk: OpsDesk, asked: Asked, wait_s: int) -> Found:
    """Have it done by whoever holds the leases; what nobody has taken by then is withdrawn."""
    ids = await desk.store.ask([asked], wait_s * 1000)
    try:
        (request,) = await _answered(desk, ids, wait_s)
    except BaseException:
        await asyncio.shield(desk.store.withdraw(ids))
        raise
    return outcome_of(request, wait_s)


async def _answered(desk: OpsDesk, ids: Any, wait_s: int) -> Any:
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    while True:
        found = await desk.store.requests(ids)
        if all(request.standing is Standing.ANSWERED for request in found):
            return found
        if loop.time() >= until or not await desk.turn():
            return await desk.store.withdraw(ids)


def came_of(found: Found, dry_run: bool, **about: object) -> web.Response:
    """Done or not: a refusal is a 409, and what is not known a 503, with the same members.

    Args:
        found: What came of it, or would.
        dry_run: Which of the two.
        about: The swap or miner that it is about.

    Raises:
        Problem: It was refused, or nothing was learned.
    """
    facts = {
        **about,
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


async def rebuild(desk: OpsDesk, call: Call) -> web.Response:
    """Compute a swap's row from its journal anew; written, where it differs, under the daemon's lease."""
    said = call.said(Rebuild)
    await the_saga(desk, call.swap_id)
    if said.dry_run:
        (found,) = await desk.store.audit(only=[call.swap_id])
    else:
        found = await desk.hands.rebuild(call.swap_id, actor_of(said.actor))
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
