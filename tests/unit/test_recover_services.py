"""What an operator asks reaches the swap through the daemon, and through no other way."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from miner.amounts import Chain
from miner.errors import ReadFailed, StoreUnavailable
from miner.model import (
    Asked,
    Came,
    ImportedSend,
    OperatorRequest,
    Outcome,
    RecoveryEntry,
    SagaPatch,
    Standing,
    Step,
    SwapStatus,
    Verb,
)
from miner.saga import Event, State
from tests.simulation.btc_rules import transaction
from tests.simulation.stage import btc_address, tao_address
from tests.simulation.tao_rules import Transfer
from tests.simulation.world import World
from tests.unit import service_worlds
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world

OWED = {Chain.TAO: 3_415_500_000, Chain.BTC: 990_000}
WHY = "the test decides"


def asked(verb: Verb, swap_id: int, **fields: Any) -> Asked:
    return Asked(verb=verb, swap_id=swap_id, actor="operator:tester", reason=WHY, **fields)


async def ask(world: World, *wanted: Asked) -> list[int]:
    return list(await world.store.ask(wanted, 600_000))


async def answer(world: World, request_id: int) -> Outcome:
    (request,) = await world.store.requests([request_id])
    assert request.outcome is not None, request
    return request.outcome


async def done(world: World, wanted: Asked) -> Outcome:
    """Ask, let one block pass, and give the answer."""
    (request_id,) = await ask(world, wanted)
    await world.block()
    return await answer(world, request_id)


async def look(world: World, wanted: Asked) -> Outcome:
    """A dry run."""
    before = await world.store.list_sagas()
    found = await world.recoverer.look(wanted, world.node.heads())
    assert await world.store.list_sagas() == before, "a dry run changed something"
    return found


async def journaled(world: World, swap_id: int) -> list[tuple[Event, str, Any]]:
    """What the tester's name stands beside."""
    return [
        (entry.event, entry.actor.rsplit(":", 1)[0], entry.payload.get("why"))
        for entry in await world.journal(swap_id)
        if entry.actor.startswith("operator:")
    ]


async def held_without_mark(world: World) -> int:
    """A swap that was paid, whose mark the contract refuses."""
    world.stage.marks_need_active()
    swap_id = world.stage.open_swap()
    await world.round()
    world.stage.vote("set_active", miner=world.stage.miners[0].hotkey, active=False)
    await world.block(7)
    assert await world.state(swap_id) is State.HELD
    return swap_id


async def maybe_paid(world: World, dest: Chain = Chain.TAO) -> int:
    """A swap that another program says it paid, by an id that leads nowhere."""
    await world.store.set_paused("all", True, "test")
    swap_id = world.stage.open_swap(dest)
    txid = "0x" + "77" * 32 if dest is Chain.TAO else "77" * 32
    await world.store.import_sent([ImportedSend(swap_id, txid, 3)])
    await world.block(2)
    assert await world.state(swap_id) is State.HELD
    return swap_id


async def pay_by_hand(world: World, swap_id: int, amount: int | None = None, to: str | None = None) -> str:
    """The payout of a swap by another program with the miner's key; final on both chains."""
    saga = await world.saga(swap_id)
    chain, account = Chain(saga.swap.dest_chain), saga.swap.miner_dest_address
    to = to or saga.swap.user_dest_address
    amount = OWED[chain] if amount is None else amount
    if chain is Chain.TAO:
        txid = world.stage.own_spend(account, Transfer(to, amount)).txid
        world.foreign.add(txid)
        world.stage.tao_block()
        return txid
    txid = spend_btc(world, account, to, amount)
    world.foreign.add(txid)
    return txid


def spend_btc(world: World, account: str, to: str, sat: int) -> str:
    """Another program with our key pays somebody; final."""
    coins = world.stage.btc.best.state.coins
    outpoint = next(at for at, each in coins.items() if each.address == account)
    change = (account, coins[outpoint].sat - sat - 2_000)
    tx = transaction([outpoint], [(to, sat), change], 2_000)
    world.stage.btc.force(tx)
    world.stage.btc_block(7)
    return tx.txid


