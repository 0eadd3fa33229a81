"""What an operator decides over the API: pause, resume in each of its forms, drain."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from miner.affairs.drain import ask_to_drain
from miner.affairs.pausing import set_paused
from miner.model import NO_SWAP, Asked, MinerStanding, Verb
from miner.ops.desk import Call, OpsDesk
from miner.ops.facts import plain
from miner.ops.forms import Account, Code, Drain
from miner.ops.operating import actor_of, done
from miner.ops.problems import Problem, told
from miner.ops.shapes import Pause


async def pause(desk: OpsDesk, call: Call) -> web.Response:
    """Begin no more payouts, of one chain or all; what is signed is still followed, sent again and marked."""
    return await _set_paused(desk, call.said(Pause), True)


async def resume(desk: OpsDesk, call: Call) -> web.Response:
    """Begin payouts again, of one chain or all; all of them also after a drain."""
    return await _set_paused(desk, call.said(Pause), False)


async def _set_paused(desk: OpsDesk, said: Pause, paused: bool) -> web.Response:
    found = await set_paused(desk.store, said.chain, paused, actor_of(said.actor))
    facts = {"what": found.what, "paused": paused, "changed": found.changed}
    return told({**facts, "now_paused": list(found.now_paused)})


async def resume_account(desk: OpsDesk, call: Call) -> web.Response:
    """Clear an account that was stopped: what it paid until now counts as explained. Find out first."""
    said = call.said(Account)
    cleared = await desk.hands.clear_account(said.account, actor_of(said.actor))
    if cleared is None:
        raise Problem(404, f"the store knows no account {said.account}; see stopped_accounts in the status")
    return told({"account": said.account, "cleared": cleared})


async def resume_code(desk: OpsDesk, call: Call) -> web.Response:
    """Accept the contract's code as it is now; until then no payout is begun with a code that was changed."""
    before, now = await desk.hands.accept_code(actor_of(call.said(Code).actor))
    return told({"before": before, "now": now, "changed": before != now})


async def drain(desk: OpsDesk, call: Call) -> web.Response:
    """Finish what is open; the daemon ends once nothing is left. A dry run unless it says otherwise.

    Holds across restarts, until all is resumed.
    """
    said = call.said(Drain)
    actor = actor_of(said.actor)

    async def standings() -> Sequence[tuple[str, MinerStanding]]:
        return (await desk.hands.standings(None)).miners

    async def deactivate(hotkey: str) -> str:
        asked = Asked(verb=Verb.DEACTIVATE, swap_id=NO_SWAP, actor=actor, account=hotkey, reason="drain")
        return (await done(desk, asked, said.wait_s)).text

    found = await ask_to_drain(
        desk.store, standings, deactivate if said.deactivate else None, actor, do=not said.dry_run
    )
    facts = {"left": list(found.left), "deactivated": list(found.deactivated)}
    return told(plain({"draining": not said.dry_run, "changed": found.changed, **facts}))
