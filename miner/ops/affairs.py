"""A miner's own business over the API: what it holds, how it stands, collateral, being active, quotes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from miner.errors import ConfigError
from miner.model import NO_SWAP, Asked, Verb
from miner.ops import business
from miner.ops.desk import Call, OpsDesk
from miner.ops.facts import plain
from miner.ops.forms import Collateral, MinerQuery, MinersQuery, NewQuote, OfMiner, QuoteQuery
from miner.ops.operating import LOOK_S, actor_of, came_of, settled
from miner.ops.problems import Problem, told

T = TypeVar("T")


async def wallet(desk: OpsDesk, call: Call) -> web.Response:
    """What each miner's accounts hold: balance, reserved, spendable, and what open swaps will take."""
    found = await of_miner(desk.hands.wallets(call.asked(MinersQuery).miner))
    return told(plain(business.wallet_facts(found)))


async def collateral(desk: OpsDesk, call: Call) -> web.Response:
    """Collateral, its limits, and what keeps it: activity, a reservation, an open swap, a cooldown."""
    found = await of_miner(desk.hands.standings(call.asked(MinersQuery).miner))
    return told(plain(business.collateral_facts(found)))


async def quote(desk: OpsDesk, call: Call) -> web.Response:
    """The committed quote as users read it, or a text that is not committed, and what is wrong with it."""
    query = call.asked(QuoteQuery)
    found = await of_miner(desk.hands.quotes(query.miner, read=query.text is None))
    return told(plain(business.quotes_facts(found, query.text)))


async def activation(desk: OpsDesk, call: Call) -> web.Response:
    """What keeps a miner from being active; 409 where something is missing that the miner can mend.

    Validators vote on that, so nothing is ever sent.
    """
    name, hotkey = _miner(desk, call.asked(MinerQuery).miner)
    asked = Asked(verb=Verb.ACTIVATE, swap_id=NO_SWAP, actor=actor_of(""), account=hotkey)
    async with asyncio.timeout(LOOK_S):
        found = await desk.hands.look(asked)
    return came_of(found, True, miner=name, hotkey=hotkey)


def asking_for_miner(verb: Verb) -> Callable[[OpsDesk, Call], Awaitable[web.Response]]:
    """Who answers requests of a verb that is about a miner."""

    async def answer(desk: OpsDesk, call: Call) -> web.Response:
        said = call.said(OfMiner)
        name, hotkey = _miner(desk, said.miner)
        asked = Asked(
            verb=verb,
            swap_id=NO_SWAP,
            actor=actor_of(said.actor),
            reason=said.reason.strip(),
            account=hotkey,
            amount=int(said.amount) if isinstance(said, Collateral) else 0,
            text=said.text.strip() if isinstance(said, NewQuote) else "",
        )
        found = await settled(desk, asked, said.dry_run, said.wait_s)
        return came_of(found, said.dry_run, miner=name, hotkey=hotkey)

    answer.__doc__ = _WHAT[verb]
    return answer


_WHAT = {
    Verb.DEPOSIT: "Post collateral from the miner's hotkey. A dry run unless it says otherwise.",
    Verb.WITHDRAW: "Take collateral back to the miner's hotkey; each condition that is not met is told.",
    Verb.QUOTE: "Commit a quote, where users read it; judged first. A dry run unless it says otherwise.",
    Verb.DEACTIVATE: "End a miner's service: no new users are given to it. Open swaps go on.",
}


def _miner(desk: OpsDesk, named: str | None) -> tuple[str, str]:
    try:
        return desk.hands.miner(named)
    except ConfigError as error:
        raise _no_such(error) from None


async def of_miner(asked: Awaitable[T]) -> T:
    """What is asked of a miner.

    Raises:
        Problem: 404: there is no such miner.
    """
    try:
        return await asked
    except ConfigError as error:
        if error.where != "--miner":
            raise
        raise _no_such(error) from None


def _no_such(error: ConfigError) -> Problem:
    return Problem(404, f"miner: {error.problem}. {error.remedy}")
