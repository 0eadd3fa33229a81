"""What the store remembers of accounts for law 9: the highest nonce, strangers in its lanes, living bytes."""

from __future__ import annotations

import pytest

from miner.model import AccountRow, Lane, Sighting, SightingKind, TakerEffect
from miner.store import SqlStore
from tests.conformance import store_fixtures
from tests.conformance.store_builders import (
    BTC,
    PAYER,
    TAO,
    Signer,
    anchor_claim,
    head,
    payout_claim,
    payout_of,
    seen,
    signed,
)

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other

BTC_PAYER = "bc1qpayer"


def taken(effect: TakerEffect, at: int = 50) -> Sighting:
    return seen(SightingKind.TAKEN, at, txid="0xtaker", block=head(at), final=True, taker=effect)


async def lane(store: SqlStore, swap_id: int = 1, death: int | None = 500) -> Lane:
    return payout_of(await signed(store, swap_id, payout_claim(Signer(death=death))))


async def test_the_highest_nonce_outlives_the_process_and_never_falls(
    store: SqlStore, other: SqlStore
) -> None:
    await store.account(TAO, PAYER, 5)
    await store.saw_nonce(TAO, PAYER, 9, 120)
    await store.saw_nonce(TAO, PAYER, 7, 130)
    assert await other.account(TAO, PAYER, 0) == AccountRow(TAO, PAYER, 5, 5, "", 9, 120)
    await store.saw_nonce(TAO, PAYER, 9, 140)
    assert (await other.account(TAO, PAYER, 0)).seen_at == 120, "where it was first seen"


async def test_clearing_an_account_begins_another_life(store: SqlStore) -> None:
    await store.account(TAO, PAYER, 5)
    await store.saw_nonce(TAO, PAYER, 9, 120)
    await store.stop_account(TAO, PAYER, "nonce went back")
    await store.clear_account(TAO, PAYER, 0, "operator:x")
    row = await store.account(TAO, PAYER, 0)
    assert (row.seen, row.seen_at, row.base, row.stopped) == (0, 0, 0, "")


@pytest.mark.parametrize("effect", list(TakerEffect))
async def test_a_lane_that_another_program_took_is_told(store: SqlStore, effect: TakerEffect) -> None:
    mine = await lane(store)
    assert await store.strangers(TAO, PAYER) == frozenset()
    await store.sight(mine, taken(effect))
    assert await store.strangers(TAO, PAYER) == {mine.slot}
    assert mine.slot in await store.slots(TAO, PAYER), "it belongs to the lane all the same"
    await store.clear_account(TAO, PAYER, int(mine.slot) + 1, "operator:x")
    assert await store.strangers(TAO, PAYER) == frozenset(), "a person looked"


async def test_a_strangers_spend_of_an_anchor_is_told_from_the_base_on(store: SqlStore) -> None:
    claim = anchor_claim("a:0", Signer(birth=None, death=None))
    mine = payout_of(await signed(store, 1, claim))
    await store.account(BTC, BTC_PAYER, 10)
    await store.sight(mine, taken(TakerEffect.PAYS_NOTHING))
    assert await store.strangers(BTC, BTC_PAYER) == {"a:0"}
    await store.clear_account(BTC, BTC_PAYER, 51, "operator:x")
    assert await store.strangers(BTC, BTC_PAYER) == frozenset()


async def test_our_own_transaction_is_no_stranger(store: SqlStore) -> None:
    mine = await lane(store)
    await store.sight(mine, seen(SightingKind.IN_BLOCK, 50, mine, final=True, succeeded=True))
    assert await store.strangers(TAO, PAYER) == frozenset()


async def test_bytes_live_until_the_last_era_that_was_signed_ends(store: SqlStore) -> None:
    assert await store.bytes_live_until(TAO, PAYER) == 0
    await lane(store, 1, death=300)
    await lane(store, 2, death=200)
    assert await store.bytes_live_until(TAO, PAYER) == 300
    assert await store.bytes_live_until(TAO, "5Another") == 0
