"""The daemon's life: open, connect, work, stop in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from miner.app.ops import Window, ops_served
from miner.app.reloading import Reloading, Reread
from miner.app.tell import SystemClock, SystemdTell
from miner.app.telling import Telling
from miner.app.wiring import Outside, connect, make_store, supervisor
from miner.config import Settings
from miner.errors import LeaseLost, ReadFailed, StoreUnavailable
from miner.model import Route, Saga
from miner.notify.log import configure
from miner.ops.board import Board
from miner.ports import Store
from miner.saga import State
from miner.store import folder
from miner.verdict.remedies import command_for

log = structlog.get_logger("app")

OK, HELD_BY_ANOTHER = 0, 4
RECOVERY = "start-up recovery"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
PATIENCE_S = 120.0
"""What an attempt to connect may take; asked of systemd anew before each."""


async def run(settings: Settings, reread: Reread) -> int:
    """Run until SIGTERM or SIGINT; SIGHUP has the settings read anew.

    Returns:
        0 after an ordered stop; 4 when another daemon works on the store and does not let go.

    Raises:
        ConfigError: The settings do not fit what is there.
        StoreError: The store cannot be used.
    """
    configure(settings.log.level, settings.log.format, repeat_s=settings.log.repeat_s)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    reload_asked = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, reload_asked.set)
    store = make_store(settings)
    board = Board(store.owner)
    tell = SystemdTell(board)
    if settings.store.url is not None:
        folder.prepare(settings.store.path)  # the recovery log stays there
    await store.open()
    try:
        telling = Telling(settings, store)
        async with ops_served(settings, board, store) as hands, telling.at_work():
            tell.heard_by(telling.vigil.heard)
            reloading = Reloading(settings, reread, tell, reload_asked, (telling.adopt, hands.adopt))
            window = Window(board, hands)
            return await _work(settings, reloading, store, tell, window, telling.routes, stop)
    finally:
        tell.stopping()
        await store.close()
        log.info("stopped")


async def _work(
    settings: Settings,
    reloading: Reloading,
    store: Store,
    tell: SystemdTell,
    window: Window,
    routes: Callable[[], Sequence[Route]],
    stop: asyncio.Event,
) -> int:
    outside = await _connect(settings, tell, stop)
    if outside is None:
        return OK
    try:
        window.opens_on(outside)
        services = await supervisor(settings, store, outside, tell, routes)
        if not await _take_over(settings, store, stop):
            return HELD_BY_ANOTHER
        if stop.is_set():
            return OK
        await _report(store, await _recover(store, stop))
        async with reloading.of(services):
            await services.run(stop)
        return OK
    finally:
        window.closes()
        await outside.close()


async def _connect(settings: Settings, tell: SystemdTell, stop: asyncio.Event) -> Outside | None:
    """Connect, however long it takes; None when told to stop before."""
    pause = FIRST_PAUSE_S
    while not stop.is_set():
        try:
            return await connect(settings, SystemClock())
        except ReadFailed as failed:
            tell.ready(False, str(failed))
            tell.starting(pause + PATIENCE_S)
            await _nap(stop, pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
    return None


async def _take_over(settings: Settings, store: Store, stop: asyncio.Event) -> bool:
    """Wait for a dead process's lease to run out; give up when its holder is alive, unless on standby."""
    ends = 0
    while not stop.is_set():
        try:
            await store.acquire("watch")
            return True
        except LeaseLost as lost:
            until = lost.expires_at_ms or 0
            left_s = max(0.2, (until - await store.now_ms()) / 1000)
            if ends and until > ends and not settings.store.standby:
                log.error(
                    "another_daemon_works_on_this_store",
                    holder=lost.holder,
                    until_ms=until,
                    store=settings.store.place,
                    remedy="stop the other one, or set store.standby (PostgreSQL); one at a time works",
                )
                return False
            if not ends:
                log.warning("waiting_for_the_lease", holder=lost.holder, seconds=round(left_s, 1))
            ends = until
        except StoreUnavailable as refused:  # a server that is away, or another one than it was
            if not settings.store.standby:
                raise
            left_s = FIRST_PAUSE_S
            log.warning("store_refuses", error=str(refused), changed=await _take_note(store))
        await _nap_or_news(store, stop, left_s + 0.1)
    return True


async def _take_note(store: Store) -> str | None:
    try:
        return await store.what_changed()
    except StoreUnavailable:
        return None


async def _nap_or_news(store: Store, stop: asyncio.Event, seconds: float) -> None:
    """Wait so long; shorter when told to stop, or when another process says that it changed something."""
    waiting = [
        asyncio.create_task(stop.wait(), name="stopping"),
        asyncio.create_task(store.changed(), name="store-news"),
    ]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def _nap(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the store at start.

    Attributes:
        sagas: Those that this process works on now.
        counts: How many stand in each state, whoever works on them.
        recovery: `recovered`: sagas that this process works on now; `failed`: open ones that another holds.
    """

    sagas: Sequence[Saga]
    counts: Mapping[State, int]
    recovery: Mapping[str, int]


async def _recover(store: Store, stop: asyncio.Event) -> Found:
    """Start-up recovery, by one node at a time: every swap to work on is taken, or told as not taken."""
    while not await store.alone(RECOVERY):
        log.info("waiting_for_another_node_to_recover")
        await _nap(stop, FIRST_PAUSE_S)
        if stop.is_set():
            nothing = {"recovered": 0, "failed": 0}
            return Found(await store.open_sagas(), await store.count_by_state(), nothing)
    try:
        taken = await store.lease_sagas()
        sagas, counts = await store.open_sagas(), await store.count_by_state()
    finally:
        await store.give_up(RECOVERY)
    unended = sum(n for state, n in counts.items() if not State(state).ended)
    report = {"recovered": taken, "failed": unended - sum(not saga.state.ended for saga in sagas)}
    told = log.warning if report["failed"] else log.info
    told("start_up_recovery", **report)
    return Found(sagas, counts, report)


async def _report(store: Store, found: Found) -> None:
    """The start-up report: what was found, what is resumed, what needs the operator."""
    cursor = await store.cursor()
    log.info(
        "start_up_report",
        sagas={str(state): n for state, n in found.counts.items() if n},
        resumed=found.recovery["recovered"],
        recovery=dict(found.recovery),
        cursor=cursor.height if cursor else None,
        paused=sorted(await store.paused()),
    )
    for saga in found.sagas:
        log.info("resumed", swap_id=saga.key.swap_id, state=saga.state, **_needs(saga))


def _needs(saga: Saga) -> dict[str, str]:
    if saga.state == "HELD":
        return {"needs_you": command_for(saga.reason, saga.key.swap_id), "reason": saga.reason}
    return {}
