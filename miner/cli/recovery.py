"""`recovery list|show|resolve`: swaps that put money at risk, what is known of them, what was done.

`list` and `show` read. `resolve` appends a line to the log, under its file lock, and changes no swap: it
needs no lease.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miner.cli import complete, facts, render
from miner.cli.exits import Exit, printable
from miner.cli.gateway import actor, looking, looking_if_any, wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.errors import ConfigError, MinerError
from miner.ops.entries import age, beside_swaps, entries_of, named

if TYPE_CHECKING:
    from miner.config import Settings
    from miner.model import Saga
    from miner.ports import Store

recovery = typer.Typer(
    no_args_is_help=True, help="Read the log of swaps that put money at risk, and what to do about each."
)


@dataclass
class Known:
    """What log and store hold.

    Attributes:
        entries: Every entry, oldest first.
        damaged: What of the log is no entry, in words.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


@recovery.command("list")
def list_entries(
    only_open: Annotated[bool, typer.Option("--open", help="Only what nobody has resolved.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every entry, oldest first: its age, the swap as it is now, the amount, and the command for it.

    An entry is resolved by `recovery resolve`; it stays in the log all the same.

    Examples: swap-miner recovery list    swap-miner recovery list --open --json
    """
    known = _known(settings_of(config))
    shown = [one for one in known.entries if not (only_open and one["resolved"])]
    open_ones = sum(one["resolved"] is None for one in known.entries)
    if as_json:
        render.say_json({"entries": shown, "open": open_ones, "damaged": known.damaged})
    else:
        if shown:
            render.say_table(_table(shown))
        render.say(f"{open_ones} open of {len(known.entries)} entries, {len(known.damaged)} damaged lines")
    if known.damaged:
        raise typer.Exit(Exit.WRONG)


@recovery.command("show")
def show_entry(
    entry: Annotated[
        int | None, typer.Argument(metavar="[ID|SWAP]", min=0, help="An entry's id, else a swap's.")
    ] = None,
    swap: Annotated[
        int | None,
        typer.Option(
            "--swap",
            metavar="SWAP",
            min=0,
            help="Of this swap, whatever its entries.",
            autocompletion=complete.swaps,
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the chains.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything known: entries, terms, lanes and attempts by id, journal, and what the chain says now.

    Signed bytes are never shown.

    Examples: swap-miner recovery show 3    swap-miner recovery show --swap 7
    """
    if (entry is None) == (swap is None):
        raise ConfigError("recovery show", "needs an entry's id or --swap", "See: swap-miner recovery list")
    settings = settings_of(config)
    known = _known(settings)
    found = [one for one in known.entries if one["id"] == entry] if swap is None else []
    swap_id = int(found[0]["swap_id"]) if found else (swap if swap is not None else entry)
    story = _story(settings, int(swap_id or 0), offline)
    if not found and story is None:
        what = f"id {entry}" if swap is None else f"swap {swap}"
        sys.stderr.write(f"error: none of the {len(known.entries)} entries has the {what}")
        sys.stderr.write(", and the store knows no such swap (list: swap-miner recovery list)\n")
        raise typer.Exit(Exit.WRONG)
    found = found or [one for one in known.entries if one["swap_id"] == swap_id]
    if as_json:
        render.say_json({"swap_id": swap_id, "entries": found, "swap": story})
        return
    for one in found:
        for line in _lines(one):
            render.say(line)
    for line in [] if story is None else _story_lines(story):
        render.say(line)


@recovery.command("resolve")
def resolve_entry(
    entry: Annotated[int, typer.Argument(metavar="ID", min=0, help="The entry's id, from `recovery list`.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What was done about it.")],
    swap: Annotated[
        int | None, typer.Option("--swap", metavar="SWAP", help="Where several stores' entries share an id.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this: a dry run.")] = False,
    actor_name: Annotated[
        str | None, typer.Option("--actor", metavar="NAME", help="Who decides; the system's user without it.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note that an entry was dealt with: a line is appended, and the entry stays. No swap is changed by it.

    Example: swap-miner recovery resolve 3 --reason "collateral was refunded by the owner" --yes
    """
    if not reason.strip():
        raise ConfigError("--reason", "is empty", "Say what was done about it")
    settings = settings_of(config)
    known = _known(settings)
    one = _the_entry(known, entry, swap)
    already = one["resolved"] is not None
    if yes and not already:
        looking_if_any(settings, _resolving(settings, one, reason, actor(actor_name)))
    _tell_resolved(one, yes, already, as_json)


def _the_entry(known: Known, entry: int, swap: int | None) -> dict[str, Any]:
    found = named(known.entries, entry, swap)
    if len(found) == 1:
        return found[0]
    if found:
        swaps = ", ".join(str(one["swap_id"]) for one in found)
        sys.stderr.write(f"error: {len(found)} entries have the id {entry}: name one by --swap ({swaps})\n")
    else:
        sys.stderr.write(f"error: none of the {len(known.entries)} entries has the id {entry}")
        sys.stderr.write(" (list: swap-miner recovery list)\n")
    raise typer.Exit(Exit.WRONG)


def _resolving(settings: Settings, one: Mapping[str, Any], reason: str, who: str) -> Any:
    async def work(store: Store | None) -> None:
        await wiring().resolve_recovery(settings, store, one, reason, who)

    return work


def _tell_resolved(one: Mapping[str, Any], yes: bool, already: bool, as_json: bool) -> None:
    changed = int(yes and not already)
    if as_json:
        counts = {"looked_at": 1, "changed": changed, "would_change": int(not yes and not already)}
        render.say_json({"dry_run": not yes, **counts, "entry": one})
        return
    name = f"entry {one['id']} (swap {one['swap_id']}, {one['cause']})"
    if already:
        render.say(f"{name} was resolved at {one['resolved']['at']} by {one['resolved']['actor']}")
    else:
        render.say(f"{name}: {'resolved' if yes else 'would be resolved'}")
    if one.get("state_now") == "HELD":
        render.say(f"  swap {one['swap_id']} is still HELD and followed; next: {one['command']}")
    dry = "" if yes else "; a dry run, nothing was done; do it with --yes"
    render.say(f"looked at 1, changed {changed}{dry}")


# reading


def _known(settings: Settings) -> Known:
    file, damaged = wiring().read_recovery(settings)
    for line in damaged:
        sys.stderr.write(printable(f"warning: recovery log, {line}") + "\n")

    async def look(store: Store | None) -> list[dict[str, Any]]:
        stored = await store.every_recovery() if store is not None else ()
        return await beside_swaps(store, entries_of(file, stored))

    return Known(looking_if_any(settings, look), list(damaged))


def _story(settings: Settings, swap_id: int, offline: bool) -> dict[str, Any] | None:
    """The swap as the store has it, every lane it had, and what the chain says."""
    if not settings.store.may_exist:
        return None

    async def look(store: Store) -> dict[str, Any] | None:
        saga = await store.saga(swap_id)
        if saga is None:
            return None
        told = facts.whole(saga, await store.journal(saga.id))
        told["lanes"] = [facts.lane_facts(lane) for lane in await store.lanes_of(saga.id)]
        told["chain_now"] = None if offline else await _asked(settings, store, saga)
        return told

    return looking(settings, look)


async def _asked(settings: Settings, store: Store, saga: Saga) -> Mapping[str, Any]:
    try:
        return dict(facts.plain(await wiring().chain_now(settings, store, saga)))
    except MinerError as error:
        return {"problem": str(error)}


# telling


def _table(entries: Sequence[Mapping[str, Any]]) -> Any:
    out = render.table("id", "age", "swap", "state", "now", "cause", "amount", "resolved", "command")
    now = datetime.now(UTC)
    for one in entries:
        render.add(
            out,
            one["id"],
            age(one["at"], now),
            one["swap_id"],
            one["state"],
            one["state_now"],
            one["cause"],
            _amount(one),
            f"{age(one['resolved']['at'], now)} ago" if one["resolved"] else "open",
            one["command"],
        )
    return out


def _amount(one: Mapping[str, Any]) -> str | None:
    if one["amount"] is None or one["amount_chain"] is None:
        return None if one["amount"] is None else str(one["amount"])
    return render.amount(str(one["amount"]), str(one["amount_chain"]))


def _lines(entry: Mapping[str, Any]) -> list[str]:
    lines = [
        f"entry {entry['id']} of {entry['at']}: swap {entry['swap_id']}, {entry['state']}",
        f"  cause: {entry['cause']} ({entry['means']})",
        f"  what to do: {entry['what_to_do']}",
        f"  next: {entry['command']}",
        f"  contract: {entry['contract']}",
    ]
    if resolved := entry["resolved"]:
        lines.append(f"  resolved at {resolved['at']} by {resolved['actor']}: {resolved['reason']}")
    return lines + [f"  {key}: {value}" for key, value in dict(entry.get("detail") or {}).items()]


def _story_lines(story: Mapping[str, Any]) -> list[str]:
    lines = render.timeline(story)
    older = [lane for lane in story["lanes"] if lane is not None]
    lines.append(f"lanes: {len(older)}")
    for lane in older:
        ids = ", ".join(f"{one['kind']} {one['txid']}" for one in lane["attempts"]) or lane["txid"]
        lines.append(f"  {lane['purpose']} {lane['state']}, slot {lane['slot']} of {lane['account']}: {ids}")
    now = story["chain_now"]
    if now is None:
        return [*lines, "the chain now: not asked (--offline)"]
    if "problem" in now:
        return [*lines, f"the chain now: could not be asked: {now['problem']}"]
    lines.append(
        f"the chain now, at finalised block {now['finalised']['height']}: {now['status']}, "
        f"{now['blocks_left']} blocks left"
        + (f", marked with {now['dest_tx_hash']}" if now["dest_tx_hash"] else "")
    )
    return lines + [f"  {_lane_now(lane)}" for lane in now["lanes"]]


def _lane_now(lane: Mapping[str, Any]) -> str:
    if "problem" in lane:
        return f"{lane['purpose']} lane {lane['lane']}: could not be seen: {lane['problem']}"
    block = "" if lane["block"] is None else f" in block {lane['block']['height']}"
    return f"{lane['purpose']} lane {lane['lane']}: {lane['seen']} {lane['txid'] or ''}{block}"
