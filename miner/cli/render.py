"""Facts as tables and text for people. Nothing here is interpreted as mark-up, and no control code passes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from miner.amounts import Chain, format_amount
from miner.cli.exits import printable

if TYPE_CHECKING:
    from rich.table import Table

    from miner.config import CheckLine

_WIDTH_OF_A_PIPE = 240
_TXID_SHOWN = 15
_TOLD_ABOVE = frozenset({"store", "swap"})  # what the store notes for a rebuild; `--json` has it all


def say(text: str = "") -> None:
    """A line on standard output."""
    sys.stdout.write(printable(text) + "\n")


def say_json(value: object) -> None:
    """A JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def say_table(found: Table) -> None:
    """A table, as wide as the terminal; wide enough for everything where there is none."""
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_PIPE
    console.print(found)


def table(*columns: str) -> Table:
    """An empty table."""
    from rich import box
    from rich.table import Table

    out = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        out.add_column(column, overflow="fold", no_wrap=column in ("swap", "state", "id", "updated"))
    return out


def add(to: Table, *cells: object) -> None:
    """A row; None is a dash."""
    from rich.text import Text

    to.add_row(*(Text("–" if cell is None or cell == "" else printable(str(cell))) for cell in cells))


def swaps_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """`swaps`."""
    out = table("swap", "state", "pays", "to the user", "deadline", "payout", "miner", "updated", "reason")
    for row in rows:
        add(
            out,
            row["swap_id"],
            row["state"],
            f"{row['source_chain']} → {row['dest_chain']}",
            amount(row["dest_amount"], row["dest_chain"]),
            row["timeout_block"],
            short(row["payout_txid"]),
            short(row["miner"]),
            str(row["updated_at"]).replace("+00:00", "Z"),
            row["reason"],
        )
    return out


def checks_table(lines: Iterable[CheckLine]) -> Table:
    """`check`."""
    out = table("", "what", "found", "what to do")
    for line in lines:
        add(out, {True: "ok", False: "FAIL", None: "note"}[line.ok], line.name, line.detail, line.remedy)
    return out


def timeline(facts: Mapping[str, Any]) -> list[str]:
    """`show`, as lines."""
    source, dest = facts["source_chain"], facts["dest_chain"]
    lines = [
        f"swap {facts['swap_id']}: {facts['state']}" + (f" ({facts['reason']})" if facts["reason"] else ""),
        f"  {source} → {dest}: "
        f"{amount(facts['source_amount'], source)} for {amount(facts['dest_amount'], dest)}",
        f"  miner {facts['miner']}, deadline block {facts['timeout_block']}",
        f"  user's payment: {_payment(facts['payment'])}",
    ]
    for name in ("payout", "mark"):
        lines += _lane_lines(name, facts[name])
    if facts["outcome"] is not None:
        lines.append(f"  ended: {facts['outcome']['kind']} at block {facts['outcome']['block']}")
    lines.append("journal:")
    for entry in facts["journal"]:
        move = (
            entry["after"] if entry["before"] == entry["after"] else f"{entry['before']} → {entry['after']}"
        )
        lines.append(f"  {entry['seq']:>3}  {entry['at']}  {entry['event']}  [{move}]  {entry['actor']}")
        told = ((key, value) for key, value in entry["payload"].items() if key not in _TOLD_ABOVE)
        lines += [f"       {key}: {_value(value)}" for key, value in told]
    return lines


def _payment(payment: Mapping[str, Any] | None) -> str:
    if payment is None:
        return "not verified"
    return f"{payment['txid']} in block {payment['height']}, {amount(payment['amount'], payment['chain'])}"


def _lane_lines(name: str, lane: Mapping[str, Any] | None) -> list[str]:
    if lane is None:
        return [f"  {name}: none yet"]
    lines = [f"  {name}: {lane['state']}, slot {lane['slot']} of {lane['account']}"]
    if lane["txid"] is not None and lane["block"] is not None:
        lines.append(f"    {lane['txid']} in block {lane['block']['height']} ({lane['block']['hash']})")
    lines += [f"    {one['kind']} {one['txid']}, signed {one['signed_at']}" for one in lane["attempts"]]
    return lines


def status_lines(found: Mapping[str, Any]) -> list[str]:
    """`status`, as lines; what needs a person names the command."""
    counts = ", ".join(f"{number} {state}" for state, number in found["counts"].items()) or "none yet"
    lines = [
        f"swaps: {counts}",
        f"open: {found['open']}",
        f"finalised height: {_value(found['finalised_height'])}",
    ]
    oldest = found["oldest_deadline"]
    if oldest is not None:
        left = "" if oldest["blocks_left"] is None else f", {oldest['blocks_left']} blocks left"
        lines.append(
            f"next deadline: block {oldest['timeout_block']}, "
            f"swap {oldest['swap_id']} ({oldest['state']}){left}"
        )
    paused = found["paused"]
    lines.append(f"paused: {', '.join(paused)} (go on: swap-miner resume)" if paused else "paused: nothing")
    lines += [f"held: swap {number} (look: swap-miner show {number})" for number in found["needs_operator"]]
    lines += [
        f"stopped: {row['account']} on {row['chain']}: {row['why']} "
        f"(once explained: swap-miner resume --account {row['account']})"
        for row in found["stopped_accounts"]
    ]
    lines += [*_daemon_lines(found), *lease_lines(found["leases"])]
    lines += [
        f"recovery entry {row['id']} for swap {row['swap_id']} ({row['cause']}) is not in the log file yet"
        for row in found["pending_recovery"]
    ]
    return lines


def _daemon_lines(found: Mapping[str, Any]) -> list[str]:
    """What only a running daemon tells."""
    if "ready" not in found:
        return []
    why = "; ".join(found["reasons"])
    lines = ["daemon: ready" if found["ready"] else f"daemon: not ready: {why}"]
    return lines + [
        f"node {each['url']} is of no use: {each['why'] or 'not connected'}"
        for each in found["endpoints"]
        if not each["connected"]
    ]


def lease_lines(leases: Sequence[Mapping[str, Any]]) -> list[str]:
    """Who works: one line for each owner."""
    by_owner: dict[str, list[Mapping[str, Any]]] = {}
    for lease in leases:
        by_owner.setdefault(lease["owner"], []).append(lease)
    if not by_owner:
        return ["leases: none held; no daemon is running on this store"]
    return [
        f"leases: {owner} holds {len(held)} (until {max(str(lease['until']) for lease in held)})"
        for owner, held in by_owner.items()
    ]


def amount(text: str, chain: str) -> str:
    """An amount with its coin; as it is, where the chain is none we know."""
    try:
        return format_amount(int(text), Chain(chain))
    except ValueError:
        return f"{text} ({chain})"


def short(text: str | None) -> str | None:
    """An id or address cut in the middle."""
    if text is None or len(text) <= _TXID_SHOWN:
        return text
    return f"{text[:8]}…{text[-4:]}"


def _value(value: object) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
