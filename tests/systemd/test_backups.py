"""The backup's service and timer under a real systemd."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pyrage
import pytest

from tests.acceptance.harness import Stage
from tests.systemd.machine import Machine
from tests.systemd.service import UNIT, Service, installed, on_this_machine

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]

BACKUP, TIMER = "swap-miner-backup.service", "swap-miner-backup.timer"
PROGRAM = "/opt/swap-miner/bin/swap-miner"
SETTINGS = ("--config", "/etc/swap-miner/config.toml")
NOW = "[Timer]\nOnActiveSec=1\nRandomizedDelaySec=0\nAccuracySec=100ms\n"


def install_timer(machine: Machine) -> None:
    """The shipped timer, which here goes off at once as well."""
    units = machine.folder / "units"
    shutil.copy(Path(__file__).parents[2] / "systemd" / TIMER, units / TIMER)
    (units / f"{TIMER}.d").mkdir()
    (units / f"{TIMER}.d" / "machine.conf").write_text(NOW)


async def backed_up(service: Service) -> str:
    """Wait for the timer's first backup; its path."""
    machine = service.machine
    async with asyncio.timeout(60):
        while True:
            found = await machine.run("sh", "-c", "ls /var/lib/swap-miner-backups/*.age", check=False)
            if found.endswith(".age") and await machine.show(BACKUP, "ActiveState") == "inactive":
                return found
            assert await machine.show(BACKUP, "ActiveState") != "failed", await logged(machine)
            await asyncio.sleep(0.3)


async def logged(machine: Machine) -> str:
    """What the backup's service said."""
    log = machine.folder / "backup.log"
    return log.read_text() if log.exists() else machine.said()


async def test_the_timer_makes_a_backup_from_which_the_service_goes_on(stage: Stage, program: Path) -> None:
    """In both units' whole sandbox; restored by root into the emptied folder, the daemon follows on."""
    identity = pyrage.x25519.Identity.generate()
    key = stage.folder / "key.txt"
    key.write_text(f"{identity}\n")
    key.chmod(0o600)
    machine = Machine(stage.folder, program)
    machine.install(UNIT, on_this_machine(stage.folder))
    machine.install(BACKUP, "\n".join(on_this_machine(stage.folder, "backup").splitlines()[:2]))
    install_timer(machine)
    (stage.folder / "etc" / "backup.env").write_text(f"SWAP_MINER_BACKUP_RECIPIENT={identity.to_public()}\n")
    async with machine, installed(stage, machine, miners=[0, 1]) as service:
        await service.start()
        opened = await stage.open(stage.plan(0))
        await stage.completed(service.daemon, opened)
        await stage.step(service.daemon, blocks=2)

        await machine.ctl("start", TIMER)
        backup = await backed_up(service)
        assert await machine.show(BACKUP, "Result") == "success"
        owner = await machine.run("stat", "-c", "%a %U", backup, "/var/lib/swap-miner-backups/")
        assert owner.splitlines()[0].startswith("600 "), owner
        assert "swap-miner" not in (await machine.run("head", "-c", "4000", backup)).split("\n", 1)[1]

        assert await service.stop() == "success"
        await machine.run(
            "sh", "-c", "rm -rf /var/lib/private/swap-miner/* /var/lib/private/swap-miner/.[a-z]*"
        )
        login = ("env", "CREDENTIALS_DIRECTORY=/etc/swap-miner")
        restore = (PROGRAM, "restore", backup, "--identity", str(key), "--json", *SETTINGS)
        said = await machine.run(*login, *restore)
        told = json.loads(said[said.index("{") :])
        assert (told["restored"], told["missing"], told["sagas"]) == (True, [], 1)
        await service.start()
        assert await service.rows("SELECT swap_id, state FROM sagas") == [(opened[0].id, "COMPLETED")]
        modes = await machine.run(
            "sh", "-c", "stat -c '%a %u' /var/lib/swap-miner/ /var/lib/swap-miner/*.sqlite"
        )
        assert len({line.split()[1] for line in modes.splitlines()}) == 1, modes
