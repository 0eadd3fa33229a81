"""Rebuild: open swaps whose store is gone, judged by the contract and by what the accounts have sent.

Nothing here pays or marks. A payout that is found is adopted; what cannot be ruled out is held; and what is
proved to be unpaid goes its usual way, which proves it again before it pays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from miner.amounts import Chain
from miner.errors import Discarded, ReadFailed, Refused
from miner.model import (
    AccountRow,
    Adopted,
    Head,
    ImportedSend,
    Json,
    PayoutOrder,
    RecoveryEntry,
    Saga,
    SagaPatch,
    Sighting,
    Since,
    Step,
    Swap,
    SwapStatus,
    TakerEffect,
    Terms,
)
from miner.ports import Rail
from miner.saga import BEFORE_PIVOT, Event, State
from miner.settle.desk import Desk
from miner.verdict import IMPORTED, MAYBE_PAID, SPENT_BEFORE

log = structlog.get_logger("rebuild")

ACTOR = "rebuild"


class Verdict(StrEnum):
    """What is known of one open swap."""

    PAID = "paid"
    """By a final transaction of ours that pays exactly this order, and no other swap's."""
    UNCONFIRMED = "paid, not final"
    """As above, but not final yet: the daemon looks for it by its id until it is."""
    UNPAID = "unpaid"
    """Everything that its account has sent since it began was read: nothing of it went to this user."""
    UNKNOWN = "unknown"
    """Something may have paid it: held for a person."""
    UNREAD = "not read"
    """A chain could not be asked: the daemon asks again before it pays."""
    REFUSED = "refused"
    """Its terms are such that it is never paid."""
    KNOWN = "in the store"
    """The store has more of it than its assignment: left as it is."""


DECIDED = frozenset({Verdict.PAID, Verdict.UNCONFIRMED, Verdict.UNPAID, Verdict.REFUSED, Verdict.KNOWN})


@dataclass(frozen=True, slots=True)
class Finding:
    """One open swap.

    Attributes:
        swap: As the contract holds it at the finalised head.
        verdict: What is known.
        why: In words.
        order: What it owes; None where its terms do not tell.
        txid: The payout; empty where there is none, or more than one.
        block: Its block.
    """

    swap: Swap
    verdict: Verdict
    why: str
    order: PayoutOrder | None = None
    txid: str = ""
    block: Head | None = None


