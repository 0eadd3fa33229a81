"""`wallet`: what the miners' accounts hold, and what open swaps will take of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from miner.amounts import Chain, format_amount
from miner.cli import complete, daemon, render
from miner.cli.exits import Exit
from miner.cli.gateway import wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of

MinerOption = Annotated[
    str | None,
    typer.Option(
        "--miner", "-m", metavar="NAME|HOTKEY", help="Only this miner's.", autocompletion=complete.miners
    ),
]


def wallet(miner: MinerOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What each miner's accounts hold: balance, reserved, spendable, and what open swaps will take.

    Balance is what could leave now (confirmed, above what the chain wants kept). Reserved is set aside for
    swaps under way. A running daemon is asked, where one answers. Exit code 1 where an account could not be
    read.

    Examples: swap-miner wallet    swap-miner wallet --miner alice --json
    """
    found = daemon.wallet(settings_of(config), miner) or _asked(config, miner)
    if as_json:
        render.say_json(found)
    else:
        _tell(found["accounts"])
    if any(row["problem"] for row in found["accounts"]):
        raise typer.Exit(Exit.WRONG)


def _asked(config: Path | None, miner: str | None) -> dict[str, Any]:
    """The same without a daemon, over connections of the command's own."""
    from miner.ops.business import wallet_facts

    return wallet_facts(asyncio.run(wiring().wallets(settings_of(config, files=True), miner)))


def _tell(rows: Sequence[dict[str, Any]]) -> None:
    table = render.table(
        "miner", "chain", "account", "for", "balance", "reserved", "spendable", "obligations", "swaps", ""
    )
    for row in rows:
        render.add(table, row["miner"], row["chain"].upper(), row["account"], row["role"], *_cells(row))
    render.say_table(table)


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    def shown(amount: str | None) -> str:
        return "?" if amount is None else format_amount(int(amount), Chain(row["chain"]))

    notes = [row["problem"], f"stopped: {row['stopped']}" if row["stopped"] else ""]
    if row["short"] != "0":
        notes.append(f"{shown(row['short'])} missing for what is open")
    note = "; ".join(each for each in notes if each)
    names = ("balance", "reserved", "spendable", "obligations")
    return (*(shown(row[name]) for name in names), row["open_swaps"], note)
