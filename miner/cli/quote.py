"""`quote show`: the on-chain quote as users read it, and what they would receive by it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miner.amounts import Chain
from miner.cli import render
from miner.cli.exits import Exit
from miner.cli.gateway import wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.wallet import MinerOption
from miner.errors import Refused
from miner.model.quote import Direction, Quote, parse_quote, preview

if TYPE_CHECKING:
    from miner.app.affairs import Committed

quote = typer.Typer(no_args_is_help=True, help="A miner's quote: what users read on chain to choose it.")

TextOption = Annotated[
    str | None,
    typer.Option("--text", metavar="QUOTE", help="Read this text instead of what the chain holds."),
]


@quote.command()
def show(
    miner: MinerOption = None,
    text: TextOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the committed quote as users read it: each field, whether it is valid, what they would receive.

    With --text it judges a text that is not committed yet. Exit code 1 where a miner has no valid quote, or
    where its addresses are not the configured ones.

    Examples: swap-miner quote show    swap-miner quote show --text v1:btc:bc1q…:tao:5F3s…:345:0.0028
    """
    found = asyncio.run(wiring().quotes(settings_of(config, files=True), miner, read=text is None))
    rows = [facts_of(each, found.fee_divisor, text) for each in found.miners]
    if as_json:
        render.say_json({"height": found.height, "fee_divisor": found.fee_divisor, "miners": rows})
    else:
        for row in rows:
            for line in _lines(row):
                render.say(line)
    if any(row["problems"] for row in rows):
        sys.stderr.write("error: not every miner has a quote that users can use\n")
        raise typer.Exit(Exit.WRONG)


def facts_of(miner: Committed, fee_divisor: int, text: str | None = None) -> dict[str, Any]:
    """A miner's quote as plain values, with everything that is wrong with it."""
    text = miner.text if text is None else text
    facts: dict[str, Any] = {"miner": miner.miner, "hotkey": miner.hotkey, "block": miner.block or None}
    facts |= {"text": text, "valid": False, "directions": [], "problems": []}
    if text is None:
        return {**facts, "problems": [miner.problem or "it has committed no text"]}
    try:
        quoted = parse_quote(text)
    except Refused as refused:
        return {**facts, "problems": [refused.cause]}
    return {
        **facts,
        "valid": True,
        "directions": [_direction(each, fee_divisor) for each in quoted.directions],
        "problems": problems_of(quoted, miner),
    }


def _direction(direction: Direction, fee_divisor: int) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "from": direction.source,
        "to": direction.dest,
        "users_pay_to": direction.pays_to,
        "miner_pays_from": direction.pays_from,
        "rate": direction.rate,
        "offered": direction.offered,
        "preview": None,
    }
    try:
        told = preview(direction, fee_divisor)
    except Refused:
        return facts
    pays = {"pays": str(told.pays), "receives": str(told.receives), "text": str(told)}
    return {**facts, "preview": pays}


def problems_of(quoted: Quote, miner: Committed) -> list[str]:
    """What is wrong with a quote that users can read: they would be led astray by it."""
    problems = []
    for chain, address in (
        (quoted.forward.source, quoted.forward.pays_to),
        (quoted.forward.dest, quoted.forward.pays_from),
    ):
        if chain not in tuple(Chain):
            problems.append(f"{chain!r} is no chain that a swap may name")
        elif miner.accounts.get(Chain(chain)) not in (None, address):
            ours = miner.accounts[Chain(chain)]
            problems.append(f"its {chain} address is {address}, and the daemon pays from {ours}")
        elif Chain(chain) not in miner.accounts:
            problems.append(f"it names {chain}, for which the settings have no address")
    for direction in quoted.directions:
        problems += _unpayable(direction)
    if not any(direction.offered for direction in quoted.directions):
        problems.append("both directions are switched off")
    return problems


def _unpayable(direction: Direction) -> list[str]:
    try:
        preview(direction, 1)
    except Refused as refused:
        if refused.name == "bad_rate":
            return [f"swaps {direction.source} to {direction.dest} would be refused: {refused.cause}"]
    return []


def _lines(row: dict[str, Any]) -> list[str]:
    lines = [f"{row['miner']}: hotkey {row['hotkey']}"]
    if row["text"] is not None:
        when = f", committed in block {row['block']}" if row["block"] else ""
        lines.append(f"  {row['text']} ({len(row['text'].encode())} bytes{when})")
    for each in row["directions"]:
        lines.append(f"  {each['from']} → {each['to']}: {_offer(each)}")
        lines.append(
            f"    users pay to {each['users_pay_to']}; the miner pays from {each['miner_pays_from']}"
        )
        lines += [f"    {each['preview']['text']}"] if each["preview"] else []
    return lines + [f"  problem: {problem}" for problem in row["problems"]]


def _offer(direction: dict[str, Any]) -> str:
    return f"rate {direction['rate']} TAO per BTC" if direction["offered"] else "switched off (rate 0)"
