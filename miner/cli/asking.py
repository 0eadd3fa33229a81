"""Asking the daemon, or whoever holds the lease, for something: a dry run until `--yes`.

A dry run asks the chains, judges, and changes nothing. With `--yes` what is asked is a row in the store that
the daemon takes up in its next round and judges again; where no daemon runs, the command takes the leases
itself. Nothing here works on the store behind a daemon's back.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from miner.cli.exits import printable
from miner.cli.gateway import acting, looking, looking_if_any, wiring
from miner.cli.progress import waiting
from miner.cli.render import say
from miner.model import Asked, Came, OperatorRequest, Outcome
from miner.recover.answers import outcome_of

if TYPE_CHECKING:
    from miner.config import Settings
    from miner.ports import Store

YesOption = Annotated[
    bool, typer.Option("--yes", help="Do it. Without this: a dry run, which changes nothing.")
]
ActorOption = Annotated[
    str | None, typer.Option("--actor", metavar="NAME", help="Who decides; the system's user without it.")
]
WaitOption = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=1,
        max=3600,
        help="How long the daemon has to answer; then withdrawn.",
    ),
]
WAIT_S = 90.0
"""How long the daemon has to answer, where nothing else is said."""
WORDS = {
    Came.DONE: "did",
    Came.WOULD: "would",
    Came.NOTHING: "nothing to",
    Came.REFUSED: "refused to",
    Came.UNKNOWN: "could not",
}


def settled(settings: Settings, asked: Sequence[Asked], yes: bool, wait_s: float) -> Sequence[Outcome]:
    """What came of requests, or would; in their order.

    Raises:
        StoreUnavailable: There is no store yet, and it is about swaps, which it would know. For a miner's
            own business one is made.
        MinerError: It could neither be asked for nor be done here; nothing was done.
    """

    async def dry(store: Store | None) -> Sequence[Outcome]:
        return await wiring().would(settings, store, asked)

    async def do(store: Store) -> Sequence[OperatorRequest]:
        with waiting() as say_what:
            return await wiring().ask(settings, store, asked, wait_s, say_what)

    of_miners = all(one.verb.is_affair for one in asked)
    if yes:
        found = acting(settings, do) if of_miners else looking(settings, do)
        return [outcome_of(one, wait_s) for one in found]
    return looking_if_any(settings, dry) if of_miners else looking(settings, dry)


def went_wrong(outcomes: Iterable[Outcome]) -> bool:
    """Whether any was refused, or is not known."""
    return any(is_wrong(one) for one in outcomes)


def is_wrong(outcome: Outcome) -> bool:
    """Whether it was refused, or is not known."""
    return outcome.came in (Came.REFUSED, Came.UNKNOWN)


def tell(outcome: Outcome, lines: Iterable[str]) -> None:
    """Say what came of one; what went wrong goes to standard error."""
    for line in lines:
        if is_wrong(outcome):
            sys.stderr.write(printable(line) + "\n")
        else:
            say(line)
