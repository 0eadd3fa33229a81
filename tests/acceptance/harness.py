"""A stage for the daemon: blocks by hand, one after the other, and the chains' evidence afterwards."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.acceptance.daemon import Daemon
from tests.demo.evidence import Auditor, Evidence
from tests.devnet.driver import Opened, Plan
from tests.devnet.settings import write_config
from tests.devnet.terms import ChainName
from tests.devnet.world import Devnet

MOST_BLOCKS = 40
USERS = 1500
_USERS = itertools.count(30)
ROOT = Path(__file__).parents[2]


@dataclass
class Stage:
    """A devnet, the daemon's folder, and what the chains say.

    Attributes:
        devnet: Both chains.
        folder: Config and state.
        auditor: Evidence since the test began.
        store_url: A PostgreSQL database for the daemon's store; None: SQLite in its folder.
    """

    devnet: Devnet
    folder: Path
    auditor: Auditor
    store_url: str | None = None

    def config(self, **options: Any) -> Path:
        """Write the daemon's config."""
        return write_config(self.folder, self.devnet, **{"store_url": self.store_url, **options})

    def plan(self, index: int, source: ChainName = ChainName.BTC, **fields: Any) -> Plan:
        """A swap of miner `index`, with a user of its own: Bitcoin's past is not put back between tests."""
        return Plan(self.devnet.miners[index], source=source, user=next(_USERS), **fields)

    async def open(self, *plans: Plan) -> list[Opened]:
        """Open swaps in one block."""
        return await self.devnet.driver.open_swaps(plans)

    async def step(self, daemon: Daemon | None = None, blocks: int = 1) -> None:
        """One block of both chains at a time; the daemon takes each in before the next."""
        for _ in range(blocks):
            await self.devnet.bitcoin.mine()
            await self.devnet.chain.new_block()
            if daemon is not None:
                await daemon.followed((await self.devnet.chain.heads()).finalised_number)

    async def until(self, daemon: Daemon, done: Callable[[], Any], blocks: int = MOST_BLOCKS) -> None:
        """Make blocks until `done` (awaited) is true.

        Raises:
            AssertionError: It did not become true within so many blocks; with the daemon's last lines.
        """
        for _ in range(blocks):
            if await done():
                return
            await self.step(daemon)
        raise AssertionError(f"not reached within {blocks} blocks:\n{daemon.tail(60)}")

    async def status(self, opened: Opened) -> str:
        """The swap's status on the contract, or how it ended."""
        return (await self.evidence(opened)).status

    async def evidence(self, opened: Opened) -> Evidence:
        """What the chains say of it."""
        return await self.auditor.of(opened.swap)

    async def fulfilled(self, daemon: Daemon, opened: Sequence[Opened], blocks: int = MOST_BLOCKS) -> None:
        """Make blocks until all are Fulfilled."""

        async def all_marked() -> bool:
            return all([await self.status(each) == "Fulfilled" for each in opened])

        await self.until(daemon, all_marked, blocks)

    async def completed(self, daemon: Daemon, opened: Sequence[Opened]) -> None:
        """Make blocks, with validators judging, until all are Completed."""

        async def all_done() -> bool:
            await self.devnet.validators.judge()
            return all([await self.status(each) == "Completed" for each in opened])

        await self.until(daemon, all_done)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """A query of the daemon's store, read-only."""
        if self.store_url is not None:
            with psycopg.connect(self.store_url, target_session_attrs="read-write") as server:
                return server.execute(query.encode()).fetchall()
        file = self.folder / "state" / "swap-miner.sqlite"
        store = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            return list(store.execute(query))
        finally:
            store.close()

    def states(self) -> dict[int, str]:
        """State by swap id, from the store."""
        return {int(swap): str(state) for swap, state in self.rows("SELECT swap_id, state FROM sagas")}

    def recovery(self) -> list[dict[str, Any]]:
        """The recovery log."""
        file = self.folder / "state" / "recovery.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    async def cli(self, *args: str, code: int = 0) -> str:
        """A command of `swap-miner` to its end; what it printed.

        Raises:
            AssertionError: It ended with another exit code.
        """
        ended, text = await self.said(*args)
        assert ended == code, f"exit code {ended}:\n{text}"
        return text

    async def said(self, *args: str) -> tuple[int, str]:
        """A command of `swap-miner` to its end: exit code, and what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "miner.cli",
            *args,
            "--config",
            str(self.folder / "swap-miner.toml"),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()
