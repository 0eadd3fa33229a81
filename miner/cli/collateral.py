"""`collateral view|deposit|withdraw`: what a miner has with the contract, and moving it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miner.affairs.judge import about
from miner.amounts import Chain, format_amount
from miner.cli import render
from miner.cli.affairs import WAIT_S, ActorOption, ReasonOption, WaitOption, YesOption, ask
from miner.cli.gateway import wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.wallet import MinerOption
from miner.model import Verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miner.model import Lane, MinerStanding

UNKNOWN = "this contract does not tell"

collateral = typer.Typer(no_args_is_help=True, help="A miner's collateral with the contract.")


@collateral.command()
def view(miner: MinerOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Collateral, its limits, and what keeps it: activity, a reservation, an open swap, a cooldown.

    Example: swap-miner collateral view --miner alice
    """
    found = asyncio.run(wiring().standings(settings_of(config, files=True), miner))
    if as_json:
        rows = [{**facts_of(*each), "sent": _sent(each[1].miner, found.sent)} for each in found.miners]
        render.say_json({"height": found.best_height, "miners": rows})
        return
    for name, standing in found.miners:
        for line in lines_of(name, standing):
            render.say(line)
        for each in _sent(standing.miner, found.sent):
            render.say(f"  sent        {each['txid']}: nonce {each['slot']}, {each['amount']}, {_what(each)}")


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


def _sent(hotkey: str, lanes: Sequence[Lane]) -> list[dict[str, Any]]:
    """A hotkey's transactions of its own, newest first."""
    return [
        {
            "txid": lane.txid or lane.attempts[0].tx.txid,
            "slot": lane.slot,
            "amount": format_amount(lane.amount, Chain.TAO),
            "state": lane.state.value,
            "block": lane.block.height if lane.block else None,
        }
        for lane in lanes
        if lane.account == hotkey
    ]


_MEANS = {
    "signed": "sent, in no block yet",
    "in_block": "in a block that is not final yet",
    "landed": "done",
    "reverted": "refused by the chain",
    "cancelled": "not done: it died unused",
    "taken": "not done: another transaction took its nonce",
}


def _what(sent: dict[str, Any]) -> str:
    block = "" if sent["block"] is None else f" (block {sent['block']})"
    return f"{_MEANS[sent['state']]}{block}"


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
