"""Inventory: set money aside before it is promised, within the operator's caps.

Only verified sagas hold inventory, the earliest deadline first. A single obligation needs no balance
gate: the chain itself will refuse what is not there, and nothing else waits for the money.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from miner.errors import Refused
from miner.model import Caps, Saga
from miner.ports import Rail, Store

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Wanting:
    """A saga that wants inventory.

    Attributes:
        saga: The saga, VERIFIED.
        account: Payout account.
        amount: Payout, smallest unit.
        fee: Most its network fee may be, smallest unit.
    """

    saga: Saga
    account: str
    amount: int
    fee: int


def by_deadline(sagas: Sequence[Saga]) -> list[Saga]:
    """Earliest deadline first; the lower swap id where deadlines agree."""
    return sorted(sagas, key=deadline)


def deadline(saga: Saga) -> tuple[int, int]:
    """What sagas are put in order by: the deadline's block, then the swap id."""
    return saga.swap.timeout_block, saga.key.swap_id


def check_swap_cap(amount: int, caps: Caps) -> None:
    """Refuse what is larger than the operator lets a single payout be.

    Raises:
        Refused: `per_swap_cap`.
    """
    if caps.per_swap is not None and amount > caps.per_swap:
        raise Refused("payout", "per_swap_cap", f"{amount} is above the cap of {caps.per_swap}")


async def room_in_hour(store: Store, rail: Rail, amount: int, caps: Caps) -> bool:
    """Whether the hourly cap leaves room for a payout.

    What was signed and what is set aside both count, in the store: neither restarts nor other swaps of the
    same round change anything.
    """
    if caps.per_hour is None:
        return True
    since = await store.now_ms() - HOUR_MS
    return await store.outflow(rail.chain_id, since) + amount <= caps.per_hour


async def mark_affordable(store: Store, tao: Rail, hotkey: str, mark_fee: int) -> bool:
    """Whether the hotkey can pay for one more mark beside those already set aside on it."""
    set_aside = await store.reserved(tao.chain_id, hotkey)
    return await tao.spendable(hotkey) >= set_aside + mark_fee


async def affordable(store: Store, rail: Rail, want: Wanting, alone: bool) -> bool:
    """Whether the account can pay this beside everything already set aside on it."""
    set_aside = await store.reserved(rail.chain_id, want.account)
    if alone and set_aside == 0:
        return True
    return await rail.spendable(want.account) >= set_aside + want.amount + want.fee
