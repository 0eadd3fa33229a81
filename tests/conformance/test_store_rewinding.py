"""Finality was violated: what a replaced block freed is not free any more (laws 1 and 4)."""

from __future__ import annotations

import pytest

from miner.model import Ingest, Lane, LaneState, Saga, Sighting, SightingKind, Step, TakerEffect
from miner.saga import Event, State
from miner.store import SqlStore
from miner.store.projection import project
from tests.conformance import store_fixtures
from tests.conformance.store_builders import (
    PAYER,
    TAO,
    Signer,
    filler,
    get,
    head,
    payout_claim,
    payout_of,
    reservation,
    seen,
    signed,
)

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other

BACK = "freed_lane_is_back"
FREED_AT = 110
TAKEN = Sighting(
    SightingKind.TAKEN, head(FREED_AT), "0xt", head(FREED_AT), True, taker=TakerEffect.PAYS_NOTHING
)


async def freed(store: SqlStore, how: str) -> tuple[Saga, Lane]:
    """A saga whose first lane was freed in block 110, and that lane."""
    saga = await signed(store, 1, payout_claim(Signer(death=FREED_AT)))
    lane, look = payout_of(saga), TAKEN
    if how == "reverted":
        look = seen(SightingKind.IN_BLOCK, FREED_AT, lane, final=True, succeeded=False)
    if how == "cancelled":
        saga = await store.step(saga, Step(event=Event.CANCEL_SIGNED, replacement=filler(lane)))
        look = seen(SightingKind.IN_BLOCK, FREED_AT, payout_of(saga), final=True)
    if how == "dead":
        await store.saw_nonce(TAO, PAYER, 3, 50)
        await store.stop_account(TAO, PAYER, "nonce went back")
        look = seen(SightingKind.EXPIRED, FREED_AT, nonce=0)
    assert (await store.sight(lane, look)).state.closed
    return await store.step(await get(store, 1), Step(event=Event.PAYOUT_FREED, release=True)), lane


async def signed_again(store: SqlStore, saga: Saga) -> Saga:
    """The saga with a second payout lane."""
    saga = await store.step(saga, Step(event=Event.INVENTORY_RESERVED, reserve=reservation()))
    claim = payout_claim(Signer(birth=FREED_AT + 1))
    return await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=claim))


async def rewound(store: SqlStore, to: int) -> Saga:
    """The saga after blocks above a height were replaced."""
    lease = await store.acquire("watch")
    at = await store.cursor()
    assert at is not None
    await store.ingest(Ingest(at, tuple(head(each) for each in range(at.height + 1, 121))), lease)
    await store.rewind(head(to), lease)
    return await get(store, 1)


async def assert_held_and_journaled(store: SqlStore, saga: Saga) -> None:
    assert (saga.state, saga.reason) == (State.HELD, BACK)
    assert [each.entry.cause for each in await store.pending_recovery()] == [BACK]
    told = project(await store.journal(saga.id))
    assert (told.state, told.row["reason"]) == (State.HELD, BACK)
    assert told.row["payout_lane_id"] == payout_of(saga).id


@pytest.mark.parametrize("how", ["taken", "reverted", "cancelled", "dead"])
async def test_a_lane_freed_by_a_replaced_block_is_the_payout_again_and_held(
    store: SqlStore, how: str
) -> None:
    _, first = await freed(store, how)
    saga = await rewound(store, FREED_AT - 1)
    assert payout_of(saga).id == first.id
    assert payout_of(saga).state is LaneState.SIGNED
    await assert_held_and_journaled(store, saga)


async def test_with_a_second_lane_signed_meanwhile_it_is_held_before_anything_more_is_signed(
    store: SqlStore,
) -> None:
    saga, first = await freed(store, "taken")
    second = payout_of(await signed_again(store, saga))
    saga = await rewound(store, FREED_AT - 1)
    assert payout_of(saga).id == second.id != first.id
    await assert_held_and_journaled(store, saga)
    row = await store.account(TAO, PAYER, 0)
    assert row.went_back(3, await store.slots(TAO, PAYER)), "nobody uses its first nonce any more"


async def test_a_lane_freed_below_the_ancestor_stays_free(store: SqlStore) -> None:
    saga, _ = await freed(store, "taken")
    await signed_again(store, saga)
    saga = await rewound(store, FREED_AT)
    assert saga.state is State.SIGNED
    assert await store.pending_recovery() == []
