"""`collateral view|deposit|withdraw`: what a miner has with the contract, and moving it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from miner.affairs.judge import about
from miner.amounts import Chain, format_amount
from miner.cli import daemon, render
from miner.cli.affairs import WAIT_S, ActorOption, ReasonOption, WaitOption, YesOption, ask
from miner.cli.gateway import wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.wallet import MinerOption
from miner.model import Verb

UNKNOWN = "this contract does not tell"

collateral = typer.Typer(no_args_is_help=True, help="A miner's collateral with the contract.")


@collateral.command()
def view(miner: MinerOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Collateral, its limits, and what keeps it: activity, a reservation, an open swap, a cooldown.

    Example: swap-miner collateral view --miner alice
    """
    found = daemon.collateral(settings_of(config), miner) or _asked(config, miner)
    if as_json:
        render.say_json(found)
        return
    for row in found["miners"]:
        for line in lines_of(row):
            render.say(line)
        for each in row["sent"]:
            render.say(f"  sent        {each['txid']}: nonce {each['slot']}, {each['amount']}, {_what(each)}")


def _asked(config: Path | None, miner: str | None) -> dict[str, Any]:
    """The same without a daemon, over connections of the command's own."""
    from miner.ops.business import collateral_facts

    return collateral_facts(asyncio.run(wiring().standings(settings_of(config, files=True), miner)))


AmountArgument = Annotated[
    str, typer.Argument(metavar="AMOUNT", help='With its unit: "1.5 TAO" or "1500000000 rao".')
]


@collateral.command()
def deposit(
    amount: AmountArgument,
    miner: MinerOption = None,
    yes: YesOption = False,
    reason: ReasonOption = "",
    actor_name: ActorOption = None,
    wait: WaitOption = WAIT_S,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Post collateral from the miner's hotkey. A dry run until --yes.

    Example: swap-miner collateral deposit "1.5 TAO" --miner alice --yes
    """
    ask(Verb.DEPOSIT, miner, _rao(amount), yes, reason, actor_name, wait, config, as_json)


@collateral.command()
def withdraw(
    amount: AmountArgument,
    miner: MinerOption = None,
    yes: YesOption = False,
    reason: ReasonOption = "",
    actor_name: ActorOption = None,
    wait: WaitOption = WAIT_S,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take collateral back to the miner's hotkey. A dry run until --yes.

    The contract pays it to an inactive miner, after the cooldown, without reservation or open swap; what is
    not so is said, with the block at which a cooldown ends.

    Example: swap-miner collateral withdraw "1.5 TAO" --miner alice --yes
    """
    ask(Verb.WITHDRAW, miner, _rao(amount), yes, reason, actor_name, wait, config, as_json)


def _rao(text: str) -> int:
    from miner.config import amount_in_tao

    return amount_in_tao(text)


def lines_of(row: Mapping[str, Any]) -> list[str]:
    """A miner's standing for people."""
    rows = {
        "collateral": _tao(row["collateral"]),
        "minimum": _tao(row["minimum"]),
        "maximum": "no limit" if row["maximum"] == "0" else _tao(row["maximum"]),
        "active": _yes(row["active"]),
        "open swap": _yes(row["has_open_swap"]),
        "reserved": _reserved(row),
        "deactivated": _deactivated(row),
        "cooldown": _cooldown(row),
    }
    lines = [f"{row['miner']}: hotkey {row['hotkey']}, at block {row['height']}"]
    lines += [f"  {what:<12}{told}" for what, told in rows.items()]
    return lines + (["  the contract is halted"] if row["halted"] else [])


_MEANS = {
    "signed": "sent, in no block yet",
    "in_block": "in a block that is not final yet",
    "landed": "done",
    "reverted": "refused by the chain",
    "cancelled": "not done: it died unused",
    "taken": "not done: another transaction took its nonce",
    "dead": "not done: its bytes are dead, and its account has begun again at a lower nonce",
}


def _what(sent: dict[str, Any]) -> str:
    block = "" if sent["block"] is None else f" (block {sent['block']})"
    return f"{_MEANS[sent['state']]}{block}"


def _tao(amount: str | None) -> str:
    return UNKNOWN if amount is None else format_amount(int(amount), Chain.TAO)


def _yes(flag: bool | None) -> str:
    return UNKNOWN if flag is None else "yes" if flag else "no"


def _reserved(row: Mapping[str, Any]) -> str:
    until = row["reserved_until"]
    if until is None:
        return UNKNOWN
    return f"until block {until} ({about(until - row['height'])})" if row["reserved"] else "no"


def _deactivated(row: Mapping[str, Any]) -> str:
    if row["deactivation_block"] is None:
        return UNKNOWN
    return f"in block {row['deactivation_block']}" if row["deactivation_block"] else "no"


def _cooldown(row: Mapping[str, Any]) -> str:
    if row["active"]:
        return "begins when it is deactivated"
    if row["cooldown_ends"] is None:
        return "none: collateral may leave"
    if not row["cooldown_blocks_left"]:
        return f"over since block {row['cooldown_ends']}"
    return f"ends at block {row['cooldown_ends']} ({about(row['cooldown_blocks_left'])})"
