"""Limits of the machine: a full disk, no file descriptors, no memory, a clock that jumps; it recovers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet.driver import Opened
from tests.devnet.terms import ChainName

pytestmark = pytest.mark.asyncio(loop_scope="session")

Record = Callable[[str, object], None]
ON = "Chopsticks, bitcoind, the real process"
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@contextlib.asynccontextmanager
async def filled(folder: Path) -> AsyncIterator[None]:
    """No byte is free in the file system, also when some become so; all of it is, afterwards."""

    async def fill() -> None:
        while True:
            with contextlib.suppress(OSError):
                while True:
                    os.write(ballast, bytes(4096))
            await asyncio.sleep(0.02)

    ballast = os.open(folder, os.O_TMPFILE | os.O_WRONLY)
    filling = asyncio.create_task(fill(), name="fill-the-disk")
    try:
        yield
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        os.close(ballast)


async def one_of_each(stage: Stage) -> list[Opened]:
    return await stage.open(stage.plan(0), stage.plan(1, ChainName.TAO))


async def blind(stage: Stage, blocks: int = 4) -> None:
    """Blocks that the daemon need not take in."""
    for _ in range(blocks):
        await stage.step()
        await asyncio.sleep(0.3)


async def judged(stage: Stage, daemon: Daemon, opened: list[Opened], record: Record) -> None:
    """To the end: all completed, each paid once, by the chains."""
    await stage.completed(daemon, opened)
    payouts = [(await stage.evidence(each)).payouts for each in opened]
    record("payouts", sum(payouts))
    record("double_payouts", sum(count > 1 for count in payouts))
    record("lost_swaps", sum(count == 0 for count in payouts))
    assert payouts == [1] * len(opened)


@pytest.mark.matrix("Limits", ON)
async def test_on_a_full_disk_nothing_is_sent_and_with_room_it_goes_on(
    stage: Stage, small_disk: Path, record_property: Record
) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        before = await stage.open(stage.plan(2))
        await daemon.event("broadcast", swap_id=before[0].id, purpose="payout")
        since = len(daemon.log)
        async with filled(small_disk):
            opened = await one_of_each(stage)
            refused = await daemon.event("store_refuses", since=since)
            assert "full" in refused["error"]
            assert refused["kind"] == "StoreUnavailable"
            await daemon.event("not_ready", since=since)
            await blind(stage)
        sent = {txid for each in opened for txid in (await stage.evidence(each)).txids}
        written = {row[0].removeprefix("0x") for row in stage.rows("SELECT txid FROM attempts")}
        assert {txid.removeprefix("0x") for txid in sent} <= written, "sent, and not written"
        await judged(stage, daemon, [*before, *opened], record_property)
        assert daemon.process.returncode is None


@pytest.mark.matrix("Limits", ON)
async def test_without_file_descriptors_it_waits_and_then_goes_on(
    stage: Stage, record_property: Record
) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        process = psutil.Process(daemon.process.pid)
        soft, hard = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (3, hard))
        await stage.devnet.chain.disconnect()
        opened = await one_of_each(stage)
        await blind(stage, blocks=8)
        assert [(await stage.evidence(each)).payouts for each in opened] == [0, 0]
        process.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))
        await judged(stage, daemon, opened, record_property)
        assert daemon.process.returncode is None


@pytest.mark.matrix("Limits", ON)
@pytest.mark.parametrize("mib", [0, pytest.param(8, marks=pytest.mark.proof)])
async def test_without_memory_it_waits_or_dies_and_then_goes_on(
    stage: Stage, mib: int, record_property: Record
) -> None:
    """Where it dies, it is started again, as by systemd."""
    config = stage.config()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        before = await stage.open(stage.plan(2), stage.plan(3, ChainName.TAO))
        for each in before:
            await daemon.event("broadcast", swap_id=each.id, purpose="payout")
        process = psutil.Process(daemon.process.pid)
        soft, hard = process.rlimit(psutil.RLIMIT_AS)
        process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms + mib * 2**20, hard))
        opened = await one_of_each(stage)
        await blind(stage, blocks=6)
        died = daemon.process.returncode is not None
        record_property("died", died)
        if not died:
            process.rlimit(psutil.RLIMIT_AS, (soft, hard))
            await judged(stage, daemon, [*before, *opened], record_property)
            return
    async with await Daemon.start(config) as daemon:
        await judged(stage, daemon, [*before, *opened], record_property)


@pytest.mark.matrix("Limits", ON)
@pytest.mark.parametrize("hours", [pytest.param(6, id="6-hours-on"), pytest.param(-6, id="6-hours-back")])
async def test_when_the_clock_jumps_the_swaps_go_on(
    stage: Stage, hours: int, tmp_path: Path, record_property: Record
) -> None:
    """There while the payouts are out, and back again while the marks are."""
    clock = tmp_path / "clock"
    clock.write_text("+0h")
    faked = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    async with await Daemon.start(stage.config(), environment=faked) as daemon:
        await daemon.ready()
        opened = await one_of_each(stage)
        for each in opened:
            await daemon.event("broadcast", swap_id=each.id, purpose="payout")
        first = await daemon.event("broadcast", purpose="payout")
        clock.write_text(f"{hours:+d}h")
        await blind(stage)
        later = await daemon.event("broadcast", purpose="mark")
        moved = int(later["at"][11:13]) - int(first["at"][11:13])
        assert moved % 24 in {hours % 24, (hours + 1) % 24}, "the daemon did not see its clock move"
        clock.write_text("+0h")
        await judged(stage, daemon, opened, record_property)
        assert daemon.process.returncode is None
