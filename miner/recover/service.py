"""Takes operators' requests up, does them under the swap's lease, and answers them in their rows.

The daemon takes them in each round; a command does where no daemon runs. Both go this one way.
"""

from __future__ import annotations

import asyncio

import structlog

from miner.affairs import service as affairs
from miner.errors import (
    EffectError,
    InvariantBroken,
    LeaseLost,
    MinerError,
    ReadFailed,
    StaleSaga,
    StoreError,
)
from miner.lease import saga_resource
from miner.model import Asked, Came, LanePurpose, OperatorRequest, Outcome, Saga, Verb
from miner.ports import Heads
from miner.recover import acts
from miner.recover.answers import where_to_look
from miner.recover.facts import gather
from miner.recover.findings import Act, Facts, Ruling
from miner.recover.judge import judge
from miner.settle.desk import Desk

log = structlog.get_logger("recover")

LOOK_S = 20.0
"""Longest that one request may take; a chain that does not answer holds up nobody else."""
_ENSUES = frozenset({Act.TRY_AGAIN, Act.ADOPT, Act.APPROVE})
"""What the settling round that follows goes on with."""


class Recoverer:
    """Requests of operators, one after the other."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._done: dict[int, tuple[OperatorRequest, Outcome, bool]] = {}

    async def look(self, asked: Asked, heads: Heads) -> Outcome:
        """What would come of a request; takes no lease and writes nothing."""
        return (await self._guarded(asked, heads, dry=True))[0]

    async def take(self, heads: Heads) -> frozenset[int]:
        """Take up what waits and do it, each once; the answers follow with `answer`.

        Returns:
            Swaps that the settling round is asked to try again.

        Raises:
            StoreError: The store refuses: what was taken is answered in a later round.
        """
        for request in await self._desk.store.take_requests():
            if request.id in self._done:
                continue
            if request.orphan:
                self._done[request.id] = (request, _interrupted(request.asked), False)
                continue
            outcome, ensues = await self._guarded(request.asked, heads, dry=False)
            self._done[request.id] = (request, outcome, ensues)
        return frozenset(request.asked.swap_id for request, _, ensues in self._done.values() if ensues)

    async def answer(self) -> int:
        """Answer what was done, as it stands after the settling round; how many were answered."""
        done = list(self._done.values())
        for request, outcome, ensues in done:
            told = await self._after(outcome) if ensues else outcome
            await self._desk.store.answer(request, told)
            del self._done[request.id]
            log.info(
                "operator_request",
                swap_id=told.swap_id,
                verb=request.asked.verb,
                actor=request.asked.actor,
                came=told.came,
                found=told.text,
            )
        return len(done)

    async def _guarded(self, asked: Asked, heads: Heads, dry: bool) -> tuple[Outcome, bool]:
        """One request; whatever stands in its way is its answer, but a store that refuses."""
        try:
            if asked.verb.is_affair and not dry:
                return await affairs.do(self._desk, asked, heads, LOOK_S), False
            async with asyncio.timeout(LOOK_S):
                return await self._one(asked, heads, dry)
        except TimeoutError:
            return _unknown(asked, f"the chains did not answer within {LOOK_S:g} s"), False
        except LeaseLost as lost:
            return _unknown(asked, f"{lost}; whoever holds it has to do it"), False
        except StaleSaga as lost:
            return _unknown(asked, f"the swap moved meanwhile ({lost})"), False
        except StoreError:
            raise
        except ReadFailed as failed:
            return _unknown(asked, f"{failed}; nothing was changed"), False
        except (EffectError, InvariantBroken) as refused:
            return _outcome(asked, Came.REFUSED, str(refused)), False
        except MinerError as error:
            return _unknown(asked, str(error)), False

    async def _one(self, asked: Asked, heads: Heads, dry: bool) -> tuple[Outcome, bool]:
        if asked.verb.is_affair:
            return await affairs.look(self._desk, asked, heads), False
        saga = await self._saga(asked, dry)
        if saga is None:
            text = "this store knows no such swap"
            return _outcome(asked, Came.REFUSED, text, remedy="swap-miner swaps"), False
        facts = await gather(self._desk, asked, saga, heads)
        ruling = judge(asked.verb, facts)
        if dry or ruling.came is not Came.WOULD:
            return _told(asked, ruling), False
        await acts.carry_out(self._desk, asked, facts, ruling)
        return _done(asked, facts, ruling), ruling.act in _ENSUES

    async def _saga(self, asked: Asked, dry: bool) -> Saga | None:
        store = self._desk.store
        saga = await store.saga(asked.swap_id)
        if saga is None or dry or saga.state.ended:
            return saga
        await store.acquire(saga_resource(saga.id))
        return await store.saga(asked.swap_id)

    async def _after(self, outcome: Outcome) -> Outcome:
        """What the round made of it."""
        saga = await self._desk.store.saga(outcome.swap_id)
        if saga is None:
            return outcome
        now = f"it is {saga.state} now" + (f" ({saga.reason})" if saga.reason else "")
        if saga.mark is not None and saga.mark.purpose is LanePurpose.MARK and saga.mark.attempts:
            now += f", its mark is {saga.mark.latest.tx.txid}"
        stopped = await self._stopped(saga)
        if stopped:
            now += f"; first sends of {stopped} are stopped, for what no lane had explained"
        detail = {**outcome.detail, "state": saga.state.value, "reason": saga.reason}
        return Outcome(
            swap_id=outcome.swap_id,
            came=outcome.came,
            text=f"{outcome.text}; {now}",
            remedy=f"once all is explained: swap-miner resume --account {stopped}"
            if stopped
            else outcome.remedy,
            stake=outcome.stake,
            detail=detail,
        )

    async def _stopped(self, saga: Saga) -> str:
        """The swap's payout account, where it begins no payouts; empty where it does."""
        lane = saga.payout
        if lane is None:
            return ""
        rows = await self._desk.store.accounts()
        found = [row for row in rows if (row.chain, row.account) == (lane.chain, lane.account)]
        return lane.account if found and found[0].stopped else ""


def _outcome(asked: Asked, came: Came, text: str, remedy: str = "") -> Outcome:
    return Outcome(swap_id=asked.swap_id, came=came, text=text, remedy=remedy)


def _unknown(asked: Asked, text: str) -> Outcome:
    if asked.verb.is_affair:
        return _outcome(asked, Came.UNKNOWN, text, "ask again")
    again = f"ask again: swap-miner {asked.verb.value} {asked.swap_id}"
    return _outcome(asked, Came.UNKNOWN, text, again + (" TX" if asked.verb is Verb.ADOPT else ""))


def _interrupted(asked: Asked) -> Outcome:
    text = "whoever took this up ended before answering; it may have been done or not"
    return _outcome(asked, Came.UNKNOWN, text, where_to_look(asked))


def _told(asked: Asked, ruling: Ruling) -> Outcome:
    return Outcome(
        swap_id=asked.swap_id,
        came=ruling.came,
        text=ruling.text,
        remedy=ruling.remedy,
        stake=ruling.stake,
        detail=ruling.detail,
    )


def _done(asked: Asked, facts: Facts, ruling: Ruling) -> Outcome:
    told = _told(asked, ruling)
    detail = {**told.detail, "was": facts.saga.state.value}
    return Outcome(
        swap_id=told.swap_id,
        came=Came.DONE,
        text=told.text,
        remedy=told.remedy,
        stake=told.stake,
        detail=detail,
    )
