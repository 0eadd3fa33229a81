"""Commands on single swaps: `retry`, `release`, `quarantine`, `adopt-payout`, `mark`.

Each is a dry run until `--yes`: it asks the chains, judges, and changes nothing. With `--yes` it is a row in
the store that the daemon takes up in its next round and checks again; where no daemon runs, the command
takes the leases itself. None of them opens the store behind a daemon's back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from miner.cli import complete
from miner.cli.asking import WAIT_S, WORDS, ActorOption, WaitOption, YesOption, settled, tell, went_wrong
from miner.cli.exits import Exit
from miner.cli.facts import plain
from miner.cli.gateway import actor
from miner.cli.options import ConfigOption, JsonOption, SwapArgument, settings_of
from miner.cli.render import say, say_json
from miner.errors import ConfigError
from miner.model import Asked, Came, Outcome, Verb

ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for the journal; needed with --yes.")
]
BlockOption = Annotated[
    int, typer.Option("--block", metavar="HEIGHT", min=0, help="The block of TX, where you know it.")
]
TxArgument = Annotated[str, typer.Argument(metavar="TX", help="Id of the transaction that paid the user.")]
_SPAN = re.compile(r"(\d{1,6})\s*(s|m|h)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, None: 1}


def retry(
    swaps: Annotated[
        list[int],
        typer.Argument(metavar="SWAP…", min=0, help="The swaps to try now.", autocompletion=complete.swaps),
    ],
    yes: YesOption = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the journal.")] = "",
    actor_name: ActorOption = None,
    wait: WaitOption = WAIT_S,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try now what waits for its next attempt: a mark that was refused or failed, a payout being looked for.

    Exit code 1 where nothing was there to try, or the contract still refuses; the answer says which.

    Example: swap-miner retry 7 9 --yes --reason "the miner was voted active again"
    """
    found = [
        Asked(verb=Verb.RETRY, swap_id=each, actor=actor(actor_name), reason=reason)
        for each in dict.fromkeys(swaps)
    ]
    _run(found, yes, wait, config, as_json)


