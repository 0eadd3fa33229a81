"""Asking for a miner's own business: `collateral deposit|withdraw`, `activate`, `deactivate`, `quote set`.

Each is a dry run until `--yes`: it reads, judges and changes nothing. With `--yes` it is a row that the
daemon takes up in its next round and judges again; where no daemon runs, the command does it under the lease.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miner.cli.asking import WAIT_S, WORDS, ActorOption, WaitOption, YesOption, is_wrong, settled, tell
from miner.cli.exits import Exit
from miner.cli.facts import plain
from miner.cli.gateway import actor, wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.render import say, say_json
from miner.cli.wallet import MinerOption
from miner.model import NO_SWAP, Asked, Came, Outcome, Verb

if TYPE_CHECKING:
    from miner.verify import MinerAccounts

__all__ = ["WAIT_S", "ActorOption", "ReasonOption", "WaitOption", "YesOption", "ask"]

ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the log.")]
_SIGNS = {True: "ok", False: "NO", None: "?"}


def activate(miner: MinerOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell what keeps a miner from being active. Validators vote on that, so nothing is ever sent.

    Exit code 1 where something is missing that the miner can mend; the answer names the command.

    Example: swap-miner activate --miner alice
    """
    ask(Verb.ACTIVATE, miner, 0, False, "", None, WAIT_S, config, as_json)


def deactivate(
    miner: MinerOption = None,
    yes: YesOption = False,
    reason: ReasonOption = "",
    actor_name: ActorOption = None,
    wait: WaitOption = WAIT_S,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a miner's service: no new users are given to it, and after a cooldown its collateral may leave.

    Open swaps go on. Only validators' votes make it active again. A dry run until --yes.

    Example: swap-miner deactivate --miner alice --yes
    """
    ask(Verb.DEACTIVATE, miner, 0, yes, reason, actor_name, wait, config, as_json)


def ask(
    verb: Verb,
    miner: str | None,
    amount: int,
    yes: bool,
    reason: str,
    actor_name: str | None,
    wait: float,
    config: Path | None,
    as_json: bool,
    quoting: Callable[[MinerAccounts], str] | None = None,
) -> None:
    """Ask for one affair of one miner, and tell what came of it.

    Args:
        verb: What.
        miner: Its name or hotkey; None for the only one.
        amount: Collateral to move, rao.
        yes: Whether it is done, and not only looked at.
        reason: Why, for the log.
        actor_name: Who asks; None for whoever runs the command.
        wait: How long the daemon has for it, s.
        config: The settings file.
        as_json: Whether the answer is JSON.
        quoting: For a quote: its text, from the miner's addresses.

    Raises:
        ConfigError: The miner is not named, or there is none such.
        Exit: With exit code 1 where it was refused or could not be done.
    """
    settings = settings_of(config, files=True)
    found = wiring().one_miner(settings, miner)
    asked = Asked(
        verb=verb,
        swap_id=NO_SWAP,
        actor=actor(actor_name),
        reason=reason,
        account=found.hotkey,
        amount=amount,
        text=quoting(found) if quoting is not None else "",
    )
    (outcome,) = settled(settings, [asked], yes, wait)
    _tell(verb, found.name, found.hotkey, outcome, yes, as_json)
    if is_wrong(outcome):
        raise typer.Exit(Exit.WRONG)


def _tell(verb: Verb, name: str, hotkey: str, outcome: Outcome, yes: bool, as_json: bool) -> None:
    if as_json:
        facts = {"miner": name, "hotkey": hotkey, "dry_run": not yes, "outcome": outcome.came.value}
        told = {"text": outcome.text, "next": outcome.remedy, "detail": plain(outcome.detail)}
        say_json({**facts, **told})
        return
    conditions: Any = outcome.detail.get("conditions") or ()
    for each in conditions:
        say(f"  {_SIGNS[each['holds']]:<3} {each['text']}")
    lines = [f"{name}: {WORDS[outcome.came]} {verb}: {outcome.text}"]
    tell(outcome, [*lines, *([f"  next: {outcome.remedy}"] if outcome.remedy else [])])
    if not yes and outcome.came is Came.WOULD:
        say("a dry run, nothing was done; do it with --yes")
