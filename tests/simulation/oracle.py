"""The oracle: were the laws kept? Judged by what the model chains hold, never by what the daemon says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from miner.amounts import Chain, user_receives
from miner.model import Swap
from tests.simulation.btc_rules import BtcBlock, Tx
from tests.simulation.stage import Stage
from tests.simulation.tao_rules import Extrinsic, TaoBlock, Transfer


@dataclass(frozen=True, slots=True)
class Paid:
    """A payout in a block."""

    chain: Chain
    recipient: str
    amount: int
    txid: str
    height: int


@dataclass(frozen=True, slots=True)
class Broken:
    """A law that was not kept, and how."""

    law: str
    how: str


@dataclass
class Oracle:
    """Watches a stage.

    Attributes:
        stage: What is watched.
        margin: Contract blocks before the deadline from which no first send may be made, by chain.
        foreign: Ids of spends that the stage itself made with our keys; no law is the daemon's for these.
    """

    stage: Stage
    margin: dict[Chain, int]
    foreign: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._ours = {account for miner in self.stage.miners for account in miner.accounts.values()}
        self._swaps: dict[int, dict[str, Swap]] = {}
        self._read: set[str] = set()

    def check(self) -> list[Broken]:
        """Every law that was not kept up to now, on every fork there ever was."""
        self._learn()
        return [
            *self._paid_twice(),
            *self._wrong_amounts(),
            *self._sent_too_late(),
            *self._sent_after_the_end(),
            *self._outlives_the_deadline(),
            *self._marked_wrongly(),
        ]

    # what the chains hold

    def _tips(self) -> tuple[list[TaoBlock], list[BtcBlock]]:
        tao, btc = self.stage.tao, self.stage.btc
        return [*tao.tips, tao.best], [*btc.tips, btc.best]

    def tips_of_tao(self) -> list[TaoBlock]:
        """The newest block of each branch that was ever the best."""
        return self._tips()[0]

    def tips_of_btc(self) -> list[BtcBlock]:
        """As `tips_of_tao`."""
        return self._tips()[1]

    def _learn(self) -> None:
        """Take in every swap of every branch: the same id may be another swap on another fork."""
        for tip in self._tips()[0]:
            for block in reversed([*self._unread(tip)]):
                self._read.add(block.head.hash)
                for swap in block.state.contract.swaps.values():
                    self._swaps.setdefault(swap.id, {})[swap.user_dest_address] = swap

    def _unread(self, tip: TaoBlock) -> Iterator[TaoBlock]:
        return takewhile(lambda block: block.head.hash not in self._read, tip.back())

    def _by_recipient(self) -> dict[str, list[Swap]]:
        """The swaps of each user that is paid."""
        found: dict[str, list[Swap]] = {}
        for swap in self.swaps():
            found.setdefault(swap.user_dest_address, []).append(swap)
        return found

    def swaps(self) -> Iterator[Swap]:
        """Every swap there ever was, as last seen Active or Fulfilled."""
        self._learn()
        for variants in self._swaps.values():
            yield from variants.values()

    def paid(self, tao: TaoBlock, btc: BtcBlock) -> list[Paid]:
        """Payouts from our accounts on the branches that end at these blocks."""
        return [*self._paid_tao(tao), *self._paid_btc(btc)]

    def _paid_tao(self, tip: TaoBlock) -> Iterator[Paid]:
        for block in tip.back():
            for tx, receipt in zip(block.body, block.receipts, strict=True):
                for moved in receipt.moved:
                    if moved.sender in self._ours and moved.recipient not in self._ours:
                        yield Paid(Chain.TAO, moved.recipient, moved.amount, tx.txid, block.height)

    def _paid_btc(self, tip: BtcBlock) -> Iterator[Paid]:
        for block in tip.back():
            for tx, spent in zip(block.body, block.receipts, strict=True):
                if any(coin.address in self._ours for coin in spent.coins):
                    for to, sat in tx.outputs:
                        if to not in self._ours:
                            yield Paid(Chain.BTC, to, sat, tx.txid, block.height)

    # the laws

    def _paid_twice(self) -> Iterator[Broken]:
        """Law 1: at most one payout a swap, on each chain that was ever the best one."""
        owed = Counter(swap.user_dest_address for swap in self.swaps())
        tao_tips, btc_tips = self._tips()
        branches: list[Iterable[Paid]] = [self._paid_tao(tip) for tip in tao_tips]
        branches += [self._paid_btc(tip) for tip in btc_tips]
        for branch in branches:
            found = [each for each in branch if each.txid not in self.foreign]
            for recipient, times in Counter(each.recipient for each in found).items():
                if times > owed[recipient]:
                    ids = ", ".join(each.txid for each in found if each.recipient == recipient)
                    yield Broken(
                        "paid twice", f"{recipient} got {times} payouts for {owed[recipient]}: {ids}"
                    )

    def _wrong_amounts(self) -> Iterator[Broken]:
        """A payout is exactly what the swap owes."""
        divisor = self.stage.tao.best.state.contract.terms.fee_divisor
        owed: dict[str, set[int]] = {}
        for swap in self.swaps():
            amounts = owed.setdefault(swap.user_dest_address, set())
            amounts |= {user_receives(swap.dest_amount, divisor), swap.dest_amount}
        for each in self.paid(self.stage.tao.best, self.stage.btc.best):
            if each.txid not in self.foreign and each.amount not in owed.get(each.recipient, set()):
                yield Broken("wrong amount", f"{each.recipient} got {each.amount} by {each.txid}")

    def _sent(self) -> Iterator[tuple[TaoBlock, TaoBlock, Chain, str, str]]:
        """Every paying transaction that was given to a pool, with the contract's heads at that time."""
        for best, finalised, tx in self.stage.tao.submitted:
            if tx.signer in self._ours and isinstance(tx.call, Transfer):
                yield best, finalised, Chain.TAO, tx.call.dest, tx.txid
        for best, finalised, btc in self.stage.sent_btc:
            for to, _ in btc.outputs:
                if to not in self._ours:
                    yield best, finalised, Chain.BTC, to, btc.txid

    def _sent_too_late(self) -> Iterator[Broken]:
        """Law 7: no first send from the margin on."""
        first: dict[tuple[Chain, str], TaoBlock] = {}
        for best, _, chain, recipient, _ in self._sent():
            first.setdefault((chain, recipient), best)
        swaps = self._by_recipient()
        for (chain, recipient), best in first.items():
            deadlines = [s.timeout_block for s in swaps.get(recipient, ())]
            if deadlines and best.height + self.margin[chain] >= max(deadlines):
                yield Broken("sent too late", f"{recipient} at {best.height}, deadline {max(deadlines)}")

    def _sent_after_the_end(self) -> Iterator[Broken]:
        """Law 7: nothing that pays is sent when the swap is finalised as ended."""
        swaps = self._by_recipient()
        for best, finalised, _, recipient, txid in self._sent():
            theirs = swaps.get(recipient, [])
            contract = finalised.state.contract
            if theirs and all(s.id in contract.outcomes for s in theirs):
                yield Broken("sent after the end", f"{txid} to {recipient} at {best.height}")

    def _outlives_the_deadline(self) -> Iterator[Broken]:
        """Law 7: a TAO payout's era dies no later than the deadline."""
        swaps = self._by_recipient()
        for tx in self._signed_payouts():
            assert isinstance(tx.call, Transfer)
            deadlines = [s.timeout_block for s in swaps.get(tx.call.dest, ())]
            if deadlines and (tx.death is None or tx.death > max(deadlines)):
                yield Broken("outlives the deadline", f"{tx.txid} dies at {tx.death}, deadline {deadlines}")

    def _signed_payouts(self) -> Iterator[Extrinsic]:
        return (tx for tx in self.stage.tao.signed.values() if isinstance(tx.call, Transfer))

    def _marked_wrongly(self) -> Iterator[Broken]:
        """A completed swap's mark names a payout that is there, within three blocks of where it says."""
        at = {
            (each.recipient, each.txid): each for each in self.paid(self.stage.tao.best, self.stage.btc.best)
        }
        ended = self.stage.tao.best.state.contract.outcomes
        for swap in self.swaps():
            if swap.id not in ended or not swap.dest_tx_hash or not ended[swap.id].fee_amount:
                continue
            found = at.get((swap.user_dest_address, swap.dest_tx_hash))
            if found is None or abs(found.height - swap.dest_tx_block) > 3:
                yield Broken("marked wrongly", f"swap {swap.id}: {swap.dest_tx_hash} at {swap.dest_tx_block}")

    def missed(self, needed_blocks: int = 4) -> list[int]:
        """Swaps that timed out unmarked though their user had paid in time for everything to be done.

        Whether it could be met on a chain that answers: the caller knows which swaps had no money, were
        refused or were kept from the daemon, and leaves those out.

        Args:
            needed_blocks: Blocks that a payout and its mark take, after the user's payment is good.
        """
        missed = []
        for swap in self.swaps():
            ending = self.stage.tao.best.state.contract.outcomes.get(swap.id)
            if ending is None or ending.fee_amount or swap.dest_tx_hash or not self._user_paid(swap):
                continue
            left = swap.timeout_block - swap.initiated_block - self.margin[Chain(swap.dest_chain)]
            if left > needed_blocks:
                missed.append(swap.id)
        return missed

    def _user_paid(self, swap: Swap) -> bool:
        """Whether the user's payment, as claimed, is on the best chain."""
        if Chain(swap.source_chain) is Chain.TAO:
            found = self.stage.tao.find(swap.source_tx_hash)
            if found is None:
                return False
            moved = found[0].receipts[found[1]].moved
            return any(
                (m.recipient, m.amount) == (swap.miner_source_address, swap.source_amount) for m in moved
            )
        tx: Tx | None = self.stage.btc.ever.get(swap.source_tx_hash)
        if tx is None or self.stage.btc.find(swap.source_tx_hash) is None:
            return False
        got = sum(sat for to, sat in tx.outputs if to == swap.miner_source_address)
        return got >= swap.source_amount
