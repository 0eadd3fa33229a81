"""The referee: when all is over, every law and every account, by the model chains' truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from miner.amounts import Chain, user_receives
from miner.errors import InvariantBroken
from miner.model import PAYOUT_GONE, Ending, EndingKind, JournalEntry, Swap
from miner.saga import INITIAL, Event, State, advance
from tests.simulation.hands import ANOTHERS_ID
from tests.simulation.onlooker import SEND_IN, Onlooker
from tests.simulation.oracle import Broken
from tests.simulation.tao_rules import Transfer

FOR_A_PERSON = (
    "SELECT s.id FROM sagas s JOIN recovery r ON r.saga_id = s.id AND r.cause = s.reason "
    "WHERE s.state = 'HELD' AND s.reason IN ('lane_taken_ambiguously', 'mark_refused:SwapNotFound')"
)
"""Sagas that only a person can close: another program paid this user something from the payout's own lane;
or the swap was paid and never began on the chain that is, since finality was violated."""
OPEN_LANES = (
    f"SELECT id FROM lanes WHERE closed = 0 AND saga_id NOT IN ({FOR_A_PERSON}) AND NOT (chain LIKE 'btc:%' "
    "AND sighting = 'unseen' AND saga_id IN (SELECT id FROM sagas WHERE state = 'COMPLETED'))"
)
"""Lanes that ought to be closed. Not those of completed swaps whose Bitcoin payout a reorganisation took out
of block and pool: nothing that pays is sent after a swap's end (law 7), and nobody asks for it back."""
DEAD_LANES = "SELECT account, slot FROM lanes WHERE state = 'dead' ORDER BY id"
MARK_WAITS = ("mark_waits", "hotkey_began_again")
"""Causes that are told while a mark waits for its hotkey, of a swap that may well complete."""