def release(
    swap: SwapArgument,
    yes: YesOption = False,
    reason: ReasonOption = "",
    keep_back: Annotated[
        str, typer.Option("--for", metavar="TIME", help="Keep it from being set aside again: 90s, 10m, 1h.")
    ] = "10m",
    actor_name: ActorOption = None,
    wait: WaitOption = WAIT_S,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give back the money that is set aside for a swap whose payout is not signed yet.

    The swap is paid later, when --for is over, which never takes more than half of the time it has left.
    Refused once a payout is signed, unless its lane is finalised as freed.

    Example: swap-miner release 7 --for 5m --yes --reason "swap 8 is due first"
    """
    _needs_reason(reason, yes)
    found = Asked(
        verb=Verb.RELEASE,
        swap_id=swap,
        actor=actor(actor_name),
        reason=reason,
        hold_s=_seconds(keep_back),
    )
    _run([found], yes, wait, config, as_json)


def quarantine(
    swap: SwapArgument,
    yes: YesOption = False,
    reason: ReasonOption = "",
    actor_name: ActorOption = None,
    wait: WaitOption = WAIT_S,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a held swap for good; nothing more is done for it. No flag overrides a refusal.

    Refused, with the amount at stake, while its payout may be out, or while it was paid, or may have been,
    and the contract still holds it.

    Example: swap-miner quarantine 7 --yes --reason "ended before our archive; user confirmed receipt"
    """
    _decide(Verb.QUARANTINE, swap, "", 0, yes, reason, actor_name, wait, config, as_json)


def adopt_payout(
    swap: SwapArgument,
    tx: TxArgument,
    block: BlockOption = 0,
    yes: YesOption = False,
    reason: ReasonOption = "",
    actor_name: ActorOption = None,
    wait: WaitOption = WAIT_S,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Credit a transaction that was made outside the daemon as the payout of a swap, which is then marked.

    It must be final, by the miner's own account, pay the user exactly what is owed, be no older than the
    swap, and belong to no other swap. What is wrong is said.

    Example: swap-miner adopt-payout 7 0x5f3a… --yes --reason "paid by hand while the daemon was down"
    """
    _decide(Verb.ADOPT, swap, tx, block, yes, reason, actor_name, wait, config, as_json)


def approve(
    swap: SwapArgument,
    yes: YesOption = False,
    reason: ReasonOption = "",
    actor_name: ActorOption = None,
    wait: WaitOption = WAIT_S,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a payout go that is above hold_above and waits for you.

    It waits before anything is signed, across restarts, until the deadline is too near to pay it. An approval
    is for this swap and its amount alone.

    Example: swap-miner approve 7 --yes --reason "the user's payment has 6 confirmations"
    """
    _decide(Verb.APPROVE, swap, "", 0, yes, reason, actor_name, wait, config, as_json)


def mark(
    swap: SwapArgument,
    tx: Annotated[str, typer.Option("--tx", metavar="TX", help="Id of the payout.")],
    block: BlockOption = 0,
    yes: YesOption = False,
    reason: ReasonOption = "",
    actor_name: ActorOption = None,
    wait: WaitOption = WAIT_S,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a swap marked with a payout that is final.

    Where the payout is not credited yet, it is checked and credited first, as adopt-payout does.
    The daemon makes the mark, as it makes all. Where the contract shows it already, nothing changes.

    Example: swap-miner mark 7 --tx 0x5f3a… --yes --reason "the daemon did not find it by itself"
    """
    _decide(Verb.MARK, swap, tx, block, yes, reason, actor_name, wait, config, as_json)


def _decide(
    verb: Verb,
    swap: int,
    tx: str,
    block: int,
    yes: bool,
    reason: str,
    actor_name: str | None,
    wait: float,
    config: Path | None,
    as_json: bool,
) -> None:
    _needs_reason(reason, yes)
    found = Asked(
        verb=verb, swap_id=swap, actor=actor(actor_name), reason=reason, txid=tx.strip(), block=block
    )
    _run([found], yes, wait, config, as_json)


def _needs_reason(reason: str, yes: bool) -> None:
    if yes and not reason.strip():
        raise ConfigError("--reason", "is missing", 'Say why, for the journal: --reason "…"')


def _seconds(text: str) -> int:
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ConfigError("--for", f"{text!r} is no time", "Write it like 90s, 10m or 1h")
    return int(match[1]) * _SECONDS[match[2]]


# asking and telling


def _run(asked: Sequence[Asked], yes: bool, wait: float, config: Path | None, as_json: bool) -> None:
    outcomes = settled(settings_of(config, files=True), asked, yes, wait)
    changed = sum(one.came is Came.DONE for one in outcomes)
    possible = sum(one.came is Came.WOULD for one in outcomes)
    if as_json:
        say_json(_facts(outcomes, yes, changed, possible))
    else:
        _tell(asked[0].verb, outcomes, yes, changed, possible)
    if _went_wrong(asked[0].verb, outcomes):
        raise typer.Exit(Exit.WRONG)


def _went_wrong(verb: Verb, outcomes: Sequence[Outcome]) -> bool:
    idle = all(one.came is Came.NOTHING for one in outcomes)
    return went_wrong(outcomes) or (verb is Verb.RETRY and idle)


def _facts(outcomes: Sequence[Outcome], yes: bool, changed: int, possible: int) -> dict[str, object]:
    rows = [
        {
            "swap_id": one.swap_id,
            "outcome": one.came.value,
            "text": one.text,
            "at_stake": one.stake,
            "next": one.remedy,
            "detail": plain(one.detail),
        }
        for one in outcomes
    ]
    counts = {"looked_at": len(outcomes), "changed": changed, "would_change": possible}
    return {"dry_run": not yes, **counts, "swaps": rows}


def _tell(verb: Verb, outcomes: Sequence[Outcome], yes: bool, changed: int, possible: int) -> None:
    for one in outcomes:
        lines = [f"swap {one.swap_id}: {WORDS[one.came]} {verb}: {one.text}"]
        lines += [f"  at stake: {one.stake}"] if one.stake else []
        lines += [f"  next: {one.remedy}"] if one.remedy else []
        tell(one, lines)
    if yes:
        say(f"looked at {len(outcomes)}, changed {changed}")
    else:
        hint = "; do it with --yes" if possible else ""
        say(f"looked at {len(outcomes)}, would change {possible}; a dry run, nothing was done{hint}")
