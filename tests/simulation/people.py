"""Users and validators in a history: who pays what, what is voted onto the contract, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from miner.amounts import Chain, Rate, user_receives
from miner.model import Swap, SwapStatus
from tests.simulation.stage import RATE, Stage, address

ASK_AGAIN = 5
"""Blocks after which a vote that came to nothing is cast again."""
GONE = {Chain.TAO: "0x" + "ab" * 32, Chain.BTC: "ab" * 32}
PAYABLE = ("good", "early", "twin")


@dataclass
class Arrival:
    """A user who wants a swap.

    Attributes:
        kind: `good`; `early` (initiated before the payment is confirmed); `twin` (the same user and amount
            as the one before); `under` (pays too little); `none` (pays nothing); `stranger` (another's
            payment is named); `reused` (an earlier payment is named, written otherwise); `terms` (another
            amount than the rate gives).
        txid: What is named as the payment.
        honest: Whether it ought to be paid.
        asked_at: Height at which its initiation was voted for last; below 0 for never.
    """

    number: int
    dest: Chain
    miner: int
    sat: int
    kind: str
    user: str
    txid: str = ""
    txid_as_written: str = ""
    honest: bool = True
    asked_at: int = -1
    swap_id: int = 0

    @property
    def source(self) -> Chain:
        """What the user pays with."""
        return Chain.BTC if self.dest is Chain.TAO else Chain.TAO

    def amounts(self) -> dict[Chain, int]:
        """Both legs."""
        return {Chain.BTC: self.sat, Chain.TAO: Rate.parse(RATE).convert(self.sat, Chain.BTC, Chain.TAO)}

    def recipient(self) -> str:
        """Whom the miner pays."""
        return address(self.dest, self.user)


@dataclass
class Manners:
    """How validators are in a history.

    Attributes:
        confirm_after: Blocks from the mark to the confirmation.
        timeout_after: Blocks from the deadline to the slash.
        extends: Whether they extend the deadline of a marked swap while its payout confirms.
        absent_until: Height before which they confirm nothing.
    """

    confirm_after: int = 2
    timeout_after: int = 0
    extends: bool = True
    absent_until: int = 0


@dataclass
class People:
    """Everybody but the miner; told of each block before it is made.

    Attributes:
        arrivals: Users in the order they came.
        manners: The validators'.
    """

    stage: Stage
    manners: Manners = field(default_factory=Manners)
    arrivals: list[Arrival] = field(default_factory=list)
    _voted: dict[tuple[str, int], int] = field(default_factory=dict)

    # users

    def arrive(self, dest: Chain, miner: int, sat: int, kind: str) -> None:
        """A user reserves and pays."""
        number = len(self.arrivals)
        before = [a for a in self.arrivals if a.dest is dest and a.honest]
        user = f"user {number}"
        if kind == "twin" and before:
            user, sat = before[-1].user, before[-1].sat
        made = Arrival(number, dest, miner % len(self.stage.miners), sat, kind, user)
        made.honest = kind in PAYABLE
        self.arrivals.append(made)
        waiting = [a for a in self.arrivals[:-1] if a.miner == made.miner and not a.swap_id]
        if not waiting:  # the miner is reserved for one user at a time
            self.stage.vote("vote_reserve", miner=self.stage.miners[made.miner].hotkey)
        self._pay(made)

    def _pay(self, who: Arrival) -> None:
        keys, chain = self.stage.miners[who.miner], who.source
        amount = who.amounts()[chain]
        to, sender = keys.accounts[chain], address(chain, who.user)
        if who.kind == "under":
            amount -= amount // 7 + 1
        if who.kind == "stranger":
            sender = address(chain, f"stranger {who.number}")
        earlier = [a for a in self.arrivals[:-1] if a.source is chain and a.miner == who.miner and a.honest]
        if who.kind == "reused" and earlier:
            who.user = earlier[-1].user
            who.sat = earlier[-1].sat
            who.txid = earlier[-1].txid
            who.txid_as_written = _otherwise(who.txid, chain)
        elif who.kind in ("none", "reused"):
            who.txid = who.txid_as_written = GONE[chain][:-4] + f"{who.number:04x}"
        else:
            who.txid = who.txid_as_written = self._transfer(chain, sender, to, amount)

    def _transfer(self, chain: Chain, sender: str, to: str, amount: int) -> str:
        if chain is Chain.TAO:
            return self.stage.send_tao(sender, to, amount).txid
        coin = self.stage.mint(sender, amount + 1_000)
        return self.stage.pay_with(coin, sender, to, amount).txid

    def paid_at(self, who: Arrival) -> int | None:
        """Height at which the payment is deep enough to be believed; None where it is not."""
        if who.source is Chain.TAO:
            found = self.stage.tao.find(who.txid)
            deep = found is not None and found[0].height <= self.stage.tao.finalised.height
            return found[0].height if found and deep else None
        btc = self.stage.btc.find(who.txid)
        deep = btc is not None and self.stage.btc.best.height - btc[0].height + 1 >= 2
        return btc[0].height if btc and deep else None

    # validators

    def before_block(self) -> None:
        """What validators vote for in the next block."""
        for who in self.arrivals:
            self._initiate(who)
        best = self.stage.tao.best
        for swap in list(best.state.contract.swaps.values()):
            self._follow(swap, best.height + 1)

    def _initiate(self, who: Arrival) -> None:
        best = self.stage.tao.best
        if who.swap_id and (
            who.swap_id in best.state.contract.swaps or who.swap_id in best.state.contract.outcomes
        ):
            return
        if who.asked_at >= 0:
            known = [s.id for s in best.state.contract.swaps.values() if self._is_of(s, who)]
            if known:
                who.swap_id = known[0]
            if known or best.height < who.asked_at + ASK_AGAIN:
                return
        height = self.paid_at(who)
        if height is None and who.kind in ("early", "none", "reused"):
            chain = self.stage.tao if who.source is Chain.TAO else self.stage.btc
            height = chain.best.height + 1
        if height is not None:
            who.asked_at = best.height
            self.stage.vote("vote_initiate", **self._terms(who, height))

    def _is_of(self, swap: Swap, who: Arrival) -> bool:
        return swap.source_tx_hash == who.txid_as_written

    def _terms(self, who: Arrival, height: int) -> dict[str, Any]:
        keys, source, amounts = self.stage.miners[who.miner], who.source, who.amounts()
        dest_amount = amounts[who.dest] + (1 if who.kind == "terms" else 0)
        return {
            "user": address(Chain.TAO, who.user), "miner": keys.hotkey,
            "source_chain": str(source), "dest_chain": str(who.dest),
            "source_amount": amounts[source], "dest_amount": dest_amount, "tao_amount": amounts[Chain.TAO],
            "user_source_address": address(source, who.user), "user_dest_address": who.recipient(),
            "miner_source_address": keys.accounts[source], "miner_dest_address": keys.accounts[who.dest],
            "rate": RATE, "source_tx_hash": who.txid_as_written, "source_tx_block": height,
        }  # fmt: skip

    def _follow(self, swap: Swap, height: int) -> None:
        manners = self.manners
        if swap.status is SwapStatus.FULFILLED:
            ripe = height >= max(swap.fulfilled_block + manners.confirm_after, manners.absent_until)
            if ripe and self.is_paid(swap):
                self._vote("confirm_swap", swap.id, height)
            elif manners.extends and swap.timeout_block - height in (2, 3, 4) and self._may_be_paid(swap):
                self._vote("vote_extend_timeout", swap.id, height, again=3)
        if height >= swap.timeout_block + manners.timeout_after:
            self._vote("timeout_swap", swap.id, height)

    def _vote(self, message: str, swap_id: int, height: int, again: int = ASK_AGAIN) -> None:
        if height >= self._voted.get((message, swap_id), -again) + again:
            self._voted[message, swap_id] = height
            if message == "confirm_swap" and (("timeout_swap", swap_id) in self._voted):
                return
            self.stage.vote(message, swap_id=swap_id)

    def is_paid(self, swap: Swap) -> bool:
        """Whether the payout that a mark names is there, deep enough, and as it ought to be."""
        found = self._payout(swap)
        if found is None:
            return False
        height, amount, deep = found
        divisor = self.stage.tao.best.state.contract.terms.fee_divisor
        who = next((a for a in self.arrivals if self._is_of(swap, a)), None)
        owed = user_receives(who.amounts()[who.dest], divisor) if who else 0
        right = amount == owed and abs(height - swap.dest_tx_block) <= 3
        return right and deep

    def _may_be_paid(self, swap: Swap) -> bool:
        """Whether it is on its way, as far as validators see."""
        waiting = self.stage.btc.pool if swap.dest_chain == Chain.BTC else self.stage.tao.pool
        found = self._payout(swap)
        return swap.dest_tx_hash in waiting or (found is not None and not found[2])

    def _payout(self, swap: Swap) -> tuple[int, int, bool] | None:
        stage = self.stage
        if swap.dest_chain == Chain.TAO:
            found = stage.tao.find(swap.dest_tx_hash)
            if found is None:
                return None
            moved = found[0].receipts[found[1]].moved
            got = sum(m.amount for m in moved if m.recipient == swap.user_dest_address)
            return found[0].height, got, found[0].height <= stage.tao.finalised.height
        btc = stage.btc.find(swap.dest_tx_hash)
        if btc is None:
            return None
        got = sum(sat for to, sat in btc[0].body[btc[1]].outputs if to == swap.user_dest_address)
        return btc[0].height, got, stage.btc.best.height - btc[0].height + 1 >= 2

    def expected(self) -> Iterator[Arrival]:
        """Who ought to be paid."""
        return (who for who in self.arrivals if who.honest)


def _otherwise(txid: str, chain: Chain) -> str:
    return txid.removeprefix("0x").upper() if chain is Chain.TAO else f"0x{txid.upper()}"
