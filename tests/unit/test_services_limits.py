"""Limits beyond the caps: a person's word, more confirmations for more money, a cap on what is not final."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miner.amounts import Chain
from miner.inventory import unfinal
from miner.model import Asked, Came, Outcome, Policy, Verb
from miner.saga import State
from tests.simulation.world import MARGIN, POLICY, World
from tests.unit import service_worlds
from tests.unit.service_worlds import MakeWorld

make_world, world = service_worlds.make_world, service_worlds.world

RAO, SAT = 3_450_000_000, 1_000_000


def policy(chain: Chain, **changes: Any) -> Policy:
    rails = dict(POLICY.rails)
    rails[chain] = replace(rails[chain], **changes)
    return replace(POLICY, rails=rails)


async def approve(world: World, swap_id: int) -> Outcome:
    asked = Asked(verb=Verb.APPROVE, swap_id=swap_id, actor="operator:tester", reason="looked at it")
    (request_id,) = await world.store.ask([asked], 600_000)
    await world.round()
    (request,) = await world.store.requests([request_id])
    assert request.outcome is not None
    return request.outcome


class TestApproval:
    async def test_it_waits_is_let_go_and_paid_once(self, make_world: MakeWorld) -> None:
        world = await make_world(policy=policy(Chain.TAO, hold_above=RAO - 1))
        swap_id = world.stage.open_swap()
        await world.block(3)
        saga = await world.saga(swap_id)
        assert (saga.state, saga.reason) == (State.VERIFIED, "waits_for_approval")
        assert world.causes(swap_id) == ["waits_for_approval"]
        assert world.received(swap_id) == []
        outcome = await approve(world, swap_id)
        assert outcome.came is Came.DONE
        assert "leaves" in outcome.stake
        await world.block(2)
        assert await world.state(swap_id) is State.MARKED
        assert len(world.received(swap_id)) == 1
        noted = [entry for entry in await world.journal(swap_id) if entry.actor.startswith("operator:tester")]
        assert [entry.payload["asked"] for entry in noted] == ["approve"]

    async def test_it_waits_across_restarts_and_so_does_the_approval(self, make_world: MakeWorld) -> None:
        world = await make_world(on_disk=True, policy=policy(Chain.TAO, hold_above=0))
        swap_id = world.stage.open_swap()
        await world.round()
        await world.restart(crash=True)
        await world.block(2)
        assert await world.state(swap_id) is State.VERIFIED
        assert world.received(swap_id) == []
        await world.store.set_paused("all", True, "operator:tester")
        assert (await approve(world, swap_id)).came is Came.DONE
        await world.restart(crash=True)
        await world.store.set_paused("all", False, "operator:tester")
        await world.block(3)
        assert await world.state(swap_id) is State.MARKED
        assert len(world.received(swap_id)) == 1

    async def test_unapproved_it_expires_loudly_before_the_deadline(self, make_world: MakeWorld) -> None:
        world = await make_world(policy=policy(Chain.TAO, hold_above=0))
        swap_id = world.stage.open_swap()
        await world.round()
        swap = world.stage.swap(swap_id)
        assert swap is not None
        while await world.state(swap_id) is State.VERIFIED:
            await world.block()
        height = world.node.heads().finalised.height
        assert height == swap.timeout_block - MARGIN[Chain.TAO]
        assert world.causes(swap_id) == ["waits_for_approval", "expired_unapproved"]
        assert world.received(swap_id) == []
        assert (await approve(world, swap_id)).came is Came.REFUSED

    async def test_what_needs_no_approval_is_nothing_to_do(self, world: World) -> None:
        swap_id = world.stage.open_swap()
        await world.round()
        outcome = await approve(world, swap_id)
        assert (outcome.came, "begun already" in outcome.text) == (Came.NOTHING, True)

    async def test_twice_is_nothing_to_do_and_below_the_limit_too(self, make_world: MakeWorld) -> None:
        world = await make_world(policy=policy(Chain.TAO, hold_above=RAO))
        await world.store.set_paused("all", True, "operator:tester")
        swap_id = world.stage.open_swap()
        await world.round()
        assert "goes by itself" in (await approve(world, swap_id)).text
        world.desk.policy = policy(Chain.TAO, hold_above=0)
        assert (await approve(world, swap_id)).came is Came.DONE
        assert "let go already" in (await approve(world, swap_id)).text

    async def test_a_dry_run_lets_nothing_go(self, make_world: MakeWorld) -> None:
        world = await make_world(policy=policy(Chain.BTC, hold_above=0))
        swap_id = world.stage.open_swap(Chain.BTC)
        await world.round()
        asked = Asked(verb=Verb.APPROVE, swap_id=swap_id, actor="operator:tester")
        assert (await world.recoverer.look(asked, world.node.heads())).came is Came.WOULD
        await world.block(2)
        assert await world.state(swap_id) is State.VERIFIED


class TestTiers:
    @pytest.mark.parametrize(("amount", "wanted"), [(5, 2), (10, 2), (11, 4), (100, 4), (101, 6)])
    def test_more_money_needs_more_confirmations(self, amount: int, wanted: int) -> None:
        rail = replace(POLICY.rails[Chain.BTC], source_confirmations=2, source_tiers=((10, 4), (100, 6)))
        assert rail.confirmations_for(amount) == wanted

    async def test_a_larger_payment_waits_longer(self, make_world: MakeWorld) -> None:
        deep = POLICY.rails[Chain.BTC].source_confirmations + 3
        world = await make_world(policy=policy(Chain.BTC, source_tiers=((SAT - 1, deep),)))
        swap_id = world.stage.open_swap()
        await world.round()
        saga = await world.saga(swap_id)
        waited = 0
        while saga.state is State.DISCOVERED:
            assert saga.reason == "too_few_confirmations"
            await world.btc_block()
            saga, waited = await world.saga(swap_id), waited + 1
        assert waited > 0
        assert saga.payment is not None
        assert (await world.btc.tip()).height - saga.payment.height + 1 >= deep


class TestUnfinal:
    async def test_payouts_that_rest_on_what_is_not_final_are_capped(self, make_world: MakeWorld) -> None:
        world = await make_world(policy=policy(Chain.BTC, max_unfinal_source=SAT, final_confirmations=12))
        first = world.stage.open_swap()
        await world.round()
        await world.block(2)
        assert await world.state(first) is State.MARKED
        second = world.stage.open_swap()
        await world.block(2)
        saga = await world.saga(second)
        assert (saga.state, saga.reason) == (State.VERIFIED, "unfinal_source_cap")
        for _ in range(14):
            if await world.state(second) is not State.VERIFIED:
                break
            await world.btc_block()
        await world.block(2)
        assert await world.state(second) is State.MARKED

    async def test_only_what_is_given_and_not_final_counts(self, make_world: MakeWorld) -> None:
        world = await make_world()
        swap_id = world.stage.open_swap()
        await world.block(2)
        saga = await world.saga(swap_id)
        assert saga.payment is not None
        tip = saga.payment.height
        assert unfinal([saga], Chain.BTC, tip, 6) == SAT
        assert unfinal([saga], Chain.BTC, tip + 4, 6) == SAT
        assert unfinal([saga], Chain.BTC, tip + 5, 6) == 0
        assert unfinal([saga], Chain.TAO, tip, 6) == 0
        for state in (State.DISCOVERED, State.VERIFIED, State.COMPENSATED):
            assert unfinal([replace(saga, state=state)], Chain.BTC, tip, 6) == 0
        assert unfinal([replace(saga, state=State.COMPLETED)], Chain.BTC, tip, 6) == SAT
