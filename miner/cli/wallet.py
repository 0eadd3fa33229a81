"""`wallet`: what the miners' accounts hold, and what open swaps will take of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miner.amounts import format_amount
from miner.cli import complete, render
from miner.cli.exits import Exit
from miner.cli.gateway import wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of

if TYPE_CHECKING:
    from miner.affairs.wallet import Purse

MinerOption = Annotated[
    str | None,
    typer.Option(
        "--miner", "-m", metavar="NAME|HOTKEY", help="Only this miner's.", autocompletion=complete.miners
    ),
]


def wallet(miner: MinerOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What each miner's accounts hold: balance, reserved, spendable, and what open swaps will take.

    Balance is what could leave now (confirmed, above what the chain wants kept). Reserved is set aside for
    swaps under way. Exit code 1 where an account could not be read.

    Examples: swap-miner wallet    swap-miner wallet --miner alice --json
    """
    found = asyncio.run(wiring().wallets(settings_of(config, files=True), miner))
    if as_json:
        render.say_json({"accounts": [_facts(purse) for purse in found]})
    else:
        _tell(found)
    if any(purse.problem for purse in found):
        raise typer.Exit(Exit.WRONG)


def _facts(purse: Purse) -> dict[str, Any]:
    return {
        "miner": purse.miner,
        "chain": purse.chain.value,
        "account": purse.account,
        "role": purse.role,
        "balance": _text(purse.balance),
        "reserved": str(purse.reserved),
        "spendable": _text(purse.spendable),
        "obligations": str(purse.owed),
        "open_swaps": purse.open_swaps,
        "short": str(purse.short),
        "stopped": purse.stopped,
        "problem": purse.problem,
    }


def _text(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


def _tell(found: Any) -> None:
    table = render.table(
        "miner", "chain", "account", "for", "balance", "reserved", "spendable", "obligations", "swaps", ""
    )
    for purse in found:
        render.add(table, purse.miner, purse.chain.upper(), purse.account, purse.role, *_cells(purse))
    render.say_table(table)


def _cells(purse: Purse) -> tuple[object, ...]:
    def shown(amount: int | None) -> str:
        return "?" if amount is None else format_amount(amount, purse.chain)

    notes = [purse.problem, f"stopped: {purse.stopped}" if purse.stopped else ""]
    if purse.short:
        notes.append(f"{shown(purse.short)} missing for what is open")
    note = "; ".join(each for each in notes if each)
    amounts = (shown(each) for each in (purse.balance, purse.reserved, purse.spendable, purse.owed))
    return (*amounts, purse.open_swaps, note)
