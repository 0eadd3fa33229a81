"""`python -m tests.demo.session FILE`: a real session of the command line on the devnet, drawn as a film.

`SESSION_JSON=path` keeps what was typed and printed as well; given as a second argument, it is drawn again.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.acceptance.daemon import Daemon
from tests.demo.film import COLUMNS, Scene, film
from tests.demo.story import MARGIN_BLOCKS, TERMS, clock
from tests.devnet import paths
from tests.devnet.driver import Bad, Opened, Plan
from tests.devnet.settings import write_config
from tests.devnet.terms import ChainName
from tests.devnet.world import Devnet

ROOT = Path(__file__).parents[2]
TITLE = "swap-miner: a session on the local chains"
MINERS = 2
SETTLE_S = 150.0
CAPS = {
    "tao": 'max_per_swap = "20 TAO"\nmax_per_hour = "100 TAO"',
    "btc": 'max_per_swap = "0.05 BTC"\nmax_per_hour = "0.2 BTC"',
}
COMMANDS = (
    "swap-miner status",
    "swap-miner swaps",
    "swap-miner show 1 | head -24",
    "swap-miner wallet",
    "swap-miner recovery list --open",
    "swap-miner retry 3",
    "swap-miner collateral view --miner miner-0",
    "swap-miner check",
)


def typed(command: str, folder: Path) -> Scene:
    """What a command prints on a terminal; the shell's own folder is told as `~`."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    known = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "PYTHONPATH": str(ROOT)}
    line = command.replace("swap-miner ", f"{shlex.quote(sys.executable)} -m miner.cli ", 1)
    with subprocess.Popen(
        line, shell=True, cwd=folder, env=known, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        told = b"".join(_read(ours))
    os.close(ours)
    return Scene(command, _at_home(told.decode().replace("\r\n", "\n"), str(folder)))


def _at_home(text: str, folder: str) -> str:
    """The shell's own folder as `~`, with the columns of a table where they were."""
    return re.sub(
        re.escape(folder) + r"(\S*(?: \S+)*?)( {2,}|$)",
        lambda found: f"~{found[1]}{found[2]}{' ' * (len(folder) - 1) if found[2] else ''}",
        text,
        flags=re.MULTILINE,
    )


def _read(handle: int) -> Iterator[bytes]:
    """Everything, until the other end is closed, which Linux tells by an error."""
    while True:
        try:
            found = os.read(handle, 65536)
        except OSError:
            return
        if not found:
            return
        yield found


async def swaps(devnet: Devnet, daemon: Daemon) -> None:
    """Two that are completed, one whose mark is refused for good, one whose user paid too little."""
    one, two = devnet.miners
    plans = [Plan(one, source=ChainName.BTC, user=0), Plan(two, source=ChainName.TAO, user=1)]
    good = await devnet.driver.open_swaps(plans)
    async with clock(devnet):
        async with asyncio.timeout(SETTLE_S):
            for each in good:
                await daemon.event("swap_moved", swap_id=each.id, state="COMPLETED", timeout_s=SETTLE_S)
    (held,) = await devnet.driver.open_swaps([Plan(one, source=ChainName.BTC, user=2)])
    await daemon.event("broadcast", swap_id=held.id, purpose="payout")
    await _marked_by_another(devnet, held)
    short = Plan(two, source=ChainName.BTC, user=3)
    await devnet.driver.open_swaps([replace(short, bad=Bad(paid_amount=short.amount - 1))])
    async with clock(devnet):
        await daemon.event("swap_moved", swap_id=held.id, state="HELD", timeout_s=SETTLE_S)
        await daemon.event("swap_moved", swap_id=held.id + 1, timeout_s=SETTLE_S)


async def _marked_by_another(devnet: Devnet, opened: Opened) -> None:
    told = {
        "swap_id": opened.id,
        "dest_tx_hash": "0x" + "ab" * 32,
        "dest_tx_block": (await devnet.chain.heads()).number,
        "dest_amount": opened.swap.dest_amount,
    }
    await devnet.contract.execute([(opened.swap.miner, "mark_fulfilled", told)])


@contextmanager
def home() -> Iterator[Path]:
    """A folder for settings and state, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="sm-") as name:
        yield Path(name)


def settings(folder: Path, devnet: Devnet) -> Path:
    """Settings with caps, and the contract's metadata beside them."""
    config = write_config(folder, devnet, tao_margin=MARGIN_BLOCKS)
    (folder / "contract.json").write_bytes(paths.CONTRACT_METADATA.read_bytes())
    text = config.read_text(encoding="utf-8").replace(str(paths.CONTRACT_METADATA), "contract.json")
    for chain, caps in CAPS.items():
        text = text.replace(f"[limits.{chain}]", f"[limits.{chain}]\n{caps}")
    config.write_text(text, encoding="utf-8")
    return config


async def record() -> list[Scene]:
    """The session."""
    with home() as folder:
        async with await Devnet.start(miners=MINERS, terms=TERMS) as devnet:
            config = settings(folder, devnet)
            async with await Daemon.start(config) as daemon:
                await daemon.ready()
                await swaps(devnet, daemon)
                return [await asyncio.to_thread(typed, command, folder) for command in COMMANDS]


def main(arguments: list[str]) -> None:
    """Record, or read what was recorded, and draw."""
    if len(arguments) > 1:
        pairs = json.loads(Path(arguments[1]).read_text(encoding="utf-8"))
        scenes = [Scene(**pair) for pair in pairs]
    else:
        scenes = asyncio.run(record())
    if path := os.environ.get("SESSION_JSON"):
        pairs = [{"command": scene.command, "output": scene.output} for scene in scenes]
        Path(path).write_text(json.dumps(pairs, indent=1) + "\n", encoding="utf-8")
    Path(arguments[0]).write_text(film(scenes, TITLE), encoding="utf-8")
    print(arguments[0])


if __name__ == "__main__":
    main(sys.argv[1:])
