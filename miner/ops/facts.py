"""Sagas, lanes and journals as plain JSON values. Signed bytes are left out, landed or not.

Amounts, and integers beyond 2⁵³, are decimal strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from miner.model import Delivery, Ending, Head, JournalEntry, Lane, Payment, Saga
from miner.saga import Event, State

SCHEMA_VERSION = 1

_EXACT = 2**53
_BYTES = re.compile(r"(?:0x)?[0-9a-fA-F]{160,}")  # longer than any id or key: signed bytes
_SECRET = re.compile(r"^raw|bytes$|mnemonic|password|seed|secret|private", re.IGNORECASE)
HIDDEN = "(not shown)"


def when(at_ms: int) -> str | None:
    """Milliseconds since 1970 as ISO 8601 in UTC; None for never."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds") if at_ms else None


def plain(value: object, key: str = "") -> Any:
    """A value that any JSON reader keeps exact, without bytes and whatever is named like a secret."""
    if isinstance(value, bytes | bytearray) or (_SECRET.search(key) and isinstance(value, str | list | dict)):
        return HIDDEN
    if isinstance(value, str):
        return _BYTES.sub(HIDDEN, str(value))
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < _EXACT else str(value)
    if isinstance(value, Mapping):
        return {plain(str(inner)): plain(item, str(inner)) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, key) for item in value]
    return plain(str(value))


def head_facts(head: Head | None) -> dict[str, Any] | None:
    """A block."""
    return None if head is None else {"height": head.height, "hash": head.hash}


def lane_facts(lane: Lane | None) -> dict[str, Any] | None:
    """A lane and its attempts, without their bytes."""
    if lane is None:
        return None
    return {
        "purpose": lane.purpose.value,
        "chain": lane.chain,
        "account": lane.account,
        "slot": lane.slot,
        "state": lane.state.value,
        "recipient": lane.recipient,
        "amount": str(lane.amount),
        "txid": lane.txid,
        "block": head_facts(lane.block),
        "checked_height": lane.checked_height,
        "attempts": [
            {
                "kind": attempt.kind.value,
                "txid": attempt.tx.txid,
                "fee": str(attempt.tx.fee),
                "valid_from_block": attempt.tx.birth,
                "invalid_from_block": attempt.tx.death,
                "signed_at": when(attempt.signed_at_ms),
            }
            for attempt in lane.attempts
        ],
    }


def ending_facts(ending: Ending | None) -> dict[str, Any] | None:
    """How a swap ended."""
    if ending is None:
        return None
    return {
        "kind": ending.kind.value,
        "block": ending.block,
        "slash_amount": str(ending.slash_amount),
        "fee_amount": str(ending.fee_amount),
        "dest_tx_hash": ending.dest_tx_hash,
    }


def payment_facts(payment: Payment | None) -> dict[str, Any] | None:
    """The user's payment."""
    if payment is None:
        return None
    return {
        "chain": payment.chain.value,
        "txid": payment.txid,
        "height": payment.height,
        "block_hash": payment.block_hash,
        "amount": str(payment.amount),
    }


def saga_facts(saga: Saga) -> dict[str, Any]:
    """One row of `swaps`."""
    return {
        "swap_id": saga.key.swap_id,
        "state": saga.state.value,
        "reason": saga.reason,
        "miner": saga.swap.miner,
        "source_chain": saga.swap.source_chain,
        "dest_chain": saga.swap.dest_chain,
        "source_amount": str(saga.swap.source_amount),
        "dest_amount": str(saga.swap.dest_amount),
        "timeout_block": saga.swap.timeout_block,
        "payout_txid": payout_txid(saga),
        "ending": saga.ending.kind.value if saga.ending is not None else None,
        "created_at": when(saga.created_at_ms),
        "updated_at": when(saga.updated_at_ms),
    }


def journal_facts(entry: JournalEntry) -> dict[str, Any]:
    """One event."""
    return {
        "seq": entry.seq,
        "at": when(entry.at_ms),
        "event": entry.event.value,
        "before": entry.before.value,
        "after": entry.after.value,
        "actor": entry.actor,
        "lease_epoch": entry.lease_epoch,
        "payload": plain(entry.payload),
    }


def whole(saga: Saga, journal: Sequence[JournalEntry]) -> dict[str, Any]:
    """Everything that `show` tells of a swap."""
    return {
        **saga_facts(saga),
        "genesis": saga.key.genesis,
        "contract": saga.key.contract,
        "version": saga.version,
        "mark_retries": saga.mark_retries,
        "next_attempt_at": when(saga.next_attempt_ms),
        "swap": saga.swap.to_json(),
        "payment": payment_facts(saga.payment),
        "payout": lane_facts(saga.payout),
        "mark": lane_facts(saga.mark),
        "outcome": ending_facts(saga.ending),
        "journal": [journal_facts(entry) for entry in journal],
    }


def evidence(saga: Saga, journal: Sequence[JournalEntry]) -> dict[str, Any]:
    """What shows a third party that a swap was paid, marked and ended: public facts only.

    A payout that is in no block is told as such; its bytes are never here.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "genesis": saga.key.genesis,
        "contract": saga.key.contract,
        "swap_id": saga.key.swap_id,
        "state": saga.state.value,
        "reason": saga.reason,
        "as_of": when(saga.updated_at_ms),
        "swap": saga.swap.to_json(),
        "user_payment": payment_facts(saga.payment),
        "payout": _landed(saga.payout) or _adopted(journal),
        "mark": _landed(saga.mark),
        "outcome": ending_facts(saga.ending),
        "events": [journal_facts(entry) for entry in journal],
    }


def delivery_facts(delivery: Delivery) -> dict[str, Any]:
    """A message on its way to a target."""
    notice, alarm = delivery.notice, delivery.notice.alarm
    return {
        "notice": notice.id,
        "at": when(notice.at_ms),
        "target": delivery.target,
        "event": alarm.kind.value,
        "severity": alarm.kind.severity.value,
        "phase": notice.phase.value,
        "swap_id": alarm.swap_id,
        "text": alarm.text,
        "standing": delivery.standing.value,
        "attempts": delivery.attempts,
        "next_at": when(delivery.next_at_ms),
        "last_error": delivery.last_error,
        "id": delivery.id,
    }


def payout_txid(saga: Saga) -> str | None:
    """The id of the payout, once one is in a block."""
    return saga.payout.txid if saga.payout is not None else None


def _landed(lane: Lane | None) -> dict[str, Any] | None:
    if lane is None:
        return None
    return {
        "chain": lane.chain,
        "account": lane.account,
        "slot": lane.slot,
        "state": lane.state.value,
        "txid": lane.txid,
        "block": head_facts(lane.block),
        "recipient": lane.recipient,
        "amount": str(lane.amount),
        "in_a_block": lane.txid is not None and lane.block is not None,
    }


def _adopted(journal: Sequence[JournalEntry]) -> dict[str, Any] | None:
    """A payout that another program made, as the journal tells it."""
    for entry in reversed(journal):
        if entry.event is Event.PAYOUT_ADOPTED:
            return {"adopted": True, **plain(entry.payload)}
    return None


def open_states() -> tuple[State, ...]:
    """The states of swaps that are still followed."""
    return tuple(state for state in State if not state.ended)
