"""Inventory: set money aside before it is promised, within the operator's caps.

Only verified sagas hold inventory, the earliest deadline first. A single obligation needs no balance
gate: the chain itself will refuse what is not there, and nothing else waits for the money.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from miner.amounts import Chain
from miner.errors import Refused
from miner.model import Caps, RailPolicy, Saga
from miner.ports import Rail, Store
from miner.saga import State

HOUR_MS = 3_600_000
PAGE = 100
"""Swaps that are read at a time; a whole page without a payment that is not final ends the search."""
_NOTHING_GIVEN = frozenset({State.DISCOVERED, State.VERIFIED, State.COMPENSATED})
"""States in which no payout rests on the user's payment."""


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


def unfinal(sagas: Iterable[Saga], source: Chain, tip_height: int, final_confirmations: int) -> int:
    """What users paid on a chain, in payments that may still be reorged and that payouts rest on.

    A swap counts from when money is set aside for it, and also after its end, until its payment is final.
    """
    return sum(
        saga.payment.amount
        for saga in sagas
        if saga.payment is not None
        and saga.payment.chain is source
        and saga.state not in _NOTHING_GIVEN
        and tip_height - saga.payment.height + 1 < final_confirmations
    )


async def room_unfinal(store: Store, rail: Rail, saga: Saga, limits: RailPolicy) -> bool:
    """Whether the cap on payments that are not final leaves room for a swap's.

    Args:
        store: Has the swaps.
        rail: The chain that its user paid on.
        saga: VERIFIED.
        limits: Of that chain.
    """
    if limits.max_unfinal_source is None or saga.payment is None:
        return True
    tip = (await rail.tip()).height
    depth = tip - saga.payment.height + 1
    if depth >= limits.final_confirmations:
        return True
    at_stake, before = saga.payment.amount, None
    while page := await store.list_sagas(limit=PAGE, before=before):
        found = unfinal(page, rail.chain, tip, limits.final_confirmations)
        at_stake += found
        before = page[-1].key.swap_id
        if not found and len(page) == PAGE:
            break
    return at_stake <= limits.max_unfinal_source
