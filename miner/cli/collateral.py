"""`collateral view`: what a miner has with the contract, and when it may leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import typer

from miner.amounts import Chain, format_amount
from miner.cli import render
from miner.cli.gateway import wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.wallet import MinerOption

if TYPE_CHECKING:
    from miner.model import MinerStanding

BLOCK_S = 12
"""Block time of the contract's chain, for "about how long"."""
UNKNOWN = "this contract does not tell"

collateral = typer.Typer(no_args_is_help=True, help="A miner's collateral with the contract.")


@collateral.command()
def view(miner: MinerOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Collateral, its limits, and what keeps it: activity, a reservation, an open swap, a cooldown.

    Example: swap-miner collateral view --miner alice
    """
    found = asyncio.run(wiring().standings(settings_of(config, files=True), miner))
    if as_json:
        render.say_json({"height": found.best_height, "miners": [facts_of(*each) for each in found.miners]})
        return
    for name, standing in found.miners:
        for line in lines_of(name, standing):
            render.say(line)


def facts_of(name: str, standing: MinerStanding) -> dict[str, Any]:
    """A miner's standing as plain values; None for what the contract does not tell."""

    def text(amount: int | None) -> str | None:
        return None if amount is None else str(amount)

    return {
        "miner": name,
        "hotkey": standing.miner,
        "height": standing.height,
        "collateral": text(standing.collateral),
        "minimum": text(standing.minimum),
        "maximum": text(standing.maximum),
        "active": standing.active,
        "has_open_swap": standing.has_swap,
        "reserved_until": standing.reserved_until,
        "deactivation_block": standing.deactivation_block,
        "cooldown_ends": standing.cooldown_ends,
        "cooldown_blocks_left": standing.cooldown_left,
        "activation_votes": standing.votes,
        "activation_votes_needed": standing.votes_needed,
        "halted": standing.halted,
    }


def lines_of(name: str, standing: MinerStanding) -> list[str]:
    """The same for people."""
    rows = {
        "collateral": _tao(standing.collateral),
        "minimum": _tao(standing.minimum),
        "maximum": "no limit" if standing.maximum == 0 else _tao(standing.maximum),
        "active": _yes(standing.active),
        "open swap": _yes(standing.has_swap),
        "reserved": _reserved(standing),
        "deactivated": _deactivated(standing),
        "cooldown": _cooldown(standing),
    }
    lines = [f"{name}: hotkey {standing.miner}, at block {standing.height}"]
    lines += [f"  {what:<12}{told}" for what, told in rows.items()]
    return lines + (["  the contract is halted"] if standing.halted else [])


def _tao(amount: int | None) -> str:
    return UNKNOWN if amount is None else format_amount(amount, Chain.TAO)


def _yes(flag: bool | None) -> str:
    return UNKNOWN if flag is None else "yes" if flag else "no"


def _reserved(standing: MinerStanding) -> str:
    if standing.reserved_until is None:
        return UNKNOWN
    if not standing.reserved:
        return "no"
    return f"until block {standing.reserved_until} ({about(standing.reserved_until - standing.height)})"


def _deactivated(standing: MinerStanding) -> str:
    if standing.deactivation_block is None:
        return UNKNOWN
    return f"in block {standing.deactivation_block}" if standing.deactivation_block else "no"


def _cooldown(standing: MinerStanding) -> str:
    if standing.active:
        return "begins when it is deactivated"
    if standing.cooldown_ends is None:
        return "none: collateral may leave"
    if not standing.cooldown_left:
        return f"over since block {standing.cooldown_ends}"
    return f"ends at block {standing.cooldown_ends} ({about(standing.cooldown_left)})"


def about(blocks: int) -> str:
    """A number of blocks, and about how long that is."""
    minutes = blocks * BLOCK_S // 60
    long = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(minutes, 1)} min"
    return f"{blocks} blocks left, about {long}"
