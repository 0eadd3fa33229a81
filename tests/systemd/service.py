"""swap-miner as a service of a machine of its own, on the devnet."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet import guard, paths
from tests.systemd.machine import Machine

UNIT = "swap-miner.service"
HOME = Path("/etc/swap-miner")


class Service:
    """The installed service.

    Attributes:
        machine: Where it is installed.
        name: Of the unit.
        settings: Its settings file, as this machine sees it.
        daemon: What it logs, over all its processes.
    """

    def __init__(self, machine: Machine, name: str, settings: Path, daemon: Daemon) -> None:
        self.machine = machine
        self.name = name
        self.settings = settings
        self.daemon = daemon

    @property
    def logged(self) -> int:
        """Lines logged so far, to look from there on."""
        return len(self.daemon.log)

    async def start(self) -> None:
        """Start it; it is ready after that."""
        try:
            await self.machine.ctl("start", self.name)
        except AssertionError as failed:
            raise AssertionError(f"{failed}\n{self.daemon.tail()}") from None

    async def stop(self) -> str:
        """Stop it; systemd's word for how it ended."""
        await self.machine.ctl("stop", self.name)
        return await self.show("Result")

    async def show(self, name: str) -> str:
        """A property."""
        return await self.machine.show(self.name, name)

    async def signal(self, name: str) -> None:
        """Send the process a signal, as an operator might."""
        await self.machine.ctl("kill", f"--signal={name}", "--kill-whom=main", self.name)

    async def came_back(self, times: int = 1, timeout_s: float = 60) -> None:
        """Wait until systemd has started it again so often, and it is ready."""
        async with asyncio.timeout(timeout_s):
            while not await self._is_back(times):  # noqa: ASYNC110 (systemd has no event for it)
                await asyncio.sleep(0.2)

    async def _is_back(self, times: int) -> bool:
        restarts, state = await self.show("NRestarts"), await self.show("ActiveState")
        return int(restarts) >= times and state == "active"

    def change(self, old: str, new: str) -> None:
        """Change its settings."""
        text = self.settings.read_text()
        assert old in text, f"not there: {old!r}"
        self.settings.write_text(text.replace(old, new, 1))

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """A query of its store, of a copy taken now."""
        folder = self.machine.folder / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        state = f"/var/lib/{self.settings_state}"
        await self.machine.run("sh", "-c", f"cp {state}/swap-miner.sqlite* {folder}/")
        store = sqlite3.connect(folder / "swap-miner.sqlite")
        try:
            return list(store.execute(query))
        finally:
            store.close()

    @property
    def settings_state(self) -> str:
        """Name of its state folder."""
        return "swap-miner" if self.name == UNIT else "swap-miner-" + self.name.split("@")[1].split(".")[0]


def write_settings(stage: Stage, machine: Machine, name: str, miners: list[int]) -> Path:
    """Settings as an operator writes them: keys of the devnet, the node's login as a credential."""
    config = stage.config(only=miners)
    text = config.read_text()
    state = "swap-miner" if name == "config" else f"swap-miner-{name}"
    shutil.copy(paths.CONTRACT_METADATA, machine.folder / "etc" / "swap_manager.json")
    login = machine.folder / "etc" / "bitcoin-rpc"
    login.write_text((stage.folder / "bitcoin-auth").read_text())
    login.chmod(0o600)
    for old, new in (
        (f'metadata = "{paths.CONTRACT_METADATA}"', 'metadata = "swap_manager.json"'),
        (f'path = "{stage.folder / "state"}"', f'path = "/var/lib/{state}"'),
        (f'cookie_file = "{stage.folder / "bitcoin-auth"}"', 'cookie_file = "credential:bitcoin-rpc"'),
    ):
        assert old in text, old
        text = text.replace(old, new, 1)
    settings = machine.folder / "etc" / f"{name}.toml"
    settings.write_text(text)
    settings.chmod(0o644)
    return settings


@asynccontextmanager
async def installed(
    stage: Stage, machine: Machine, *, unit: str = UNIT, name: str = "", miners: list[int]
) -> AsyncIterator[Service]:
    """The service on a machine that is up: its unit known, its settings written; not started.

    Args:
        stage: The chains.
        machine: Where; its unit is installed already.
        unit: The unit's file.
        name: Of the instance, for a template's.
        miners: Whom it serves.
    """
    settings = write_settings(stage, machine, name or "config", miners)
    async with listening(machine, name or "service") as daemon:
        yield Service(machine, unit.replace("@", f"@{name}") if name else unit, settings, daemon)


@asynccontextmanager
async def listening(machine: Machine, name: str = "service") -> AsyncIterator[Daemon]:
    """What the service logs, over all its processes: what `on_this_machine` has it write into a file."""
    log = machine.folder / f"{name}.log"
    log.touch()
    tail = await asyncio.create_subprocess_exec(
        sys.executable, guard.__file__, str(os.getpid()), "tail", "-n", "+1", "-F", str(log),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, limit=2**20,
    )  # fmt: skip
    async with Daemon(tail) as daemon:
        yield daemon


def logging_to(folder: Path, name: str = "service") -> str:
    """Has a unit write its log into a file, where a test can read it."""
    log = folder / f"{name}.log"
    return f"StandardOutput=append:{log}\nStandardError=append:{log}"


def on_this_machine(folder: Path, name: str = "service") -> str:
    """What a unit is installed with here: its log in a file, the Bitcoin node's login as a credential."""
    return f"{logging_to(folder, name)}\nLoadCredential=bitcoin-rpc:{HOME}/bitcoin-rpc"
