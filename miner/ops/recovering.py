"""The recovery log over the API: its entries, and noting that one was dealt with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from miner.ops import facts
from miner.ops.desk import Call, OpsDesk
from miner.ops.entries import beside_swaps, entries_of, named
from miner.ops.forms import Resolve
from miner.ops.operating import actor_of
from miner.ops.problems import Problem, told
from miner.ops.shapes import RecoveryQuery


async def entries(desk: OpsDesk, call: Call) -> web.Response:
    """What the recovery log was told, newest first, each with what it means and the command to run."""
    query = call.asked(RecoveryQuery)
    every, damaged = await _every(desk)
    unresolved = [one for one in every if one["resolved"] is None]
    wanted = (unresolved if query.open else every)[::-1][: query.limit]
    page = await beside_swaps(desk.store, wanted)
    return told(facts.plain({"entries": page, "open": len(unresolved), "damaged": list(damaged)}))


async def resolve(desk: OpsDesk, call: Call) -> web.Response:
    """Note that an entry was dealt with: a line is appended, the entry stays, and no swap is changed."""
    said = call.said(Resolve)
    every, _ = await _every(desk)
    one = _the_one(named(every, said.entry, said.swap_id), said.entry)
    already = one["resolved"] is not None
    if not said.dry_run and not already:
        await desk.hands.resolve(one, said.reason.strip(), actor_of(said.actor))
    return told(
        facts.plain({"dry_run": said.dry_run, "changed": not said.dry_run and not already, "entry": one})
    )


async def _every(desk: OpsDesk) -> tuple[list[dict[str, Any]], Sequence[str]]:
    file, damaged = await desk.hands.recovery_log()
    return entries_of(file, await desk.store.every_recovery()), damaged


def _the_one(found: Sequence[dict[str, Any]], entry: int) -> Mapping[str, Any]:
    if not found:
        raise Problem(404, f"no entry has the id {entry}")
    if len(found) > 1:
        swaps = ", ".join(str(one["swap_id"]) for one in found)
        raise Problem(409, f"{len(found)} entries have the id {entry}: name one by swap_id ({swaps})")
    return found[0]
