"""What goes wrong in a history: with processes, nodes, producers, pools, chains. A method for each action."""

from __future__ import annotations

from typing import Any

from miner.amounts import Chain
from miner.ports import Heads
from tests.simulation.air import Air, Trap
from tests.simulation.btc_rules import BtcChain, Tx, drop_orphans
from tests.simulation.play import Play
from tests.simulation.tao_rules import Extrinsic, Invoke, TaoChain, Transfer
from tests.simulation.world import BTC_FINAL

REBROADCAST_IN = 8
"""Blocks after which what a pool has lost is there again: sent again every five finalised blocks."""


class Faults(Play):
    """A history with its faults."""

    def _do_open(self, dest: str, miner: int, sat: int, kind: str) -> None:
        self.people.arrive(Chain(dest), miner, sat, kind)

    def _do_trap(self, kind: str, name: str, skip: int, what: str, blocks: int) -> None:
        self.around.traps.laid.append(Trap(kind, name, skip, what, blocks))
        if what == "lost":
            self.upset = max(self.upset, self.height + 4)

    async def _do_kill(self, blocks: int) -> None:
        process = self.leader()
        if process is not None:
            process.kill()
            self.counts["crashes"] += 1
            self.later(blocks, lambda: self._start(process))

    async def _do_restart(self, blocks: int) -> None:
        process = self.leader()
        if process is not None:
            await process.end()
            self.later(blocks, lambda: self._start(process))

    def _do_second(self) -> None:
        for process in self.processes:
            if not process.is_up:
                self._start(process)
                return

    def _air(self, chain: str) -> Air:
        return self.around.tao if chain == "tao" else self.around.btc

    def _do_down(self, chain: str, blocks: int) -> None:
        air = self._air(chain)
        air.down = True
        self.later(blocks, lambda: setattr(air, "down", False))

    def _do_flaky(self, chain: str, every: int, blocks: int) -> None:
        air = self._air(chain)
        air.every = every
        self.later(blocks, lambda: setattr(air, "every", 0))

    def _do_fail(self, chain: str, name: str, count: int) -> None:
        self._air(chain).failing[name] = count
        self.later(6, lambda: self._air(chain).failing.clear())

    def _do_lose_reply(self, chain: str, count: int) -> None:
        self._air(chain).lost_replies += count
        self.later(8, lambda: setattr(self._air(chain), "lost_replies", 0))

    def _do_lose_send(self, chain: str, count: int) -> None:
        self._air(chain).lost_sends += count
        blocks = 8 if count < 9 else 25 if count < 100 else 60
        self.later(blocks, lambda: setattr(self._air(chain), "lost_sends", 0))

    def _do_refuse(self, chain: str, word: str, blocks: int) -> None:
        air = self._air(chain)
        air.refusal = word
        self.later(blocks, lambda: setattr(air, "refusal", ""))

    def _do_stuck(self, blocks: int) -> None:
        self.around.stuck = Heads(self.stage.tao.best.head, self.stage.tao.finalised.head)
        self.later(blocks, lambda: setattr(self.around, "stuck", None))

    def _do_withhold(self, what: str, blocks: int) -> None:
        keys = {a for m in self.stage.miners for a in (m.hotkey, *m.accounts.values())}

        def held(tx: Extrinsic) -> bool:
            if tx.signer not in keys:
                return False
            return what == "all" or isinstance(tx.call, Transfer if what == "payouts" else Invoke)

        def held_btc(tx: Tx) -> bool:
            return any(to in keys for to, _ in tx.outputs) and bool(tx.inputs)

        if what in ("all", "payouts", "marks"):
            self.stage.tao.held_back = held
        if what in ("all", "btc"):
            self.stage.btc.held_back = held_btc
        self.upset = max(self.upset, self.height + blocks)
        self.later(blocks, self.stage.release)

    def _do_evict(self, chain: str, pick: int) -> None:
        pool: dict[str, Any] = self.stage.tao.pool if chain == "tao" else self.stage.btc.pool
        ours = list(pool)
        if ours:
            pool.pop(ours[pick % len(ours)])
            drop_orphans(self.stage.btc)
            self.upset = max(self.upset, self.height + REBROADCAST_IN)

    def _do_spike(self, rate: int, blocks: int) -> None:
        self.around.rate = rate
        self.upset = max(self.upset, self.height + blocks)
        self.later(blocks, lambda: setattr(self.around, "rate", 5))

    def _do_fork(self, chain: str, depth: int, resubmit: bool) -> None:
        tao, btc = self.stage.tao, self.stage.btc
        if chain == "tao":
            self._fork(tao, min(depth, tao.best.height - tao.finalised.height), resubmit)
        else:
            self._fork(btc, min(depth, BTC_FINAL - 1), resubmit)
            self.counts["dropped"] += 1
        self.upset = max(self.upset, self.height + (3 if resubmit else REBROADCAST_IN))

    def _fork(self, chain: TaoChain | BtcChain, depth: int, resubmit: bool) -> None:
        """Other blocks; where nothing waits again, people send theirs again, and we are on our own."""
        if depth <= 0:
            return
        lost: list[Any] = [tx for block in chain.canonical[-depth:] for tx in block.body]
        lost += chain.pool.values()
        chain.fork(depth, resubmit=resubmit)
        self.counts["reorgs"] += 1
        ours = {tx.txid for tx in chain.signed.values()} | self.foreign.txids
        for tx in lost:
            if not resubmit and tx.txid not in ours:
                chain.force(tx)
        drop_orphans(self.stage.btc)

    def _do_violate(self, depth: int, resubmit: bool) -> None:
        tao = self.stage.tao
        depth = min(tao.lag + depth, tao.best.height - self._born)
        self._fork(tao, depth, resubmit)
        self.counts["violations"] += 1
        self.violated = True
        self.upset = max(self.upset, self.height + 8)
        self.later(4, self._resume)

    def _do_stall(self, blocks: int) -> None:
        self.stage.tao.stalled = True
        self.upset = max(self.upset, self.height + blocks + 3)
        self.later(blocks, lambda: setattr(self.stage.tao, "stalled", False))
