"""Asking for a miner's own business: `collateral deposit|withdraw`, `activate`, `deactivate`.

Each is a dry run until `--yes`: it reads, judges and changes nothing. With `--yes` it is a row that the
daemon takes up in its next round and judges again; where no daemon runs, the command does it under the lease.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miner.cli.exits import Exit, printable
from miner.cli.facts import plain
from miner.cli.gateway import acting, actor, looking_if_any, wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.progress import waiting
from miner.cli.recover import WAIT_S, ActorOption, WaitOption, YesOption
from miner.cli.render import say, say_json
from miner.cli.wallet import MinerOption
from miner.model import NO_SWAP, Asked, Came, OperatorRequest, Outcome, Standing, Verb

if TYPE_CHECKING:
    from miner.ports import Store

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
) -> None:
    """Ask for one affair of one miner, and tell what came of it.

    Raises:
        ConfigError: The miner is not named, or there is none such.
        Exit: With exit code 1 where it was refused or could not be done.
    """
    settings = settings_of(config, files=True)
    name, hotkey = wiring().one_miner(settings, miner)
    asked = Asked(
        verb=verb,
        swap_id=NO_SWAP,
        actor=actor(actor_name),
        reason=reason,
        account=hotkey,
        amount=amount,
    )

    async def dry(store: Store | None) -> Sequence[Outcome]:
        return await wiring().would(settings, store, [asked])

    async def do(store: Store) -> Sequence[OperatorRequest]:
        with waiting() as tell:
            return await wiring().ask(settings, store, [asked], wait, tell)

    if yes:
        (request,) = acting(settings, do)
        outcome = _outcome(request, wait)
    else:
        (outcome,) = looking_if_any(settings, dry)
    _tell(verb, name, hotkey, outcome, yes, as_json)
    if outcome.came in (Came.REFUSED, Came.UNKNOWN):
        raise typer.Exit(Exit.WRONG)


def _outcome(request: OperatorRequest, wait: float) -> Outcome:
    """What a request came to; one without an answer says how it stands."""
    if request.outcome is not None:
        return request.outcome
    if request.standing is Standing.WITHDRAWN:
        text = f"the daemon has not answered in {wait:g} s; the request is withdrawn and nothing was done"
        remedy = "see what keeps it: swap-miner status; then ask again"
    else:
        text = f"the daemon is at it and has not answered in {wait:g} s"
        remedy = "see what came of it: swap-miner collateral view"
    return Outcome(swap_id=NO_SWAP, came=Came.UNKNOWN, text=text, remedy=remedy)


def _tell(verb: Verb, name: str, hotkey: str, outcome: Outcome, yes: bool, as_json: bool) -> None:
    if as_json:
        facts = {"miner": name, "hotkey": hotkey, "dry_run": not yes, "outcome": outcome.came.value}
        told = {"text": outcome.text, "next": outcome.remedy, "detail": plain(outcome.detail)}
        say_json({**facts, **told})
        return
    conditions: Any = outcome.detail.get("conditions") or ()
    for each in conditions:
        say(f"  {_SIGNS[each['holds']]:<3} {each['text']}")
    refused = outcome.came in (Came.REFUSED, Came.UNKNOWN)
    lines = [f"{name}: {_WORDS[outcome.came]} {verb}: {outcome.text}"]
    lines += [f"  next: {outcome.remedy}"] if outcome.remedy else []
    for line in lines:
        sys.stderr.write(printable(line) + "\n") if refused else say(line)
    if not yes and outcome.came is Came.WOULD:
        say("a dry run, nothing was done; do it with --yes")


_WORDS = {
    Came.DONE: "did",
    Came.WOULD: "would",
    Came.NOTHING: "nothing to",
    Came.REFUSED: "refused to",
    Came.UNKNOWN: "could not",
}
