"""`quote show`: the on-chain quote as users read it, and what they would receive by it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from miner.cli import daemon, render
from miner.cli.exits import Exit
from miner.cli.gateway import wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.wallet import MinerOption

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
    found = daemon.quote(settings_of(config), miner, text) or _asked(config, miner, text)
    rows = found["miners"]
    if as_json:
        render.say_json(found)
    else:
        for row in rows:
            for line in _lines(row):
                render.say(line)
    if any(row["problems"] for row in rows):
        sys.stderr.write("error: not every miner has a quote that users can use\n")
        raise typer.Exit(Exit.WRONG)


def _asked(config: Path | None, miner: str | None, text: str | None) -> dict[str, Any]:
    """The same without a daemon, over connections of the command's own."""
    from miner.ops.business import quotes_facts

    settings = settings_of(config, files=True)
    return quotes_facts(asyncio.run(wiring().quotes(settings, miner, read=text is None)), text)


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
