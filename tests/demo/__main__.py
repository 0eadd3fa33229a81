"""`make demo`: a daemon, two chains, thirteen swaps; exit 0 only if each came to what it must.

`DEMO_JSON=path` writes the summary as JSON as well.
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

from rich.console import Console
from rich.live import Live
from rich.table import Table

from miner.notify.recovery import read
from miner.store import SqlStore
from tests.demo.evidence import Auditor
from tests.demo.story import MINERS, TERMS, Act, Story, clock
from tests.devnet.world import Devnet

console = Console(width=None if sys.stdout.isatty() else 110)


class Screen:
    """The live table: each swap's state by the daemon's store, beside what the contract says."""

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
        table = Table(title="swaps", title_justify="left", expand=False)
        for column in ("swap", "direction", "state", "on the contract", "what it is"):
            table.add_column(column)
        for act in self._story.acts:
            seen = act.evidence.status if act.evidence else act.opened.swap.status
            state = self._states.get(act.opened.id, "")
            table.add_row(str(act.opened.id), act.direction, state, seen, act.note or "an honest swap")
        return table


def summary(acts: list[Act], entries: dict[int, list[str]]) -> tuple[Table, list[dict[str, Any]]]:
    """What the chains say, and whether it is what must be."""
    table = Table(title="from the chains' own evidence", title_justify="left")
    for column in ("swap", "direction", "expected", "outcome", "payouts on chain", "recovery log", ""):
        table.add_column(column)
    rows = []
    for act in acts:
        causes = entries.get(act.opened.id, [])
        outcome = act.outcome(len(causes))
        payouts = act.evidence.payouts if act.evidence else -1
        good = outcome == act.expected
        told = ", ".join(causes)
        table.add_row(
            str(act.opened.id), act.direction, act.expected, outcome, str(payouts), told, "✓" if good else "✗"
        )
        rows.append(
            {
                "swap_id": act.opened.id,
                "direction": act.direction,
                "expected": act.expected,
                "outcome": outcome,
                "payouts_on_chain": payouts,
                "recovery": causes,
                "ok": good,
            }
        )
    return table, rows


async def play(story: Story) -> None:
    """The whole course."""
    say = story.say
    say("starting swap-miner")
    await story.start_daemon()
    say("nine swaps of nine miners in one block: eight honest ones, one whose user paid 1 sat too little")
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
    began = time.monotonic()
    console.print(
        "[bold]starting a contracts chain, a Bitcoin node, the contract, users and validators[/bold]"
    )
    with tempfile.TemporaryDirectory(prefix="swap-miner-demo-") as folder:
        async with await Devnet.start(miners=MINERS, terms=TERMS) as devnet:
            story = Story(devnet, Path(folder), await Auditor.begin(devnet), console.print)
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
                        console.print(f"swap-miner stopped with exit code {code}")
            return conclude(story, began)


def conclude(story: Story, began: float) -> int:
    """Print the summary; 0 only if every count is what it must be."""
    entries: dict[int, list[str]] = {}
    for entry in read(story.folder / "state" / "recovery.jsonl").entries:
        entries.setdefault(entry["swap_id"], []).append(entry["cause"])
    table, rows = summary(story.acts, entries)
    console.print(table)
    good = all(row["ok"] for row in rows) and len(rows) >= 12 and story.kills == 1
    if path := os.environ.get("DEMO_JSON"):
        Path(path).write_text(json.dumps({"ok": good, "kills": story.kills, "swaps": rows}, indent=1) + "\n")
    took = time.monotonic() - began
    verdict = "every swap came to what it must" if good else "SOMETHING IS WRONG"
    console.print(
        f"{verdict}: {len(rows)} swaps, {sum(r['payouts_on_chain'] for r in rows)} payouts, {took:.0f} s"
    )
    if not good:
        console.print(story.running.tail(80))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
