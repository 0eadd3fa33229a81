"""`rebuild`: the store's rows from their journals; with `--from-chain`, open swaps from the chains."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from miner.cli import complete
from miner.cli.exits import Exit
from miner.cli.gateway import actor, looking, wiring
from miner.cli.options import ConfigOption, JsonOption, settings_of
from miner.cli.progress import counting
from miner.cli.render import add, amount, say, say_json, say_table, short, table
from miner.errors import ConfigError

if TYPE_CHECKING:
    from miner.config import Settings
    from miner.model import Audit
    from miner.ports import Store


def rebuild(
    swaps: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[SWAP]…", min=0, help="Which; all without it.", autocompletion=complete.swaps
        ),
    ] = None,
    from_chain: Annotated[
        bool,
        typer.Option("--from-chain", help="The store is gone: find the open swaps and their payouts."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without it only say what would be done.")
    ] = False,
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="SECONDS", min=0, help="For payouts that are not final yet."),
    ] = 60.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute what the store holds anew. Stop the daemon first; without --yes nothing is changed.

    A swap's row follows from its journal: where the two differ, the row is written anew.

    With --from-chain, where the store is gone: every open swap of your miners is looked for on the contract,
    and its payout in everything that its account has sent since. What was paid is adopted and marked by the
    daemon; what is proved to be unpaid is paid by it; what is neither is held for you.

    Examples: swap-miner rebuild    swap-miner rebuild 7 --yes    swap-miner rebuild --from-chain --yes
    """
    if from_chain and swaps:
        raise ConfigError("rebuild", "was given swaps and --from-chain", "Give one of the two")
    settings = settings_of(config, files=from_chain)
    if from_chain:
        _from_chain(settings, yes, wait, as_json)
    else:
        _from_journal(settings, swaps or [], yes, as_json)


def _from_journal(settings: Settings, swaps: Sequence[int], yes: bool, as_json: bool) -> None:
    with counting(not as_json) as progress:

        async def work(store: Store) -> Sequence[Audit]:
            return await wiring().rebuild_rows(store, swaps, actor(), do=yes, progress=progress)

        found = looking(settings, work)
    missing = sorted(set(swaps) - {each.swap_id for each in found})
    differing = [each for each in found if not each.agrees]
    repaired = sum(bool(each.differences) for each in differing) if yes else 0
    if as_json:
        say_json(
            {
                "looked_at": len(found),
                "differing": len(differing),
                "repaired": repaired,
                "not_found": missing,
                "swaps": [_audit(each) for each in differing],
            }
        )
    else:
        _say_rows(differing, missing)
        say(f"looked at {len(found)}, differing {len(differing)}, repaired {repaired}")
        if any(each.differences for each in differing) and not yes:
            say("write them anew: the same command with --yes")
    if missing or any(each.broken for each in differing) or (differing and not yes):
        raise typer.Exit(Exit.WRONG)


def _say_rows(differing: Sequence[Audit], missing: Sequence[int]) -> None:
    if differing:
        out = table("swap", "state", "column", "row", "journal")
        for each in differing:
            for one in each.differences:
                add(out, each.swap_id, each.state, one.column, one.row, one.journal)
            if each.broken:
                add(out, each.swap_id, each.state, "(journal)", None, each.broken)
        say_table(out)
    for swap_id in missing:
        sys.stderr.write(f"error: there is no swap {swap_id} in the store\n")


def _audit(each: Audit) -> dict[str, Any]:
    changes = {one.column: {"row": one.row, "journal": one.journal} for one in each.differences}
    return {
        "swap_id": each.swap_id,
        "state": each.state.value,
        "columns": changes,
        "broken": each.broken or None,
    }


def _from_chain(settings: Settings, yes: bool, wait_s: float, as_json: bool) -> None:
    with counting(not as_json) as progress:
        work = wiring().rebuild_from_chain(settings, actor(), do=yes, wait_s=wait_s, progress=progress)
        found = asyncio.run(work)
    if as_json:
        say_json(found)
    else:
        _say_found(found, yes)
    if found["undecided"]:
        raise typer.Exit(Exit.WRONG)


def _say_found(found: Mapping[str, Any], yes: bool) -> None:
    if found["swaps"]:
        out = table("swap", "verdict", "amount", "to", "deadline", "payout", "block", "why")
        for each in found["swaps"]:
            block = each["payout_block"]
            add(
                out,
                each["swap_id"],
                each["verdict"],
                None if each["amount"] is None else amount(each["amount"], each["dest_chain"]),
                short(each["recipient"]),
                each["timeout_block"],
                each["payout_txid"],
                None if block is None else block["height"],
                each["why"],
            )
        say_table(out)
    say(
        f"looked at {found['looked_at']} open swaps at block {found['finalised_height']}: "
        f"{found['undecided']} undecided"
    )
    if not yes:
        say("nothing was written; do it: the same command with --yes")
        return
    until = found["tao_payouts_wait_for_block"]
    if until is not None:
        say(f"TAO payouts begin at block {until}: until then, bytes that were signed before may still land")
    say("now start the daemon: swap-miner run")