class Rebuilder:
    """Judges open swaps by the chains alone, and writes what it found through the store.

    Args:
        desk: Ports and rules.
        progress: Told what is being looked at, how many are done, and how many there are.
    """

    def __init__(self, desk: Desk, progress: Callable[[str, int, int], None]) -> None:
        self._desk = desk
        self._progress = progress

    # looking

    async def look(self, swaps: Sequence[Swap], at: Head) -> list[Finding]:
        """A finding for each swap, the earliest deadline first.

        Args:
            swaps: Open swaps of our miners, as read at `at`.
            at: The finalised head.

        Raises:
            ReadFailed: The contract's terms could not be read.
        """
        terms = await self._desk.contract.terms(at)
        found: list[Finding] = []
        ordered = sorted(swaps, key=lambda swap: (swap.timeout_block, swap.id))
        for number, swap in enumerate(ordered):
            words = f"swap {swap.id}: blocks {swap.initiated_block} to {at.height}"
            self._progress(words, number, len(ordered))
            found.append(await self._one(swap, terms, at))
        self._progress("", len(ordered), len(ordered))
        return _credited_once(found)

    async def _one(self, swap: Swap, terms: Terms, at: Head) -> Finding:
        try:
            order = self._desk.verifier.owed(swap, terms)
            rail = self._desk.rails[Chain(swap.dest_chain)]
        except Refused as refused:
            verdict = Verdict.REFUSED if swap.status is SwapStatus.ACTIVE else Verdict.UNKNOWN
            return Finding(swap, verdict, str(refused))
        try:
            if swap.status is SwapStatus.FULFILLED:
                return await self._marked(swap, order, rail)
            return await self._active(swap, order, rail, at)
        except Discarded as gone:
            return Finding(swap, Verdict.UNKNOWN, f"no endpoint keeps what would tell: {gone}", order)
        except (ReadFailed, Refused) as failed:
            return Finding(swap, Verdict.UNREAD, str(failed), order)

    async def _marked(self, swap: Swap, order: PayoutOrder, rail: Rail) -> Finding:
        """The contract names the payout; whether it is one is seen on its chain."""
        near = swap.dest_tx_block or swap.initiated_block
        not_before = swap.initiated_block if rail.chain is Chain.TAO else 0
        seen = await rail.find_payout(order.account, order, swap.dest_tx_hash, near, not_before)
        if seen is None or seen.txid is None or seen.block is None or not seen.final:
            why = "marked; the payout that the mark names is not final, or not found"
            return Finding(swap, Verdict.UNCONFIRMED, why, order, swap.dest_tx_hash)
        return Finding(swap, Verdict.PAID, "marked, and found", order, seen.txid, seen.block)

    async def _active(self, swap: Swap, order: PayoutOrder, rail: Rail, at: Head) -> Finding:
        born = await self._desk.node.hash_at(swap.initiated_block)
        if born is None:
            raise ReadFailed(f"block {swap.initiated_block}", "the node has none")
        since_ms = 0
        if rail.chain is not Chain.TAO:  # there, the block itself tells what is since
            since_ms = (await self._desk.contract.facts(Head(swap.initiated_block, born))).time_ms
        since = Since(swap.initiated_block, max(at.height - swap.initiated_block, 0), since_ms)
        seen = await rail.payouts_since(order, since)
        exact = [each for each in seen if each.taker is TakerEffect.PAYS]
        if len(exact) == 1 and len(seen) == 1:
            return _of(swap, order, exact[0])
        if seen:
            ids = ", ".join(str(each.txid) for each in seen)
            return Finding(swap, Verdict.UNKNOWN, f"these may have paid it: {ids}", order)
        row = AccountRow(rail.chain_id, order.account, 0, 0)
        if await rail.may_have_paid(row, order, since, frozenset()):
            why = "an older spend gave the same user something"
            return Finding(swap, Verdict.UNKNOWN, why, order)
        why = f"all that {order.account} sent since block {swap.initiated_block} was read"
        return Finding(swap, Verdict.UNPAID, why, order)

    # writing

    async def write(self, found: Sequence[Finding]) -> list[Finding]:
        """Write each finding into its saga; what the store knows better is left as it is."""
        return [await self._write(each) for each in found]

    async def _write(self, found: Finding) -> Finding:
        saga = await self._desk.store.saga(found.swap.id)
        if saga is None or not awaits(saga):
            return replace(found, verdict=Verdict.KNOWN, why="the store has more of it than its assignment")
        if found.verdict is Verdict.PAID:
            return await self._adopt(saga, found)
        if found.verdict is Verdict.UNCONFIRMED:
            await self._expect(saga, found)
        elif found.verdict is Verdict.UNPAID:
            payload: dict[str, Json] = {"rebuilt": found.verdict.value, "why": found.why}
            await self._desk.step(saga, Step(event=Event.NOTED, payload=payload))
        elif found.verdict is Verdict.UNKNOWN:
            await self._hold(saga, found)
        return found

    async def _adopt(self, saga: Saga, found: Finding) -> Finding:
        order, block = found.order, found.block
        if order is None or block is None:
            return found
        if saga.state is not State.HELD:
            saga = await self._maybe_paid(saga, found, recovery=None)
        chain = self._desk.dest_rail(saga).chain_id
        adopt = Adopted(chain, order.account, found.txid, block, order.recipient, order.amount)
        payload: dict[str, Json] = {"rebuilt": found.verdict.value, "txid": found.txid, "block": block.height}
        step = Step(event=Event.PAYOUT_ADOPTED, payload=payload, patch=SagaPatch(reason=""), adopt=adopt)
        try:
            await self._desk.step(saga, step)
        except Refused as refused:
            return replace(found, verdict=Verdict.UNKNOWN, why=str(refused))
        return found

    async def _expect(self, saga: Saga, found: Finding) -> None:
        """The daemon looks for it by its id, and adopts it once it is final."""
        near = found.block.height if found.block else found.swap.dest_tx_block
        await self._desk.store.import_sent([ImportedSend(saga.key.swap_id, found.txid, near)])
        if saga.state is not State.HELD:
            why = RecoveryEntry(
                IMPORTED,
                "the store was lost and this payout is not final yet; nothing is sent; it is looked for by "
                "itself, and adopted once it is final",
                {"txid": found.txid},
            )
            await self._maybe_paid(saga, found, why)

    async def _maybe_paid(self, saga: Saga, found: Finding, recovery: RecoveryEntry | None) -> Saga:
        payload: dict[str, Json] = {"rebuilt": found.verdict.value, "txid": found.txid}
        patch = SagaPatch(reason=IMPORTED)
        step = Step(event=Event.IMPORTED_SENT, payload=payload, patch=patch, recovery=recovery, release=True)
        return await self._desk.step(saga, step)

    async def _hold(self, saga: Saga, found: Finding) -> None:
        if saga.state is State.HELD:
            return
        swap_id = saga.key.swap_id
        why = RecoveryEntry(
            SPENT_BEFORE,
            "the store was lost, and this swap may have been paid; nothing is sent; find its payout in the "
            f"wallet's history, then `swap-miner adopt-payout {swap_id} TX`",
            {"why": found.why, "recipient": found.swap.user_dest_address},
        )
        step = Step(
            event=Event.HELD_FOR_OPERATOR,
            payload={"rebuilt": found.verdict.value, "why": found.why},
            patch=SagaPatch(reason=SPENT_BEFORE),
            recovery=why,
            release=True,
        )
        await self._desk.step(saga, step)


def awaits(saga: Saga) -> bool:
    """Whether a saga has nothing yet that a look at the chain could contradict."""
    if saga.payout is not None or saga.ending is not None:
        return False
    return saga.state in BEFORE_PIVOT or (saga.state is State.HELD and saga.reason in MAYBE_PAID)


def _of(swap: Swap, order: PayoutOrder, seen: Sighting) -> Finding:
    txid = seen.txid or ""
    if seen.final and seen.block is not None:
        return Finding(swap, Verdict.PAID, "found", order, txid, seen.block)
    return Finding(swap, Verdict.UNCONFIRMED, "found, and not final yet", order, txid, seen.block)


def _credited_once(found: Sequence[Finding]) -> list[Finding]:
    """One transaction pays one swap: the one that the contract names it for; what two may claim, none."""
    named = {each.txid: each.swap.id for each in found if each.swap.status is SwapStatus.FULFILLED}
    claims: dict[str, int] = {}
    for each in found:
        if each.txid and each.swap.id != named.get(each.txid):
            claims[each.txid] = claims.get(each.txid, 0) + 1
    return [_contested(each, named, claims) for each in found]


def _contested(found: Finding, named: Mapping[str, int], claims: Mapping[str, int]) -> Finding:
    if not found.txid or named.get(found.txid) == found.swap.id:
        return found
    if found.txid in named or claims[found.txid] > 1:
        why = f"{found.txid} may as well be another swap's payout"
        return replace(found, verdict=Verdict.UNKNOWN, why=why, txid="", block=None)
    return found
