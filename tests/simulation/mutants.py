"""Mutants of the daemon: each breaks one thing while it is on, and the simulator must find it.

What the store itself guards is switched off with it where the mutant would otherwise only run into the guard.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection

from miner import verdict
from miner.errors import EffectError, ReadFailed, Refused
from miner.model import (
    BlockFacts,
    LanePurpose,
    LaneState,
    Payment,
    PayoutOrder,
    Saga,
    SagaPatch,
    SightingKind,
    Step,
    TakerEffect,
)
from miner.ports import Heads
from miner.saga import Event, State
from miner.settle.pay import Payer
from miner.settle.round import Settler
from miner.store import lanes, operator, sightings, steps
from miner.supervise import Supervisor
from miner.sweep import spends
from miner.verdict import Command, Do, ended, live
from miner.verdict.command import WAIT, enter, gate_closed
from miner.verify import Verifier
from miner.watch import Watcher
from tests.simulation.model_btc import ModelBtcRail
from tests.simulation.model_contract import ModelContract
from tests.simulation.model_tao import ModelTaoRail


@dataclass(frozen=True, slots=True)
class Mutant:
    """One thing broken.

    Attributes:
        on: Breaks it for as long as it is entered.
        soon: Histories of its own kinds within which it is found.
        within: Random histories of any kind within which it is found.
        kinds: Faults that its law is about; `soon` counts histories of these alone.
    """

    on: Callable[[], AbstractContextManager[None]]
    within: int
    kinds: tuple[str, ...]
    soon: int


MUTANTS: dict[str, Mutant] = {}
Put = Callable[[ExitStack], None]


def mutant(within: int, *kinds: str, soon: int = 60) -> Callable[[Put], Put]:
    """Register a mutant."""

    def register(put: Put) -> Put:
        @contextmanager
        def on() -> Iterator[None]:
            with ExitStack() as stack:
                put(stack)
                yield

        MUTANTS[put.__name__] = Mutant(on, within, kinds, soon)
        return put

    return register


def _put(stack: ExitStack, owner: Any, name: str, new: Any) -> None:
    stack.enter_context(patch.object(owner, name, new))


def _lanes_are_freed_at_will(stack: ExitStack) -> None:
    """`PAYOUT_FREED` closes the saga's lane, whatever is known of it."""
    act = steps._act

    def freeing(conn: Connection, saga: Any, step: Step, now: int, actor: str) -> Any:
        if step.event is Event.PAYOUT_FREED:
            conn.exec_driver_sql(
                "UPDATE lanes SET closed = 1, state = 'taken' WHERE saga_id = ? AND purpose = 'payout'",
                (saga.id,),
            )
        return act(conn, saga, step, now, actor)

    _put(stack, steps, "_act", freeing)
    _put(stack, lanes, "check_unpaid", lambda _conn, _saga: None)


def _freed_on(stack: ExitStack, errors: type[EffectError]) -> None:
    _lanes_are_freed_at_will(stack)
    send = Settler._broadcast

    async def giving_up(self: Settler, saga: Any, lane: Any, this: Any) -> Any:
        if lane is None or lane.purpose is LanePurpose.MARK or saga.state is not State.SIGNED:
            return await send(self, saga, lane, this)
        try:
            await self._desk.broadcast(lane)
        except errors:
            step = Step(event=Event.PAYOUT_FREED, patch=SagaPatch(reason="failed"), release=True)
            return await self._desk.step(saga, step)
        except EffectError:
            return None
        self._desk.sent[lane.id] = (lane.latest.tx.txid, this.tick.finalised.height)
        return None

    _put(stack, Settler, "_broadcast", giving_up)


@mutant(50, "kill")
def send_before_the_write(stack: ExitStack) -> None:
    prepare = ModelTaoRail.prepare

    async def sending(self: ModelTaoRail, *args: Any) -> Any:
        claim = await prepare(self, *args)
        tx = claim.sign(str(claim.nonce_floor))
        self._link.send(tx.txid, lambda: self._chain.submit(self._chain.signed[tx.raw]))
        return claim

    _put(stack, ModelTaoRail, "prepare", sending)


@mutant(1000, "withhold", "crash")
def expired_payout_in_a_new_lane(stack: ExitStack) -> None:
    _lanes_are_freed_at_will(stack)
    signed = live.signed

    def fresh(saga: Any, tick: Any, policy: Any) -> Command:
        lane = saga.payout
        waits = lane is not None and lane.state is LaneState.SIGNED and lane.id in tick.due
        if waits and lane.attempts and lane.sighting is not None:
            return enter(Event.PAYOUT_FREED, "again")
        return signed(saga, tick, policy)

    stack.enter_context(patch("miner.verdict.signed", fresh))