class TestRetry:
    async def test_a_mark_that_became_possible_is_made_now(self, world: World) -> None:
        swap_id = await held_without_mark(world)
        refused = await done(world, asked(Verb.RETRY, swap_id))
        assert (refused.came, "MinerNotActive" in refused.text) == (Came.REFUSED, True)
        assert "3.4155 TAO is paid" in refused.stake
        world.stage.vote("set_active", miner=world.stage.miners[0].hotkey, active=True)
        world.stage.tao_block()
        assert (await look(world, asked(Verb.RETRY, swap_id))).came is Came.WOULD
        told = await done(world, asked(Verb.RETRY, swap_id))
        assert (told.came, told.detail["state"]) == (Came.DONE, "MARKING")
        await world.block(2)
        assert await world.state(swap_id) is State.MARKED
        assert (Event.NOTED, "operator:tester", WHY) in await journaled(world, swap_id)

    async def test_a_back_off_is_cleared(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        await world.round()
        world.link.failing["try_mark"] = 6
        await world.block(2)
        saga = await world.saga(swap_id)
        assert saga.next_attempt_ms > await world.store.now_ms()
        world.link.failing.clear()
        (request_id,) = await ask(world, asked(Verb.RETRY, swap_id))
        await world.round()
        told = await answer(world, request_id)
        assert (told.came, told.detail["state"]) == (Came.DONE, "MARKING")

    async def test_retry_that_matches_nothing_says_so(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        await world.block(3)
        assert (await done(world, asked(Verb.RETRY, swap_id))).came is Came.NOTHING
        unknown = await done(world, asked(Verb.RETRY, 4711))
        assert (unknown.came, unknown.remedy) == (Came.REFUSED, "swap-miner swaps")


class TestRelease:
    async def test_a_reservation_is_given_back_and_kept_back(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account = world.stage.miners[0].accounts[Chain.TAO]

        async def fails(*_args: object) -> None:
            raise ReadFailed("the account", "no answer")

        with monkeypatch.context() as broken:
            broken.setattr(world.tao, "prepare", fails)
            swap_id = world.stage.open_swap()
            await world.block(2)
        assert await world.state(swap_id) is State.RESERVED
        assert await world.store.reserved(world.tao.chain_id, account) > OWED[Chain.TAO]
        told = await done(world, asked(Verb.RELEASE, swap_id, hold_s=60))
        assert (told.came, await world.state(swap_id)) == (Came.DONE, State.VERIFIED)
        assert await world.store.reserved(world.tao.chain_id, account) == 0
        assert world.received(swap_id) == []
        await world.block(12)
        assert len(world.received(swap_id)) == 1

    @pytest.mark.parametrize("dest", list(Chain))
    async def test_what_is_signed_is_not_released(self, world: World, dest: Chain) -> None:
        swap_id = world.stage.open_swap(dest)
        world.stage.tao.held_back = lambda _tx: True
        world.stage.btc.held_back = lambda _tx: True
        await world.block()
        account = world.stage.miners[0].accounts[dest]
        told = await done(world, asked(Verb.RELEASE, swap_id))
        assert told.came is Came.REFUSED
        assert ("3.4155 TAO" if dest is Chain.TAO else "0.0099 BTC") in told.stake
        assert await world.state(swap_id) is State.SIGNED
        assert account in (await world.payout(swap_id)).account


class TestQuarantine:
    async def test_a_paid_swap_that_is_live_is_not_closed(self, world: World) -> None:
        swap_id = await held_without_mark(world)
        told = await done(world, asked(Verb.QUARANTINE, swap_id))
        assert told.came is Came.REFUSED
        assert told.stake == "3.4155 TAO is paid; up to 3.45 TAO of collateral is lost if it times out"
        assert told.remedy == f"swap-miner retry {swap_id}"
        assert await world.state(swap_id) is State.HELD

    async def test_a_swap_that_may_be_paid_is_not_closed(self, world: World) -> None:
        swap_id = await maybe_paid(world)
        told = await done(world, asked(Verb.QUARANTINE, swap_id))
        assert (told.came, "3.4155 TAO may have been paid" in told.stake) == (Came.REFUSED, True)
        assert await world.state(swap_id) is State.HELD

    async def test_when_the_chain_does_not_answer_nothing_is_closed(self, world: World) -> None:
        swap_id = await maybe_paid(world)
        world.stage.vote("timeout_swap", swap_id=swap_id)
        world.link.failing["swaps"] = 1
        told = await look(world, asked(Verb.QUARANTINE, swap_id))
        assert (told.came, "nothing was changed" in told.text) == (Came.UNKNOWN, True)

    async def test_what_was_never_paid_and_cannot_be_is_closed_with_reason(
        self,
        world: World,
    ) -> None:
        await world.store.set_paused("all", True, "test")
        swap_id = world.stage.open_swap()
        await world.block(2)
        world.stage.tamper(swap_id, user_dest_address=tao_address("a thief"))
        await world.block(2)
        saga = await world.saga(swap_id)
        if saga.state is not State.HELD:
            why = RecoveryEntry("invariant_broken", "test")
            patch = SagaPatch(reason="invariant_broken")
            step = Step(event=Event.HELD_FOR_OPERATOR, patch=patch, recovery=why)
            await world.store.step(saga, step)
        told = await done(world, asked(Verb.QUARANTINE, swap_id))
        assert told.came is Came.DONE
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.QUARANTINED, "quarantined")
        assert (Event.QUARANTINED, "operator:tester", WHY) in await journaled(world, swap_id)
        assert "quarantined" in world.causes(swap_id)
        again = await done(world, asked(Verb.QUARANTINE, swap_id))
        assert again.came is Came.NOTHING


class TestAdopt:
    @pytest.mark.parametrize("dest", list(Chain))
    @pytest.mark.parametrize("verb", [Verb.ADOPT, Verb.MARK])
    async def test_a_payout_made_outside_is_credited_and_marked_once(
        self,
        world: World,
        dest: Chain,
        verb: Verb,
    ) -> None:
        swap_id = await maybe_paid(world, dest)
        txid = await pay_by_hand(world, swap_id)
        dry = await look(world, asked(verb, swap_id, txid=txid.upper().replace("0X", "0x")))
        assert (dry.came, "is credited" in dry.stake) == (Came.WOULD, True)
        told = await done(world, asked(verb, swap_id, txid=txid))
        assert told.came is Came.DONE, told
        await world.block(3)
        assert await world.state(swap_id) is State.MARKED
        swap = world.stage.swap(swap_id)
        assert swap is not None
        assert (swap.status, swap.dest_tx_hash) == (SwapStatus.FULFILLED, txid)
        assert world.received(swap_id) == [OWED[dest]]
        again = await done(world, asked(verb, swap_id, txid=txid))
        assert again.came is Came.NOTHING

    async def test_a_swap_that_waits_to_be_paid_is_never_paid_after_it_was_adopted(
        self,
        world: World,
    ) -> None:
        await world.store.set_paused("all", True, "test")
        swap_id = world.stage.open_swap()
        await world.block(2)
        assert await world.state(swap_id) is State.VERIFIED
        txid = await pay_by_hand(world, swap_id)
        told = await done(world, asked(Verb.ADOPT, swap_id, txid=txid))
        assert told.came is Came.DONE
        await world.store.set_paused("all", False, "test")
        await world.block(4)
        assert await world.state(swap_id) is State.MARKED
        assert len(world.received(swap_id)) == 1
        assert "adopted_by_operator" in world.causes(swap_id)

    @pytest.mark.parametrize("dest", list(Chain))
    @pytest.mark.parametrize("wrong", ["amount", "recipient", "more", "sender", "nowhere", "no id"])
    async def test_what_is_wrong_with_a_transaction_is_said(
        self,
        world: World,
        dest: Chain,
        wrong: str,
    ) -> None:
        swap_id = await maybe_paid(world, dest)
        saga = await world.saga(swap_id)
        stranger = tao_address("nobody") if dest is Chain.TAO else btc_address("nobody")
        due = OWED[dest]
        txid = {"nowhere": ("0x" if dest is Chain.TAO else "") + "cd" * 32, "no id": "tao_transfer"}.get(
            wrong
        )
        if wrong == "amount":
            txid = await pay_by_hand(world, swap_id, due - 1)
        elif wrong == "more":
            txid = await pay_by_hand(world, swap_id, due + 1)
        elif wrong == "recipient":
            txid = await pay_by_hand(world, swap_id, due, stranger)
        elif wrong == "sender":
            send = world.stage.send_tao if dest is Chain.TAO else world.stage.send_btc
            txid = send(stranger, saga.swap.user_dest_address, due).txid
            world.stage.tao_block()
            world.stage.btc_block(7)
        told = await done(world, asked(Verb.ADOPT, swap_id, txid=txid))
        assert told.came is Came.REFUSED, told
        assert {
            "amount": "wrong_amount",
            "more": f"it paid {due + 1}",
            "recipient": "wrong_recipient",
            "sender": "wrong_sender",
            "nowhere": "no final block since the swap began",
            "no id": "no transaction id",
        }[wrong] in told.text
        assert "owed to the user" in told.stake
        assert await world.state(swap_id) is State.HELD

    async def test_two_swaps_with_the_same_user_and_amount_have_each_its_own_payout(
        self, world: World
    ) -> None:
        world.stage.vote("set_dialect", most_active=2)
        world.stage.tao_block()
        unpaid = await maybe_paid(world)
        await world.store.set_paused("all", False, "test")
        user = (await world.saga(unpaid)).swap.user_dest_address
        paid = world.stage.open_swap(user_dest_address=user)
        await world.block(4)
        assert await world.state(paid) is State.MARKED
        told = await done(world, asked(Verb.ADOPT, unpaid, txid=(await world.payout(paid)).txid))
        assert (told.came, f"belongs to swap {paid}" in told.text) == (Came.REFUSED, True), told
        assert "another swap's payment" in told.stake
        assert await world.state(unpaid) is State.HELD
        assert len(world.received(unpaid)) == 1

    async def test_where_bitcoin_runs_far_ahead_the_operator_says_where_it_is(self, world: World) -> None:
        """So many blocks in no time: by the pace of the chains the payment is older than the swap."""
        swap_id = await maybe_paid(world, Chain.BTC)
        txid = await pay_by_hand(world, swap_id)
        height = world.stage.btc.best.height - 6
        world.stage.btc_block(30)
        told = await done(world, asked(Verb.ADOPT, swap_id, txid=txid))
        assert told.came is Came.REFUSED, told
        assert "from before the swap began (--block says where to look)" in told.text
        told = await done(world, asked(Verb.ADOPT, swap_id, txid=txid, block=height))
        assert told.came is Came.DONE, told

    @pytest.mark.parametrize("dest", list(Chain))
    async def test_a_payment_from_before_the_swap_began_is_not_its_payout(
        self, world: World, dest: Chain
    ) -> None:
        """The same user, the same amount, hours earlier."""
        number = world.stage.tao.best.state.contract.next_id
        user = f"user {number}"
        account = world.stage.miners[0].accounts[dest]
        if dest is Chain.TAO:
            txid = world.stage.own_spend(account, Transfer(tao_address(user), OWED[dest])).txid
            await world.block(2)
        else:
            txid = spend_btc(world, account, btc_address(user), OWED[dest])
        world.foreign.add(txid)
        world.stage.clock.now_ms += 3 * 3_600_000
        swap_id = await maybe_paid(world, dest)
        assert swap_id == number
        told = await done(world, asked(Verb.ADOPT, swap_id, txid=txid))
        assert told.came is Came.REFUSED, told
        assert "too_old" in told.text or "since the swap began" in told.text
        assert await world.state(swap_id) is State.HELD

    async def test_a_swap_whose_own_payout_may_land_adopts_nothing(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        world.stage.tao.held_back = lambda _tx: True
        await world.block()
        told = await done(world, asked(Verb.ADOPT, swap_id, txid="0x" + "12" * 32))
        assert (told.came, told.stake) == (Came.REFUSED, "3.4155 TAO may be paid twice")

    async def test_what_took_the_lane_and_paid_nothing_is_not_adopted(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        world.stage.tao.held_back = lambda _tx: True
        await world.round()
        world.stage.release()
        await world.store.set_paused("all", True, "test")
        lane = await world.payout(swap_id)
        taker = world.stage.spend(lane.account, lane.recipient, 0).txid
        world.foreign.add(taker)
        await world.block(2)
        told = await done(world, asked(Verb.ADOPT, swap_id, txid=taker))
        assert (told.came, "paid the user nothing" in told.text or "payment_failed" in told.text) == (
            Came.REFUSED,
            True,
        ), told
        assert world.received(swap_id) == []

    async def test_a_mark_with_another_id_cannot_be_corrected(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        await world.round()
        world.stage.mark(world.stage.miners[0].hotkey, swap_id, "0x" + "ab" * 32, OWED[Chain.TAO])
        await world.block(4)
        txid = (await world.payout(swap_id)).txid
        told = await done(world, asked(Verb.MARK, swap_id, txid=txid))
        assert (told.came, "cannot be corrected" in told.text) == (Came.REFUSED, True)


async def test_a_hold_is_told_with_the_command_that_comes_next(world: World) -> None:
    with capture_logs() as lines:
        swap_id = await maybe_paid(world)
    (moved,) = [line for line in lines if line["event"] == "swap_moved" and line["state"] == "HELD"]
    assert moved["needs_you"] == f"swap-miner adopt-payout {swap_id} TX"


class TestRows:
    async def test_a_request_is_done_once_even_where_the_answer_cannot_be_written(
        self,
        world: World,
    ) -> None:
        swap_id = await maybe_paid(world)
        txid = await pay_by_hand(world, swap_id)
        (request_id,) = await ask(world, asked(Verb.ADOPT, swap_id, txid=txid))
        world.store.refuse("answer")
        await world.block()
        world.store.allow()
        await world.block(3)
        assert (await answer(world, request_id)).came is Came.DONE
        adopted = [e for e in await world.journal(swap_id) if e.event is Event.PAYOUT_ADOPTED]
        assert len(adopted) == 1

    async def test_a_withdrawn_request_is_never_done(self, world: World) -> None:
        swap_id = await maybe_paid(world)
        txid = await pay_by_hand(world, swap_id)
        (request_id,) = await ask(world, asked(Verb.ADOPT, swap_id, txid=txid))
        (gone,) = await world.store.withdraw([request_id])
        assert gone.standing is Standing.WITHDRAWN
        await world.block(2)
        assert await world.state(swap_id) is State.HELD

    async def test_a_request_that_expired_is_never_done(self, world: World) -> None:
        swap_id = await maybe_paid(world)
        txid = await pay_by_hand(world, swap_id)
        await world.store.ask([asked(Verb.ADOPT, swap_id, txid=txid)], 1_000)
        await world.block(2)
        assert await world.state(swap_id) is State.HELD

    async def test_what_a_dead_daemon_took_is_told_as_not_known(self, make_world: MakeWorld) -> None:
        world = await make_world(on_disk=True)
        swap_id = await maybe_paid(world)
        (request_id,) = await ask(world, asked(Verb.RETRY, swap_id))
        taken = await world.store.take_requests()
        assert [request.id for request in taken] == [request_id]
        await world.restart(crash=True)
        await world.block()
        told = await answer(world, request_id)
        assert (told.came, "may have been done or not" in told.text) == (Came.UNKNOWN, True)

    async def test_a_store_that_refuses_the_step_changes_nothing(self, world: World) -> None:
        swap_id = await maybe_paid(world)
        txid = await pay_by_hand(world, swap_id)
        (request_id,) = await ask(world, asked(Verb.ADOPT, swap_id, txid=txid))
        world.store.refuse("take")
        await world.block()
        assert await world.state(swap_id) is State.HELD
        world.store.allow()
        await world.block(3)
        (request,) = await world.store.requests([request_id])
        assert isinstance(request, OperatorRequest)
        assert request.standing is Standing.ANSWERED
        assert StoreUnavailable.__name__ not in (request.outcome.text if request.outcome else "")
