"""Commands by which the operator decides: `pause`, `resume`, `import-sent`.

Each writes rows that a running daemon reads in its own transactions, and changes no swap: a pause is read
in every round; what stops or clears an account, and what an import names, is read again in the very
transaction that would sign; the pinned code before each payout. So they need no lease. Commands that change
a swap go through its lease: see `miner.cli.recover`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from miner.amounts import Chain
from miner.cli.exits import Exit
from miner.cli.gateway import acting, actor, looking, wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.render import say, say_json
from miner.errors import ConfigError

if TYPE_CHECKING:
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
    """Begin payouts again, after `pause`, after an account was stopped, or after the contract changed.

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


def _set_paused(chain: Chain | None, paused: bool, config: Path | None, as_json: bool) -> None:
    what = "all" if chain is None else chain.value

    async def work(store: Store) -> tuple[bool, list[str]]:
        return await store.set_paused(what, paused, actor()), sorted(await store.paused())

    changed, now = acting(settings_of(config), work)
    if as_json:
        say_json({"what": what, "paused": paused, "changed": changed, "now_paused": now})
        return
    word = "paused" if paused else "resumed"
    say(
        f"{word} {what}"
        if changed
        else f"nothing changed: {what} was {'' if paused else 'not '}paused already"
    )
    say(f"paused now: {', '.join(now) or 'nothing'}")


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