@mutant(1000, "flaky", "fail")
def failed_read_means_gone(stack: ExitStack) -> None:
    swaps = ModelContract.swaps

    async def gone(self: ModelContract, ids: Any, at: Any) -> Any:
        try:
            return await swaps(self, ids, at)
        except ReadFailed:
            return dict.fromkeys(ids)

    _put(stack, ModelContract, "swaps", gone)


@mutant(1000, "stop")
def lost_compare_and_set_ignored(stack: ExitStack) -> None:
    compare = steps._compare_and_set

    def winning(conn: Connection, owner: Any, saga: Any, change: Any, after: Any) -> Any:
        row = conn.exec_driver_sql(
            "SELECT s.version, s.state, l.owner, l.epoch FROM sagas s LEFT JOIN leases l ON l.saga_id = s.id "
            "WHERE s.id = ?", (saga.id,)
        ).one()  # fmt: skip
        owner = replace(owner, id=row.owner or owner.id)
        epoch = saga.lease_epoch if row.epoch is None else row.epoch
        now = replace(saga, version=row.version, state=State(row.state), lease_epoch=epoch)
        return compare(conn, owner, now, change, after)

    _put(stack, steps, "_compare_and_set", winning)


@mutant(2000, "stop", soon=200)
def no_fencing(stack: ExitStack) -> None:
    compare = steps._compare_and_set

    def unfenced(conn: Connection, owner: Any, saga: Any, change: Any, after: Any) -> Any:
        row = conn.exec_driver_sql("SELECT owner, epoch FROM leases WHERE saga_id = ?", (saga.id,)).first()
        if row is not None and row.owner is not None:
            owner, saga = replace(owner, id=row.owner), replace(saga, lease_epoch=row.epoch)
        return compare(conn, owner, saga, change, after)

    _put(stack, steps, "_compare_and_set", unfenced)


@mutant(500, "long_down", "withhold")
def mark_gated_by_the_margin(stack: ExitStack) -> None:
    paid = live.paid

    def gated(saga: Any, tick: Any, policy: Any) -> Command:
        margin = policy.margin_blocks(saga.dest)
        return (
            WAIT
            if gate_closed(tick.best_height, saga.swap.timeout_block, margin)
            else paid(saga, tick, policy)
        )

    stack.enter_context(patch("miner.verdict.paid", gated))


@mutant(500, "lost_reply")
def freed_when_the_reply_is_lost(stack: ExitStack) -> None:
    _freed_on(stack, EffectError)


@mutant(500, "pool_word", "withhold")
def pools_word_is_final(stack: ExitStack) -> None:
    _freed_on(stack, Refused)


@mutant(1000, "rival", "rival_anchor", "bump", "withhold")
def lane_taken_and_never_judged(stack: ExitStack) -> None:
    def harmless(_conn: Any, _lane: Any, seen: Any) -> TakerEffect | None:
        return TakerEffect.PAYS_NOTHING if seen.kind is SightingKind.TAKEN else None

    _put(stack, sightings, "_taker", harmless)


@mutant(1000, "unheard")
def expired_lane_closed_at_once(stack: ExitStack) -> None:
    """As if its account had been emptied: nobody fills its nonce, and those after it wait for ever."""

    def dead(_conn: Any, _lane: Any, seen: Any) -> bool:
        return seen.kind is SightingKind.EXPIRED and seen.nonce is not None

    _put(stack, sightings, "_is_dead", dead)


@mutant(1000, "drain", "lost_send", "clear")
def emptied_hotkey_unnoticed(stack: ExitStack) -> None:
    async def nothing(*_: Any) -> bool:
        return False

    _put(stack, spends, "_notice_that_it_began_again", nothing)


@mutant(2000, "unheard")
def rebroadcast_after_the_end(stack: ExitStack) -> None:
    after_end = ended.after_end

    def again(saga: Saga, ending: Any, tick: Any) -> Command:
        lane = saga.payout
        if lane is None or lane.state is not LaneState.SIGNED or lane.cancelling:
            return after_end(saga, ending, tick)
        return Command(Do.BROADCAST_PAYOUT) if lane.id in tick.due else WAIT

    _put(stack, verdict, "after_end", again)


