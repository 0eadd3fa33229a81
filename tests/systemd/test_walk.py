"""A new user's walk: README's chapter *A first real configuration*, typed on a fresh machine as it stands.

Each fenced block of the chapter is typed, or named here with the reason why a new user leaves it out. What
README asks the user to fill in comes from `at_hand`; nothing else is changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bittensor_core
import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet import paths
from tests.devnet.bitcoin import PASSWORD, USER
from tests.devnet.driver import Miner, Opened
from tests.systemd.machine import ROOT, Machine
from tests.systemd.service import UNIT, listening, logging_to

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1800)]

CHAPTER = "A first real configuration"
SETTINGS = "/etc/swap-miner/config.toml"
NOT_FOR_A_NEW_USER = {
    "import-sent": "there was no miner before",
    "service install --encrypt": "may come later; tests/systemd/test_secrets.py has it",
}
IN_BITCOIN_CONF = {"walletbroadcast", "rpcuser", "rpcpassword"}
TYPED_IN_FIVE_MINUTES = 5 * 300
"""Characters, by somebody who types sixty words a minute, or copies the longer lines."""
TOLD = re.compile(r"Five minutes of typing, .*?: (\d+) commands, about ([\d,]+) characters", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: what kind it says it is, and its lines."""

    kind: str
    lines: list[str]


def blocks() -> list[Block]:
    """Those of the chapter, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    chapter = text.partition(f"\n## {CHAPTER}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```(\w*)\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)
    return [Block(kind, [line for line in body.splitlines() if line.strip()]) for kind, body in found]


class Desk:
    """The new user at the keyboard of a fresh machine.

    Attributes:
        filled_in: What README asks for, and what it is on this machine.
        commands: What was typed as commands.
        typed: Characters typed in all.
    """

    def __init__(self, machine: Machine, clone: Path, home: Path) -> None:
        self.machine = machine
        self.filled_in: dict[str, str] = {}
        self.commands: list[str] = []
        self.typed = 0
        self._clone = clone
        first = [str(Path(sys.base_prefix) / "bin"), "/usr/local/bin", os.environ["PATH"]]
        told = {"HOME": str(home), "PATH": ":".join(first)}
        self._environment = [f"{name}={value}" for name, value in told.items()]

    def fill_in(self, line: str) -> str:
        """A line as the user writes it."""
        for placeholder, value in self.filled_in.items():
            line = line.replace(placeholder, value)
        return line

    async def type(self, line: str, keys: str = "") -> str:
        """Type a command, and what it reads from the keyboard; what it printed."""
        command = self.fill_in(line.partition("  #")[0].rstrip())
        self.commands.append(command)
        self.typed += len(command) + 1 + len(keys)
        script = f"cd {shlex.quote(str(self._clone))} && {command}"
        return await self.machine.run("env", *self._environment, "bash", "-c", script, typed=keys)

    def edit(self, wanted: Block) -> None:
        """Change the settings in an editor: each setting in its table, switched off or not."""
        file = self.machine.path(SETTINGS)
        text, table = file.read_text(), ""
        for line in wanted.lines:
            if line.startswith("["):
                table = line
                continue
            text = self._set(text, table, self.fill_in(line))
        file.write_text(text)

    def _set(self, text: str, table: str, line: str) -> str:
        begin = re.search(rf"^{re.escape(table)}$", text, re.MULTILINE)
        assert begin, f"the settings have no {table}"
        after = re.search(r"^\[", text[begin.end() :], re.MULTILINE)
        end = begin.end() + after.start() if after else len(text)
        key = line.partition(" = ")[0]
        body, times = re.subn(
            rf"^#?{key} = .*$", lambda _: line, text[begin.end() : end], count=1, flags=re.MULTILINE
        )
        assert times == 1, f"{table} of the settings has no {key}"
        self.typed += len(line) + 1
        return text[: begin.end()] + body + text[end:]


def clone_to(folder: Path) -> None:
    """A clone of the project as it stands."""
    folder.mkdir()
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def set_up(clone: Path) -> None:
    """What `make` makes first: an environment that builds wheels, stamped as by scripts/setup-python."""
    own = clone / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", own], check=True)
    (packages,) = own.glob("lib/*/site-packages")
    (packages / "needed.pth").write_text(f"{_packages()}\n")
    python = Path(sys.base_prefix) / "bin" / "python3"
    version = subprocess.run([python, "-VV"], check=True, capture_output=True, text=True).stdout
    stamp = _hash((clone / "requirements/dev.txt").read_text() + version + f"{clone}\n")
    (own / ".stamp-packages").write_text(f"{stamp}\n")
    project = _hash(f"{stamp}\n" + (clone / "pyproject.toml").read_text())
    (own / ".stamp-project").write_text(f"{project}\n")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _packages() -> str:
    return next(place for place in sys.path if place.endswith("site-packages"))


def make_home(folder: Path, hotkey: str) -> None:
    """What the user's home has: the hotkey, as btcli writes it."""
    file = folder / ".bittensor/wallets/default/hotkeys/default"
    file.parent.mkdir(parents=True)
    key = bittensor_core.Keypair.create_from_uri(hotkey)
    file.write_bytes(bytes(bittensor_core.serialized_keypair_to_keyfile_data(key)))


