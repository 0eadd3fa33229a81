"""One round: look at every open lane, decide each saga, carry out, until all wait.

Sagas are independent: what goes wrong with one stops no other. Inventory is handed out between two
passes, the earliest deadline first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from miner.amounts import Chain
from miner.errors import (
    EffectError,
    InvariantBroken,
    LeaseLost,
    MinerError,
    ReadFailed,
    SlotTaken,
    StaleSaga,
    StoreError,
)
from miner.inventory import Wanting, by_deadline, deadline
from miner.model import (
    AttemptKind,
    Lane,
    LanePurpose,
    Policy,
    RecoveryEntry,
    Saga,
    SagaPatch,
    Sighting,
    SightingKind,
    Step,
    Terms,
)
from miner.ports import Heads
from miner.saga import BEFORE_PIVOT, TABLE, Event, State
from miner.settle.affairs import follow
from miner.settle.desk import Desk, Round
from miner.settle.mark import Marker
from miner.settle.pay import Payer
from miner.settle.turns import Turns
from miner.verdict import Command, Do, Tick, decide

log = structlog.get_logger("settle")

AT_ONCE = 16
"""Sagas worked on at the same time."""
ENDED_MEANWHILE = "the swap ended since this round began"
LOOK_S = 20.0
"""Longest that one lane may be looked at; the next round looks again."""
SAGA_S = 60.0
"""Longest that one saga may take in one pass; what it waited for is looked at again, so nothing is lost."""
MOST_STEPS = 32
"""Commands that one saga may get in one round; more would be a loop."""


@dataclass(slots=True)
class RoundReport:
    """What a round did.

    Attributes:
        sagas: Open sagas looked at.
        lanes: Open lanes looked at.
        steps: Commands carried out.
        affairs: Open lanes that no swap owns.
        failures: What stopped single sagas, by swap id; they are tried again in the next round.
        blind: What could not be read that every new swap needs; empty where all could.
    """

    sagas: int = 0
    lanes: int = 0
    steps: int = 0
    affairs: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    blind: str = ""


class Settler:
    """Carries sagas on. Holds nothing that a restart would miss."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._payer = Payer(desk)
        self._marker = Marker(desk)
        self._turns = Turns(desk)
        self._limit = asyncio.Semaphore(AT_ONCE)

    def adopt(self, policy: Policy) -> None:
        """Work by these rules from now on; between two rounds."""
        self._desk.adopt(policy)

    def trust_no_account(self) -> None:
        """Law 9's audit has to be made anew before any first send."""
        self._desk.audited.clear()

    async def round(
        self,
        heads: Heads,
        *,
        sweep: bool = False,
        sends_stopped: str = "",
        asked: frozenset[int] = frozenset(),
    ) -> RoundReport:
        """Look, decide, carry out, until every saga waits.

        Args:
            heads: The chain's heads; the sagas are current as of `heads.finalised`.
            sweep: Try again what was refused.
            sends_stopped: Why no first send may be made; empty when they may.
            asked: Swaps whose refusals an operator wants tried again.

        Raises:
            StoreError: The store refuses: nothing further was done (law 6).
        """
        desk, report = self._desk, RoundReport()
        now_ms = await desk.store.now_ms()
        due = await self._look(heads, now_ms, report)
        if report.affairs and not await follow(desk, due, heads):
            self._turns.again()
        sagas = by_deadline(await desk.store.open_sagas())
        report.sagas = len(sagas)
        if not sagas:
            return report
        tick = Tick(
            finalised=heads.finalised,
            best_height=max(heads.best.height, desk.node.best_height()),
            now_ms=now_ms,
            paused=frozenset(await desk.store.paused()),
            sends_stopped=sends_stopped,
            sweep=sweep,
            asked=asked,
            due=frozenset(due),
            imported=await desk.store.imports(_ids(s for s in sagas if s.state in BEFORE_PIVOT)),
            approved=await self._approved(sagas),
        )
        terms = await self._terms(heads, report)
        this = Round(desk, tick, heads.best, terms, _ids(s for s in sagas if s.state is State.RESERVED))
        await self._all(sagas, this, report)
        return report

    async def _approved(self, sagas: Sequence[Saga]) -> Mapping[int, int]:
        """What people let go of that which waits for them; asked for only where something may."""
        holds = self._desk.policy.holds
        ids = _ids(s for s in sagas if s.state in BEFORE_PIVOT and holds(s.dest, s.swap.dest_amount))
        return await self._desk.store.approved(ids) if ids else {}

    async def _terms(self, heads: Heads, report: RoundReport) -> Terms | ReadFailed:
        """The contract's settings; without them no swap is begun, but what was begun goes on."""
        try:
            return await self._desk.contract.terms(heads.finalised)
        except ReadFailed as failed:
            log.warning("terms_not_read", cause=str(failed))
            report.blind = str(failed)
            return failed

    async def _look(self, heads: Heads, now_ms: int, report: RoundReport) -> list[int]:
        """Sight every open lane whose turn it is; returns ids of those whose bytes are to be sent again."""
        lanes = await self._desk.store.open_lanes()
        report.lanes = len(lanes)
        report.affairs = sum(lane.purpose is LanePurpose.AFFAIR for lane in lanes)
        self._desk.sent = {lane.id: at for lane in lanes if (at := self._desk.sent.get(lane.id)) is not None}
        due: list[int] = []

        async def look(lane: Lane) -> None:
            async with self._limit:
                if await self._look_at(lane, heads):
                    due.append(lane.id)

        await asyncio.gather(*(look(lane) for lane in self._turns.take(lanes, heads, now_ms)))
        return due

    async def _look_at(self, lane: Lane, heads: Heads) -> bool:
        """Sight one lane; whether its bytes are due. What goes wrong with it stops no other lane."""
        try:
            async with asyncio.timeout(LOOK_S):
                seen = self._covered(lane, await self._desk.locate(lane), heads)
            if seen is None:
                self._turns.again()
                return False
            await self._desk.store.sight(lane, seen)
        except StoreError:
            raise
        except (MinerError, TimeoutError) as failed:
            self._turns.again()
            log.warning("lane_not_seen", lane=lane.id, cause=str(failed) or f"no answer in {LOOK_S:g} s")
            return False
        except Exception:
            self._turns.again()
            log.exception("lane_look_broke", lane=lane.id)
            return False
        return self._desk.due(lane, seen, heads.finalised)

    def _covered(self, lane: Lane, seen: Sighting, heads: Heads) -> Sighting | None:
        """A sighting as far as the cursor can vouch for it; None where that is nothing.

        The cursor stands at the round's finalised head or above, and notices where a block up to it is
        replaced (law 4). What is final above it would be a conclusion that nobody takes back.
        """
        tao = self._desk.rails.get(Chain.TAO)
        if tao is None or lane.chain != tao.chain_id or seen.at.height <= heads.finalised.height:
            return seen
        if seen.kind is SightingKind.IN_BLOCK and seen.block is not None:
            return replace(seen, final=seen.final and seen.block.height <= heads.finalised.height)
        return seen if seen.kind in (SightingKind.UNSEEN, SightingKind.IN_POOL) else None

    async def _all(self, sagas: Sequence[Saga], this: Round, report: RoundReport) -> None:
        """First pass up to inventory, then inventory by deadline, then the second pass."""
        wants: list[Wanting] = []

        async def first(saga: Saga) -> None:
            at = await self._drive(saga, this, report, stop_at=Do.RESERVE)
            if at is None:
                return
            wanted = await self._payer.want(at, this)
            if isinstance(wanted, Wanting):
                wants.append(wanted)
            elif wanted is not None:
                await self._drive(wanted, this, report)

        await self._each(sagas, first, report)
        if wants:
            reserved = await self._reserve(wants, report)
            this.ids = _ids(reserved)

            async def second(saga: Saga) -> None:
                await self._drive(saga, this, report)

            await self._each(reserved, second, report)

    async def _reserve(self, wants: Sequence[Wanting], report: RoundReport) -> list[Saga]:
        reserved: list[Saga] = []
        wanting = Counter((want.saga.dest, want.account) for want in wants)
        for want in sorted(wants, key=lambda w: deadline(w.saga)):
            is_alone = wanting[want.saga.dest, want.account] == 1

            async def one(saga: Saga, want: Wanting = want, alone: bool = is_alone) -> None:
                if (got := await self._payer.reserve(want, alone)) is not None:
                    reserved.append(got)

            await self._guard(want.saga, one, report)
        return reserved

    async def _each(
        self, sagas: Sequence[Saga], work: Callable[[Saga], Awaitable[None]], report: RoundReport
    ) -> None:
        async def one(saga: Saga) -> None:
            async with self._limit:
                await self._guard(saga, work, report)

        try:
            async with asyncio.TaskGroup() as group:
                for saga in sagas:
                    group.create_task(one(saga), name=f"saga-{saga.key.swap_id}")
        except BaseExceptionGroup as failed:
            if (refusals := failed.subgroup(StoreError)) is not None:
                raise _first(refusals) from failed
            raise

    async def _guard(self, saga: Saga, work: Callable[[Saga], Awaitable[None]], report: RoundReport) -> None:
        """Isolate one saga, whatever breaks in it. A store that refuses ends the round.

        A lost race is simply read again; so is what was cut off: bytes are stored before they leave.
        """
        swap_id = saga.key.swap_id
        try:
            async with asyncio.timeout(SAGA_S):
                await work(saga)
        except TimeoutError:
            report.failures[swap_id] = f"not done within {SAGA_S:g} s"
            log.warning("swap_cut_off", swap_id=swap_id, state=saga.state, seconds=SAGA_S)
        except (StaleSaga, LeaseLost, SlotTaken) as lost:
            report.failures[swap_id] = str(lost)
            log.info("lost_the_race", swap_id=swap_id, state=saga.state, cause=str(lost))
        except StoreError:
            raise
        except InvariantBroken as broken:
            report.failures[swap_id] = str(broken)
            await self._hold(saga, broken)
        except (ReadFailed, EffectError) as failed:
            report.failures[swap_id] = str(failed)
            log.warning("swap_tried_again_later", swap_id=swap_id, state=saga.state, cause=str(failed))
        except MinerError as error:
            report.failures[swap_id] = str(error)
            log.error("swap_failed", swap_id=swap_id, state=saga.state, cause=str(error))
        except Exception as error:
            report.failures[swap_id] = repr(error)
            log.exception("swap_broke", swap_id=swap_id, state=saga.state)

    async def _hold(self, saga: Saga, broken: InvariantBroken) -> None:
        log.error("invariant_broken", swap_id=saga.key.swap_id, state=saga.state, cause=str(broken))
        current = await self._desk.store.saga(saga.key.swap_id)
        if current is None or current.state is State.HELD:
            return  # what it is held for already is not forgotten
        if Event.HELD_FOR_OPERATOR not in TABLE[current.state]:
            return
        why = RecoveryEntry("invariant_broken", "look at `swap-miner show`", {"cause": str(broken)})
        step = Step(
            event=Event.HELD_FOR_OPERATOR,
            payload={"cause": str(broken)},
            patch=SagaPatch(reason="invariant_broken"),
            recovery=why,
            release=current.state in BEFORE_PIVOT,
        )
        try:
            await self._desk.step(replace(current, lease_epoch=saga.lease_epoch), step)
        except (StaleSaga, LeaseLost) as lost:
            log.info("lost_the_race", swap_id=saga.key.swap_id, cause=str(lost))

    async def _drive(
        self, saga: Saga, this: Round, report: RoundReport, stop_at: Do | None = None
    ) -> Saga | None:
        """Carry one saga on until it waits; the saga itself when `stop_at` is reached, else None."""
        tick = this.tick
        for _ in range(MOST_STEPS):
            command = decide(saga, tick, self._desk.policy)
            if command.do is Do.WAIT:
                return None
            if command.do is stop_at:
                return saga
            if command.do is Do.RESERVE:
                return None  # What gave inventory back gets its turn in the next round.
            report.steps += 1
            moved = await self._carry_out(saga, command, this)
            if moved is None and (sent := _sends(saga, command)) is not None:
                tick = replace(tick, due=tick.due - {sent.id})  # its other lane may want something as well
                continue
            if moved is None:
                return None
            tick = replace(tick, due=tick.due | _new_bytes(saga, moved))
            saga = moved
        raise InvariantBroken(f"swap {saga.key.swap_id} went in circles in {saga.state}")

    async def _carry_out(self, saga: Saga, command: Command, this: Round) -> Saga | None:
        payer, marker = self._payer, self._marker
        acts: dict[Do, Callable[[], Awaitable[Saga | None]]] = {
            Do.ENTER: lambda: self._enter(saga, command, this),
            Do.VERIFY: lambda: payer.verify(saga, this),
            Do.PAY: lambda: payer.pay(saga, this),
            Do.RESIGN_PAYOUT: lambda: payer.resign(saga),
            Do.CANCEL_PAYOUT: lambda: payer.cancel(saga),
            Do.LOCATE_IMPORTED: lambda: payer.adopt_imported(saga, this),
            Do.MARK: lambda: marker.mark(saga, this),
            Do.JUDGE_MARK: lambda: marker.judge(saga, this),
            Do.RESIGN_MARK: lambda: marker.resign(saga),
            Do.FILL_MARK: lambda: marker.fill(saga),
            Do.BROADCAST_PAYOUT: lambda: self._broadcast(saga, saga.payout, this),
            Do.BROADCAST_MARK: lambda: self._broadcast(saga, saga.mark, this),
        }
        if command.do not in acts:
            raise InvariantBroken(f"nobody carries out {command.do}")
        return await acts[command.do]()

    async def _enter(self, saga: Saga, command: Command, this: Round) -> Saga:
        if command.event is None:
            raise InvariantBroken("ENTER without an event")
        if command.event is Event.EXPIRED and (doubted := await self._payer.in_doubt(saga, this)) is not None:
            return doubted
        lane = saga.payout
        payload = {"reason": command.reason} if command.reason else {}
        if lane is not None and lane.txid is not None and lane.block is not None:
            payload |= {"payout_txid": lane.txid, "payout_block": str(lane.block.height)}
        step = Step(
            event=command.event,
            payload={**payload, "finalised_height": this.tick.finalised.height},
            patch=SagaPatch(reason=command.reason),
            recovery=command.recovery,
            release=_releases(saga.state, command.event),
        )
        return await self._desk.step(saga, step)

    async def _broadcast(self, saga: Saga, lane: Lane | None, this: Round) -> Saga | None:
        """Send stored bytes. Whatever the answer, the next look tells what became of them (law 3)."""
        if lane is None:
            return None
        try:
            if lane.latest.kind is AttemptKind.PAYMENT and not await this.goes_on(saga.key.swap_id):
                log.warning("payout_not_sent", swap_id=saga.key.swap_id, lane=lane.id, cause=ENDED_MEANWHILE)
                self._turns.again()
                return None
            await self._desk.broadcast(lane)
        except (EffectError, ReadFailed) as error:
            log.warning(
                "broadcast_unsure",
                swap_id=saga.key.swap_id,
                lane=lane.id,
                outcome=type(error).__name__,
                cause=error.cause,
            )
            self._desk.sent.pop(lane.id, None)
            self._turns.again()
            return None
        self._desk.sent[lane.id] = (lane.latest.tx.txid, this.tick.finalised.height)
        log.info(
            "broadcast",
            swap_id=saga.key.swap_id,
            lane=lane.id,
            purpose=lane.purpose,
            txid=lane.latest.tx.txid,
        )
        return None


def _sends(saga: Saga, command: Command) -> Lane | None:
    """The lane whose bytes a command sends."""
    return {Do.BROADCAST_PAYOUT: saga.payout, Do.BROADCAST_MARK: saga.mark}.get(command.do)


def _ids(sagas: Iterable[Saga]) -> tuple[int, ...]:
    return tuple(saga.key.swap_id for saga in sagas)


def _releases(before: State, event: Event) -> bool:
    """Whether inventory is given back: nothing will be paid for it, or it is set aside anew first."""
    after = TABLE[before][event]
    gives_up = before in BEFORE_PIVOT and (after.ended or after is State.HELD)
    return gives_up or event is Event.PAYOUT_FREED


def _first(group: BaseExceptionGroup[StoreError]) -> StoreError:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _new_bytes(before: Saga, after: Saga) -> frozenset[int]:
    """Lanes whose newest bytes were stored by this step and have never been sent."""
    old = {
        lane.id: lane.latest.seq
        for lane in (before.payout, before.mark)
        if lane is not None and lane.attempts
    }
    return frozenset(
        lane.id
        for lane in (after.payout, after.mark)
        if lane is not None and lane.attempts and old.get(lane.id) != lane.latest.seq
    )