@dataclass
class Referee(Onlooker):
    """Judges a history."""

    async def at_end(self) -> list[Broken]:
        """Every law, and every account settled."""
        for found in self._laws():
            self._add(found.law, found.how)
        for found in (*self._unowed(), *self._amounts(), *self._marks_hold(), *self._dead_lanes()):
            self._add(found.law, found.how)
        await self._accounts_settled()
        if self.play.history.setting["calm"]:
            self._all_served()
        return self.broken

    def _laws(self) -> Iterator[Broken]:
        stuck = {f"{to} " for to in self._stuck_sends}
        for found in self.oracle.check():
            if found.law == "sent too late" and any(found.how.startswith(to) for to in stuck):
                continue  # see `Onlooker._sent`
            if found.law == "sent after the end" and found.how in self._blind_sends:
                continue  # by the stuck node's word the swap goes on
            if found.law in ("sent too late", "outlives the deadline") and self.play.violated:
                continue  # the swap began at another height on the other fork
            if found.law == "marked wrongly" and self.play.counts["dropped"]:
                continue  # see `OPEN_LANES`
            if found.law == "marked wrongly" and ANOTHERS_ID in found.how:
                continue  # votes that confirmed our mark stand behind another's, on the other fork
            if found.law != "wrong amount":  # judged by what users were promised: others may have marked
                yield found

    def _amounts(self) -> Iterator[Broken]:
        """A payout is exactly what its user is owed."""
        play = self.play
        divisor = play.stage.tao.best.state.contract.terms.fee_divisor
        owed: dict[str, set[int]] = {}
        for who in play.people.arrivals:
            owed.setdefault(who.recipient(), set()).add(user_receives(who.amounts()[who.dest], divisor))
        for paid in self._paid_now():
            if paid.amount not in owed.get(paid.recipient, set()):
                yield Broken("wrong amount", f"{paid.recipient} got {paid.amount} by {paid.txid}")

    def _unowed(self) -> Iterator[Broken]:
        """Money to somebody who did not pay, or more often than they did; a taker of our lane counts too."""
        play = self.play
        owed = Counter(who.recipient() for who in play.people.expected())
        branches = [self.oracle.paid(tip, play.stage.btc.best) for tip in self.oracle.tips_of_tao()]
        branches += [self.oracle.paid(play.stage.tao.best, tip) for tip in self.oracle.tips_of_btc()]
        takers = self._takers()
        for branch in branches:
            ours = [p for p in branch if p.txid not in self.oracle.foreign or p.txid in takers]
            for to, times in Counter(p.recipient for p in ours).items():
                if times > owed[to] and any(p.recipient == to and p.txid not in takers for p in ours):
                    yield Broken("paid twice" if owed[to] else "paid unowed", f"{to}: {times} of {owed[to]}")

    def _dead_lanes(self) -> Iterator[Broken]:
        """A lane is closed with its nonce unused only where its account was emptied."""
        tao = self.play.stage.tao
        for account, slot in self.play.around.memory.rows(DEAD_LANES):
            nonces = [block.state.account(account).nonce for block in tao.canonical]
            if not self.play.violated and all(one <= then for one, then in pairwise(nonces)):
                yield Broken("unused nonce", f"{slot} of {account}: its lane is closed, and nobody used it")

    def _marks_hold(self) -> Iterator[Broken]:
        """A mark of a TAO payout names it where it is: it was final when it was marked."""
        play = self.play
        if play.violated:
            return
        at = {(p.recipient, p.txid): p.height for p in self._paid_now() if p.chain is Chain.TAO}
        for swap in self.oracle.swaps():
            if swap.dest_chain == Chain.TAO and swap.dest_tx_hash and swap.id not in play.foreign.swaps:
                height = at.get((swap.user_dest_address, swap.dest_tx_hash))
                last = swap.fulfilled_block + play.people.manners.confirm_after
                early = last + SEND_IN >= swap.timeout_block
                if (
                    height != swap.dest_tx_block
                    and not early
                    and swap.dest_tx_hash not in self.oracle.foreign
                ):
                    yield Broken("marked wrongly", f"swap {swap.id} at {swap.dest_tx_block}, not {height}")

    def _takers(self) -> set[str]:
        """Others' transactions that pay a user in the lane of that user's payout: they count as it."""
        stage = self.play.stage
        slots = {
            (tx.signer, tx.nonce, tx.call.dest)
            for tx in stage.tao.signed.values()
            if isinstance(tx.call, Transfer)
        }
        found = {
            tx.txid
            for tx in stage.tao.ever.values()
            if tx.txid in self.oracle.foreign
            and isinstance(tx.call, Transfer)
            and (tx.signer, tx.nonce, tx.call.dest) in slots
        }
        coins = {(out, to) for tx in stage.btc.signed.values() for out in tx.inputs for to, _ in tx.outputs}
        found |= {
            tx.txid
            for tx in stage.btc.ever.values()
            if tx.txid in self.oracle.foreign
            and any((out, to) in coins for out in tx.inputs for to, _ in tx.outputs if to not in self._ours)
        }
        return found

    async def _accounts_settled(self) -> None:
        memory = self.play.around.memory
        orphaned = self._orphaned()
        left = {lane for (lane,) in memory.rows(OPEN_LANES)} - set(orphaned)
        if left:
            self._add("left open", f"{len(left)} lanes")
        leaks = (
            "SELECT saga_id FROM reservations WHERE (state = 'reserved' OR mark_state = 'reserved') "
            f"AND saga_id NOT IN ({FOR_A_PERSON})"
        )
        for (saga,) in memory.rows(leaks):
            if saga in orphaned.values():
                continue
            self._add("reservation leak", f"saga {saga}")
        for (count,) in memory.rows("SELECT COUNT(*) FROM recovery WHERE written_at_ms IS NULL"):
            if count:
                self._add("recovery log", f"{count} entries unwritten")
        known = {swap: saga for saga, swap in memory.rows("SELECT id, swap_id FROM sagas")}
        contract = self.play.stage.tao.best.state.contract
        miners = {m.hotkey for m in self.play.stage.miners}
        for swap in self._final_swaps():
            if swap.miner in miners and swap.id not in known:
                self._add("lost swap", f"swap {swap.id} has no saga")
        for_a_person = self.play.counts["rivals"] or self.play.violated
        held = {saga for (saga,) in memory.rows(FOR_A_PERSON)} if for_a_person else set()
        for swap_id, saga_id in known.items():
            if saga_id in held or saga_id in orphaned.values():
                continue
            await self._saga_settled(swap_id, saga_id, contract.outcomes.get(swap_id))

    def _orphaned(self) -> dict[int, int]:
        """Sagas by open lane whose anchor was the change of a payout that is gone for good.

        A completed swap's payout that a reorganisation took out of block and pool is not sent again (see
        `OPEN_LANES`), and neither can be what spends its change: these are for a person.
        """
        btc = self.play.stage.btc
        rows = self.play.around.memory.rows(
            "SELECT id, saga_id, slot FROM lanes WHERE closed = 0 AND chain LIKE 'btc:%'"
        )
        return {
            lane: saga
            for lane, saga, slot in rows
            if btc.find(slot.split(":")[0]) is None and slot.split(":")[0] not in btc.pool
        }

    def _final_swaps(self) -> list[Swap]:
        """Every swap that the finalised chain ever held."""
        held: dict[int, Swap] = {}
        for block in self.play.stage.tao.finalised.back():
            for swap_id, swap in block.state.contract.swaps.items():
                held.setdefault(swap_id, swap)
        return list(held.values())

    async def _saga_settled(self, swap_id: int, saga_id: int, ending: object) -> None:
        memory = self.play.around.memory
        state, reason, version = next(
            memory.rows("SELECT state, reason, version FROM sagas WHERE id = ?", saga_id)
        )
        leader = self.play.leader() or self.play.first
        journal = await leader.store.journal(saga_id)
        try:
            told = _projected(journal)
        except InvariantBroken as broken:
            self._add("journal", f"saga {saga_id}: {broken}")
            return
        if told is not State(state) or len(journal) != version:
            self._add("journal", f"saga {saga_id} is {state}, its journal says {told}")
        epochs = [e.lease_epoch for e in journal if e.actor.startswith("daemon:")]
        if epochs != sorted(epochs) and not self.play.restored:
            self._add("not fenced", f"saga {saga_id} was written under epochs {epochs}")
        causes = [cause for (cause,) in memory.rows("SELECT cause FROM recovery WHERE saga_id = ?", saga_id)]
        self._end_was_read(swap_id, saga_id)
        if not State(state).ended:
            self._add("lost swap", f"swap {swap_id} is left {state} ({reason})")
        self._right_end(swap_id, State(state), reason, causes, [e.event for e in journal])

    def _end_was_read(self, swap_id: int, saga_id: int) -> None:
        """Every block could be read sooner or later, so how a swap ended is known from its event.

        A node that fails at every second or third call may never let a block through, which is bridged.
        """
        play = self.play
        bridged = any(a["do"] == "flaky" and a["every"] <= 3 for a in play.history.actions)
        rows = play.around.memory.rows(
            "SELECT 1 FROM sagas WHERE id = ? AND ending LIKE '%\"unknown\"%'", saga_id
        )
        if next(rows, None) and not (bridged or play.restored or play.violated):
            self._add("end not told", f"swap {swap_id} is gone, and how it ended was not read")

    def _right_end(
        self, swap_id: int, state: State, reason: str, causes: list[str], events: list[Event]
    ) -> None:
        """The end that the chains tell, with its reason, and a recovery entry exactly where one is due."""
        play = self.play
        ending = play.stage.tao.best.state.contract.outcomes.get(swap_id)
        if ending is None or play.violated or play.restored:
            return
        if state is not State.COMPLETED and not reason:
            self._add("no reason", f"swap {swap_id} ended {state}")
        written = {line.entry.cause for line in play.recovery.lines.values() if line.saga.swap_id == swap_id}
        if written != set(causes):
            self._add("recovery log", f"swap {swap_id}: stored {sorted(causes)}, written {sorted(written)}")
        if state is State.FAILED and not causes:
            self._add("recovery log", f"swap {swap_id} failed without an entry")
        if Event.HELD_FOR_OPERATOR in events and not causes:
            self._add("recovery log", f"swap {swap_id} was held without an entry")
        quiet = not {Event.HELD_FOR_OPERATOR, Event.IMPORTED_SENT} & set(events)
        told = {c for c in causes if not c.startswith(MARK_WAITS) and c != PAYOUT_GONE}
        if state is State.COMPLETED and quiet and told:
            self._add("recovery log", f"swap {swap_id} completed quietly, with {causes}")
        self._as_the_chain_says(swap_id, state, reason, causes, ending)

    def _as_the_chain_says(
        self, swap_id: int, state: State, reason: str, causes: list[str], ending: Ending
    ) -> None:
        wanted = self._wanted_end(swap_id, ending.kind)
        if state is not wanted and not (wanted is State.COMPENSATED and state is State.FAILED and causes):
            self._add("wrong end", f"swap {swap_id} ended {state} ({reason}), the chain says {wanted}")
        if ending.kind is EndingKind.TIMED_OUT and ending.slash_amount and state is State.COMPENSATED:
            told = {"slashed", "expired_unpaid"} & set(causes)
            if not told and not any(c.startswith("refused") for c in causes):
                self._add("recovery log", f"swap {swap_id} was slashed, and {causes} is all that is told")

    def _wanted_end(self, swap_id: int, kind: EndingKind) -> State:
        if kind is EndingKind.COMPLETED:
            return State.COMPLETED
        who = next((a for a in self.play.people.arrivals if a.swap_id == swap_id), None)
        paid = {p.recipient for p in self._paid_now()} | {
            p.recipient
            for p in self.oracle.paid(self.play.stage.tao.best, self.play.stage.btc.best)
            if p.txid in self._takers()
        }
        if who is None or who.kind in ("twin", "reused") or who.user in self._twins():
            rows = self.play.around.memory.rows("SELECT state FROM sagas WHERE swap_id = ?", swap_id)
            return State(next(rows)[0])
        return State.FAILED if who.recipient() in paid else State.COMPENSATED

    def _all_served(self) -> None:
        """In a calm history every swap is paid and marked within a few blocks."""
        contract = self.play.stage.tao.best.state.contract
        lag, every = self.play.history.setting["lag"], self.play.history.setting["btc_every"]
        for who in self.play.people.arrivals:
            if not who.swap_id:
                self._add("not served", f"user {who.number} got no swap")
                continue
            ending = contract.outcomes.get(who.swap_id)
            if ending is None or ending.kind is not EndingKind.COMPLETED:
                self._add("not served", f"swap {who.swap_id} ended {ending}")
                continue
            swap = next(s for s in self._final_swaps() if s.id == who.swap_id)
            most = 6 + 3 * lag + (2 * every if who.dest is Chain.BTC else 0)
            if swap.fulfilled_block - swap.initiated_block > most:
                took = swap.fulfilled_block - swap.initiated_block
                self._add("slow", f"swap {swap.id} was marked after {took} blocks, {most} are enough")


def _projected(journal: Sequence[JournalEntry]) -> State:
    state = INITIAL
    for entry in journal:
        state = advance(state, entry.event)
    return state
