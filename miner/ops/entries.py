"""Entries of the recovery log joined with what the store knows, for the API and the commands alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from miner.ops.facts import plain, when
from miner.verdict.remedies import command_for, remedy_of

if TYPE_CHECKING:
    from miner.model import PendingRecovery, Saga
    from miner.ports import Store

RESOLVED = "resolved:"
"""Prefix of the cause of a line that says that an entry was dealt with; the entry's own cause follows."""
_KEY = ("id", "genesis", "contract", "swap_id", "cause")
_AMOUNTS = ("amount", "payout_amount", "slash_rao")
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60


def entries_of(file: Iterable[Mapping[str, Any]], store: Iterable[PendingRecovery]) -> list[dict[str, Any]]:
    """Every entry once, oldest first: whether it is resolved, what it means, and the command to run."""
    return [_with_command(one) for one in with_resolutions(*joined(file, store))]


async def beside_swaps(store: Store | None, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each entry with its swap as it is now; `store` is None where there is none yet.

    Raises:
        StoreError: The store refuses.
    """
    wanted = sorted({int(one["swap_id"]) for one in entries}) if store is not None else []
    found = [await store.saga(each) for each in wanted] if store is not None else []
    return with_swaps(entries, {saga.key.swap_id: saga for saga in found if saga is not None})


def named(entries: Iterable[dict[str, Any]], entry: int, swap: int | None) -> list[dict[str, Any]]:
    """The entries of an id: several stores may have written to one log, each with ids of its own."""
    return [one for one in entries if one["id"] == entry and swap in (None, one["swap_id"])]


def _with_command(one: dict[str, Any]) -> dict[str, Any]:
    cause = str(one["cause"])
    command = command_for(cause, int(one["swap_id"]))
    return {**one, "means": remedy_of(cause).means, "command": command}


def joined(
    file: Iterable[Mapping[str, Any]], store: Iterable[PendingRecovery]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every entry once, from the log and the store, oldest first; and the lines that resolve entries."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for line in [*map(dict, file), *(entry_facts(each, when(each.at_ms)) for each in store)]:
        found.setdefault(_key(line), plain(line))
    entries = sorted(found.values(), key=lambda one: (str(one["at"]), int(one["id"])))
    return (
        [one for one in entries if not str(one["cause"]).startswith(RESOLVED)],
        [one for one in entries if str(one["cause"]).startswith(RESOLVED)],
    )


def entry_facts(pending: PendingRecovery, at: str | None) -> dict[str, Any]:
    """A recovery entry of the store, named as in the recovery log; `at` is its time in words."""
    return {
        "schema_version": 1,
        "id": pending.id,
        "at": at,
        "swap_id": pending.saga.swap_id,
        "contract": pending.saga.contract,
        "genesis": pending.saga.genesis,
        "state": pending.state.value,
        "cause": pending.entry.cause,
        "what_to_do": pending.entry.what_to_do,
        "detail": dict(pending.entry.detail),
    }


def _key(line: Mapping[str, Any], prefix: str = "") -> tuple[str, ...]:
    return tuple(prefix + str(line[name]) if name == "cause" else str(line[name]) for name in _KEY)


def with_resolutions(
    entries: Sequence[dict[str, Any]], resolving: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each entry with `resolved`: when, by whom and why; None while it is open."""
    by_key = {_key(line): line for line in resolving}
    out = []
    for one in entries:
        line = by_key.get(_key(one, RESOLVED))
        told = None
        if line is not None:
            detail = dict(line.get("detail") or {})
            told = {"at": line["at"], "actor": detail.get("actor"), "reason": line["what_to_do"]}
        out.append({**one, "resolved": told})
    return out


def with_swaps(entries: Sequence[dict[str, Any]], sagas: Mapping[int, Saga]) -> list[dict[str, Any]]:
    """Each entry with its swap's state now and the amounts in question, where the store knows the swap."""
    return [{**one, **_of_swap(one, sagas.get(int(one["swap_id"])))} for one in entries]


def _of_swap(entry: Mapping[str, Any], saga: Saga | None) -> dict[str, Any]:
    if saga is None:
        detail = dict(entry.get("detail") or {})
        told = next((str(detail[name]) for name in _AMOUNTS if detail.get(name) is not None), None)
        return {"state_now": None, "amount": told, "amount_chain": None, "collateral_rao": None}
    amount = saga.payout.amount if saga.payout is not None else saga.swap.dest_amount
    return {
        "state_now": saga.state.value,
        "amount": str(amount),
        "amount_chain": saga.swap.dest_chain,
        "collateral_rao": str(saga.swap.tao_amount),
    }


def age(at: object, now: datetime) -> str:
    """How long ago, in its largest unit; as it is, where it is no time."""
    try:
        then = datetime.fromisoformat(str(at))
    except ValueError:
        return str(at)
    seconds = max(0, int((now - then.replace(tzinfo=then.tzinfo or UTC)).total_seconds()))
    for unit, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
