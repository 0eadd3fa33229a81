"""`make demo`: a daemon, two chains, thirteen swaps; exit 0 only if each came to what it must.

`DEMO_JSON=path` writes the summary as JSON as well, `DEMO_SVG=path` a picture of what was shown.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from miner.notify.recovery import read
from miner.store import SqlStore
from tests.demo import tables
from tests.demo.evidence import Auditor
from tests.demo.story import MINERS, TERMS, Act, Story, clock
from tests.devnet.world import Devnet

console = Console(width=None if sys.stdout.isatty() else tables.WIDTH, highlight=False)


class Teller:
    """Prints each line with the time since the start, and keeps it for the picture."""

    def __init__(self) -> None:
        self.told: list[RenderableType] = []
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def say(self, text: str, style: str = "") -> None:
        """Tell the person watching what happens."""
        self.show(Text.assemble((f"{self.seconds:.0f} s".ljust(7), "dim"), (text, style)))

    def show(self, part: RenderableType) -> None:
        """Print anything."""
        self.told.append(part)
        console.print(part)


class Screen:
    """The live table."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._states: dict[int, str] = {}

    async def follow(self, live: Live) -> None:
        """Redraw for ever."""
        store: SqlStore | None = None
        file = self._story.folder / "state" / "swap-miner.sqlite"
        try:
            while True:
                if store is None and file.exists():
                    store = SqlStore(file)
                    await store.open()
                if store is not None:
                    sagas = await store.list_sagas(limit=100)
                    self._states = {s.key.swap_id: str(s.state) for s in sagas}
                live.update(self.table())
                await asyncio.sleep(0.5)
        finally:
            if store is not None:
                await store.close()

    def table(self) -> Table:
        """The table as of now."""
        return tables.live(self._story.acts, self._states)


def rows_of(acts: list[Act], entries: dict[int, list[str]]) -> list[dict[str, Any]]:
    """What the chains say, and whether it is what must be."""
    rows = []
    for act in acts:
        causes = entries.get(act.opened.id, [])
        outcome = act.outcome(len(causes))
        rows.append(
            {
                "swap_id": act.opened.id,
                "direction": act.direction,
                "expected": act.expected,
                "outcome": outcome,
                "payouts_on_chain": act.evidence.payouts if act.evidence else -1,
                "recovery": causes,
                "ok": outcome == act.expected,
            }
        )
    return rows


async def play(story: Story) -> None:
    """The whole course."""
    say = story.say
    say("starting swap-miner")
    await story.start_daemon()
    say("nine swaps of nine miners in one block: eight honest ones, one underpaid by 1 sat")
    await story.normal_and_underpaid()
    async with clock(story.devnet):
        await asyncio.sleep(8)
        await story.look()
    say("one swap that appears inside the margin")
    await story.inside_margin()
    say("one whose mark is rejected for good: the contract already holds another payout id")
    await story.mark_rejected()
    say("two more, and the daemon is killed as soon as their payouts have left")
    await story.killed()
    say("restarted; waiting for every swap to come to its end")
    async with clock(story.devnet):
        await story.settle()
    await story.look()


async def main() -> int:
    """Run it; the exit code."""
    teller = Teller()
    teller.say(f"a contracts chain, a Bitcoin node, the contract, users, validators, {MINERS} miners …")
    with tempfile.TemporaryDirectory(prefix="swap-miner-demo-") as folder:
        async with await _devnet() as devnet:
            teller.say("both chains are up, and the miners are active")
            story = Story(devnet, Path(folder), await Auditor.begin(devnet), teller.say)
            screen = Screen(story)
            with Live(console=console, refresh_per_second=4) as live:
                follower = asyncio.create_task(screen.follow(live))
                try:
                    await play(story)
                finally:
                    follower.cancel()
                    await asyncio.gather(follower, return_exceptions=True)
                    if story.daemon is not None:
                        code = await story.daemon.stop()
                        teller.say(f"swap-miner stopped with exit code {code}")
            teller.told.append(screen.table())
            return conclude(story, teller)


async def _devnet() -> Devnet:
    with console.status("starting, about ten seconds"):
        return await Devnet.start(miners=MINERS, terms=TERMS)


def conclude(story: Story, teller: Teller) -> int:
    """Print the summary; 0 only if every count is what it must be."""
    entries: dict[int, list[str]] = {}
    for entry in read(story.folder / "state" / "recovery.jsonl").entries:
        entries.setdefault(entry["swap_id"], []).append(entry["cause"])
    rows = rows_of(story.acts, entries)
    teller.show(tables.evidence(story.acts, entries))
    good = all(row["ok"] for row in rows) and len(rows) >= 12 and story.kills == 1
    if path := os.environ.get("DEMO_JSON"):
        Path(path).write_text(json.dumps({"ok": good, "kills": story.kills, "swaps": rows}, indent=1) + "\n")
    payouts = sum(row["payouts_on_chain"] for row in rows)
    verdict = "every swap came to what it must" if good else "SOMETHING IS WRONG"
    teller.say(f"{verdict}: {len(rows)} swaps, {payouts} payouts", "bold green" if good else "bold red")
    if path := os.environ.get("DEMO_SVG"):
        tables.draw(teller.told, Path(path))
    if not good:
        console.print(story.running.tail(80))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
