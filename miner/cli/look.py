"""Commands that read: `status`, `swaps`, `show`, `evidence`. They take no lease and change nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miner.cli import complete, daemon, facts, render
from miner.cli.exits import Exit
from miner.cli.gateway import looking
from miner.cli.options import ConfigOption, JsonOption, SwapArgument, settings_of
from miner.errors import ConfigError
from miner.saga import State

if TYPE_CHECKING:
    from miner.config import Settings
    from miner.ports import Store


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """How things stand: swaps by state, next deadline, pauses, stopped accounts, leases, untold recovery.

    A running daemon is asked, and tells its readiness and nodes as well; without one, the store is read.

    Examples: swap-miner status    swap-miner status --json
    """
    from miner.cli.overview import overview

    settings = settings_of(config)
    found = daemon.status(settings) or looking(settings, overview)
    if as_json:
        render.say_json(found)
        return
    for line in render.status_lines(found):
        render.say(line)


def swaps(
    config: ConfigOption = None,
    states: Annotated[
        list[State] | None,
        typer.Option(
            "--state", "-s", case_sensitive=False, help="Only these states; may be given several times."
        ),
    ] = None,
    miner: Annotated[
        str | None,
        typer.Option(
            "--miner", "-m", metavar="NAME|ADDRESS", help="Only this miner's.", autocompletion=complete.miners
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List swaps, newest first.

    Examples: swap-miner swaps    swap-miner swaps --state HELD --state FAILED    swap-miner swaps -m miner-1
    """
    settings = settings_of(config)
    hotkey = None if miner is None else _hotkey(settings, miner)

    async def look(store: Store) -> tuple[list[dict[str, Any]], int]:
        found = await store.list_sagas(states or (), hotkey, limit)
        return [facts.saga_facts(saga) for saga in found], sum((await store.count_by_state()).values())

    rows, known = daemon.swaps(settings, states or (), hotkey, limit) or looking(settings, look)
    if as_json:
        render.say_json({"swaps": rows, "shown": len(rows), "known": known})
        return
    if rows:
        render.say_table(render.swaps_table(rows))
    render.say(f"{len(rows)} of {known} swaps")


def show(swap: SwapArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell one swap's story: its journal as a timeline, its payout and its mark.

    Example: swap-miner show 7
    """
    settings = settings_of(config)
    found = daemon.swap(settings, swap) or _one(settings, swap, facts.whole)
    if as_json:
        render.say_json(found)
        return
    for line in render.timeline(found):
        render.say(line)


def evidence(
    swap: SwapArgument,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="It answers in JSON in any case.")] = True,
) -> None:
    """Print what shows others that a swap was paid and marked, in JSON: ids, blocks, events, outcome.

    Public facts only: neither keys nor signed bytes.

    Example: swap-miner evidence 7 > swap-7.json
    """
    settings = settings_of(config)
    render.say_json(daemon.evidence(settings, swap) or _one(settings, swap, facts.evidence))


def _one(settings: Settings, swap: int, tell: Any) -> dict[str, Any]:
    async def look(store: Store) -> tuple[dict[str, Any] | None, int]:
        saga = await store.saga(swap)
        if saga is None:
            return None, sum((await store.count_by_state()).values())
        return tell(saga, await store.journal(saga.id)), 1

    found, known = looking(settings, look)
    if found is None:
        raise nothing(f"there is no swap {swap} among the {known} in the store (list: swap-miner swaps)")
    return found


def nothing(text: str) -> typer.Exit:
    """Say that nothing was found; raise the result, which ends the command with exit code 1."""
    sys.stderr.write(f"error: {text}\n")
    return typer.Exit(Exit.WRONG)


def _hotkey(settings: Settings, named: str) -> str:
    """The hotkey address of a miner that is named, or given by its address."""
    found = settings.miner(named)
    if found is None:
        if len(named) >= 46:
            return named
        names = ", ".join(miner.name for miner in settings.miners)
        raise ConfigError(
            "--miner", f"there is no miner {named!r}", f"There are: {names}; or give a hotkey address"
        )
    if found.hotkey_address is None:
        raise ConfigError(
            "--miner",
            f"{named!r} has no hotkey_address in the settings",
            "Add it there, or give the address here",
        )
    return found.hotkey_address
