"""From DISCOVERED to SIGNED, and what keeps a payout going after that."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from miner.amounts import Chain
from miner.errors import InvariantBroken, Refused, SlotTaken
from miner.inventory import Wanting, affordable, check_swap_cap, mark_affordable, room_in_hour, room_unfinal
from miner.model import (
    Adopted,
    AttemptKind,
    Json,
    Mark,
    Payment,
    PayoutOrder,
    Pending,
    RecoveryEntry,
    Replacement,
    Reservation,
    Saga,
    SagaPatch,
    Since,
    Step,
    Swap,
)
from miner.ports import Rail
from miner.saga import Event, State
from miner.settle.books import Books, accounted, has_twin, not_before_of, rows_of
from miner.settle.desk import Desk, Round
from miner.settle.refusals import Refusals
from miner.verdict import SPENT_BEFORE, gate_closed

log = structlog.get_logger("settle")

PROBE_TXID: Mapping[Chain, str] = {Chain.TAO: "0x" + "00" * 32, Chain.BTC: "00" * 32}
"""A payout id of the right form, for the dry run of a mark before there is a payout."""

STORE_DOUBTED = "store_may_lack_payouts"
"""Reason of a swap that waits until every payout that the store may have lost has landed or is dead."""


class Payer:
    """Executes the commands around a payout.

    Each method gives the saga as it then stands, or None when nothing can be done now.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._refusals = Refusals(desk, self._wait)

    async def verify(self, saga: Saga, this: Round) -> Saga | None:
        """DISCOVERED: terms, caps, and the user's payment."""
        try:
            order = self._desk.verifier.order(saga.swap, this.terms)
            check_swap_cap(order.amount, self._desk.policy.rails[self._desk.dest_rail(saga).chain].caps)
            payment = await self._look(saga, this)
        except Refused as refused:
            return await self._refusals.refuse(saga, refused, this)
        if isinstance(payment, Pending):
            return await self._wait(saga, payment.why)
        patch = SagaPatch(payment=payment, reason="")
        payload = _payment_json(payment)
        try:
            return await self._desk.step(
                saga, Step(event=Event.SOURCE_VERIFIED, payload=payload, patch=patch)
            )
        except Refused as refused:
            return await self._refusals.refuse(saga, refused, this)

    async def _look(self, saga: Saga, this: Round) -> Payment | Pending:
        return await self._desk.verifier.payment(
            saga, this.terms, this.tick.now_ms, this.tick.finalised.height
        )

    async def _wait(self, saga: Saga, why: str, **more: Json) -> Saga | None:
        """Nothing can be done now. The reason is journaled once, when it changes."""
        if saga.reason != why:
            step = Step(event=Event.NOTED, payload={"waiting": why, **more}, patch=SagaPatch(reason=why))
            await self._desk.step(saga, step)
            log.info("swap_waits", swap_id=saga.key.swap_id, why=why)
        return None

    # inventory

    async def want(self, saga: Saga, this: Round) -> Wanting | Saga | None:
        """VERIFIED: is the payment still there, would the mark be taken, and what does it need?

        Returns:
            What to reserve; or the saga where this moved it; or None where it has to wait.
        """
        desk = self._desk
        try:
            order = desk.verifier.order(saga.swap, this.terms)
            rail = desk.dest_rail(saga)
            if (rail.chain_id, order.account) not in desk.audited:
                return await self._wait(saga, "account_not_audited")
            books = await accounted(this, rail, order.account)
            if await self._may_have_paid(saga, order, this, books):
                return await self._hold_spent_before(saga, order)
            if books.doubted:
                return await self._wait(saga, STORE_DOUBTED)
            if saga.payment is None or not await desk.verifier.still_good(saga.payment):
                payment = await self._look(saga, this)
                if isinstance(payment, Pending):
                    return await self._wait(saga, payment.why)
                patch = SagaPatch(payment=payment)
                saga = await desk.step(
                    saga, Step(event=Event.NOTED, payload=_payment_json(payment), patch=patch)
                )
            fee = await rail.fee(order)
        except Refused as refused:
            return await self._refusals.refuse(saga, refused, this)
        if fee > order.max_fee:
            return await self._wait(saga, "fee_above_cap")
        probe = Mark(
            saga.swap.miner, saga.key.swap_id, PROBE_TXID[rail.chain], this.best.height, order.amount
        )
        try:
            await desk.contract.try_mark(probe, this.best)
        except Refused as refused:
            return await self._wait(saga, f"mark_would_be_refused:{refused.name}")
        return Wanting(saga, order.account, order.amount, fee)

    async def _may_have_paid(self, saga: Saga, order: PayoutOrder, this: Round, books: Books) -> bool:
        """Whether a spend of the account since the swap began, which no lane explains, may have paid it.

        Nothing is asked where every spend since then is explained, by lanes that no stranger took.
        """
        rail = self._desk.dest_rail(saga)
        known = saga.swap.initiated_block > self._desk.audited[rail.chain_id, order.account]
        if known and not books.row.stopped and not books.strangers:
            return False
        born = saga.swap.initiated_block
        since = Since(born, max(this.tick.finalised.height - born, 0))
        slots = frozenset(await self._desk.store.slots(rail.chain_id, order.account))
        return await rail.may_have_paid(books.row, order, since, slots - books.strangers)

    async def in_doubt(self, saga: Saga, this: Round) -> Saga | None:
        """Before a swap is given up as unpaid: hold it where its account has spent what may have paid it."""
        rail = None if saga.dest is None else self._desk.rails.get(saga.dest)
        try:
            order = self._desk.verifier.order(saga.swap, this.terms)
        except Refused:
            return None
        if rail is None or (rail.chain_id, order.account) not in self._desk.audited:
            return None
        if await self._may_have_paid(saga, order, this, await accounted(this, rail, order.account)):
            return await self._hold_spent_before(saga, order)
        return None

    async def _hold_spent_before(self, saga: Saga, order: PayoutOrder) -> Saga:
        """Another program, or a newer copy of this store, may have paid it: never a second time."""
        why = RecoveryEntry(
            SPENT_BEFORE,
            "its payout account spent after this swap began what no lane of this store explains, so it may "
            "have been paid; nothing is sent; the payout is looked for, and adopted where it is found; where "
            "you know its id, `swap-miner adopt-payout` credits it",
            {"account": order.account, "recipient": order.recipient, "amount": str(order.amount)},
        )
        step = Step(
            event=Event.HELD_FOR_OPERATOR,
            payload={"account": order.account},
            patch=SagaPatch(reason=SPENT_BEFORE),
            recovery=why,
            release=True,
        )
        return await self._desk.step(saga, step)

    async def reserve(self, want: Wanting, alone: bool) -> Saga | None:
        """VERIFIED → RESERVED, if caps and balance leave room."""
        desk, saga = self._desk, want.saga
        rail = desk.dest_rail(saga)
        if not await room_in_hour(desk.store, rail, want.amount, desk.policy.rails[rail.chain].caps):
            return await self._wait(saga, "per_hour_cap")
        source, _ = desk.verifier.pair(saga.swap)
        if not await room_unfinal(desk.store, desk.rails[source], saga, desk.policy.rails[source]):
            return await self._wait(saga, "unfinal_source_cap")
        if not await affordable(desk.store, rail, want, alone):
            return await self._wait(saga, "insufficient_funds")
        mark_fee = desk.policy.mark_fee
        if not await mark_affordable(desk.store, desk.rails[Chain.TAO], saga.swap.miner, mark_fee):
            return await self._wait(saga, "hotkey_cannot_pay_for_the_mark")
        reservation = Reservation(
            rail.chain_id, want.account, want.amount, want.fee, saga.swap.miner, mark_fee
        )
        payload: dict[str, Json] = {"amount": str(want.amount), "fee": str(want.fee), "account": want.account}
        step = Step(
            event=Event.INVENTORY_RESERVED,
            payload=payload,
            patch=SagaPatch(reason=""),
            reserve=reservation,
        )
        return await desk.step(saga, step)

    async def give_back(self, saga: Saga, why: str) -> Saga:
        """RESERVED → VERIFIED."""
        step = Step(
            event=Event.RESERVATION_YIELDED,
            payload={"why": why},
            patch=SagaPatch(reason=why),
            release=True,
        )
        return await self._desk.step(saga, step)

    # the pivot

    async def pay(self, saga: Saga, this: Round) -> Saga | None:
        """RESERVED → SIGNED: read again, gate, then lane and bytes in one transaction (laws 1, 2, 7)."""
        desk = self._desk
        rail = desk.dest_rail(saga)
        try:
            order = desk.verifier.order(saga.swap, this.terms)
            if (why := await self._no_first_send(saga, order, this)) == SPENT_BEFORE:
                return await self._hold_spent_before(saga, order)
            if why:
                return await self._wait(saga, why)
            if not await this.code_unchanged():
                return await self._wait(saga, "contract_code_changed")
            fresh = await this.fresh(saga.key.swap_id)
            if not self._same_terms(saga, fresh):
                await self._terms_changed(saga, this)
                return None
            if not self._unchanged(saga, fresh):
                return await self.give_back(saga, "swap_changed")
            if saga.payment is None or not await desk.verifier.still_good(saga.payment):
                return await self.give_back(saga, "payment_must_be_read_again")
            taken = await desk.store.slots(rail.chain_id, order.account) if rail.chain is Chain.BTC else ()
            claim = await rail.prepare(order, taken, await desk.store.freed_by(saga.id))
        except Refused as refused:
            return await self._wait(saga, refused.name)
        margin = desk.policy.margin_blocks(saga.dest)
        if gate_closed(max(desk.node.best_height(), this.best.height), saga.swap.timeout_block, margin):
            return await self._wait(saga, "too_close_to_timeout")
        payload: dict[str, Json] = {
            "account": order.account,
            "recipient": order.recipient,
            "amount": str(order.amount),
            "best_height": this.best.height,
            "timeout_block": saga.swap.timeout_block,
        }
        step = Step(event=Event.PAYOUT_SIGNED, payload=payload, patch=SagaPatch(reason=""), claim=claim)
        try:
            return await desk.step(saga, step)
        except SlotTaken:
            log.warning("slot_taken", swap_id=saga.key.swap_id, account=order.account)
            return None

    async def _no_first_send(self, saga: Saga, order: PayoutOrder, this: Round) -> str:
        """Why law 9 lets the account begin no payout now, or its hotkey no mark; empty where it may."""
        rail = self._desk.dest_rail(saga)
        if (rail.chain_id, order.account) not in self._desk.audited:
            return "account_not_audited"
        books = await accounted(this, rail, order.account)
        if await self._may_have_paid(saga, order, this, books):
            return SPENT_BEFORE
        if books.doubted:
            return STORE_DOUBTED
        if books.row.stopped:
            return f"account_stopped:{books.row.stopped}"
        marks = (await rows_of(self._desk)).get((self._desk.rails[Chain.TAO].chain_id, saga.swap.miner))
        return f"hotkey_stopped:{marks.stopped}" if marks is not None and marks.stopped else ""

    def _same_terms(self, saga: Saga, fresh: Swap | None) -> bool:
        return fresh is None or fresh.terms() == saga.swap.terms()

    def _unchanged(self, saga: Saga, fresh: Swap | None) -> bool:
        return fresh == saga.swap

    async def _terms_changed(self, saga: Saga, this: Round) -> None:
        """Terms cannot change: a person must look, unless the next look tells them as they were."""
        if await self._refusals.seen_twice(saga, "terms_changed", this):
            raise InvariantBroken(f"swap {saga.key.swap_id}: its terms changed after assignment")

    # after the pivot

    async def resign(self, saga: Saga) -> Saga | None:
        """The bytes died unused: the payout again in its lane, or a filler where it is too late to pay."""
        desk, lane = self._desk, saga.payout
        if lane is None:
            raise InvariantBroken(f"swap {saga.key.swap_id} has no payout lane")
        rail = desk.rail_of(lane)
        limits = desk.policy.rails[rail.chain]
        order = PayoutOrder(
            lane.account, lane.recipient, lane.amount, limits.max_fee, saga.swap.timeout_block
        )
        try:
            replacement = await rail.resign(lane, order)
        except Refused as refused:
            if refused.name != "too_late":
                return await self._wait(saga, refused.name)
            return await self.cancel(saga)
        event, kind = Event.PAYOUT_RESIGNED, replacement.kind
        return await self._replace(saga, event, replacement, {"kind": str(kind)})

    async def cancel(self, saga: Saga) -> Saga | None:
        """A filler in the payout's lane."""
        lane = saga.payout
        if lane is None:
            raise InvariantBroken(f"swap {saga.key.swap_id} has no payout lane")
        try:
            replacement = await self._desk.rail_of(lane).cancel(lane)
        except Refused as refused:
            return await self._wait(saga, f"cancel_refused:{refused.name}")
        quiet = saga.state.ended or saga.state is State.HELD
        event = Event.NOTED if quiet else Event.CANCEL_SIGNED
        return await self._replace(saga, event, replacement, {"kind": str(AttemptKind.FILLER)})

    async def _replace(
        self, saga: Saga, event: Event, replacement: Replacement, payload: Mapping[str, Json]
    ) -> Saga:
        told = {**payload, "txid_of_replacement": replacement.tx.txid}
        return await self._desk.step(saga, Step(event=event, payload=told, replacement=replacement))

    async def adopt_imported(self, saga: Saga, this: Round) -> Saga | None:
        """HELD: look for the payout that another program made, by what it or the contract says of it.

        A payout that nobody named is credited only where no other swap can be the one that it paid.
        """
        desk, swap = self._desk, saga.swap
        sent = await desk.store.imported(saga.key.swap_id)
        rail = desk.dest_rail(saga)
        try:
            order = desk.verifier.owed(swap, this.terms)
        except Refused as refused:
            await self._tell(saga, refused)
            return None
        txid, block = (sent.txid, sent.block) if sent else (swap.dest_tx_hash, swap.dest_tx_block)
        not_before = await not_before_of(desk, rail, saga, order, named=_is_txid(rail, txid))
        if not_before is None:
            return None
        seen = await rail.find_payout(order.account, order, txid, block or not_before, not_before)
        if seen is None or seen.txid is None or seen.block is None or not seen.final:
            return None
        if not _is_txid(rail, txid) and await has_twin(desk, rail, saga, seen.txid, seen.block.height):
            return None
        adopt = Adopted(rail.chain_id, order.account, seen.txid, seen.block, order.recipient, order.amount)
        payload: dict[str, Json] = {"txid": seen.txid, "block": seen.block.height}
        step = Step(event=Event.PAYOUT_ADOPTED, payload=payload, patch=SagaPatch(reason=""), adopt=adopt)
        return await desk.step(saga, step)

    async def _tell(self, saga: Saga, refused: Refused) -> None:
        """A payout cannot be looked for, since the swap's terms tell none: told once."""
        why = RecoveryEntry(
            f"cannot_be_located:{refused.name}",
            "what this swap owes cannot be told from its terms; look for its payout in the wallet's history",
            {"detail": refused.detail},
        )
        if not any("cannot_be_located" in e.payload for e in await self._desk.store.journal(saga.id)):
            payload: dict[str, Json] = {"cannot_be_located": refused.name}
            await self._desk.step(saga, Step(event=Event.NOTED, payload=payload, recovery=why))


def _is_txid(rail: Rail, text: str) -> bool:
    try:
        rail.canonical_txid(text)
    except Refused:
        return False
    return True


def _payment_json(payment: Payment) -> dict[str, Json]:
    return {
        "chain": str(payment.chain),
        "txid": payment.txid,
        "height": payment.height,
        "amount": str(payment.amount),
    }