def bitcoin_cli(port: str) -> str:
    """`bitcoin-cli` of a machine whose Bitcoin node is this one."""
    root = paths.cache() / "bitcoin" / "root"
    libraries = root / "usr/lib/x86_64-linux-gnu"
    found = shutil.which("bitcoin-cli") or (
        f'"{libraries}/ld-linux-x86-64.so.2" --library-path "{libraries}" "{root}/usr/bin/bitcoin-cli"'
    )
    return f'#!/bin/sh\nexec {found} -regtest -rpcport={port} -rpcuser={USER} -rpcpassword={PASSWORD} "$@"\n'


PACKAGES_AT_HAND = """
mkdir /opt/packages
for each in {theirs}/*; do
    case "$each" in *.pth|*/pip|*/pip-*|*/swap_miner*) ;; *) ln -s "$each" /opt/packages/ ;; esac
done
echo /opt/packages > "$(echo /opt/swap-miner/lib/*/site-packages)/needed.pth"
"""
"""The packages that pip would fetch are there already, each in the version that the lock names."""


@asynccontextmanager
async def fresh_machine(stage: Stage, offline: bool) -> AsyncIterator[tuple[Desk, Daemon]]:
    """A machine with a clone, a wallet and a Bitcoin node, on which nothing was set up yet."""
    clone, home = stage.folder / "swap-miner", stage.folder / "home"
    clone_to(clone)
    if offline:
        set_up(clone)
    make_home(home, "//miner/0")
    machine = Machine(stage.folder, None)
    machine.drop_in(UNIT, logging_to(stage.folder))
    bitcoin = stage.devnet.bitcoin
    async with machine, listening(machine) as daemon:
        cli = machine.path("/usr/local/bin/bitcoin-cli")
        cli.write_text(bitcoin_cli(bitcoin.direct_url.rpartition(":")[2]))
        cli.chmod(0o755)
        try:
            yield Desk(machine, clone, home), daemon
        finally:
            if "swap-miner" in await bitcoin.rpc("listwallets"):
                await bitcoin.rpc("unloadwallet", "swap-miner")
            shutil.rmtree(bitcoin.datadir / "regtest" / "wallets" / "swap-miner", ignore_errors=True)


def at_hand(stage: Stage) -> dict[str, str]:
    """What README says the user has at hand."""
    told = stage.devnet.describe()
    return {
        "METADATA.json": "contracts/artifacts/swap_manager.json",
        "wss://NODE:443": told["chain"]["url"],
        "CONTRACT": told["contract"]["address"],
        "HOTKEY": told["miners"][0]["hotkey"],
        "rpcuser=swap-miner": f"rpcuser={USER}",
        "PASSWORD": PASSWORD,
    }


def of_the_devnet(stage: Stage) -> Block:
    """What README's table names for a node that is not of the mainnet, and not on its usual port."""
    lines = [
        "[bitcoin]",
        f'url = "http://{stage.devnet.describe()["bitcoin"]["url"].rpartition("@")[2]}"',
        'network = "regtest"',
        f'user = "{USER}"',
    ]
    return Block("toml", lines)


