"""`make bench`: counts and ratios on the devnet beside the field's; exit 0 only if every target is met.

`BENCH_JSON=path` writes the figures as JSON as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import measure
from tests.bench.fleet import SWEEP_BLOCKS, Fleet
from tests.bench.targets import FIGURES, missed
from tests.devnet.terms import ChainName

MINERS = 50
LAG = 3
AT_LAG = 5
ON_BITCOIN = 10
IDLE_BLOCKS = 2 * SWEEP_BLOCKS
ENDED, OPEN = 100_000, 1_000

console = Console(width=None if sys.stdout.isatty() else 110)


async def run() -> dict[str, Any]:
    """Measure everything; the figures by name."""
    console.print(f"[bold]starting both chains, the contract, and one daemon for {MINERS} miners[/bold]")
    async with await Fleet.start(MINERS) as fleet:
        at_start = await fleet.requests()
        console.print("one swap")
        one = await measure.course(fleet, 1)
        await fleet.complete()
        console.print(f"{MINERS} swaps in one block")
        many = await measure.course(fleet, MINERS)
        rss_mb = fleet.peak_rss_mb()
        await fleet.complete(MINERS // 2)
        console.print(f"{AT_LAG} swaps, finality {LAG} blocks behind")
        late = await measure.course(fleet, AT_LAG, lag=LAG)
        console.print(f"{IDLE_BLOCKS} idle blocks")
        idle = await measure.idle(fleet, IDLE_BLOCKS)
        await fleet.complete(AT_LAG, newest=True)
        console.print(f"{ON_BITCOIN} swaps that pay in BTC")
        btc = await measure.course(fleet, ON_BITCOIN, source=ChainName.TAO)
        rss_mb = max(rss_mb, fleet.peak_rss_mb())
        console.print(f"a restart with {ENDED:,} ended and {OPEN:,} open sagas")
        again = await measure.restart(fleet, ended=ENDED, opened=OPEN, idle_blocks=IDLE_BLOCKS)
    return {
        "blocks_to_fulfilled_1": one.fulfilled,
        "blocks_to_fulfilled_50": many.fulfilled,
        f"blocks_to_payout_lag_{LAG}": late.payout,
        f"blocks_to_fulfilled_lag_{LAG}": late.fulfilled,
        "requests_idle_block": round(idle.mean, 2),
        "requests_idle_block_usual": idle.usual,
        "requests_idle_block_with_sweep": idle.most,
        "requests_per_swap": round(many.requests_per_swap, 2),
        "requests_one_swap": one.requests.total,
        "requests_per_swap_btc": round(btc.requests_per_swap, 2),
        "restart_cpu_s": round(again.cpu_s, 2),
        "restart_requests": again.requests.total,
        "restart_sagas": again.sagas,
        "requests_idle_block_1000_open": round(again.idle.mean, 2),
        "requests_idle_block_1000_open_with_sweep": again.idle.most,
        "rss_mb": round(rss_mb, 1),
        "rss_mb_after_restart": round(again.rss_mb, 1),
        "cpu_ms_idle_block": round(idle.cpu_ms, 1),
        "cpu_ms_idle_block_1000_open": round(again.idle.cpu_ms, 1),
        "cpu_ms_per_swap": round(1000 * many.cpu_s / many.swaps, 1),
        "by_method": {
            "start": at_start.by_method(),
            "swaps_50": many.requests.by_method(),
            "swaps_btc": btc.requests.by_method(),
            "idle": idle.requests.by_method(),
            "restart": again.requests.by_method(),
            "idle_1000_open": again.idle.requests.by_method(),
        },
    }


def report(values: dict[str, Any]) -> None:
    """Print the figures beside their targets and the field's."""
    table = Table(title=f"{MINERS} miners, one process", title_justify="left")
    for column in ("", "measured", "target", "the field's miner", ""):
        table.add_column(column)
    for figure in FIGURES:
        value = values[figure.key]
        mark = "✓" if figure.met(value) else "✗"
        table.add_row(
            figure.what,
            f"{value:g} {figure.unit}",
            f"≤ {figure.most:g}",
            f"{figure.field} {figure.unit}",
            mark,
        )
    console.print(table)
    rest = Table(title="beside these", title_justify="left")
    rest.add_column("")
    rest.add_column("measured")
    for key, value in values.items():
        if key not in {figure.key for figure in FIGURES} and not isinstance(value, dict):
            rest.add_row(key, f"{value:g}")
    console.print(rest)
    for what, counts in values["by_method"].items():
        told = ", ".join(f"{method} {count}" for method, count in counts.items())
        console.print(f"[bold]{what}[/bold]: {told}", soft_wrap=True)


def main() -> int:
    """Run it; the exit code."""
    began = time.monotonic()
    values = asyncio.run(run())
    report(values)
    if path := os.environ.get("BENCH_JSON"):
        Path(path).write_text(json.dumps(values, indent=1) + "\n")
    over = missed(values)
    verdict = "every target is met" if not over else f"over target: {', '.join(each.key for each in over)}"
    console.print(f"{verdict}; {time.monotonic() - began:.0f} s")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
