"""Commands by which the operator decides: `pause`, `resume`, `drain`, `import-sent`.

Each writes rows that a running daemon reads in its own transactions, and changes no swap: a pause is read
in every round; what stops or clears an account, and what an import names, is read again in the very
transaction that would sign; the pinned code before each payout. So they need no lease. Commands that change
a swap go through its lease: see `miner.cli.recover`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miner.affairs.drain import Drained, ask_to_drain
from miner.affairs.pausing import Paused, set_paused
from miner.amounts import Chain
from miner.cli.asking import WAIT_S
from miner.cli.exits import Exit
from miner.cli.gateway import acting, actor, looking, wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.render import say, say_json
from miner.errors import ConfigError
from miner.model import NO_SWAP, Asked, Verb
from miner.recover.answers import outcome_of

if TYPE_CHECKING:
    from miner.config import Settings
    from miner.model import MinerStanding
    from miner.ports import Store

ChainArgument = Annotated[
    Chain | None,
    typer.Argument(metavar="[tao|btc]", case_sensitive=False, help="One chain; without it: all."),
]


def pause(chain: ChainArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Begin no more payouts. What is signed is still followed, rebroadcast and marked.

    Holds across restarts, until `resume`. A paused miner may miss deadlines.

    Examples: swap-miner pause    swap-miner pause btc
    """
    _set_paused(chain, True, config, as_json)


def resume(
    chain: ChainArgument = None,
    account: Annotated[
        str | None,
        typer.Option(
            "--account", metavar="ADDRESS", help="Clear an account that was stopped, once it is explained."
        ),
    ] = None,
    code: Annotated[
        bool,
        typer.Option("--code", help="Accept the contract's code as it is now; know what changed first."),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin payouts again: after `pause`, `drain`, a stopped account, or a change of the contract.

    An account is stopped when something was spent from it that no swap explains: another program or store
    with the same key, or a restored backup. Find out first: what it paid counts as explained from now on.

    The contract's code is pinned at the first start. When another code appears, no payout is begun until
    --code accepts it.

    Examples: swap-miner resume    swap-miner resume btc    swap-miner resume --account 5F3s…
    """
    if (chain is not None) + (account is not None) + code > 1:
        raise ConfigError("resume", "was given more than one of a chain, --account and --code", "Give one")
    if code:
        _accept_code(config, as_json)
    elif account is not None:
        _clear(account, config, as_json)
    else:
        _set_paused(chain, False, config, as_json)


def drain(
    deactivate: Annotated[
        bool, typer.Option("--deactivate", help="Deactivate every active miner first, so that no users come.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it. Without this: tell what is left, and change nothing.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Finish what is open; the daemon ends, with exit code 0, once nothing is left.

    Holds across restarts, until `resume`. A swap that a user was given is always served, since letting it
    time out costs collateral; so the daemon goes on while a miner is active or reserved, and says so.

    Examples: swap-miner drain    swap-miner drain --deactivate --yes
    """
    settings = settings_of(config, files=True)

    async def work(store: Store) -> Drained:
        return await ask_to_drain(
            store,
            lambda: _standings(settings),
            (lambda hotkey: _deactivated(settings, store, hotkey)) if deactivate else None,
            actor(),
            do=yes,
        )

    found = acting(settings, work) if yes else looking(settings, work)
    if as_json:
        say_json(
            {
                "draining": yes,
                "changed": found.changed,
                "left": list(found.left),
                "deactivated": list(found.deactivated),
            }
        )
        return
    say("draining" if yes else "a dry run, nothing was done; do it with --yes")
    for each in found.deactivated:
        say(f"deactivate: {each}")
    say("left to do:" if found.left else "nothing is left to do: the daemon ends at its next round")
    for each in found.left:
        say(f"  {each}")


async def _standings(settings: Settings) -> Sequence[tuple[str, MinerStanding]]:
    return (await wiring().standings(settings, None)).miners


async def _deactivated(settings: Settings, store: Store, hotkey: str) -> str:
    """Ask for one miner's deactivation; what came of it, in words."""
    asked = Asked(verb=Verb.DEACTIVATE, swap_id=NO_SWAP, actor=actor(), account=hotkey, reason="drain")
    (request,) = await wiring().ask(settings, store, [asked], WAIT_S, lambda _text: None)
    return outcome_of(request, WAIT_S).text


def _set_paused(chain: Chain | None, paused: bool, config: Path | None, as_json: bool) -> None:
    async def work(store: Store) -> Paused:
        return await set_paused(store, chain, paused, actor())

    found = acting(settings_of(config), work)
    if as_json:
        told = {"what": found.what, "paused": paused, "changed": found.changed}
        say_json({**told, "now_paused": list(found.now_paused)})
        return
    word = "paused" if paused else "resumed"
    before = "" if paused else "not "
    say(
        f"{word} {found.what}"
        if found.changed
        else f"nothing changed: {found.what} was {before}paused already"
    )
    say(f"paused now: {', '.join(found.now_paused) or 'nothing'}")


def _clear(account: str, config: Path | None, as_json: bool) -> None:
    settings = settings_of(config, files=True)

    async def work(store: Store) -> bool | None:
        return await wiring().clear_account(settings, store, account, actor())

    cleared = looking(settings, work)
    if as_json:
        say_json({"account": account, "known": cleared is not None, "cleared": bool(cleared)})
    elif cleared is None:
        say(f"looked for {account}: the store knows no such account (list: swap-miner status)")
    else:
        say(f"{account} {'may pay again' if cleared else 'was not stopped; nothing changed'}")
    if cleared is None:
        raise typer.Exit(Exit.WRONG)


def _accept_code(config: Path | None, as_json: bool) -> None:
    settings = settings_of(config, files=True)

    async def work(store: Store) -> tuple[str, str]:
        return await wiring().accept_code(settings, store, actor())

    before, now = looking(settings, work)
    if as_json:
        say_json({"before": before, "now": now, "changed": before != now})
    elif before == now:
        say(f"nothing changed: the contract's code is the pinned one, {now}")
    else:
        say(f"accepted the contract's code {now}; it was {before}")


def import_sent(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The other program's sent cache.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count only.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in the sent cache of the program that mined with these keys before.

    Swaps that it says it paid are not paid again: each is looked for on the chain, adopted, or held for you.
    This only ever adds caution. Stop the other program first. A damaged file is refused as a whole.

    Examples: swap-miner import-sent sent.json --dry-run    swap-miner import-sent sent.json
    """
    settings = settings_of(config)
    sends = wiring().parse_sent_cache(file)

    async def count(store: Store) -> int:
        known = [await store.imported(send.swap_id) for send in sends]
        return sum(one is None for one in known)

    async def take(store: Store) -> int:
        return await store.import_sent(sends)

    if dry_run and not settings.store.may_exist:
        new = len(sends)
    else:
        new = acting(settings, count if dry_run else take)
    if as_json:
        say_json({"looked_at": len(sends), "new": new, "dry_run": dry_run})
        return
    say(
        f"looked at {len(sends)} entries of {file}: {new} new"
        + (" (nothing was stored)" if dry_run else " and stored")
    )
