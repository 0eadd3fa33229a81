"""`quote show|set`: the on-chain quote as users read it, what they receive by it, and committing one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miner.cli import daemon, render
from miner.cli.affairs import WAIT_S, ActorOption, ReasonOption, WaitOption, YesOption, ask
from miner.cli.exits import Exit
from miner.cli.gateway import wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.wallet import MinerOption
from miner.model import Verb
from miner.model.quote import parse_quote, quote_of

if TYPE_CHECKING:
    from miner.verify import MinerAccounts

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


NewTextOption = Annotated[
    str | None, typer.Option("--text", metavar="QUOTE", help="The whole quote, instead of the two rates.")
]
BtcToTaoOption = Annotated[
    str | None,
    typer.Option("--btc-to-tao", metavar="RATE", help="TAO per BTC for users who pay BTC; 0: not offered."),
]
TaoToBtcOption = Annotated[
    str | None,
    typer.Option("--tao-to-btc", metavar="RATE", help="TAO per BTC for users who pay TAO; 0: not offered."),
]


@quote.command("set")
def set_(
    btc_to_tao: BtcToTaoOption = None,
    tao_to_btc: TaoToBtcOption = None,
    text: NewTextOption = None,
    miner: MinerOption = None,
    yes: YesOption = False,
    reason: ReasonOption = "",
    actor_name: ActorOption = None,
    wait: WaitOption = WAIT_S,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Commit a miner's quote on chain, in place of the one before. A dry run until --yes.

    Both rates are TAO per BTC. The addresses are those of the settings, so that users pay where the daemon
    looks. The quote is judged as users read it before anything is sent, and what they would receive is shown.
    Open swaps keep the rate they began with.

    Example: swap-miner quote set --btc-to-tao 345 --tao-to-btc 352.5 --miner alice --yes
    """
    if (text is None) == (btc_to_tao is None and tao_to_btc is None):
        raise typer.BadParameter("give both rates, or the whole quote by --text", param_hint="--btc-to-tao")
    if text is None and (btc_to_tao is None or tao_to_btc is None):
        missing = "--btc-to-tao" if btc_to_tao is None else "--tao-to-btc"
        raise typer.BadParameter("is missing; 0 switches that direction off", param_hint=missing)

    def quoting(found: MinerAccounts) -> str:
        quoted = parse_quote(text) if text is not None else None
        return (quoted or quote_of(found.accounts, btc_to_tao or "", tao_to_btc or "")).text

    ask(Verb.QUOTE, miner, 0, yes, reason, actor_name, wait, config, as_json, quoting)


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