@mutant(2000, "fork_tao")
def mark_at_first_sight(stack: ExitStack) -> None:
    _put(stack, live, "_deep_enough", lambda *_: True)


@mutant(500, "kill")
def open_change_is_spent(stack: ExitStack) -> None:
    coins = ModelBtcRail._coins

    def all_coins(self: ModelBtcRail, account: str) -> Any:
        from tests.simulation.btc_rules import Coin

        found = dict(coins(self, account))
        height = self._chain.best.height
        for tx in self._chain.pool.values():
            for vout, (to, sat) in enumerate(tx.outputs):
                if to == account and tx.inputs:
                    found[f"{tx.txid}:{vout}"] = Coin(to, sat, height)
        return found

    _put(stack, ModelBtcRail, "_coins", all_coins)


@mutant(3000, "fail")
def cursor_moves_past_the_unreadable(stack: ExitStack) -> None:
    facts = ModelContract.facts

    async def empty(self: ModelContract, head: Any) -> BlockFacts:
        try:
            return await facts(self, head)
        except ReadFailed:
            block = self._block(head)
            return BlockFacts(head, block.parent_hash, block.time_ms, ())

    async def unswept(self: Watcher, head: Any, lease: Any) -> int:
        return 0  # the state sweep finds what was passed over: it is the second guard

    _put(stack, ModelContract, "facts", empty)
    _put(stack, Watcher, "sweep", unswept)


@mutant(50, "kill")
def era_beyond_the_deadline(stack: ExitStack) -> None:
    owed = Verifier.owed

    def longer(self: Verifier, swap: Any, terms: Any) -> PayoutOrder:
        order = owed(self, swap, terms)
        return replace(order, die_by=order.die_by + 40)

    _put(stack, Verifier, "owed", longer)


@mutant(200, "long_down")
def recovery_entry_forgotten(stack: ExitStack) -> None:
    _put(stack, operator, "recover", lambda *_: True)
    _put(stack, operator, "has_recovery", lambda *_: True)


@mutant(5000, "other_mark", "long_down")
def swap_not_read_again(stack: ExitStack) -> None:
    def unchanged(_self: Payer, _saga: Any, _fresh: Any) -> bool:
        return True

    async def willing(*_: Any) -> None:
        """The dry run of the mark would tell as well."""

    _put(stack, Payer, "_unchanged", unchanged)
    _put(stack, ModelContract, "try_mark", willing)


def _claims(stack: ExitStack, change: Callable[[Any], Any]) -> None:
    claim = Verifier._claim
    _put(stack, Verifier, "_claim", lambda self, *args: change(claim(self, *args)))


@mutant(200, "kill")
def underpaid_is_paid(stack: ExitStack) -> None:
    _claims(stack, lambda claim: replace(claim, amount=1))


@mutant(200, "kill")
def unverified_is_paid(stack: ExitStack) -> None:
    look: Callable[..., Awaitable[Any]] = Verifier.payment

    async def believing(self: Verifier, saga: Any, *args: Any) -> Any:
        try:
            found = await look(self, saga, *args)
        except Refused:
            found = None
        if isinstance(found, Payment):
            return found
        source, _ = self.pair(saga.swap)
        txid = self._rails[source].canonical_txid(saga.swap.source_tx_hash)
        height = saga.swap.source_tx_block
        return Payment(source, txid, height, "0x00", saga.swap.source_amount, "0x00")

    async def good(_self: Verifier, _payment: Payment) -> bool:
        return True

    _put(stack, Verifier, "payment", believing)
    _put(stack, Verifier, "still_good", good)


@mutant(500, "kill")
def deposit_counted_twice(stack: ExitStack) -> None:
    columns, number = steps.columns_of, itertools.count()

    def distinct(change: SagaPatch) -> dict[str, Any]:
        values = columns(change)
        if "payment_txid" in values:
            values["payment_txid"] += f"#{next(number)}"
        return values

    _put(stack, steps, "columns_of", distinct)


@mutant(1000, "fork_tao")
def unfinalised_ends_believed(stack: ExitStack) -> None:
    once = Supervisor.once

    async def hasty(self: Supervisor, heads: Heads) -> None:
        await once(self, Heads(heads.best, heads.best))

    _put(stack, Supervisor, "once", hasty)


@mutant(200, "long_down", "pause")
def no_margin(stack: ExitStack) -> None:
    _put(stack, live, "gate_closed", lambda *_: False)
    stack.enter_context(patch("miner.settle.pay.gate_closed", lambda *_: False))
