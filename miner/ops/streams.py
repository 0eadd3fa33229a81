"""Streams: `/events`, which goes on as things happen, and `/export`, which ends.

Each reads a piece of the journal when the one before has been taken by its reader, so that a slow reader
holds up nobody and nothing is kept for it. It is read from the store, so the events of every node are there.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import orjson
from aiohttp import web

from miner.errors import StoreError
from miner.model import PendingRecovery
from miner.ops.desk import Call, OpsDesk
from miner.ops.entries import entry_facts
from miner.ops.facts import plain
from miner.ops.problems import Problem
from miner.ops.reading import feed_facts
from miner.ops.shapes import MAX_ID, ExportQuery, FeedQuery

PIECE = 100
"""Entries read at once."""
HEARTBEAT_S = 15.0
"""A reader hears something at least this often."""
STUCK_S = 60.0
"""A reader that takes nothing for so long is let go."""
_POSITION = re.compile(r"[0-9]{1,19}", re.ASCII)


async def events(desk: OpsDesk, call: Call) -> web.StreamResponse:
    """Every journal entry as it is committed, by whatever node, as server-sent events; `id` is its position.

    Begins after `Last-Event-ID`, else after `after`, else now.
    """
    position = _last_event_id(call)
    if position is None:
        position = await desk.store.last_position()
    async with desk.streaming():
        out = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await out.prepare(call.request)
        try:
            await _write(out, b"retry: 2000\n\n")
            await _feed(desk, out, position)
        except (ConnectionError, TimeoutError):
            pass  # the reader has gone, or takes nothing: it comes back with the last id it saw
        return out


def _last_event_id(call: Call) -> int | None:
    told = call.request.headers.get("Last-Event-ID", "")
    if not told:
        return call.asked(FeedQuery).after
    if not _POSITION.fullmatch(told) or int(told) > MAX_ID:
        raise Problem(422, "Last-Event-ID is no position of this feed")
    return int(told)


async def _feed(desk: OpsDesk, out: web.StreamResponse, position: int) -> None:
    said_at = time.monotonic()
    going = True
    while going:
        try:
            found = await desk.store.journal_since(position, PIECE)
        except StoreError:
            found = []  # what it missed meanwhile follows when the store answers again
        for each in found:
            body = orjson.dumps(feed_facts(each))
            await _write(out, b"id: %d\nevent: journal\ndata: %s\n\n" % (each.position, body))
            position, said_at = each.position, time.monotonic()
        if time.monotonic() - said_at > HEARTBEAT_S:
            await _write(out, b": still here\n\n")
            said_at = time.monotonic()
        going = len(found) == PIECE or await desk.turn()


async def export(desk: OpsDesk, call: Call) -> web.StreamResponse:
    """The journals of all swaps, or the recovery entries, up to now: a line of JSON each."""
    query = call.asked(ExportQuery)
    lines = _journal(desk, query.after) if query.what == "journal" else _recovery(desk, query.after)
    async with desk.streaming():
        first = await anext(lines, b"")
        out = web.StreamResponse(headers={"Content-Type": "application/jsonl", "Cache-Control": "no-store"})
        await out.prepare(call.request)
        try:
            await _write(out, first)
            async for piece in lines:
                await _write(out, piece)
        except (ConnectionError, TimeoutError, StoreError):
            _cut_off(call.request)  # so that a part is not taken for the whole
        return out


async def _journal(desk: OpsDesk, position: int) -> AsyncIterator[bytes]:
    end = await desk.store.last_position()
    while position < end and not desk.ending.is_set():
        found = [each for each in await desk.store.journal_since(position, PIECE) if each.position <= end]
        if not found:
            return
        yield b"".join(orjson.dumps(feed_facts(each)) + b"\n" for each in found)
        position = found[-1].position
    if desk.ending.is_set():
        raise ConnectionError("the server ends")


async def _recovery(desk: OpsDesk, after: int) -> AsyncIterator[bytes]:
    for each in await desk.store.every_recovery():
        if each.id > after:
            yield orjson.dumps(_recovery_facts(each)) + b"\n"


def _recovery_facts(pending: PendingRecovery) -> object:
    at = datetime.fromtimestamp(pending.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return plain(entry_facts(pending, at))


async def _write(out: web.StreamResponse, data: bytes) -> None:
    """Hand over a piece; returns when the reader has taken enough of what was sent before."""
    if data:
        async with asyncio.timeout(STUCK_S):
            await out.write(data)


def _cut_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
