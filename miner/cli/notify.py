"""`notify list|test|dead|replay`: who is told what, whether it arrives, and what was given up."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miner.cli import complete, render
from miner.cli.exits import Exit, printable
from miner.cli.facts import delivery_facts, when
from miner.cli.gateway import acting, actor, looking, wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.errors import ConfigError
from miner.model import DeliveryStanding

if TYPE_CHECKING:
    from miner.config import Settings
    from miner.ports import Store

notify = typer.Typer(
    no_args_is_help=True, help="See who is told what happens, try it, and send again what did not arrive."
)

TargetArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[TARGET]", help="A target's name; all of them without it.", autocompletion=complete.targets
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="Show this many.")]


@notify.command("list")
def list_targets(limit: LimitOption = 20, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List targets with what waits, arrived and was given up; what is wrong now; and the newest messages.

    Examples: swap-miner notify list    swap-miner notify list --json
    """
    settings = settings_of(config)

    async def read(store: Store) -> dict[str, Any]:
        found = dict(await wiring().notify_overview(settings, store))
        newest = await wiring().outbox(settings, store).deliveries(limit=limit)
        return {**found, "deliveries": [delivery_facts(each) for each in newest]}

    told = looking(settings, read)
    if as_json:
        render.say_json(told)
        return
    _say_targets(told["targets"])
    for one in told["conditions"]:
        render.say(f"wrong now: {one['event']} {one['subject']}, since {when(one['since_ms'])}")
    if told["deliveries"]:
        render.say_table(_table(told["deliveries"]))


@notify.command("test")
def send_test(
    target: TargetArgument = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Send a test message to a target, or to all of them, and say what came of it.

    Examples: swap-miner notify test    swap-miner notify test ops
    """
    settings = _with_target(settings_of(config), target)
    found = asyncio.run(wiring().notify_test(settings, target))
    if as_json:
        render.say_json({"targets": list(found)})
    else:
        for one in found:
            render.say(f"{one['target']}: {one['problem'] or 'it arrived'} ({one['took_ms']} ms)")
    if not found:
        sys.stderr.write("error: the settings name no [[notify]] target\n")
    if not found or any(one["problem"] for one in found):
        raise typer.Exit(Exit.WRONG)


@notify.command("dead")
def dead(limit: LimitOption = 100, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List messages that were given up, newest first, with the reason. `notify replay` sends them again.

    Example: swap-miner notify dead
    """
    settings = settings_of(config)

    async def read(store: Store) -> list[dict[str, Any]]:
        outbox = wiring().outbox(settings, store)
        return [delivery_facts(each) for each in await outbox.deliveries([DeliveryStanding.DEAD], limit)]

    found = looking(settings, read)
    if as_json:
        render.say_json({"deliveries": found})
        return
    if found:
        render.say_table(_table(found))
    render.say(f"{len(found)} given up" + ("; send them again: swap-miner notify replay" if found else ""))


@notify.command("replay")
def replay(
    target: TargetArgument = None,
    notice: Annotated[
        int, typer.Option("--notice", metavar="ID", min=0, help="Only this notice, from `notify dead`.")
    ] = 0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have messages that were given up sent again by the daemon, under the same ids.

    Examples: swap-miner notify replay    swap-miner notify replay ops --notice 12
    """
    settings = settings_of(config)

    async def write(store: Store) -> int:
        return await wiring().outbox(settings, store).replay(actor(), target or "", notice)

    changed = acting(settings, write)
    if as_json:
        render.say_json({"replayed": changed})
    else:
        render.say(f"{changed} messages are sent again")
    if not changed:
        raise typer.Exit(Exit.WRONG)


def _with_target(settings: Settings, target: str | None) -> Settings:
    names = [each.name for each in settings.notify]
    if target is not None and target not in names:
        told = ", ".join(names) or "none"
        raise ConfigError("[[notify]]", f"no target is called {printable(target)!r}", f"There are: {told}")
    return settings


def _say_targets(targets: Sequence[dict[str, Any]]) -> None:
    if not targets:
        render.say("nobody is told: the settings name no [[notify]] target")
        return
    out = render.table("target", "kind", "events", "from", "waiting", "arrived", "given up")
    for one in targets:
        events = ", ".join(one["events"])
        row = (one["target"], one["kind"], events, one["least_severity"])
        render.add(out, *row, one["waiting"], one["delivered"], one["dead"])
    render.say_table(out)


def _table(deliveries: Sequence[dict[str, Any]]) -> Any:
    out = render.table("id", "at", "target", "event", "phase", "text", "standing", "attempts", "why not")
    for one in deliveries:
        render.add(
            out,
            one["notice"],
            one["at"],
            one["target"],
            one["event"],
            one["phase"],
            one["text"],
            one["standing"],
            one["attempts"],
            one["last_error"],
        )
    return out
