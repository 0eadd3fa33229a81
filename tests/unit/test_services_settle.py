"""Settle: from an assigned swap to its mark, and what gets in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from miner.amounts import Chain, user_receives
from miner.errors import InvariantBroken, LeaseLost, ReadFailed, StaleSaga, StoreUnavailable
from miner.model import AttemptKind, Head, ImportedSend, LaneState, Saga, Step, Swap, SwapStatus
from miner.ports import Heads
from miner.saga import Event, State
from miner.settle import RoundReport
from miner.settle.books import LONGEST_LIFE
from tests.simulation.stage import TAO, tao_address
from tests.simulation.tao_rules import FEE, Remark
from tests.simulation.world import MARGIN, POLICY, World, with_caps
from tests.unit import service_worlds
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world

SAT, RAO = 1_000_000, 3_450_000_000
BOTH = pytest.mark.parametrize("dest", list(Chain))
OWED = {Chain.TAO: user_receives(RAO, 100), Chain.BTC: user_receives(SAT, 100)}


def txids_sent(world: World) -> list[str]:
    """Transactions that pools were given."""
    tao = [tx.txid for _, _, tx in world.stage.tao.submitted]
    return tao + [tx.txid for _, _, tx in world.stage.sent_btc]


async def signed_and_unsent(world: World, dest: Chain = Chain.TAO) -> int:
    """A swap whose payout no pool took at first; they would take it now."""
    swap_id = world.stage.open_swap(dest)
    world.link.refusal = world.btc_link.refusal = "temporarily_banned"
    await world.round()
    world.link.refusal = world.btc_link.refusal = ""
    assert (await world.state(swap_id), txids_sent(world)) == (State.SIGNED, [])
    return swap_id


class TestTheUsualCourse:
    async def test_tao_is_paid_and_marked_in_two_blocks(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        await world.round()
        assert await world.state(swap_id) is State.SIGNED
        await world.block()
        assert await world.state(swap_id) is State.MARKING
        await world.block()
        assert await world.state(swap_id) is State.MARKED
        swap, lane = world.stage.swap(swap_id), await world.payout(swap_id)
        assert swap is not None
        assert lane.block is not None
        assert (swap.dest_tx_hash, swap.dest_tx_block) == (lane.txid, lane.block.height)
        assert world.received(swap_id) == [OWED[Chain.TAO]] == [swap.dest_amount]

    async def test_what_is_final_above_the_cursor_is_not_taken_for_final(self, world: World) -> None:
        """The chain went on while the round stood by its heads: the cursor is no witness above them."""
        swap_id = world.stage.open_swap()
        await world.round()
        before = world.node.heads()
        world.stage.tao_block()
        await world.settler.round(Heads(world.stage.tao.best.head, before.finalised))
        lane = await world.payout(swap_id)
        assert (lane.state, lane.block is not None) == (LaneState.IN_BLOCK, True)
        await world.round()
        assert (await world.payout(swap_id)).state is LaneState.LANDED

    async def test_a_slot_that_is_taken_above_the_cursor_is_looked_at_again(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        world.link.lost_sends = 1
        await world.round()
        before, lane = world.node.heads(), await world.payout(swap_id)
        world.stage.own_spend(lane.account, Remark())
        world.stage.tao_block()
        await world.settler.round(Heads(world.stage.tao.best.head, before.finalised))
        assert await world.payout(swap_id) == lane
        await world.round()
        assert (await world.payout(swap_id)).id != lane.id, "free again, and paid in the next slot"

    async def test_btc_is_marked_after_its_depth(self, world: World) -> None:
        swap_id = world.stage.open_swap(Chain.BTC)
        await world.round()
        await world.block(2)
        assert await world.state(swap_id) is State.SIGNED
        await world.btc_block()
        assert await world.state(swap_id) is State.MARKING
        await world.block()
        assert await world.state(swap_id) is State.MARKED
        assert world.received(swap_id) == [OWED[Chain.BTC]]

    @BOTH
    async def test_a_confirmed_swap_is_completed_and_its_lanes_close(self, world: World, dest: Chain) -> None:
        swap_id = world.stage.open_swap(dest)
        await world.round()
        await world.btc_block()
        await world.block(3)
        world.stage.vote("confirm_swap", swap_id=swap_id)
        await world.block()
        assert await world.state(swap_id) is State.COMPLETED
        await world.btc_block(6)
        assert await world.store.open_lanes() == []
        assert world.causes(swap_id) == []
        assert not [lease for lease in await world.store.leases() if lease.resource.startswith("saga/")]

    async def test_several_swaps_at_once(self, make_world: MakeWorld) -> None:
        world = await make_world(miners=3)
        ids = [world.stage.open_swap(dest, miner=m) for m in range(3) for dest in Chain for _ in range(2)]
        await world.round()
        await world.btc_block(1)
        await world.btc_block(1)
        await world.block(4)
        await world.btc_block(1)
        await world.block(2)
        assert {await world.state(i) for i in ids} == {State.MARKED}
        assert all(len(world.received(i)) == 1 for i in ids)

    async def test_with_lagging_finality_marks_wait_for_it(self, make_world: MakeWorld) -> None:
        world = await make_world(lag=3)
        swap_id = world.stage.open_swap()
        await world.block(3)
        assert await world.state(swap_id) is State.SIGNED
        await world.block()
        assert await world.state(swap_id) is State.PAID
        await world.block(3)
        assert await world.state(swap_id) is State.MARKING


class TestTheUsersPayment:
    @BOTH
    async def test_an_underpaid_swap_is_refused(self, world: World, dest: Chain) -> None:
        paid = (RAO if dest is Chain.BTC else SAT) - 1
        swap_id = world.stage.open_swap(dest, paid=paid)
        await world.round()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.DISCOVERED, "to_be_confirmed:wrong_amount")
        await world.round()
        assert await world.state(swap_id) is State.DISCOVERED, "no block came: it would be the same look"
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.COMPENSATED, "wrong_amount")
        assert world.causes(swap_id) == ["refused:wrong_amount"]
        world.stage.vote("timeout_swap", swap_id=swap_id)
        await world.block(2)
        assert world.received(swap_id) == []

    @BOTH
    async def test_an_unconfirmed_payment_is_waited_for(self, world: World, dest: Chain) -> None:
        swap_id = world.stage.open_swap(dest, confirmed=False)
        await world.round()
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.payout) == (State.DISCOVERED, None)
        world.stage.release()
        await world.block()
        await world.btc_block(2)
        assert (await world.saga(swap_id)).payout is not None
        waits = [e.payload["waiting"] for e in await world.journal(swap_id) if "waiting" in e.payload]
        assert len(waits) == len(set(waits))

    async def test_a_payment_older_than_its_reservation_is_refused(self, world: World) -> None:
        old = world.stage.send_tao(tao_address("user 1"), world.stage.miners[0].accounts[Chain.TAO], RAO)
        await world.block()
        height = world.stage.tao.best.height
        await world.block()
        swap_id = world.stage.open_swap(Chain.BTC, source_tx_hash=old.txid, source_tx_block=height)
        await world.round()
        await world.block()
        assert (await world.saga(swap_id)).reason == "too_old"

    async def test_one_payment_backs_one_swap(self, world: World) -> None:
        first = world.stage.open_swap()
        await world.round()
        swap = world.stage.swap(first)
        assert swap is not None
        second = world.stage.open_swap(
            source_tx_hash=swap.source_tx_hash.upper(),
            source_tx_block=swap.source_tx_block,
            user_source_address=swap.user_source_address,
            reserved=False,
        )
        await world.round()
        saga = await world.saga(second)
        assert (saga.state, saga.reason) == (State.COMPENSATED, "source_tx_used")
        await world.block(3)
        assert (len(world.received(first)), world.received(second)) == (1, [])

    async def test_a_payment_reorged_after_it_was_verified_is_looked_for_again(self, world: World) -> None:
        await world.store.set_paused("all", True, "operator")
        swap_id = world.stage.open_swap()
        await world.round()
        assert await world.state(swap_id) is State.VERIFIED
        world.stage.btc.fork(2, resubmit=False)
        await world.store.set_paused("all", False, "operator")
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.payout, saga.reason) == (None, "not_found")

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"dest_amount": RAO - 1}, "amount_mismatch"),
            ({"rate": "345 "}, "bad_rate"),
            ({"user_dest_address": "nobody"}, "bad_address"),
            ({"user_dest_address": tao_address("miner 0 pays")}, "recipient_is_sender"),
            ({"tao_amount": RAO + 1}, "amount_mismatch"),
            ({"source_chain": "doge"}, "unsupported_pair"),
            ({"dest_amount": 0}, "zero_amount"),
            ({"source_amount": 10**18}, "amount_too_large"),
        ],
    )
    async def test_bad_terms_are_refused(self, world: World, changes: dict[str, Any], reason: str) -> None:
        swap_id = world.stage.open_swap(**changes)
        await world.round()
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.COMPENSATED, reason)
        await world.block(2)
        assert world.stage.tao.submitted == []

    @BOTH
    async def test_one_lie_about_the_users_payment_costs_no_swap(self, world: World, dest: Chain) -> None:
        link = world.link if dest is Chain.BTC else world.btc_link
        link.lying["verify"] = 1
        swap_id = world.stage.open_swap(dest)
        await world.round()
        assert (await world.saga(swap_id)).reason == "to_be_confirmed:wrong_amount"
        await world.block()
        assert (await world.saga(swap_id)).payout is not None
        assert world.causes(swap_id) == []

    async def test_lies_that_do_not_follow_one_another_refuse_nothing(self, world: World) -> None:
        """The first is forgotten once a look has shown the truth."""
        await world.store.set_paused("all", True, "operator")
        world.btc_link.lying["verify"] = 1
        swap_id = world.stage.open_swap()
        await world.round()
        await world.block()
        assert await world.state(swap_id) is State.VERIFIED
        world.stage.btc.fork(2)
        world.btc_link.lying["verify"] = 1
        await world.store.set_paused("all", False, "operator")
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.VERIFIED, "to_be_confirmed:wrong_amount")
        await world.block()
        assert (await world.saga(swap_id)).payout is not None

    async def test_one_lie_about_a_swaps_terms_costs_no_swap(self, world: World) -> None:
        world.link.lying["swaps"] = 1
        swap_id = world.stage.open_swap()
        await world.round()
        assert (await world.saga(swap_id)).reason == "to_be_confirmed:amount_mismatch"
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.payout is not None, saga.swap) == (True, world.stage.swap(swap_id))
        (audit,) = await world.store.audit(only=[swap_id])
        assert audit.agrees
        await world.block(3)
        assert await world.state(swap_id) is State.MARKED

    async def test_terms_that_cannot_be_read_again_end_nothing(self, world: World) -> None:
        swap_id = world.stage.open_swap(tao_amount=RAO + 1)
        await world.round()
        world.contract.undecodable.add(swap_id)
        await world.block(2)
        assert await world.state(swap_id) is State.DISCOVERED
        world.contract.undecodable.clear()
        await world.block()
        assert (await world.saga(swap_id)).reason == "amount_mismatch"

    async def test_terms_that_change_after_they_were_verified_are_for_a_person(self, world: World) -> None:
        await world.store.set_paused("all", True, "operator")
        swap_id = world.stage.open_swap()
        await world.round()
        assert await world.state(swap_id) is State.VERIFIED
        world.stage.btc.fork(2)
        world.btc_link.lying["verify"] = 2
        await world.store.set_paused("all", False, "operator")
        await world.block()
        world.link.lying["swaps"] = 1
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.payout) == (State.HELD, None)

    @pytest.mark.parametrize(("lies", "state"), [(1, State.SIGNED), (2, State.HELD)])
    async def test_terms_that_are_others_before_signing_are_looked_at_again(
        self, world: World, lies: int, state: State
    ) -> None:
        await world.store.set_paused("all", True, "operator")
        swap_id = world.stage.open_swap()
        await world.round()
        world.link.lying["swaps"] = lies
        await world.store.set_paused("all", False, "operator")
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.RESERVED, "to_be_confirmed:terms_changed")
        await world.block()
        assert await world.state(swap_id) is state
        assert len(world.stage.tao.submitted) == (state is State.SIGNED)

    async def test_what_the_settings_can_mend_waits_and_expires(self, make_world: MakeWorld) -> None:
        world = await make_world(timeout=20)
        swap_id = world.stage.open_swap(miner_dest_address=tao_address("another"))
        await world.block(5)
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.DISCOVERED, "miner_address_mismatch")
        await world.block(10)
        assert await world.state(swap_id) is State.COMPENSATED
        assert world.causes(swap_id) == ["expired_unpaid"]


class TestTheDeadline:
    @pytest.mark.parametrize(("early", "paid"), [(1, True), (0, False)])
    async def test_the_gate_closes_exactly_at_the_margin(self, world: World, early: int, paid: bool) -> None:
        world.link.failing["try_mark"] = -1
        swap_id = world.stage.open_swap()
        swap = world.stage.swap(swap_id)
        assert swap is not None
        last = swap.timeout_block - MARGIN[Chain.TAO] - early
        await world.block(last - world.stage.tao.best.height - 1)
        assert await world.state(swap_id) is State.VERIFIED
        world.link.failing.clear()
        await world.block()
        assert world.stage.tao.best.height == last
        assert ((await world.saga(swap_id)).payout is not None) is paid
        if not paid:
            assert await world.state(swap_id) is State.COMPENSATED
            assert world.causes(swap_id) == ["expired_unpaid"]

    async def test_the_gate_is_for_first_sends_only(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        world.stage.tao.held_back = lambda tx: tx.signer == tao_address("miner 0")
        await world.round()
        await world.block(141)
        assert await world.state(swap_id) is State.MARKING
        world.stage.release()
        await world.block(2)
        assert await world.state(swap_id) is State.MARKED

    async def test_the_best_head_closes_the_gate_before_the_finalised_one(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(lag=3)
        await world.store.set_paused("tao", True, "operator")
        swap_id = world.stage.open_swap()
        await world.block(4)
        swap = world.stage.swap(swap_id)
        assert swap is not None
        await world.block(swap.timeout_block - 9 - world.stage.tao.best.height)
        await world.store.set_paused("tao", False, "operator")
        await world.round()
        assert await world.state(swap_id) is State.VERIFIED
        await world.block(3)
        assert await world.state(swap_id) is State.COMPENSATED

    async def test_a_shallow_btc_payout_is_marked_when_the_deadline_nears(
        self, make_world: MakeWorld
    ) -> None:
        rails = {**POLICY.rails, Chain.BTC: replace(POLICY.rails[Chain.BTC], mark_confirmations=3)}
        world = await make_world(policy=replace(POLICY, rails=rails))
        swap_id = world.stage.open_swap(Chain.BTC)
        await world.round()
        await world.btc_block()
        swap = world.stage.swap(swap_id)
        assert swap is not None
        await world.block(swap.timeout_block - 4 - world.stage.tao.best.height)
        assert await world.state(swap_id) is State.PAID
        await world.block()
        assert await world.state(swap_id) is State.MARKING


class TestMoney:
    async def test_the_earliest_deadline_comes_first(self, make_world: MakeWorld) -> None:
        world = await make_world(tao_each=OWED[Chain.TAO] * 3 // 2)
        late = world.stage.open_swap()
        world.stage.vote("set_terms", fulfillment_timeout_blocks=50)
        await world.block(0)
        world.stage.tao_block()
        early = world.stage.open_swap()
        await world.round()
        assert await world.state(early) is State.SIGNED
        saga = await world.saga(late)
        assert (saga.state, saga.reason) == (State.VERIFIED, "insufficient_funds")
        world.stage.send_tao(tao_address("bank"), world.stage.miners[0].accounts[Chain.TAO], 10 * TAO)
        await world.block(3)
        assert {await world.state(early), await world.state(late)} <= {State.MARKED, State.MARKING}

    async def test_a_single_obligation_needs_no_balance_gate(self, make_world: MakeWorld) -> None:
        world = await make_world(tao_each=OWED[Chain.TAO] + FEE + 500)
        swap_id = world.stage.open_swap()
        await world.round()
        assert await world.state(swap_id) is State.SIGNED

    async def test_without_money_it_waits_and_nothing_is_signed(self, make_world: MakeWorld) -> None:
        world = await make_world(tao_each=OWED[Chain.TAO])
        swap_id = world.stage.open_swap()
        await world.block(2)
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.RESERVED, "insufficient_funds")

    async def test_a_swap_above_the_cap_is_refused(self, make_world: MakeWorld) -> None:
        world = await make_world(policy=with_caps(Chain.TAO, per_swap=OWED[Chain.TAO] - 1))
        swap_id = world.stage.open_swap()
        await world.round()
        assert (await world.saga(swap_id)).reason == "per_swap_cap"

    async def test_the_hourly_cap_survives_restarts(self, make_world: MakeWorld) -> None:
        world = await make_world(on_disk=True, policy=with_caps(Chain.TAO, per_hour=OWED[Chain.TAO]))
        first, second = world.stage.open_swap(), world.stage.open_swap()
        await world.round()
        assert await world.state(first) is State.SIGNED
        await world.restart(crash=True)
        await world.block(3)
        saga = await world.saga(second)
        assert (saga.state, saga.reason) == (State.VERIFIED, "per_hour_cap")
        world.stage.clock.now_ms += 3_600_000
        await world.restart()
        await world.block()
        assert await world.state(second) is State.SIGNED

    async def test_a_hotkey_without_money_waits_before_the_payout(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        hotkey = world.stage.miners[0].hotkey
        have = world.stage.tao.best.state.account(hotkey).free
        world.foreign.add(world.stage.spend(hotkey, tao_address("bank"), have - 4_000_000).txid)
        await world.block()
        assert (await world.saga(swap_id)).reason == "hotkey_cannot_pay_for_the_mark"
        world.stage.send_tao(tao_address("bank"), hotkey, TAO)
        await world.block(4)
        assert await world.state(swap_id) is State.MARKED


class TestPause:
    @pytest.mark.parametrize("what", ["all", "tao"])
    async def test_paused_first_sends_wait_and_what_was_sent_goes_on(self, world: World, what: str) -> None:
        paid = world.stage.open_swap()
        await world.round()
        await world.store.set_paused(what, True, "operator")
        waits = world.stage.open_swap()
        await world.block(3)
        assert await world.state(paid) is State.MARKED
        assert await world.state(waits) is State.VERIFIED
        await world.store.set_paused(what, False, "operator")
        await world.block(3)
        assert await world.state(waits) is State.MARKED

    async def test_another_chain_goes_on(self, world: World) -> None:
        await world.store.set_paused("btc", True, "operator")
        tao, btc = world.stage.open_swap(), world.stage.open_swap(Chain.BTC)
        await world.round()
        assert (await world.state(tao), await world.state(btc)) == (State.SIGNED, State.VERIFIED)

    async def test_a_changed_code_hash_stops_first_sends(self, world: World) -> None:
        paid = world.stage.open_swap()
        await world.round()
        world.stage.vote("set_code", code_hash="0x" + "dd" * 32)
        waits = world.stage.open_swap()
        await world.block(3)
        assert await world.state(paid) is State.MARKED
        assert (await world.saga(waits)).reason == "contract_code_changed"
        await world.store.repin("code_hash", "0x" + "dd" * 32, "operator")
        await world.block(3)
        assert await world.state(waits) is State.MARKED


class TestSending:
    @BOTH
    @pytest.mark.parametrize("fault", ["lost_replies", "lost_sends", "refusal", "down"])
    async def test_whatever_the_answer_it_is_paid_once(self, world: World, dest: Chain, fault: str) -> None:
        swap_id = world.stage.open_swap(dest)
        link = world.link if dest is Chain.TAO else world.btc_link

        def break_the_send(name: str) -> None:
            if name == "broadcast":
                setattr(link, fault, "temporarily_banned" if fault == "refusal" else True)

        link.on_call = break_the_send
        await world.round()
        assert await world.state(swap_id) is State.SIGNED
        signed = (await world.payout(swap_id)).latest.tx.txid
        link.on_call, link.refusal, link.down = None, "", False
        link.lost_replies = link.lost_sends = 0
        await world.block(2)
        await world.btc_block()
        await world.block(3)
        assert await world.state(swap_id) is State.MARKED
        assert (await world.payout(swap_id)).txid == signed
        assert len((await world.payout(swap_id)).attempts) == 1
        assert len(world.received(swap_id)) == 1

    @BOTH
    async def test_a_reorged_payout_is_sent_again_in_its_lane(
        self, make_world: MakeWorld, dest: Chain
    ) -> None:
        world = await make_world(lag=3)
        swap_id = world.stage.open_swap(dest)
        await world.block(4)
        await world.btc_block()
        signed = (await world.payout(swap_id)).latest.tx.txid
        world.stage.tao.fork(3, resubmit=False)
        world.stage.btc.fork(1, resubmit=False)
        await world.round()
        assert world.received(swap_id) == []
        await world.block(6)
        await world.btc_block(1)
        await world.block(6)
        lane = await world.payout(swap_id)
        assert (lane.txid, len(world.received(swap_id))) == (signed, 1)
        assert await world.state(swap_id) is State.MARKED

    @BOTH
    async def test_a_crash_after_the_bytes_are_stored_pays_once(
        self, make_world: MakeWorld, dest: Chain
    ) -> None:
        world = await make_world(on_disk=True)
        swap_id = world.stage.open_swap(dest)
        world.link.lost_sends = world.btc_link.lost_sends = 1
        await world.round()
        signed = (await world.payout(swap_id)).latest.tx.txid
        assert not world.stage.tao.submitted
        await world.restart(crash=True)
        await world.btc_block()
        await world.btc_block()
        await world.block(3)
        assert (await world.payout(swap_id)).txid == signed
        assert len(world.received(swap_id)) == 1

    async def test_an_expired_era_is_signed_again_in_the_same_lane(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        world.stage.tao.held_back = lambda tx: tx.nonce is not None
        await world.block(60)
        assert len((await world.payout(swap_id)).attempts) == 1
        await world.block(10)
        lane = await world.payout(swap_id)
        assert [a.kind for a in lane.attempts] == [AttemptKind.PAYMENT, AttemptKind.PAYMENT]
        assert len({a.tx.spends for a in lane.attempts}) == 1
        world.stage.release()
        await world.block(3)
        assert await world.state(swap_id) is State.MARKED
        assert len(world.received(swap_id)) == 1

    async def test_too_late_for_an_era_it_is_cancelled_freed_and_expires(self, make_world: MakeWorld) -> None:
        world = await make_world(timeout=40)
        swap_id = world.stage.open_swap()
        world.stage.tao.held_back = lambda tx: tx.nonce is not None
        await world.block(40)
        lane = await world.payout(swap_id)
        assert lane.latest.kind is AttemptKind.FILLER
        world.stage.release()
        await world.block(2)
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.COMPENSATED, "expired")
        events = [entry.event for entry in await world.journal(swap_id)]
        assert events.index(Event.CANCEL_SIGNED) < events.index(Event.PAYOUT_FREED)
        assert world.received(swap_id) == []
        assert await world.store.open_lanes() == []

    async def test_a_payout_that_failed_in_its_block_is_freed_and_paid_anew(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(tao_each=OWED[Chain.TAO] + 10 * FEE)
        swap_id = world.stage.open_swap()
        world.stage.tao.held_back = lambda tx: tx.nonce is not None
        await world.round()
        account = world.stage.miners[0].accounts[Chain.TAO]
        world.stage.drain(account, OWED[Chain.TAO] // 2)
        await world.block()
        world.stage.release()
        await world.block()
        assert (await world.saga(swap_id)).payout is None
        world.stage.send_tao(tao_address("bank"), account, 10 * TAO)
        await world.block(4)
        assert await world.state(swap_id) is State.MARKED
        assert len(world.received(swap_id)) == 1


class TestTakers:
    async def test_a_taker_that_pays_is_adopted(self, world: World) -> None:
        swap_id = await self._taken(world, OWED[Chain.TAO])
        await world.block(2)
        assert await world.state(swap_id) is State.MARKED
        assert len(world.received(swap_id)) == 1

    async def test_a_taker_that_pays_nothing_frees_the_payout(self, world: World) -> None:
        swap_id = await self._taken(world, 0)
        await world.block(3)
        assert await world.state(swap_id) is State.MARKED
        assert world.received(swap_id) == [OWED[Chain.TAO]]
        lanes = [
            entry.payload for entry in await world.journal(swap_id) if entry.event is Event.PAYOUT_SIGNED
        ]
        assert len(lanes) == 2

    async def test_a_doubtful_taker_is_for_a_person(self, world: World) -> None:
        swap_id = await self._taken(world, OWED[Chain.TAO] // 2)
        await world.block(6)
        assert await world.state(swap_id) is State.HELD
        assert world.causes(swap_id) == ["lane_taken_ambiguously"]
        assert world.received(swap_id) == [OWED[Chain.TAO] // 2]

    async def _taken(self, world: World, pays: int) -> int:
        swap_id = world.stage.open_swap()
        world.stage.tao.held_back = lambda tx: tx.nonce is not None
        await world.round()
        world.stage.release()
        lane = await world.payout(swap_id)
        world.foreign.add(world.stage.spend(lane.account, lane.recipient, pays).txid)
        await world.block()
        return swap_id

    @pytest.mark.parametrize("pays", [0, OWED[Chain.BTC]])
    async def test_a_taker_of_an_anchor_is_judged_when_final(self, world: World, pays: int) -> None:
        swap_id = world.stage.open_swap(Chain.BTC)
        await world.round()
        lane = await world.payout(swap_id)
        world.foreign.add(world.stage.spend_anchor(lane, pays).txid)
        await world.btc_block()
        assert await world.state(swap_id) is State.SIGNED
        await world.btc_block(5)
        await world.block(2)
        await world.btc_block()
        await world.block(2)
        assert await world.state(swap_id) is State.MARKED
        assert len(world.received(swap_id)) == 1
        assert (await world.payout(swap_id)).slot == lane.slot if pays else True


class TestMarking:
    async def test_a_mark_refused_for_good_is_held_told_once_and_tried_at_sweeps(self, world: World) -> None:
        swap_id = await self._paid_and_inactive(world)
        await world.block(12)
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.HELD, "mark_refused:MinerNotActive")
        assert world.causes(swap_id) == ["mark_refused:MinerNotActive"]
        world.stage.vote("set_active", miner=saga.swap.miner, active=True)
        await world.block(7)
        assert await world.state(swap_id) is State.MARKED

    async def _paid_and_inactive(self, world: World) -> int:
        world.stage.marks_need_active()
        swap_id = world.stage.open_swap()
        await world.round()
        hotkey = world.stage.miners[0].hotkey
        world.stage.vote("set_active", miner=hotkey, active=False)
        await world.block()
        return swap_id

    async def test_a_mark_that_would_be_refused_stops_the_payout(self, world: World) -> None:
        world.stage.marks_need_active()
        swap_id = world.stage.open_swap()
        world.stage.vote("set_active", miner=world.stage.miners[0].hotkey, active=False)
        world.stage.tao_block()
        await world.round()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.VERIFIED, "mark_would_be_refused:MinerNotActive")

    async def test_a_mark_that_reverted_is_judged(self, make_world: MakeWorld) -> None:
        world = await make_world()
        world.stage.marks_need_active()
        swap_id = world.stage.open_swap()
        await world.round()
        hotkey = world.stage.miners[0].hotkey
        await world.block()
        assert await world.state(swap_id) is State.MARKING
        world.stage.vote_first("set_active", miner=hotkey, active=False)
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.HELD, "mark_refused:MinerNotActive")
        world.stage.vote("set_active", miner=hotkey, active=True)
        await world.block(7)
        assert await world.state(swap_id) is State.MARKED

    async def test_a_mark_whose_era_died_is_signed_again_in_its_lane(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        hotkey = world.stage.miners[0].hotkey
        world.stage.tao.held_back = lambda tx: tx.signer == hotkey
        await world.round()
        await world.block(70)
        saga = await world.saga(swap_id)
        assert saga.mark is not None
        assert [a.kind for a in saga.mark.attempts] == [AttemptKind.MARK] * 2
        world.stage.release()
        await world.block(2)
        assert await world.state(swap_id) is State.MARKED

    async def test_a_dry_run_without_an_answer_is_tried_again(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        await world.round()
        world.link.failing["try_mark"] = 2
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.mark_retries) == (State.PAID, 1)
        assert saga.next_attempt_ms > world.stage.clock.now_ms
        await world.block(4)
        assert await world.state(swap_id) is State.MARKED

    async def test_a_hotkey_emptied_after_the_payout_marks_later(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        hotkey = world.stage.miners[0].hotkey
        await world.round()
        world.stage.drain(hotkey, 100 * TAO - 900_000)
        await world.block()
        assert await world.state(swap_id) is State.PAID
        world.stage.send_tao(tao_address("bank"), hotkey, TAO)
        await world.block(12)
        assert await world.state(swap_id) is State.MARKED

    async def test_a_mark_that_costs_too_much_is_told_and_made_later(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        await world.round()
        world.contract.mark_fee = FEE - 1
        await world.block(3)
        assert await world.state(swap_id) is State.PAID
        assert world.causes(swap_id) == ["mark_waits:fee_too_high"]
        world.contract.mark_fee = FEE
        await world.block(12)
        assert await world.state(swap_id) is State.MARKED

    async def test_another_id_on_the_contract_is_for_a_person(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        world.stage.tao.held_back = lambda tx: tx.nonce is not None
        await world.round()
        hotkey = world.stage.miners[0].hotkey
        world.stage.mark(hotkey, swap_id, "0x" + "77" * 32)
        await world.block()
        assert await world.state(swap_id) is State.HELD
        assert world.causes(swap_id) == ["fulfilled_with_another_id"]


class TestTheSwapsEnd:
    @BOTH
    async def test_a_payout_not_seen_is_withdrawn(self, make_world: MakeWorld, dest: Chain) -> None:
        world = await make_world(timeout=120)
        swap_id = world.stage.open_swap(dest)
        world.stage.tao.held_back = lambda tx: tx.nonce is not None
        await world.block(119)
        lane = await world.payout(swap_id)
        assert await world.state(swap_id) is State.SIGNED
        world.stage.vote("timeout_swap", swap_id=swap_id)
        await world.block()
        await world.block()
        assert await world.state(swap_id) is State.WITHDRAWING
        world.stage.release()
        await world.block(2)
        await world.btc_block(6)
        saga = await world.saga(swap_id)
        assert (saga.state, world.received(swap_id)) == (State.COMPENSATED, [])
        assert lane.state is LaneState.SIGNED
        await world.block(3)
        assert await world.store.open_lanes() == []

    @BOTH
    async def test_a_round_that_began_before_the_swaps_end_sends_no_payout_after_it(
        self, make_world: MakeWorld, dest: Chain
    ) -> None:
        """It took so long, or its process was stopped in it; the leases are kept."""
        world = await make_world(timeout=120)
        swap_id, before = await signed_and_unsent(world, dest), world.node.heads()
        for _ in range(120):
            world.stage.tao_block()
            await world.keeper.beat()
        world.stage.vote("timeout_swap", swap_id=swap_id)
        world.stage.tao_block()
        await world.settler.round(before)
        assert txids_sent(world) == []
        await world.round()
        assert await world.state(swap_id) is State.WITHDRAWING
        await world.block(2)
        await world.btc_block(6)
        assert (await world.state(swap_id), world.received(swap_id)) == (State.COMPENSATED, [])

    @BOTH
    async def test_a_payout_is_sent_by_an_older_round_while_its_swap_goes_on(
        self, make_world: MakeWorld, dest: Chain
    ) -> None:
        world = await make_world(timeout=120)
        swap_id, before = await signed_and_unsent(world, dest), world.node.heads()
        world.stage.tao_block(2)
        await world.settler.round(before)
        assert txids_sent(world) == [(await world.payout(swap_id)).latest.tx.txid]

    @pytest.mark.parametrize("ended", [SwapStatus.COMPLETED, SwapStatus.TIMED_OUT])
    async def test_a_contract_that_keeps_ended_swaps_says_so_too(
        self, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, ended: SwapStatus
    ) -> None:
        world = await make_world(timeout=120)
        swap_id, before = await signed_and_unsent(world), world.node.heads()
        world.stage.tao_block()
        swap = world.stage.swap(swap_id)
        assert swap is not None

        async def kept(ids: Sequence[int], _at: Head) -> Mapping[int, Swap | None]:
            return {each: replace(swap, status=ended) for each in ids}

        monkeypatch.setattr(world.contract, "swaps", kept)
        await world.settler.round(before)
        assert txids_sent(world) == []

    async def test_a_marked_payout_that_a_fork_drops_is_sent_by_an_older_round(self, world: World) -> None:
        swap_id = world.stage.open_swap(Chain.BTC)
        await world.round()
        await world.btc_block(2)
        await world.block(10)
        assert await world.state(swap_id) is State.MARKED
        world.stage.btc.fork(2, resubmit=False)
        world.stage.tao_block()
        before, sent = world.node.heads(), txids_sent(world)
        world.stage.tao_block()
        await world.settler.round(before)
        assert txids_sent(world) == [*sent, (await world.payout(swap_id)).latest.tx.txid]

    @BOTH
    @pytest.mark.parametrize("what", ["finalised", "swaps"])
    async def test_while_the_chain_does_not_say_whether_a_swap_goes_on_its_payout_waits(
        self, make_world: MakeWorld, dest: Chain, what: str
    ) -> None:
        """Unknown is not no (law 3), and it is not yes: the next round asks again."""
        world = await make_world(timeout=120)
        swap_id, before = await signed_and_unsent(world, dest), world.node.heads()
        world.stage.tao_block()
        world.link.failing[what] = 1
        report = await world.settler.round(before)
        assert (txids_sent(world), report.failures) == ([], {})
        await world.settler.round(before)
        assert txids_sent(world) == [(await world.payout(swap_id)).latest.tx.txid]

    @BOTH
    async def test_a_swap_slashed_after_its_payout_has_failed(
        self, make_world: MakeWorld, dest: Chain
    ) -> None:
        world = await make_world(timeout=120)
        swap_id = world.stage.open_swap(dest)
        hotkey = world.stage.miners[0].hotkey
        world.stage.tao.held_back = lambda tx: tx.signer == hotkey
        await world.round()
        await world.btc_block(6)
        await world.block(118)
        assert await world.state(swap_id) is State.MARKING
        world.stage.vote("timeout_swap", swap_id=swap_id)
        await world.block(3)
        assert await world.state(swap_id) is State.FAILED
        assert world.causes(swap_id) == ["timed_out_after_payout"]
        assert len(world.received(swap_id)) == 1
        await world.block(70)
        world.stage.release()
        await world.block(2)
        assert await world.store.open_lanes() == []

    async def test_an_unpaid_swap_that_ends_is_released(self, make_world: MakeWorld) -> None:
        world = await make_world(timeout=120, tao_each=TAO)
        swap_id = world.stage.open_swap()
        await world.block(3)
        assert await world.state(swap_id) is State.RESERVED
        swap = world.stage.swap(swap_id)
        assert swap is not None
        world.stage.tao_block(swap.timeout_block - world.stage.tao.best.height)
        world.stage.vote("timeout_swap", swap_id=swap_id)
        world.stage.tao_block()
        await world.round()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.COMPENSATED, "swap_timed_out")
        assert await world.store.reserved(world.tao.chain_id, swap.miner_dest_address) == 0

    async def test_a_marked_swap_that_is_slashed_has_failed(self, make_world: MakeWorld) -> None:
        world = await make_world(timeout=20)
        swap_id = world.stage.open_swap()
        await world.block(20)
        assert await world.state(swap_id) is State.MARKED
        world.stage.vote("timeout_swap", swap_id=swap_id)
        await world.block()
        assert await world.state(swap_id) is State.FAILED


class TestImports:
    async def test_an_imported_send_is_held_found_and_marked(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        swap = world.stage.swap(swap_id)
        assert swap is not None
        await world.store.import_sent([ImportedSend(swap_id, "tao_transfer", world.stage.tao.best.height)])
        await world.round()
        assert await world.state(swap_id) is State.HELD
        await world.block(6)
        assert world.received(swap_id) == []
        account = world.stage.miners[0].accounts[Chain.TAO]
        world.foreign.add(world.stage.spend(account, swap.user_dest_address, OWED[Chain.TAO]).txid)
        await world.block(12)
        assert await world.state(swap_id) is State.MARKED
        assert world.received(swap_id) == [OWED[Chain.TAO]]

    async def test_an_imported_send_that_is_never_found_ends_with_an_entry(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(timeout=20)
        swap_id = world.stage.open_swap()
        await world.store.import_sent([ImportedSend(swap_id, "0x" + "11" * 32, 1)])
        await world.block(20)
        world.stage.vote("timeout_swap", swap_id=swap_id)
        await world.block()
        assert await world.state(swap_id) is State.FAILED
        assert world.causes(swap_id) == ["imported_maybe_paid", "ended_maybe_paid"]


class TestIsolation:
    async def test_a_failed_read_of_one_swap_stops_no_other(self, world: World) -> None:
        btc, tao = world.stage.open_swap(Chain.BTC), world.stage.open_swap()
        world.btc_link.failing["fee"] = -1
        await world.block(3)
        assert await world.state(btc) is State.VERIFIED
        assert await world.state(tao) is State.MARKED
        world.btc_link.failing.clear()
        await world.block()
        assert await world.state(btc) is State.SIGNED

    @pytest.mark.parametrize("error", [StaleSaga("moved"), LeaseLost("saga/1")])
    async def test_a_lost_race_stops_one_saga(
        self, world: World, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = world.stage.open_swap(), world.stage.open_swap()
        steps = world.store.step

        async def lose(saga: Saga, step: Step, actor: str = "daemon") -> Saga:
            if saga.key.swap_id == first:
                raise error
            return await steps(saga, step, actor)

        monkeypatch.setattr(world.store, "step", lose)
        report = await self._round(world)
        assert set(report.failures) == {first}
        assert await world.state(first) is State.DISCOVERED
        assert await world.state(second) is State.SIGNED
        monkeypatch.undo()
        await world.block(3)
        assert await world.state(first) is State.MARKED

    async def _round(self, world: World) -> RoundReport:
        heads = world.node.heads()
        await world.watcher.catch_up(heads.finalised, await world.lease())
        return await world.settler.round(heads)

    @pytest.mark.parametrize("names", [(), ("take",), ("sight",)])
    async def test_a_store_that_refuses_lets_nothing_leave(
        self, world: World, names: tuple[str, ...]
    ) -> None:
        swap_id = world.stage.open_swap()
        world.store.refuse(*names)
        await world.round()
        if names != ("sight",):
            assert world.stage.tao.submitted == []
            assert world.told.is_ready is False
        world.store.allow()
        await world.block(4)
        assert world.told.is_ready
        assert await world.state(swap_id) is State.MARKED
        assert len(world.received(swap_id)) == 1

    async def test_a_commit_without_an_answer_lets_nothing_leave(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        steps = []

        def lose(name: str) -> None:
            if name == "take":
                steps.append(name)
                if len(steps) == 3:  # verified, reserved, signed
                    raise StoreUnavailable("no answer to the commit")

        world.store.inline.after = lose
        await world.round()
        assert await world.state(swap_id) is State.SIGNED
        assert world.stage.tao.submitted == []
        world.store.allow()
        await world.block(3)
        assert await world.state(swap_id) is State.MARKED
        assert len((await world.payout(swap_id)).attempts) == 1

    async def test_changed_terms_hold_the_swap(self, world: World) -> None:
        await world.store.set_paused("all", True, "operator")
        swap_id = world.stage.open_swap()
        await world.round()
        world.stage.tamper(swap_id, user_dest_address=tao_address("thief"))
        await world.store.set_paused("all", False, "operator")
        await world.block(2)
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.HELD, "invariant_broken")
        assert world.stage.tao.submitted == []

    @pytest.mark.parametrize(
        ("error", "state"),
        [
            (ReadFailed("the fee"), State.VERIFIED),
            (TimeoutError(), State.VERIFIED),
            (ZeroDivisionError(), State.VERIFIED),
            (InvariantBroken("it cannot be"), State.HELD),
        ],
    )
    async def test_what_breaks_in_one_swap_stops_no_other(
        self, world: World, error: Exception, state: State, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(_order: object) -> int:
            raise error

        monkeypatch.setattr(world.btc, "fee", broken)
        btc, tao = world.stage.open_swap(Chain.BTC), world.stage.open_swap()
        report = await self._round(world)
        assert set(report.failures) == {btc}
        assert (await world.state(btc), await world.state(tao)) == (state, State.SIGNED)

    @pytest.mark.parametrize("error", [ReadFailed("a lane"), ZeroDivisionError(), TimeoutError()])
    async def test_a_lane_that_cannot_be_looked_at_stops_no_other(
        self, world: World, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        btc, tao = world.stage.open_swap(Chain.BTC), world.stage.open_swap()
        await world.round()

        async def broken(_lane: object) -> None:
            raise error

        monkeypatch.setattr(world.btc, "locate", broken)
        await world.btc_block(2)
        await world.block(2)
        assert (await world.state(btc), await world.state(tao)) == (State.SIGNED, State.MARKED)
        monkeypatch.undo()
        await world.block(3)
        assert await world.state(btc) is State.MARKED


class TestAnotherProgram:
    async def test_its_mark_is_held_and_its_payout_adopted(self, world: World) -> None:
        await world.store.set_paused("all", True, "operator")
        swap_id = world.stage.open_swap()
        await world.round()
        swap = world.stage.swap(swap_id)
        assert swap is not None
        tx = world.stage.spend(swap.miner_dest_address, swap.user_dest_address, OWED[Chain.TAO])
        world.foreign.add(tx.txid)
        await world.block()
        await world.store.set_paused("all", False, "operator")
        world.stage.mark(swap.miner, swap_id, tx.txid, OWED[Chain.TAO])
        world.stage.tao_block()
        await world.round()
        assert await world.state(swap_id) is State.HELD
        assert world.causes(swap_id) == ["fulfilled_elsewhere"]
        await world.block(6)
        assert world.received(swap_id) == [OWED[Chain.TAO]]

    async def test_a_mark_that_landed_unseen_is_reconciled(self, make_world: MakeWorld) -> None:
        world = await make_world(lag=2)
        swap_id = world.stage.open_swap()
        await world.block(3)
        lane = await world.payout(swap_id)
        assert lane.txid is not None
        assert await world.state(swap_id) is State.PAID
        world.stage.mark(world.stage.miners[0].hotkey, swap_id, lane.txid, lane.amount, lane.block)
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.mark) == (State.PAID, None)
        await world.block(2)
        assert await world.state(swap_id) is State.MARKED
        assert world.causes(swap_id) == []

    async def test_spends_to_the_user_before_the_store_knew_the_account_hold_the_swap(
        self, world: World
    ) -> None:
        swap_id = world.stage.open_swap()
        swap = world.stage.swap(swap_id)
        assert swap is not None
        world.foreign.add(world.stage.spend(swap.miner_dest_address, swap.user_dest_address, TAO).txid)
        world.stage.tao_block(2)
        late = World(world.stage)
        await late.start()
        await late.block(8)
        saga = await late.saga(swap_id)
        assert (saga.state, saga.reason, saga.payout) == (State.HELD, "account_spent_before", None)
        assert late.received(swap_id) == [TAO], "what the other program gave, and nothing of ours"
        await late.stop()

    async def test_spends_to_others_before_the_store_knew_the_account_hold_nothing(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(timeout=120)
        swap_id = world.stage.open_swap()
        swap = world.stage.swap(swap_id)
        assert swap is not None
        world.foreign.add(world.stage.spend(swap.miner_dest_address, tao_address("else"), TAO).txid)
        world.stage.tao_block(2)
        late = World(world.stage)
        await late.start()
        await late.block(LONGEST_LIFE + 8)  # what a lost store may have signed is dead by then
        assert await late.state(swap_id) is State.MARKED
        assert late.received(swap_id) == [OWED[Chain.TAO]]
        await late.stop()


class TestBtcLanes:
    async def test_a_filler_that_costs_too_much_waits(self, make_world: MakeWorld) -> None:
        world = await make_world(timeout=120)
        swap_id = world.stage.open_swap(Chain.BTC)
        await world.block(119)
        world.btc._max_fee = 1
        world.stage.vote("timeout_swap", swap_id=swap_id)
        await world.block(3)
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.WITHDRAWING, "cancel_refused:fee_too_high")
        world.btc._max_fee = 200_000
        await world.block()
        await world.btc_block(7)
        assert await world.state(swap_id) is State.COMPENSATED

    async def test_a_filler_that_no_pool_takes_keeps_no_nonce_of_its_hotkey(
        self, make_world: MakeWorld
    ) -> None:
        """It is sent again in each round; the mark of the same swap has its turn all the same."""
        world = await make_world(timeout=120)
        swap_id = world.stage.open_swap(Chain.BTC)
        hotkey = world.stage.miners[0].hotkey
        world.stage.tao.held_back = lambda tx: tx.signer == hotkey
        await world.block(100)
        await world.btc_block()
        assert await world.state(swap_id) is State.MARKING
        world.stage.btc.fork(1, resubmit=False)
        world.btc_link.refusal = "min relay fee not met"
        await world.block(18)
        world.stage.vote("timeout_swap", swap_id=swap_id)
        await world.block(2)
        assert await world.state(swap_id) is State.WITHDRAWING
        await world.block(LONGEST_LIFE)
        world.stage.release()
        await world.block(3)
        saga = await world.saga(swap_id)
        assert saga.mark is not None
        assert (saga.state, saga.mark.state) == (State.WITHDRAWING, LaneState.CANCELLED)

    async def test_a_payout_mined_before_its_filler_is_a_loss_that_is_told(
        self, make_world: MakeWorld
    ) -> None:
        world = await make_world(timeout=120)
        swap_id = world.stage.open_swap(Chain.BTC)
        await world.block(119)
        world.stage.vote("timeout_swap", swap_id=swap_id)
        world.stage.btc_block()
        await world.block(2)
        assert await world.state(swap_id) is State.WITHDRAWING
        await world.btc_block(6)
        assert await world.state(swap_id) is State.FAILED
        assert world.causes(swap_id) == ["timed_out_after_payout"]
        assert len(world.received(swap_id)) == 1

    async def test_the_fee_above_the_limit_waits(self, world: World) -> None:
        world.btc.rate = 1_000
        swap_id = world.stage.open_swap(Chain.BTC)
        await world.round()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.VERIFIED, "fee_above_cap")
        world.btc.rate = 5
        await world.block()
        assert await world.state(swap_id) is State.SIGNED


class TestReserved:
    """What is read again before the pivot, in a world whose account cannot pay yet."""

    async def _poor(self, make_world: MakeWorld, lag: int = 0) -> tuple[World, int]:
        world = await make_world(tao_each=OWED[Chain.TAO], lag=lag)
        swap_id = world.stage.open_swap()
        await world.block(1 + lag)
        assert await world.state(swap_id) is State.RESERVED
        return world, swap_id

    async def _rich(self, world: World) -> None:
        to = world.stage.miners[0].accounts[Chain.TAO]
        world.stage.send_tao(tao_address("bank"), to, 10 * TAO)
        world.stage.tao_block(1 + world.stage.tao.lag)

    async def test_a_payment_that_is_gone_is_read_again(self, make_world: MakeWorld) -> None:
        world, swap_id = await self._poor(make_world)
        world.stage.btc.fork(2, resubmit=False)
        await world.block(2)
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.VERIFIED, "not_found")

    async def test_a_swap_that_changed_at_the_best_head_is_given_back(self, make_world: MakeWorld) -> None:
        world, swap_id = await self._poor(make_world, lag=2)
        await self._rich(world)
        world.stage.mark(world.stage.miners[0].hotkey, swap_id, "0x" + "77" * 32)
        await world.block()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.payout) == (State.VERIFIED, None)
        (why,) = [
            e.payload["why"] for e in await world.journal(swap_id) if e.event is Event.RESERVATION_YIELDED
        ]
        assert why == "swap_changed"
        await world.block(3)
        assert await world.state(swap_id) is State.HELD
        assert world.stage.tao.submitted == []

    async def test_an_account_that_was_stopped_meanwhile_pays_nothing(self, make_world: MakeWorld) -> None:
        world, swap_id = await self._poor(make_world)
        account = world.stage.miners[0].accounts[Chain.TAO]
        await world.store.stop_account(world.tao.chain_id, account, "a person looks")
        await self._rich(world)
        await world.round()
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.RESERVED, "account_stopped:a person looks")

    async def test_an_imported_send_holds_what_was_reserved(self, make_world: MakeWorld) -> None:
        world, swap_id = await self._poor(make_world)
        await world.store.import_sent([ImportedSend(swap_id, "0x" + "11" * 32, 5)])
        await self._rich(world)
        await world.round()
        assert await world.state(swap_id) is State.HELD
        account = world.stage.miners[0].accounts[Chain.TAO]
        assert await world.store.reserved(world.tao.chain_id, account) == 0

    async def test_a_crash_while_reserved_changes_nothing(self, make_world: MakeWorld) -> None:
        world = await make_world(tao_each=OWED[Chain.TAO], on_disk=True)
        swap_id = world.stage.open_swap()
        await world.block()
        await world.restart(crash=True)
        await self._rich(world)
        await world.block(3)
        assert await world.state(swap_id) is State.MARKED


class TestRevertedMarks:
    async def test_one_that_would_pass_now_is_made_again(self, world: World) -> None:
        world.stage.marks_need_active()
        swap_id = world.stage.open_swap()
        await world.round()
        await world.block()
        hotkey = world.stage.miners[0].hotkey
        world.stage.vote_first("set_active", miner=hotkey, active=False)
        world.stage.vote("set_active", miner=hotkey, active=True)
        await world.block(3)
        assert await world.state(swap_id) is State.MARKED
        events = [entry.event for entry in await world.journal(swap_id)]
        assert events.count(Event.MARK_SIGNED) == 2

    async def test_one_that_nobody_can_judge_yet_waits(self, world: World) -> None:
        world.stage.marks_need_active()
        swap_id = world.stage.open_swap()
        await world.round()
        await world.block()
        hotkey = world.stage.miners[0].hotkey
        world.stage.vote_first("set_active", miner=hotkey, active=False)
        world.stage.vote("set_active", miner=hotkey, active=True)
        world.link.failing |= {"why_failed": 2, "try_mark": 2}
        await world.block(8)
        assert await world.state(swap_id) is State.MARKED

    async def test_one_that_came_after_another_programs_is_reconciled(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        await world.round()
        await world.block()
        lane = await world.payout(swap_id)
        assert lane.txid is not None
        waiting = dict(world.stage.tao.pool)
        world.stage.tao.pool.clear()
        world.stage.mark(world.stage.miners[0].hotkey, swap_id, lane.txid, lane.amount, lane.block)
        world.stage.tao.pool.update(waiting)
        await world.block(2)
        assert await world.state(swap_id) is State.MARKED
        assert world.causes(swap_id) == []
