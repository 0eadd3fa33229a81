"""The row that a saga's journal leads to: what `steps`, `chain` and `rewinding` write, computed anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from miner.errors import InvariantBroken
from miner.model import AttemptKind, JournalEntry, Swap
from miner.saga import INITIAL, Event, State, advance

ROW_DIFFERS = "row_differs"
"""Key in the payload of a hold that was made since the row was not what its journal leads to."""
JSON_COLUMNS = frozenset({"swap", "ending", "payment"})
_PLAIN = ("reason", "mark_retries", "next_attempt_ms", "ending")


@dataclass(frozen=True, slots=True)
class Projection:
    """What a journal leads to.

    Attributes:
        state: The state.
        row: Every column of the saga's row but its id; JSON columns as plain values.
    """

    state: State
    row: Mapping[str, Any]


def project(journal: Sequence[JournalEntry]) -> Projection:
    """The whole row that a journal leads to, each move checked against the table.

    Raises:
        InvariantBroken: It is empty, does not begin with the swap's assignment, has a gap, or holds a move
            that the table does not know.
    """
    if not journal:
        raise InvariantBroken("a saga without a journal")
    row = _born(journal[0])
    state = INITIAL
    for number, entry in enumerate(journal, start=1):
        _check_move(entry, number, state)
        state = entry.after
        row |= _changed(entry)
        row |= {
            "version": entry.seq,
            "state": state.value,
            "ended": int(state.ended),
            "updated_at_ms": entry.at_ms,
        }
    return Projection(state, row)


def _check_move(entry: JournalEntry, number: int, state: State) -> None:
    if entry.seq != number:
        raise InvariantBroken(f"the journal has entry {entry.seq} where {number} was due")
    follows = entry.before is state or ROW_DIFFERS in entry.payload
    if not follows or advance(entry.before, entry.event) is not entry.after:
        raise InvariantBroken(f"entry {number} goes {entry.before} → {entry.after} from {state}")


def _born(first: JournalEntry) -> dict[str, Any]:
    if "swap" not in first.payload or not first.payload.get("assigned"):
        raise InvariantBroken("the journal does not begin with the swap's assignment")
    told: Mapping[str, Any] = first.payload
    reserved = told.get("reserved") or {}
    return {
        "reason": "",
        "ending": None,
        "payment": None,
        "payment_chain": None,
        "payment_txid": None,
        "payout_lane_id": None,
        "mark_lane_id": None,
        "mark_retries": 0,
        "next_attempt_ms": 0,
        "reserved_block": reserved.get("block"),
        "reserved_at_ms": reserved.get("at_ms"),
        "created_at_ms": first.at_ms,
    }


def _changed(entry: JournalEntry) -> dict[str, Any]:
    """The columns that one entry changes, beside those that each entry does."""
    told: Mapping[str, Any] = entry.payload
    seen = told.get("assigned") or told.get("observed")
    facts: Mapping[str, Any] = told if seen else told.get("store") or {}
    row: dict[str, Any] = {name: facts[name] for name in _PLAIN if name in facts}
    if "swap" in facts:
        swap = Swap.from_json(facts["swap"])
        row |= {
            "swap": facts["swap"],
            "swap_id": swap.id,
            "miner": swap.miner,
            "timeout_block": swap.timeout_block,
        }
    if "payment" in facts:
        paid = facts["payment"]
        row |= {"payment": paid, "payment_chain": paid["chain"], "payment_txid": paid["txid"]}
    if "ending_forgotten" in told:
        row["ending"] = None
    return row | _pointed(entry.event, facts)


def _pointed(event: Event, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The lanes that the saga points to anew."""
    row: dict[str, Any] = {"payout_lane_id": None} if event is Event.PAYOUT_FREED else {}
    if "signed" in facts:
        is_mark = facts["signed"]["kind"] == AttemptKind.MARK.value
        row["mark_lane_id" if is_mark else "payout_lane_id"] = facts["signed"]["lane"]
    if "adopted" in facts:
        row["payout_lane_id"] = facts["adopted"]["lane"]
    return row
