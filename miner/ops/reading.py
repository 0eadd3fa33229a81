"""What is told of swaps: lists, one swap, its journal, and how everything stands."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from miner.model import FeedEntry, Saga
from miner.ops import facts
from miner.ops.desk import Call, OpsDesk
from miner.ops.overview import overview
from miner.ops.problems import Problem, told
from miner.ops.shapes import JournalQuery, SwapsQuery
from miner.saga import State
from miner.verdict.remedies import command_for


async def status(desk: OpsDesk, _call: Call) -> web.Response:
    """How things stand: swaps by state, the next deadline, pauses, leases, nodes, wallets."""
    found = await overview(desk.store, await desk.store.accounts(), await desk.store.leases())
    board = desk.board
    nodes = board.outlook.endpoints() if board.outlook is not None else ()
    found["journal_entries"] = await desk.store.last_position()
    found["ready"] = board.is_ready
    found["reasons"] = [board.why] if board.why else []
    found["endpoints"] = [
        {
            "url": each.url,
            "connected": each.connected,
            "used": each.used,
            "best": each.best,
            "finalised": each.finalised,
            "silent_s": round(each.silent_s, 1),
            "why": each.why,
        }
        for each in nodes
    ]
    found["wallets"] = [
        {
            "chain": each.chain.value,
            "account": each.account,
            "spendable": None if each.spendable is None else str(each.spendable),
            "reserved": str(each.reserved),
        }
        for each in await desk.wallets.look()
    ]
    return told(facts.plain(found))


async def swaps(desk: OpsDesk, call: Call) -> web.Response:
    """Swaps, newest first, by state and miner, a page at a time."""
    query = call.asked(SwapsQuery)
    found = await desk.store.list_sagas(query.state, query.miner, query.limit + 1, query.before)
    page = found[: query.limit]
    return told(
        {
            "swaps": [facts.plain(facts.saga_facts(saga) | {"needs_you": needs_you(saga)}) for saga in page],
            "next_before": page[-1].key.swap_id if len(found) > query.limit else None,
            "known": sum((await desk.store.count_by_state()).values()),
        }
    )


def needs_you(saga: Saga) -> str | None:
    """The command that a person runs next for a swap that is held; None for any other."""
    return command_for(saga.reason, saga.key.swap_id) if saga.state is State.HELD else None


async def evidence(desk: OpsDesk, call: Call) -> web.Response:
    """What shows others that a swap was paid and marked: public facts only, neither keys nor signed bytes."""
    saga = await the_saga(desk, call.swap_id)
    return told(facts.plain(facts.evidence(saga, await desk.store.journal(saga.id))))


async def chain_now(desk: OpsDesk, call: Call) -> web.Response:
    """What contract and chains say of a swap now, and where its open transactions are seen."""
    saga = await the_saga(desk, call.swap_id)
    return told(facts.plain(await desk.hands.chain_now(saga)))


async def swap(desk: OpsDesk, call: Call) -> web.Response:
    """One swap: its terms, payment, lanes, outcome and journal. Signed bytes are never told."""
    saga = await the_saga(desk, call.swap_id)
    return told(facts.plain(facts.whole(saga, await desk.store.journal(saga.id))))


async def events(desk: OpsDesk, call: Call) -> web.Response:
    """One swap's journal, oldest first, a page at a time."""
    query = call.asked(JournalQuery)
    saga = await the_saga(desk, call.swap_id)
    left = [entry for entry in await desk.store.journal(saga.id) if entry.seq > query.after]
    page = left[: query.limit]
    return told(
        {
            "swap_id": call.swap_id,
            "events": [facts.journal_facts(entry) for entry in page],
            "next_after": page[-1].seq if len(left) > query.limit else None,
        }
    )


async def the_saga(desk: OpsDesk, swap_id: int) -> Saga:
    """The saga of a swap.

    Raises:
        Problem: 404: there is none.
    """
    saga = await desk.store.saga(swap_id)
    if saga is None:
        raise Problem(404, f"the store knows no swap {swap_id}")
    return saga


def feed_facts(each: FeedEntry) -> dict[str, Any]:
    """A journal entry among those of all swaps."""
    return {"position": each.position, "swap_id": each.swap_id, **facts.journal_facts(each.entry)}
