"""What looks at the chain make of lanes; accounts that spend."""

from __future__ import annotations

from typing import Any

import pytest

from miner.errors import InvariantBroken
from miner.model import (
    AccountRow,
    AttemptKind,
    Lane,
    LaneState,
    Sighting,
    SightingKind,
    Step,
    TakerEffect,
)
from miner.saga import Event
from miner.store import SqlStore
from tests.conformance import store_fixtures
from tests.conformance.store_builders import (
    BTC,
    PAYER,
    TAO,
    Signer,
    anchor_claim,
    filler,
    get,
    head,
    mark_of,
    marking,
    payout_claim,
    payout_of,
    resigned,
    seen,
    signed,
)

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other

IN_BLOCK, TAKEN = SightingKind.IN_BLOCK, SightingKind.TAKEN
S = LaneState


def takes(effect: TakerEffect | None, at: int = 50, txid: str = "0xtaker") -> Sighting:
    return seen(TAKEN, at, txid=txid, block=head(at), final=True, taker=effect)


async def lane_of(store: SqlStore, swap_id: int = 1) -> Lane:
    return payout_of(await signed(store, swap_id))


class TestSightings:
    @pytest.mark.parametrize(
        ("kind", "changes", "state"),
        [
            (SightingKind.UNSEEN, {}, S.SIGNED),
            (SightingKind.IN_POOL, {}, S.SIGNED),
            (SightingKind.EXPIRED, {}, S.SIGNED),
            (IN_BLOCK, {}, S.IN_BLOCK),
            (IN_BLOCK, {"succeeded": False}, S.SIGNED),
            (IN_BLOCK, {"kind_seen": AttemptKind.FILLER}, S.SIGNED),
            (IN_BLOCK, {"final": True}, S.LANDED),
            (IN_BLOCK, {"final": True, "kind_seen": None}, S.LANDED),
            (IN_BLOCK, {"final": True, "succeeded": False}, S.REVERTED),
            (IN_BLOCK, {"final": True, "succeeded": None}, S.IN_BLOCK),
            (IN_BLOCK, {"final": True, "txid": "0xunknown", "kind_seen": None}, S.IN_BLOCK),
        ],
    )
    async def test_our_own_attempts(
        self, store: SqlStore, kind: SightingKind, changes: dict[str, Any], state: LaneState
    ) -> None:
        lane = await lane_of(store)
        look = seen(kind, 50, lane, **changes)
        after = await store.sight(lane, look)
        assert (after.state, after.sighting, after.checked_height) == (state, kind, 50)
        located = state is not S.SIGNED
        assert after.txid == (look.txid if located else None)
        assert after.block == (look.block if located else None)
        assert payout_of(await get(store, 1)) == after
        assert list(await store.open_lanes()) == ([] if state.closed else [after])

    async def test_a_filler_cancels(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        saga = await store.step(saga, Step(event=Event.CANCEL_SIGNED, replacement=filler(payout_of(saga))))
        lane = payout_of(saga)
        assert (await store.sight(lane, seen(IN_BLOCK, 50, lane, final=True))).state is S.CANCELLED

    @pytest.mark.parametrize(
        ("effect", "state", "txid"),
        [
            (TakerEffect.PAYS, S.LANDED, "0xtaker"),
            (TakerEffect.PAYS_NOTHING, S.TAKEN, "0xtaker"),
            (TakerEffect.AMBIGUOUS, S.SIGNED, None),
            (None, S.SIGNED, None),
        ],
    )
    async def test_a_stranger_in_the_lane_is_judged_by_its_effect(
        self, store: SqlStore, effect: TakerEffect | None, state: LaneState, txid: str | None
    ) -> None:
        after = await store.sight(await lane_of(store), takes(effect))
        assert (after.state, after.txid) == (state, txid)
        assert after.taker is (effect or TakerEffect.AMBIGUOUS)

    async def test_an_ambiguous_taker_without_a_name(self, store: SqlStore) -> None:
        unnamed = Sighting(TAKEN, head(50), final=True, taker=TakerEffect.AMBIGUOUS)
        assert (await store.sight(await lane_of(store), unnamed)).state is S.SIGNED

    async def test_a_taker_that_pays_two_lanes_is_credited_to_one(self, store: SqlStore) -> None:
        one = payout_of(await signed(store, 1, anchor_claim("a:0")))
        two = payout_of(await signed(store, 2, anchor_claim("b:0")))
        assert (await store.sight(one, takes(TakerEffect.PAYS))).state is S.LANDED
        after = await store.sight(two, takes(TakerEffect.PAYS))
        assert (after.state, after.taker) == (S.SIGNED, TakerEffect.AMBIGUOUS)

    async def test_a_reorg_takes_it_back(self, store: SqlStore) -> None:
        lane = await lane_of(store)
        await store.sight(lane, seen(IN_BLOCK, 50, lane))
        after = await store.sight(lane, seen(SightingKind.UNSEEN, 51))
        assert (after.state, after.txid, after.block) == (S.SIGNED, None, None)

    async def test_ambiguity_may_settle_by_itself(self, store: SqlStore) -> None:
        lane = await lane_of(store)
        await store.sight(lane, takes(TakerEffect.AMBIGUOUS))
        after = await store.sight(lane, takes(TakerEffect.PAYS_NOTHING, at=51))
        assert (after.state, after.taker) == (S.TAKEN, TakerEffect.PAYS_NOTHING)

    async def test_an_older_look_changes_nothing(self, store: SqlStore) -> None:
        lane = await lane_of(store)
        newer = await store.sight(lane, seen(IN_BLOCK, 50, lane))
        assert await store.sight(lane, seen(SightingKind.UNSEEN, 49)) == newer
        assert (await store.sight(lane, seen(SightingKind.UNSEEN, 50))).state is S.SIGNED

    @pytest.mark.parametrize("effect", [TakerEffect.PAYS, TakerEffect.PAYS_NOTHING])
    async def test_closed_is_closed(self, store: SqlStore, effect: TakerEffect) -> None:
        lane = await lane_of(store)
        closed = await store.sight(lane, takes(effect))
        for look in (
            seen(SightingKind.UNSEEN, 60),
            seen(IN_BLOCK, 60, lane, final=True),
            seen(IN_BLOCK, 60, lane, final=True, succeeded=False),
            takes(TakerEffect.PAYS, 60, "0xother"),
            seen(SightingKind.EXPIRED, 60),
        ):
            assert await store.sight(lane, look) == closed

    async def test_the_saga_is_not_touched(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        await store.sight(payout_of(saga), seen(IN_BLOCK, 50, payout_of(saga), final=True))
        assert (await get(store, 1)).version == saga.version
        await store.step(saga, Step(event=Event.PAYOUT_INCLUDED))

    async def test_without_a_lease(self, store: SqlStore, other: SqlStore) -> None:
        lane = await lane_of(store)
        assert (await other.sight(lane, seen(IN_BLOCK, 50, lane))).state is S.IN_BLOCK

    async def test_an_expired_lane_stays_open_for_its_slot(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        lane = await store.sight(payout_of(saga), seen(SightingKind.EXPIRED, 600))
        assert (lane.state, lane.sighting) == (S.SIGNED, SightingKind.EXPIRED)
        saga = await store.step(saga, Step(event=Event.PAYOUT_RESIGNED, replacement=resigned(lane)))
        stale = await store.sight(lane, seen(SightingKind.EXPIRED, 601))
        assert (stale.sighting, stale.checked_height) == (None, 600)
        lane = payout_of(saga)
        assert (await store.sight(lane, seen(IN_BLOCK, 602, lane, final=True))).state is S.LANDED

    async def test_an_earlier_attempt_may_land(self, store: SqlStore) -> None:
        saga = await signed(store, 1)
        first = payout_of(saga).latest.tx.txid
        replacement = filler(payout_of(saga))
        saga = await store.step(saga, Step(event=Event.CANCEL_SIGNED, replacement=replacement))
        lane = payout_of(saga)
        look = seen(IN_BLOCK, 50, lane, final=True, txid=first, kind_seen=None)
        after = await store.sight(lane, look)
        assert (after.state, after.txid) == (S.LANDED, first)

    @pytest.mark.parametrize("changes", [{"txid": None}, {"block": None}])
    async def test_in_a_block_needs_a_transaction_and_a_block(
        self, store: SqlStore, changes: dict[str, Any]
    ) -> None:
        lane = await lane_of(store)
        with pytest.raises(InvariantBroken):
            await store.sight(lane, seen(IN_BLOCK, 50, lane, **changes))

    async def test_marks_land_and_revert_likewise(self, store: SqlStore) -> None:
        one, two = mark_of(await marking(store, 1)), mark_of(await marking(store, 2))
        assert (await store.sight(one, seen(IN_BLOCK, 50, one, final=True))).state is S.LANDED
        failed = seen(IN_BLOCK, 50, two, final=True, succeeded=False)
        assert (await store.sight(two, failed)).state is S.REVERTED

    async def test_bytes_are_not_shown(self, store: SqlStore) -> None:
        lane = await lane_of(store)
        assert "secret" not in repr(lane)


class TestAccounts:
    async def test_a_row_is_written_once(self, store: SqlStore, other: SqlStore) -> None:
        assert await store.account(TAO, PAYER, 5) == AccountRow(TAO, PAYER, 5, 5, "", 5)
        assert await other.account(TAO, PAYER, 9) == AccountRow(TAO, PAYER, 5, 5, "", 5)
        assert await store.account(BTC, "bc1q", 800_000) == AccountRow(BTC, "bc1q", 0, 800_000)
        assert len(await store.accounts()) == 2

    async def test_nonces_go_on_from_the_base(self, store: SqlStore) -> None:
        await store.account(TAO, PAYER, 8)
        assert payout_of(await signed(store, 1, payout_claim(nonce_floor=3))).slot == "8"

    async def test_stop_and_clear_tell_whether_they_changed(self, store: SqlStore) -> None:
        await store.account(TAO, PAYER, 5)
        assert await store.stop_account(TAO, PAYER, "first")
        assert not await store.stop_account(TAO, PAYER, "second")
        assert (await store.account(TAO, PAYER, 0)).stopped == "first"
        assert await store.clear_account(TAO, PAYER, 7, "operator:x")
        assert not await store.clear_account(TAO, PAYER, 7, "operator:x")
        assert await store.account(TAO, PAYER, 0) == AccountRow(TAO, PAYER, 7, 7, "", 7)

    async def test_an_unknown_account_can_be_stopped_and_cleared(self, store: SqlStore) -> None:
        assert await store.stop_account(TAO, "5New", "why")
        assert (await store.account(TAO, "5New", 3)).stopped == "why"
        assert not await store.clear_account(BTC, "bc1q", 7, "operator:x")

    async def test_clearing_keeps_the_nonces_of_open_lanes(self, store: SqlStore) -> None:
        await signed(store, 1)
        await store.stop_account(TAO, PAYER, "why")
        await store.clear_account(TAO, PAYER, 3, "operator:x")
        assert (await store.account(TAO, PAYER, 0)).high_water == 4
        assert payout_of(await signed(store, 2)).slot == "4"

    async def test_a_reaped_account_begins_again_once_nothing_of_it_can_land(self, store: SqlStore) -> None:
        lane = await lane_of(store)
        await store.sight(lane, takes(TakerEffect.PAYS_NOTHING))
        await store.stop_account(TAO, PAYER, "nonce went back")
        await store.clear_account(TAO, PAYER, 0, "operator:x")
        assert await store.account(TAO, PAYER, 9) == AccountRow(TAO, PAYER, 0, 0)
        assert await store.slots(TAO, PAYER) == frozenset()
        assert payout_of(await signed(store, 2, payout_claim(nonce_floor=0))).slot == "0"
        assert payout_of(await signed(store, 3, payout_claim(nonce_floor=3))).slot == "3"

    async def test_clearing_an_outpoint_account_forgets_no_slot(self, store: SqlStore) -> None:
        lane = payout_of(await signed(store, 1, anchor_claim("a:0", Signer(birth=None, death=None))))
        await store.sight(lane, takes(TakerEffect.PAYS))
        await store.clear_account(BTC, "bc1qpayer", 800_100, "operator:x")
        assert set(await store.slots(BTC, "bc1qpayer")) == {"a:0"}
        assert (await store.account(BTC, "bc1qpayer", 0)).high_water == 0
