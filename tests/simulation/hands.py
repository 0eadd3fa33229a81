"""Who else has a hand in it: other programs with our keys, the operator, the machine; and its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from miner.amounts import Chain
from miner.app.clearing import clear_over
from miner.errors import Refused
from miner.model import ImportedSend
from miner.ports import Rail
from miner.settle.desk import CODE_HASH
from tests.simulation.btc_rules import transaction
from tests.simulation.faults import Faults
from tests.simulation.link import Link
from tests.simulation.memory import HistoryStore, Life
from tests.simulation.model_btc import ModelBtcRail
from tests.simulation.model_lanes import ModelLanes
from tests.simulation.model_tao import ModelTaoRail
from tests.simulation.play import void
from tests.simulation.tao_rules import Remark, Transfer
from tests.simulation.world import LEASE_S

OPEN_LANES = (
    "SELECT chain, account, slot, recipient, amount, purpose FROM lanes WHERE closed = 0 "
    "AND purpose = 'payout' ORDER BY id"
)
ANOTHERS_ID = "5e" * 32
"""What another program with a hotkey of ours marks with."""


class Hands(Faults):
    """A history with everybody in it."""

    _backup: bytes | None = None
    _newest_skew_ms = 0

    # others with our keys

    def _lanes(self, chain: str) -> list[tuple[Any, ...]]:
        rows = self.around.memory.rows(OPEN_LANES)
        return [row for row in rows if row[0].startswith(chain)]

    def _do_rival(self, pick: int, pays: str) -> None:
        stage = self.stage
        miner = stage.miners[pick % len(stage.miners)]
        account = miner.accounts[Chain.TAO]
        nonce = stage.tao.best.state.account(account).nonce
        lane = [r for r in self._lanes("tao") if r[1] == account and r[2] == str(nonce)]
        call = Transfer(lane[0][3], lane[0][4] - (pays == "other")) if lane and pays != "nobody" else Remark()
        tx = stage.own_spend(account, call)
        self._foreign(tx.txid, account)

    def _foreign(self, txid: str, account: str) -> None:
        self.counts["rivals"] += 1
        self.foreign.txids.add(txid)
        self.foreign.accounts.add(account)

    def _do_rival_anchor(self, pick: int, pays: str) -> None:
        coins = self.stage.btc.best.state.coins
        lanes = [row for row in self._lanes("btc") if row[2] in coins]
        if lanes:
            _, account, slot, recipient, amount, _ = lanes[pick % len(lanes)]
            amount = amount if pays == "user" else amount - 1_000
            to = [] if pays == "nobody" else [(recipient, amount)]
            left = coins[slot].sat - sum(sat for _, sat in to) - 30_000
            self._spend(slot, [*to, (account, left)], 30_000, account)

    def _spend(self, slot: str, outputs: list[tuple[str, int]], fee: int, account: str) -> None:
        btc = self.stage.btc
        for txid in [tx.txid for tx in btc.pool.values() if slot in tx.inputs]:
            del btc.pool[txid]
        tx = transaction([slot], outputs, fee)
        btc.force(tx)
        self._foreign(tx.txid, account)

    def _do_bump(self, pick: int) -> None:
        """An operator's own `bumpfee`: the same payment, with less change."""
        coins = self.stage.btc.best.state.coins
        ours = {row[2]: row for row in self._lanes("btc") if row[2] in coins}
        txs = [tx for tx in self.stage.btc.pool.values() if tx.inputs and tx.inputs[0] in ours]
        txs = [tx for tx in txs if len(tx.outputs) == 2 and tx.outputs[1][1] > 60_000]
        if txs:
            tx = txs[pick % len(txs)]
            (to, sat), (change, left) = tx.outputs
            account = ours[tx.inputs[0]][1]
            for txid in [t.txid for t in self.stage.btc.pool.values() if set(t.inputs) & set(tx.inputs)]:
                del self.stage.btc.pool[txid]
            bumped = transaction(tx.inputs, [(to, sat), (change, left - 20_000)], tx.fee + 20_000)
            self.stage.btc.force(bumped)
            self._foreign(bumped.txid, account)

    def _do_other_mark(self, pick: int) -> None:
        swaps = [s for s in self.stage.tao.best.state.contract.swaps.values() if not s.dest_tx_hash]
        if swaps:
            swap = swaps[pick % len(swaps)]
            self.foreign.swaps.add(swap.id)
            self.stage.mark(swap.miner, swap.id, ("0x" if swap.dest_chain == "tao" else "") + ANOTHERS_ID)

    # the operator

    async def _do_pause(self, what: str, blocks: int) -> None:
        self.counts["commands"] += 1
        await self._command("set_paused", what, True, "operator")
        self.later(blocks, self._resume)

    async def _command(self, name: str, *args: Any) -> Any:
        """A command of the operator, on the store."""
        return await getattr(self._by_hand(), name)(*args)

    def _by_hand(self) -> HistoryStore:
        life = Life(lambda _life, _kind, _name: None)
        store = HistoryStore(self.around.memory, life, "operator", self.stage.clock, LEASE_S)
        store.seat.is_open = True
        return store

    async def _do_clear(self) -> None:
        """`resume --account`, for every account that is stopped; what it refuses waits for another time."""
        self.counts["commands"] += 1
        store = self._by_hand()
        rails: Mapping[Chain, Rail] = {
            Chain.TAO: ModelTaoRail(ModelLanes(self.stage.tao, Link(), []), []),
            Chain.BTC: ModelBtcRail(self.stage.btc, Link(), []),
        }
        for row in await store.accounts():
            if row.stopped:
                with suppress(Refused):
                    await clear_over(rails, store, row.account, "operator")

    async def _do_import(self, pick: int, true: bool) -> None:
        swaps = list(self.stage.tao.best.state.contract.swaps.values())
        if swaps:
            swap = swaps[pick % len(swaps)]
            self.foreign.swaps.add(swap.id)
            self.counts["commands"] += 1
            txid = "tao_transfer" if true or swap.dest_chain == "tao" else "77" * 32
            await self._command("import_sent", [ImportedSend(swap.id, txid, self.height)])

    def _do_code(self, blocks: int) -> None:
        code = f"0x{self.height:064x}"
        self.stage.vote("set_code", code_hash=code)
        self.upset = max(self.upset, self.height + blocks + 3)
        self.later(blocks, self._accept_code)

    def _accept_code(self) -> None:
        raw = self.around.memory.raw
        code = self.stage.tao.best.state.contract.terms.code_hash
        raw.execute("UPDATE meta SET value = ? WHERE name = ?", (code, f"pin:{CODE_HASH}"))
        raw.commit()

    def _do_clock(self, ms: int) -> None:
        self.stage.clock.skew_ms += ms
        self._newest_skew_ms = max(self._newest_skew_ms, self.stage.clock.skew_ms)
        self.upset = max(self.upset, self.height + 3 + abs(ms) // 12_000)

    def _do_full(self, names: str, blocks: int) -> None:
        self.around.full.add(names)
        self.later(blocks, self.around.full.clear)

    def _do_backup(self) -> None:
        self._backup = self.around.memory.backup()

    def _do_restore(self) -> None:
        if self._backup is not None:
            for process in self.processes:
                if process.is_up or process.is_stopped:
                    process.kill()
            self.around.memory.restore(self._backup)
            self.counts["restores"] += 1
            self.restored = True
            self.later(1, lambda: self._start(self.first))

    def _do_drain(self, miner: int, part: str, blocks: int) -> None:
        keys = self.stage.miners[miner % len(self.stage.miners)]
        account = keys.hotkey if part.startswith("hotkey") else keys.accounts[Chain.TAO]
        free = self.stage.tao.best.state.account(account).free
        theirs = [s for s in self.stage.tao.best.state.contract.swaps.values() if s.miner == keys.hotkey]
        pending = any(tx.signer == account for tx in self.stage.tao.pool.values())
        if pending or (part == "all" and theirs) or free < 10**9:
            return  # an emptied account begins again at nonce 0, and what paid from it is valid again
        is_emptied = part in ("all", "hotkey_all")
        self.stage.drain(account, free if is_emptied else free - 200_000_000)
        self.upset = max(self.upset, self.height + blocks + 3)
        if is_emptied:
            self.foreign.accounts.add(account)
        self.later(blocks, lambda: self._refill(account, free))

    def _refill(self, account: str, amount: int) -> None:
        self.stage.send_tao("somebody rich", account, max(amount, 10**9))

    def _do_inactive(self, miner: int, blocks: int) -> None:
        hotkey = self.stage.miners[miner % len(self.stage.miners)].hotkey
        self.stage.vote("set_active", miner=hotkey, active=False)
        self.upset = max(self.upset, self.height + blocks + 3)
        self.later(blocks, lambda: void(self.stage.vote("set_active", miner=hotkey, active=True)))

    # the end

    def calm_down(self) -> None:
        """Whatever was wrong is so no more."""
        for _, undo in sorted(self._later, key=lambda each: each[0]):
            undo()
        self._later = []
        self._away.clear()
        self.around.traps.laid.clear()
        self.around.tao.clear()
        self.around.btc.clear()
        self.around.full.clear()
        self.around.stuck, self.around.rate = None, 5
        self.stage.release()
        self.stage.tao.stalled = False
        self.stage.clock.skew_ms = self._newest_skew_ms  # leases of dead processes run out
        self.people.manners.absent_until = 0
        self._resume()
        self.later(2, self._accept_code)
        for process in self.processes:
            if process.is_stopped:
                process.go_on()
        if not any(p.is_up for p in self.processes):
            self._start(self.first)
        for miner in self.stage.miners:
            for account in (miner.hotkey, miner.accounts[Chain.TAO]):
                if self.stage.tao.best.state.account(account).free < 50 * 10**9:
                    self._refill(account, 400 * 10**9)
