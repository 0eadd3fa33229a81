"""An emptied account counts from a lower nonce again: what its open lanes and `resume` make of that."""

from __future__ import annotations

from typing import Any

import pytest

from miner.errors import Refused
from miner.model import (
    AccountRow,
    Ingest,
    Lane,
    LanePurpose,
    LaneState,
    Replacement,
    Sighting,
    SightingKind,
    Step,
)
from miner.saga import Event
from miner.store import SqlStore
from tests.conformance import store_fixtures
from tests.conformance.store_builders import (
    HOTKEY,
    PAYER,
    TAO,
    Signer,
    filler,
    get,
    head,
    mark_claim,
    paid,
    payout_claim,
    payout_of,
    seen,
    signed,
    tx,
)

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other

WENT_BACK = f"nonce went back: {PAYER} stands at 0 and stood at 4"
DEAD_AT = 600
"""Every era that is signed here is over."""
SLOT = 4


def expired(nonce: int | None = 0, at: int = DEAD_AT) -> Sighting:
    return seen(SightingKind.EXPIRED, at, nonce=nonce)


async def an_open_lane(store: SqlStore, **of_signer: Any) -> Lane:
    """Of nonce 4, after nonce 3 has landed in block 50; the account was emptied, and is stopped."""
    first = payout_of(await signed(store, 1))
    await store.sight(first, seen(SightingKind.IN_BLOCK, 50, first, final=True))
    lane = payout_of(await signed(store, 2, payout_claim(Signer(**of_signer))))
    assert lane.slot == str(SLOT)
    await store.stop_account(TAO, PAYER, WENT_BACK)
    return lane


async def test_what_closes_a_lane_was_the_accounts_nonce(store: SqlStore) -> None:
    await an_open_lane(store)
    row = await store.account(TAO, PAYER, 0)
    assert (row.seen, row.seen_at) == (SLOT, 50)


async def test_a_dead_lane_above_the_new_nonces_is_closed(store: SqlStore) -> None:
    lane = await store.sight(await an_open_lane(store), expired())
    assert lane.state is LaneState.DEAD
    assert (lane.txid, lane.block) == (None, head(DEAD_AT))
    assert (await store.account(TAO, PAYER, 0)).seen == SLOT, "nobody used its nonce"
    saga = await store.step(await get(store, 2), Step(event=Event.PAYOUT_FREED, release=True))
    assert saga.payout is None


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(expired(SLOT), id="it-waits-for-no-other"),
        pytest.param(expired(None), id="the-nonce-is-not-told"),
        pytest.param(expired(at=499), id="an-era-lives"),
        pytest.param(seen(SightingKind.UNSEEN, DEAD_AT, nonce=0), id="it-may-land"),
    ],
)
async def test_otherwise_it_stays_open_for_its_slot(store: SqlStore, look: Sighting) -> None:
    assert (await store.sight(await an_open_lane(store), look)).state is LaneState.SIGNED


async def test_a_view_that_ends_below_what_was_seen_closes_nothing(store: SqlStore) -> None:
    lane = await an_open_lane(store, death=40)
    assert (await store.sight(lane, expired(at=49))).state is LaneState.SIGNED
    assert (await store.sight(lane, expired(at=50))).state is LaneState.DEAD


async def test_one_look_alone_closes_nothing(store: SqlStore) -> None:
    """Its account is not stopped: no audit has seen it emptied."""
    lane = await an_open_lane(store)
    await store.sight(lane, expired(at=500, nonce=SLOT))
    await store.clear_account(TAO, PAYER, SLOT, "operator:x")
    await store.saw_nonce(TAO, PAYER, SLOT + 1, 550)
    assert (await store.sight(lane, expired())).state is LaneState.SIGNED


@pytest.mark.parametrize("death", [DEAD_AT + 1, None])
async def test_each_attempt_has_to_be_dead(store: SqlStore, death: int | None) -> None:
    lane = await an_open_lane(store)
    last = Replacement(lane.id, filler(lane).kind, tx(lane.slot, death=death))
    saga = await store.step(await get(store, 2), Step(event=Event.CANCEL_SIGNED, replacement=last))
    assert (await store.sight(payout_of(saga), expired())).state is LaneState.SIGNED


async def test_an_account_goes_on_only_once_what_it_began_before_is_closed(store: SqlStore) -> None:
    lane = await an_open_lane(store)
    with pytest.raises(Refused) as told:
        await store.clear_account(TAO, PAYER, 0, "operator:x")
    assert (told.value.name, told.value.what) == ("lanes_are_open", PAYER)
    assert (await store.account(TAO, PAYER, 0)).stopped == WENT_BACK
    await store.sight(lane, expired())
    assert await store.clear_account(TAO, PAYER, 0, "operator:x")
    assert await store.account(TAO, PAYER, 9) == AccountRow(TAO, PAYER, 0, 0)
    assert payout_of(await signed(store, 3, payout_claim(nonce_floor=0))).slot == "0"


async def test_a_replaced_block_takes_the_verdict_back(store: SqlStore) -> None:
    lane = await store.sight(await an_open_lane(store), expired())
    assert lane.purpose is LanePurpose.PAYOUT
    lease = await store.acquire("watch")
    at = await store.cursor()
    assert at is not None
    await store.ingest(Ingest(at, (head(DEAD_AT - 1), head(DEAD_AT))), lease)
    await store.rewind(head(DEAD_AT - 1), lease)
    assert payout_of(await get(store, 2)).state is LaneState.SIGNED


@pytest.mark.parametrize(
    ("to", "nonce"), [pytest.param(150, SLOT + 2, id="still-there"), pytest.param(110, SLOT, id="replaced")]
)
async def test_after_replaced_blocks_the_highest_nonce_is_what_is_still_known(
    store: SqlStore, to: int, nonce: int
) -> None:
    await an_open_lane(store)
    await store.saw_nonce(TAO, PAYER, SLOT + 2, 120)
    lease = await store.acquire("watch")
    at = await store.cursor()
    assert at is not None
    await store.ingest(Ingest(at, tuple(head(each) for each in range(at.height + 1, 161))), lease)
    await store.rewind(head(to), lease)
    assert (await store.account(TAO, PAYER, 0)).seen == nonce


async def test_a_mark_waits_where_its_hotkey_was_emptied(store: SqlStore) -> None:
    """It goes on from an account that was stopped for anything else."""
    saga = await paid(store, 1)
    mark = Step(event=Event.MARK_SIGNED, claim=mark_claim())
    await store.account(TAO, HOTKEY, 5)
    await store.stop_account(TAO, HOTKEY, "nonce went back")
    with pytest.raises(Refused) as told:
        await store.step(saga, mark)
    assert (told.value.name, told.value.what) == ("account_began_again", HOTKEY)
    assert (await get(store, 1)).version == saga.version
    await store.step(saga, Step(event=Event.MARK_SIGNED, claim=mark_claim(floor=5)))
