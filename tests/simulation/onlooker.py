"""Looks on while a history is played, and judges each block by the model chains' truth.

An *avoidable miss* is what a daemon with the same observations could have met. It is counted, for a swap
whose user really paid as the swap says, in two ways only, both over *good blocks*: consecutive ones in which
a process that leads did a whole round without a hitch, every node answered truly, the disk took every write,
no producer left anything out, nothing was paused, the contract's code was the accepted one, no chain had been
reorganised for a few blocks, and nobody else had used the miner's keys or commands on this swap or account:

- *unsent*: for `SEND_IN` good blocks the payment was deep enough, the swap Active and finalised, the account
  had money (and coins) for every open swap on it, and the margin had not begun; yet no payout was ever given
  to a pool;
- *unmarked*: for `MARK_IN` good blocks (`MARK_IN_CALM` where all were good since it was deep enough) a
  payout of ours was deep enough, the swap Active and the deadline not reached; yet the contract was not told.

What the daemon is kept from by anything else is no avoidable miss, nor is what follows a finality violation.
A swap is *lost* when it was finalised as one of our miners' and the store knows nothing of it, or knows no
end with a reason when all is over.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from miner.amounts import Chain
from miner.model import Swap, SwapStatus
from miner.settle.desk import CODE_HASH
from tests.simulation.btc_rules import Tx
from tests.simulation.oracle import Broken, Oracle, Paid
from tests.simulation.people import Arrival
from tests.simulation.play import Play
from tests.simulation.tao_rules import Extrinsic, Transfer

SEND_IN, MARK_IN, MARK_IN_CALM = 10, 16, 4
BTC_MARK_DEPTH = 1
PINNED = f"SELECT value FROM meta WHERE name = 'pin:{CODE_HASH}'"


@dataclass
class Onlooker:
    """Looks on while a history is played.

    Attributes:
        broken: What was found so far.
    """

    play: Play
    broken: list[Broken] = field(default_factory=list)
    good_blocks: int = 0
    _good_since: int = 0
    _journal_read: int = 0
    _epochs: dict[int, int] = field(default_factory=dict)
    _deep_at: dict[int, int] = field(default_factory=dict)
    _unsent: Counter[int] = field(default_factory=Counter)
    _unmarked: Counter[int] = field(default_factory=Counter)
    _sent_to: set[str] = field(default_factory=set)
    _stuck_sends: set[str] = field(default_factory=set)
    _blind_sends: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        stage = self.play.stage
        self._ours = {a for m in stage.miners for a in m.accounts.values()}
        self._before_btc = stage.btc.on_submit
        stage.tao.on_submit = self._tao_sent
        stage.btc.on_submit = self._btc_sent
        self.oracle = Oracle(stage, {c: self.play.policy.margin_blocks(c) for c in Chain})
        self.oracle.foreign = self.play.foreign.txids

    # as it happens

    def _tao_sent(self, tx: Extrinsic) -> None:
        if isinstance(tx.call, Transfer):
            self._first_send(tx.call.dest, tx.txid)
            self._sent(tx.call.dest, tx.txid)
        self._is_stored(tx.txid)

    def _btc_sent(self, tx: Tx) -> None:
        self._before_btc(tx)
        for to, _ in tx.outputs:
            if to not in self._ours:
                self._first_send(to, tx.txid)
                self._sent(to, tx.txid)
        self._is_stored(tx.txid)
        btc = self.play.stage.btc
        for parent in {out.split(":")[0] for out in tx.inputs}:
            if parent not in btc.ever:
                self._add("open change", f"{tx.txid} spends from {parent}, which was never in a block")

    def _first_send(self, recipient: str, txid: str) -> None:
        """Law 7: what was signed just now was signed for a swap that is Active at the best head."""
        play = self.play
        if recipient in self._sent_to or self._is_blind() or play.counts["stops"]:
            return
        row = next(play.around.memory.rows("SELECT signed_at_ms FROM attempts WHERE txid = ?", txid), None)
        theirs = [a for a in play.people.arrivals if a.recipient() == recipient and a.swap_id]
        if row is None or row[0] != play.stage.clock() or not theirs or play.violated:
            return
        swaps = [play.stage.swap(a.swap_id) for a in theirs]
        if not any(s is not None and s.status is SwapStatus.ACTIVE for s in swaps):
            self._add("sent to no active swap", f"{txid} to {recipient} at {play.height}")

    def _sent(self, recipient: str, txid: str) -> None:
        """Remember that it left.

        What was signed in time may leave late, and what was judged in time be signed late, by one that was
        stopped in between: for no longer than its lease, which fences it. A stuck node tells no better.
        """
        found = self.play.around.memory.rows("SELECT signed_at_ms FROM attempts WHERE txid = ?", txid)
        signed = next(found, (0,))[0]
        stood = any(each.leads and each.life.stood for each in self.play.processes)
        excused = self._is_blind() or stood or signed != self.play.stage.clock()
        if recipient not in self._sent_to and excused:
            self._stuck_sends.add(recipient)
        if self._is_blind():
            self._blind_sends.add(f"{txid} to {recipient} at {self.play.stage.tao.best.height}")
        self._sent_to.add(recipient)

    def _is_blind(self) -> bool:
        """Whether a process may go by a stuck node's word: one that was stopped in a round had it before."""
        play = self.play
        stale = any(each.leads and each.stale.stuck is not None for each in play.processes)
        return play.around.stuck is not None or stale

    def _is_stored(self, txid: str) -> None:
        """Law 2: what leaves is stored. After a backup was put back, others' memory may be longer."""
        found = self.play.around.memory.rows("SELECT 1 FROM attempts WHERE txid = ?", txid)
        if next(found, None) is None and not self.play.restored:
            self._add("sent unstored", txid)

    def _add(self, law: str, how: str) -> None:
        found = Broken(law, how)
        if found not in self.broken:
            self.broken.append(found)
            self.play.tell(f"BROKEN: {law}: {how}")

    def after_block(self) -> None:
        """Called when the processes have done their rounds on a block."""
        self._store_holds()
        self._fences_hold()
        good = self._is_good()
        self.good_blocks += good
        self._good_since = self._good_since if good else self.play.height + 1
        for who in self.play.people.arrivals:
            if who.honest and who.swap_id:
                self._watch(who, good)

    def _store_holds(self) -> None:
        """What the store must hold at any moment."""
        rows = self.play.around.memory.rows(
            "SELECT saga_id, SUM(closed = 0), SUM(state = 'landed') FROM lanes "
            "WHERE purpose IN ('payout', 'imported') GROUP BY saga_id HAVING COUNT(*) > 1"
        )
        for saga, is_open, landed in rows:
            if is_open + landed > 1 and not self.play.violated:
                self._add("two lanes", f"saga {saga}: {is_open} open, {landed} landed")

    def _fences_hold(self) -> None:
        """Nobody wrote in this block under an epoch older than the saga's lease had before it."""
        memory = self.play.around.memory
        since = self._journal_read
        for row, saga, epoch, actor in memory.rows(
            "SELECT rowid, saga_id, lease_epoch, actor FROM journal WHERE rowid > ? ORDER BY rowid", since
        ):
            self._journal_read = row
            if actor.startswith("daemon:") and epoch < self._epochs.get(saga, 0) and not self.play.restored:
                self._add("not fenced", f"saga {saga} was written under epoch {epoch}, its lease had another")
        self._epochs = dict(memory.rows("SELECT saga_id, epoch FROM leases WHERE saga_id IS NOT NULL"))

    def _is_good(self) -> bool:
        play = self.play
        leader = play.leader()
        if leader is None or leader.good_rounds < 3 or not play.around.is_clear() or play.around.traps.laid:
            return False
        if any(p.is_stopped for p in play.processes) or play.height <= play.upset:
            return False
        if next(play.around.memory.rows("SELECT 1 FROM paused"), None) is not None:
            return False
        pinned = next(play.around.memory.rows(PINNED), None)  # a fork can take back a code that was accepted
        return pinned is None or pinned[0] == play.stage.tao.best.state.contract.terms.code_hash

    def _watch(self, who: Arrival, good: bool) -> None:
        swap = self.play.stage.swap(who.swap_id)
        if swap is None or swap.status is not SwapStatus.ACTIVE or self._is_excused(who):
            self._unsent[who.number] = self._unmarked[who.number] = 0
            return
        unsent = good and self._could_send(who, swap)
        self._unsent[who.number] = self._unsent[who.number] + 1 if unsent else 0
        if self._unsent[who.number] == SEND_IN and self._is_fresh(who, swap):
            self._add("avoidable miss", f"swap {swap.id} unsent at {self.play.height}")
        paid = None if who.user in self._twins() else self._could_mark(swap)
        if paid is not None:
            self._deep_at.setdefault(who.number, self.play.height)
        paid = paid if good else None
        self._unmarked[who.number] = self._unmarked[who.number] + 1 if paid else 0
        if paid is None:
            return
        undisturbed = self._good_since <= self._deep_at[who.number]
        if self._unmarked[who.number] == (MARK_IN_CALM if undisturbed else MARK_IN):
            self._add("avoidable miss", f"swap {swap.id} unmarked at {self.play.height}")

    def _is_excused(self, who: Arrival) -> bool:
        play = self.play
        keys = play.stage.miners[who.miner]
        touched = play.foreign.accounts & {keys.hotkey, *keys.accounts.values()}
        doubled = any(a.txid == who.txid and a is not who for a in play.people.arrivals)
        inactive = keys.hotkey in play.stage.tao.best.state.contract.inactive
        return bool(
            play.violated
            or touched
            or doubled
            or inactive
            or play.restored
            or who.swap_id in play.foreign.swaps
        )

    def _could_send(self, who: Arrival, swap: Swap) -> bool:
        stage, margin = self.play.stage, self.play.policy.margin_blocks(who.dest)
        if who.recipient() in self._sent_to or who.kind == "twin":
            return False
        height = stage.tao.best.height
        if height + margin + 1 >= swap.timeout_block or stage.tao.finalised.height < swap.initiated_block:
            return False
        paid = self.play.people.paid_at(who)
        return paid is not None and abs(paid - swap.source_tx_block) <= 3 and self._has_money(who)

    def _has_money(self, who: Arrival) -> bool:
        stage = self.play.stage
        keys = stage.miners[who.miner]
        account = keys.accounts[who.dest]
        theirs = [s for s in stage.tao.best.state.contract.swaps.values() if s.miner == keys.hotkey]
        owed = [s for s in theirs if s.dest_chain == who.dest]
        if stage.tao.finalised.state.account(keys.hotkey).free < 10**9:
            return False
        if who.dest is Chain.TAO:
            free = stage.tao.finalised.state.account(account).free
            return free > sum(s.dest_amount + 10**7 for s in owed)
        spent = {out for tx in stage.btc.pool.values() for out in tx.inputs}
        coins = [c for out, c in stage.btc.best.state.coins.items() if out not in spent]
        return sum(c.address == account and c.sat > 10_000_000 for c in coins) > len(owed)

    def _is_fresh(self, who: Arrival, swap: Swap) -> bool:
        """Whether the payment is not older than the miner's newest reservation before the swap."""
        found = (self.play.stage.tao if who.source is Chain.TAO else self.play.stage.btc).find(who.txid)
        hotkey = self.play.stage.miners[who.miner].hotkey
        for block in self.play.stage.tao.best.back():
            if block.height <= swap.initiated_block:
                events = [e for r in block.receipts for e in r.events]
                if any(e.name == "MinerReserved" and e.args["miner"] == hotkey for e in events):
                    return found is not None and (
                        found[0].height >= block.height
                        if who.source is Chain.TAO
                        else found[0].time_ms >= block.time_ms - 7_000_000
                    )
        return True

    def _could_mark(self, swap: Swap) -> Paid | None:
        """The payout that could be marked now."""
        stage = self.play.stage
        if stage.tao.best.height + 1 >= swap.timeout_block:
            return None
        if stage.tao.finalised.state.account(swap.miner).free < 10**9:
            return None
        if swap.user_dest_address not in self._sent_to:
            return None
        theirs = (p for p in self._paid_now() if p.recipient == swap.user_dest_address)
        return next((paid for paid in theirs if self._is_deep(paid)), None)

    def _paid_now(self) -> list[Paid]:
        """Our payouts on the best chains; those of newest blocks first are enough for what is unmarked."""
        stage = self.play.stage
        return [
            p for p in self.oracle.paid(stage.tao.best, stage.btc.best) if p.txid not in self.oracle.foreign
        ]

    def _is_deep(self, paid: Paid) -> bool:
        stage = self.play.stage
        if paid.chain is Chain.TAO:
            return paid.height <= stage.tao.finalised.height
        return stage.btc.best.height - paid.height + 1 > BTC_MARK_DEPTH

    def _twins(self) -> set[str]:
        users = Counter(a.user for a in self.play.people.arrivals)
        return {user for user, times in users.items() if times > 1}
