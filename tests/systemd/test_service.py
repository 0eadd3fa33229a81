"""The service's day under a real systemd: its unit as it is shipped, in its whole sandbox."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from miner.store.migrate import upgrade
from miner.store.schema import HEAD
from tests.acceptance.harness import Stage
from tests.devnet.faults import Fault, FaultKind
from tests.systemd.machine import Machine, reachable
from tests.systemd.service import UNIT, Service, installed, on_this_machine

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

SOON = "RestartSec=0.2\n"


@asynccontextmanager
async def serving(stage: Stage, program: Path, extra: str = "") -> AsyncIterator[Service]:
    """The service, started and ready, on a machine that was just booted."""
    machine = Machine(stage.folder, program)
    machine.install(UNIT, f"{on_this_machine(stage.folder)}\n{extra}")
    async with machine, installed(stage, machine, miners=[0, 1]) as service:
        yield service


async def test_it_serves_in_its_sandbox_as_nobody(stage: Stage, program: Path) -> None:
    async with serving(stage, program) as service:
        await service.start()
        assert (await service.show("ActiveState"), await service.show("StatusText")) == (
            "active",
            "following",
        )
        opened = await stage.open(stage.plan(0))
        await stage.completed(service.daemon, opened)
        assert (await stage.evidence(opened[0])).payouts == 1
        user = (await service.machine.run("ps", "-o", "uid=", "-p", await service.show("MainPID"))).strip()
        assert int(user) >= 61184, "not one of the users that systemd makes up"
        modes = await service.machine.run(
            "sh", "-c", "stat -c '%a %U' /var/lib/swap-miner/ /var/lib/swap-miner/*"
        )
        assert {line.split()[0] for line in modes.splitlines()} == {"700", "600"}, modes
        began = time.monotonic()
        assert await service.stop() == "success"
        assert time.monotonic() - began < 20, "it did not end in order"


async def test_killed_it_comes_back_and_pays_once(stage: Stage, program: Path) -> None:
    async with serving(stage, program, SOON) as service:
        await service.start()
        opened = await stage.open(stage.plan(0))
        await service.daemon.event("broadcast", swap_id=opened[0].id, purpose="payout")
        await service.signal("SIGKILL")
        await service.came_back()
        await stage.completed(service.daemon, opened)
        assert (await stage.evidence(opened[0])).payouts == 1


async def test_a_loop_that_hangs_is_ended_by_the_watchdog(stage: Stage, program: Path) -> None:
    """Only the watchdog restarts it in this test."""
    quick = f"{SOON}Restart=on-watchdog\nWatchdogSec=6\nTimeoutAbortSec=2\n"
    async with serving(stage, program, quick) as service:
        await service.start()
        await service.signal("SIGSTOP")
        await service.came_back()


async def test_a_loop_that_works_is_left_alone(stage: Stage, program: Path) -> None:
    async with serving(stage, program, f"{SOON}WatchdogSec=6\n") as service:
        await service.start()
        for _ in range(10):
            await stage.step(service.daemon)
            await asyncio.sleep(1)
        assert await service.show("NRestarts") == "0"


async def test_a_reload_takes_over_what_it_can_and_names_the_rest(stage: Stage, program: Path) -> None:
    async with serving(stage, program) as service:
        service.change("[limits.tao]\n", '[limits.tao]\nmax_per_swap = "0.1 TAO"\n')
        await service.start()
        opened = await stage.open(stage.plan(0))
        await service.daemon.event("swap_needs_other_settings", swap_id=opened[0].id)
        process = await service.show("MainPID")

        service.change('max_per_swap = "0.1 TAO"\n', 'max_fee = "0.02 TAO"\n')
        service.change("poll_interval_s = 1\n", "poll_interval_s = 1\nrequest_timeout_s = 11\n")
        await service.machine.ctl("reload", service.name)
        told = await service.daemon.event("settings_reloaded")
        assert told["changed"] == ["limits.tao.max_per_swap", "limits.tao.max_fee"]
        assert told["needs_restart"] == ["contract.request_timeout_s"]
        await stage.completed(service.daemon, opened)
        assert (await stage.evidence(opened[0])).payouts == 1
        assert await service.show("MainPID") == process


async def test_a_reload_of_broken_settings_changes_nothing(stage: Stage, program: Path) -> None:
    async with serving(stage, program) as service:
        await service.start()
        service.change("[limits.tao]\n", '[limits.tao]\nmax_per_swap = "a lot"\n')
        await service.machine.ctl("reload", service.name)
        told = await service.daemon.event("settings_not_reloaded")
        assert "max_per_swap" in told["cause"]
        assert re.search(r"config\.toml:\d+", told["cause"])
        opened = await stage.open(stage.plan(0))
        await stage.completed(service.daemon, opened)
        assert await service.show("ActiveState") == "active"


async def test_an_upgrade_migrates_the_store_that_an_older_release_left(stage: Stage, program: Path) -> None:
    old = stage.folder / "swap-miner.sqlite"
    sqlite3.connect(old).close()
    engine = create_engine(f"sqlite:///{old}")
    with engine.begin() as conn:
        upgrade(conn, "0002")
        conn.exec_driver_sql("INSERT INTO paused (what, actor, at_ms) VALUES ('btc', 'operator:before', 1)")
        conn.exec_driver_sql("PRAGMA application_id = 0x53574D31")
    engine.dispose()
    async with serving(stage, program) as service:
        place = "/var/lib/swap-miner"
        move = f"mkdir -m 700 {place} && cp {old} {place}/ && chmod 600 {place}/*"
        await service.machine.run("sh", "-c", move)
        await service.start()
        told = await service.daemon.event("start_up_report")
        assert told["paused"] == ["btc"], "what the older release knew is gone"
        assert await service.rows("SELECT version_num FROM alembic_version") == [(HEAD,)]


async def test_stopped_with_a_payout_in_flight_it_pays_once(stage: Stage, program: Path) -> None:
    async with serving(stage, program) as service:
        await service.start()
        await stage.devnet.chain.fault(
            Fault("author_submitExtrinsic", FaultKind.REFUSE, code=1016, message="Immediately dropped")
        )
        opened = await stage.open(stage.plan(0))
        await service.daemon.event("swap_moved", swap_id=opened[0].id, state="SIGNED")
        assert await service.stop() == "success"
        assert await service.show("ExecMainStatus") == "0"
        await stage.devnet.chain.clear_faults()
        await service.start()
        await stage.completed(service.daemon, opened)
        assert (await stage.evidence(opened[0])).payouts == 1


async def test_wrong_settings_end_it_for_good_with_their_exit_code(stage: Stage, program: Path) -> None:
    async with serving(stage, program, SOON) as service:
        service.change("[limits.tao]\n", '[limits.tao]\nmax_per_swap = "a lot"\n')
        await service.machine.ctl("start", service.name, check=False)
        assert await service.show("ExecMainStatus") == "2"
        assert (await service.show("ActiveState"), await service.show("NRestarts")) == ("failed", "0")


async def test_what_install_writes_runs_and_uninstall_leaves_settings_and_state(
    stage: Stage, program: Path
) -> None:
    """As an operator does it: install, edit, start; later uninstall."""
    machine = Machine(stage.folder, program)
    command = "/opt/swap-miner/bin/swap-miner"
    async with machine, installed(stage, machine, miners=[0, 1]) as service:
        (stage.folder / "etc" / "config.toml").rename(stage.folder / "mine.toml")
        told = await machine.run(command, "service", "install")
        assert "Nothing was changed" in told
        assert await machine.run("ls", "/etc/swap-miner") == "bitcoin-rpc\nswap_manager.json"

        await machine.run(command, "service", "install", "--yes")
        assert "[contract]" in (stage.folder / "etc" / "config.toml").read_text()
        shutil.copy(stage.folder / "mine.toml", stage.folder / "etc" / "config.toml")
        drop_in = stage.folder / "units" / f"{UNIT}.d"
        drop_in.mkdir()
        lines = f"[Service]\n{reachable()}\n{on_this_machine(stage.folder)}\n"
        (drop_in / "machine.conf").write_text(lines)
        assert "-LoadCredential=hotkey:" in await machine.run(command, "service", "install", "--yes")
        await machine.ctl("enable", "--now", "swap-miner")
        opened = await stage.open(stage.plan(0))
        await stage.completed(service.daemon, opened)

        again = await machine.run(command, "service", "install", "--yes", "--json")
        assert {step["act"] for step in json.loads(again)["steps"]} == {"keep", "run"}
        await machine.run(command, "service", "uninstall", "--yes")
        assert await machine.ctl("is-active", UNIT, check=False) == "inactive"
        assert "swap-miner" not in await machine.run("find", "/etc/systemd/system")
        assert "swap-miner.sqlite" in await machine.run("ls", "/var/lib/swap-miner/")
        assert (stage.folder / "etc" / "config.toml").exists()


async def test_two_instances_serve_miners_of_their_own(stage: Stage, program: Path) -> None:
    unit = "swap-miner@.service"
    machine = Machine(stage.folder, program)
    machine.install(unit, on_this_machine(stage.folder, "%i"))
    async with (
        machine,
        installed(stage, machine, unit=unit, name="one", miners=[0]) as one,
        installed(stage, machine, unit=unit, name="two", miners=[1]) as two,
    ):
        await one.start()
        await two.start()
        opened = await stage.open(stage.plan(0), stage.plan(1))
        for service, swap in ((one, opened[0]), (two, opened[1])):
            await stage.completed(service.daemon, [swap])
        for service, swap in ((one, opened[0]), (two, opened[1])):
            assert await service.rows("SELECT swap_id FROM sagas") == [(swap.id,)]
            assert (await stage.evidence(swap)).payouts == 1