def left_out(block: Block) -> bool:
    """Whether a new user has no use for it."""
    return any(f"swap-miner {word}" in block.lines[0] for word in NOT_FOR_A_NEW_USER)


async def walk(desk: Desk, stage: Stage, offline: bool) -> AsyncIterator[tuple[str, str]]:
    """Go through the chapter; each command with what it printed."""
    for block in blocks():
        if left_out(block):
            continue
        if block.kind == "toml":
            desk.edit(block)
            desk.edit(of_the_devnet(stage))
        elif {line.partition("=")[0] for line in block.lines} <= IN_BITCOIN_CONF:
            # The suite's node is running, with wallets that live on their own broadcasts.
            desk.typed += sum(len(desk.fill_in(line)) + 1 for line in block.lines)
        else:
            for line in block.lines:
                keys = f"{PASSWORD}\n" if "/dev/stdin" in line else ""
                yield line, await desk.type(line, keys)
                if offline and line.startswith("python3 -m venv"):
                    await desk.machine.run("sh", "-c", PACKAGES_AT_HAND.format(theirs=_packages()))


async def settle(stage: Stage, opened: Opened) -> None:
    """Blocks, with a validator judging, until the swap is completed."""
    for _ in range(60):
        await stage.devnet.validators.judge()
        if await stage.status(opened) == "Completed":
            return
        await stage.step()
        await asyncio.sleep(1)  # for the daemon, whose log at its default level does not tell of each block
    raise AssertionError("the swap was not completed")


@pytest.mark.parametrize(
    "offline",
    [
        pytest.param(True, id="packages-at-hand"),
        pytest.param(False, id="packages-from-the-registry", marks=pytest.mark.proof),
    ],
)
async def test_from_clone_to_a_paid_swap_by_what_the_readme_says(
    stage: Stage, offline: bool, record_property: Any
) -> None:
    async with fresh_machine(stage, offline) as (desk, daemon):
        desk.filled_in = at_hand(stage)
        printed: dict[str, str] = {}
        began = time.monotonic()
        async for line, said in walk(desk, stage, offline):
            print(f"{time.monotonic() - began:.0f} s # {line}\n{said}")
            printed[line] = said
            if "getnewaddress" in line:
                desk.filled_in["BTC-ADDRESS"] = said
                await stage.devnet.bitcoin.fund(said, 10**8)
            elif line == "make wheel" and offline:
                assert "setup: .venv is up to date" in said, "it was set up from the registry"
            elif line == "swap-miner check":
                assert " 0 failed" in said
            elif line.startswith("systemctl enable"):
                await daemon.event("ready")
        assert "daemon: ready" in printed["swap-miner status"].splitlines()

        address = desk.filled_in["BTC-ADDRESS"]
        miner: Miner = replace(stage.devnet.miners[0], btc_address=address, btc_wallet="swap-miner")
        (opened,) = await stage.open(replace(stage.plan(0), miner=miner))
        await settle(stage, opened)
        print(f"{time.monotonic() - began:.0f} s # completed")
        seen = await stage.evidence(opened)
        assert (seen.payouts, seen.status) == (1, "Completed")

        assert " 0 failed" in await desk.machine.run("swap-miner", "check")
        told = await desk.machine.run("swap-miner", "status")
        assert "swaps: 1 COMPLETED" in told.splitlines(), told
        assert "daemon: ready" in told.splitlines(), told
        assert await desk.machine.show(UNIT, "ActiveState") == "active"
        assert await desk.machine.show(UNIT, "NRestarts") == "0"
        print(f"{len(desk.commands)} commands, {desk.typed} characters typed")
        record_property("commands", len(desk.commands))
        record_property("characters", desk.typed)
        assert desk.typed <= TYPED_IN_FIVE_MINUTES
        measured = TOLD.search((ROOT / "README.md").read_text(encoding="utf-8"))
        assert measured is not None
        assert len(desk.commands) == int(measured[1])
        assert abs(desk.typed - int(measured[2].replace(",", ""))) < 100, desk.typed
