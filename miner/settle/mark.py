"""From PAID to MARKED: dry run, sign, store, send, and what a refusal means (design §7)."""

from __future__ import annotations

import structlog

from miner.errors import InvariantBroken, ReadFailed, Refused
from miner.model import Json, RecoveryEntry, Saga, SagaPatch, Step, SwapStatus
from miner.saga import Event, State
from miner.settle.desk import Desk, Round, mark_of
from miner.verdict import MARK_REFUSED

log = structlog.get_logger("settle")

OURS = frozenset({"insufficient_funds", "fee_too_high", "too_late", "no_key"})
"""Refusals by our own account or limits, not by the contract: they may pass, so the mark is tried again."""
READ_AGAIN = frozenset({"SwapNotFound", "InvalidStatus"})
"""Refusals that our own success, or the swap's end, would also give."""


class Marker:
    """Executes the commands around a mark. Each gives the saga as it then stands, or None to wait."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def mark(self, saga: Saga, this: Round) -> Saga | None:
        """Dry-run; then sign and store a mark in a new lane."""
        desk = self._desk
        mark = mark_of(saga)
        try:
            await desk.contract.try_mark(mark, this.best)
            claim = await desk.contract.prepare_mark(mark)
        except Refused as refused:
            if refused.name in OURS:
                await self._transient(saga, refused.name, this, self._hotkey_cannot(saga, refused))
                return None
            return await self._refused(saga, refused.name, this)
        except ReadFailed as failed:
            await self._transient(saga, str(failed.cause), this)
            return None
        patch = SagaPatch(
            reason="",
            mark_retries=saga.mark_retries + 1,
            next_attempt_ms=this.tick.now_ms + desk.back_off_ms(saga.mark_retries),
        )
        payload: dict[str, Json] = {
            "payout_txid": mark.txid,
            "dest_tx_block": mark.block,
            "amount": str(mark.amount),
        }
        step = Step(event=Event.MARK_SIGNED, payload=payload, patch=patch, claim=claim)
        try:
            return await desk.step(saga, step)
        except Refused as refused:
            await self._transient(saga, refused.name, this, self._hotkey_began_again(saga, refused))
            return None

    async def judge(self, saga: Saga, this: Round) -> Saga | None:
        """A finalised mark reverted: ask why, then hold or mark again in a new lane."""
        if saga.mark is None:
            raise InvariantBroken(f"swap {saga.key.swap_id} has no mark lane")
        verdict = await self._desk.contract.why_failed(saga.mark, mark_of(saga))
        log.warning("mark_reverted", swap_id=saga.key.swap_id, name=verdict.name, terminal=verdict.terminal)
        if verdict.terminal and verdict.name not in READ_AGAIN:
            return await self._refused(saga, verdict.name, this)
        return await self.mark(saga, this)

    async def resign(self, saga: Saga) -> Saga | None:
        """The mark's bytes died unused: the same mark again in its lane."""
        if saga.mark is None:
            raise InvariantBroken(f"swap {saga.key.swap_id} has no mark lane")
        replacement = await self._desk.contract.resign_mark(saga.mark, mark_of(saga))
        payload: dict[str, Json] = {"resigned_mark": replacement.tx.txid}
        return await self._desk.step(saga, Step(event=Event.NOTED, payload=payload, replacement=replacement))

    async def fill(self, saga: Saga) -> Saga | None:
        """The saga has ended and its mark died unused: free the nonce for the next mark."""
        if saga.mark is None:
            return None
        replacement = await self._desk.contract.fill_mark(saga.mark)
        payload: dict[str, Json] = {"filler_in_mark_lane": replacement.tx.txid}
        return await self._desk.step(saga, Step(event=Event.NOTED, payload=payload, replacement=replacement))

    async def _refused(self, saga: Saga, name: str, this: Round) -> Saga | None:
        """The contract's own word. After reading again: reconciled, or held and tried at each sweep."""
        if name in READ_AGAIN and await self._is_told_otherwise(saga, this):
            return None  # Fulfilled or gone: the watcher will bring the finalised truth.
        reason = f"{MARK_REFUSED}:{name}"
        if saga.state is State.HELD and saga.reason == reason:
            return None
        lane = saga.payout
        why = RecoveryEntry(
            reason,
            "the user was paid and the contract refuses the mark; it is tried again at each sweep until the "
            "swap ends; clear the cause, then `swap-miner retry`; for the validators: `swap-miner evidence`",
            {
                "payout_txid": lane.txid if lane else None,
                "payout_block": lane.block.height if lane and lane.block else None,
                "amount": str(lane.amount) if lane else None,
                "timeout_block": saga.swap.timeout_block,
            },
        )
        step = Step(
            event=Event.HELD_FOR_OPERATOR,
            payload={"refused": name},
            patch=SagaPatch(reason=reason),
            recovery=why,
        )
        return await self._desk.step(saga, step)

    async def _is_told_otherwise(self, saga: Saga, this: Round) -> bool:
        """Whether the swap is no longer active, and its end is or will be taken in.

        No end comes of a swap whose time is over on a chain on which it never began: finality was violated.
        Before that it may begin again, and is then marked at once.
        """
        swap = await this.fresh(saga.key.swap_id)
        if swap is not None:
            return swap.status is not SwapStatus.ACTIVE
        at = this.tick.finalised
        over = at.height >= saga.swap.timeout_block
        return not over or saga.key.swap_id < await self._desk.contract.next_swap_id(at)

    def _hotkey_cannot(self, saga: Saga, refused: Refused) -> RecoveryEntry:
        return RecoveryEntry(
            f"mark_waits:{refused.name}",
            f"the user was paid and the hotkey {saga.swap.miner} cannot send the mark; it is tried again by "
            "itself; send the hotkey TAO, or raise `limits.tao.mark_fee`, before the deadline, and then run "
            "`swap-miner retry`",
            {"detail": refused.detail, "timeout_block": saga.swap.timeout_block},
        )

    def _hotkey_began_again(self, saga: Saga, refused: Refused) -> RecoveryEntry:
        return RecoveryEntry(
            "hotkey_began_again",
            f"the user was paid, and the hotkey {saga.swap.miner} was emptied: what it signed before may "
            f"land again, and no mark is signed until `swap-miner resume --account {saga.swap.miner}`",
            {"detail": refused.detail, "timeout_block": saga.swap.timeout_block},
        )

    async def _transient(
        self, saga: Saga, cause: str, this: Round, recovery: RecoveryEntry | None = None
    ) -> None:
        """Not now: wait, with the time of the next attempt stored."""
        event = Event.MARK_FAILED if saga.state in (State.MARKING, State.HELD) else Event.NOTED
        wait_ms = self._desk.back_off_ms(saga.mark_retries)
        patch = SagaPatch(mark_retries=saga.mark_retries + 1, next_attempt_ms=this.tick.now_ms + wait_ms)
        payload: dict[str, Json] = {"mark_failed": cause, "wait_ms": wait_ms}
        await self._desk.step(saga, Step(event=event, payload=payload, patch=patch, recovery=recovery))
        log.warning("mark_waits", swap_id=saga.key.swap_id, cause=cause, wait_ms=wait_ms)
