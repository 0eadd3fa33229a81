"""How things stand: gathered from the store without taking a lease or writing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from miner.model import AccountRow, Lease, Saga
from miner.ops.facts import open_states, when
from miner.ports import Store

_MOST_OPEN = 10_000


async def overview(store: Store, accounts: Sequence[AccountRow], leases: Sequence[Lease]) -> dict[str, Any]:
    """Counts, the nearest deadline, what is paused or stopped, who works, what waits to be told."""
    counts = await store.count_by_state()
    sagas = await store.list_sagas(open_states(), limit=_MOST_OPEN)
    cursor = await store.cursor()
    pending = await store.pending_recovery()
    return {
        "counts": {state.value: number for state, number in sorted(counts.items())},
        "open": sum(number for state, number in counts.items() if not state.ended),
        "finalised_height": None if cursor is None else cursor.height,
        "oldest_deadline": _oldest(sagas, cursor.height if cursor is not None else None),
        "needs_operator": [saga.key.swap_id for saga in sagas if saga.state.value == "HELD"],
        "paused": sorted(await store.paused()),
        "stopped_accounts": [
            {"chain": row.chain, "account": row.account, "why": row.stopped}
            for row in accounts
            if row.stopped
        ],
        "leases": [
            {
                "resource": lease.resource,
                "owner": lease.owner,
                "epoch": lease.epoch,
                "until": when(lease.expires_at_ms),
            }
            for lease in sorted(leases, key=lambda lease: lease.resource)
        ],
        "pending_recovery": [
            {"id": entry.id, "swap_id": entry.saga.swap_id, "cause": entry.entry.cause} for entry in pending
        ],
    }


def _oldest(sagas: Sequence[Saga], height: int | None) -> Mapping[str, Any] | None:
    if not sagas:
        return None
    first = min(sagas, key=lambda saga: saga.swap.timeout_block)
    left = None if height is None else first.swap.timeout_block - height
    return {
        "swap_id": first.key.swap_id,
        "state": first.state.value,
        "timeout_block": first.swap.timeout_block,
        "blocks_left": left,
    }
