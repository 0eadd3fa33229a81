"""The daemon's life: open, connect, work, stop in order."""

from __future__ import annotations

import asyncio
import signal

import structlog

from miner.app.tell import SystemClock, SystemdTell
from miner.app.wiring import Outside, connect, make_store, supervisor
from miner.config import Settings
from miner.errors import LeaseLost, ReadFailed
from miner.model import Saga
from miner.notify.log import configure
from miner.ports import Store

log = structlog.get_logger("app")

OK, HELD_BY_ANOTHER = 0, 4
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
PATIENCE_S = 120.0
"""What an attempt to connect may take; asked of systemd anew before each."""


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        0 after an ordered stop; 4 when another daemon works on the store and does not let go.

    Raises:
        ConfigError: The settings do not fit what is there.
        StoreError: The store cannot be used.
    """
    configure(settings.log.level, settings.log.format)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    tell = SystemdTell()
    store = make_store(settings)
    await store.open()
    try:
        return await _work(settings, store, tell, stop)
    finally:
        tell.stopping()
        await store.close()
        log.info("stopped")


async def _work(settings: Settings, store: Store, tell: SystemdTell, stop: asyncio.Event) -> int:
    outside = await _connect(settings, tell, stop)
    if outside is None:
        return OK
    try:
        services = await supervisor(settings, store, outside, tell)
        if not await _take_over(settings, store, stop):
            return HELD_BY_ANOTHER
        if stop.is_set():
            return OK
        await _report(store)
        await services.run(stop)
        return OK
    finally:
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
    """Wait for a dead process's lease to run out; give up when its holder is alive."""
    ends = 0
    while not stop.is_set():
        try:
            await store.acquire("watch")
            return True
        except LeaseLost as lost:
            left_s = max(0.2, ((lost.expires_at_ms or 0) - await store.now_ms()) / 1000)
            if ends and (lost.expires_at_ms or 0) > ends:
                log.error(
                    "another_daemon_works_on_this_store",
                    holder=lost.holder,
                    until_ms=lost.expires_at_ms,
                    store=str(settings.store.file),
                    remedy="stop the other one; one store has one daemon",
                )
                return False
            ends = lost.expires_at_ms or 0
            log.warning("waiting_for_the_lease", holder=lost.holder, seconds=round(left_s, 1))
            await _nap(stop, left_s + 0.1)
    return True


async def _nap(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def _report(store: Store) -> None:
    """The start-up report: what was found, what is resumed, what needs the operator."""
    taken = await store.lease_sagas()
    counts = {str(state): n for state, n in (await store.count_by_state()).items() if n}
    cursor = await store.cursor()
    log.info(
        "start_up_report",
        sagas=counts,
        resumed=taken,
        cursor=cursor.height if cursor else None,
        paused=sorted(await store.paused()),
    )
    for saga in await store.open_sagas():
        log.info("resumed", swap_id=saga.key.swap_id, state=saga.state, **_needs(saga))


def _needs(saga: Saga) -> dict[str, str]:
    if saga.state == "HELD":
        return {"needs_you": f"swap-miner show {saga.key.swap_id}", "reason": saga.reason}
    return {}
