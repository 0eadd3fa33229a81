"""Nonce lanes on the model TAO chain: payouts, marks and fillers, and what became of them."""

from __future__ import annotations

from collections.abc import Collection

from miner.chains.substrate import eras
from miner.errors import Refused
from miner.model import (
    AttemptKind,
    Claim,
    Lane,
    LanePurpose,
    Replacement,
    Sighting,
    SightingKind,
    SignedTx,
    TakerEffect,
)
from tests.simulation.link import Link
from tests.simulation.tao_rules import (
    EXISTENTIAL,
    FEE,
    Call,
    Extrinsic,
    Receipt,
    TaoBlock,
    TaoChain,
    extrinsic,
)
from tests.simulation.tao_rules import Remark as _Remark

TIP_STEP = 1_000


class ModelLanes:
    """As `ports.CallLanes`, with calls that are no bytes.

    Attributes:
        chain: The chain.
        link: The way to it.
        keys: Accounts that we can sign for.
    """

    def __init__(self, chain: TaoChain, link: Link, keys: Collection[str]) -> None:
        self.chain = chain
        self.link = link
        self.keys = frozenset(keys)
        self._signed = chain.signed

    @property
    def chain_id(self) -> str:
        """See `Rail.chain_id`."""
        return f"tao:{self.chain.genesis}"

    async def prepare(
        self,
        account: str,
        call: Call,
        purpose: LanePurpose,
        recipient: str,
        amount: int,
        die_by: int | None,
        max_fee: int,
    ) -> Claim:
        """See `CallLanes.prepare`."""
        self.link.read("prepare", account)
        sign = self._draft(account, call, die_by, max_fee, 0)
        info = self.chain.finalised.state.account(account)
        spendable = max(info.free - EXISTENTIAL, 0)
        if spendable < amount + FEE:
            raise Refused(account, "insufficient_funds", f"{spendable} rao of {amount} and a fee of {FEE}")
        return Claim(self.chain_id, account, purpose, sign, recipient, amount, nonce_floor=info.nonce)

    async def resign(self, lane: Lane, call: Call, die_by: int | None, max_fee: int) -> Replacement:
        """See `CallLanes.resign`."""
        self.link.read("resign", lane.account)
        sign = self._draft(lane.account, call, die_by, max_fee, 0)
        kind = AttemptKind.MARK if lane.purpose is LanePurpose.MARK else AttemptKind.PAYMENT
        return Replacement(lane.id, kind, sign(lane.slot))

    async def filler(self, lane: Lane, max_fee: int) -> Replacement:
        """See `CallLanes.filler`."""
        self.link.read("filler", lane.account)
        tips = [known.tip for a in lane.attempts if (known := self._signed.get(a.tx.raw)) is not None]
        sign = self._draft(lane.account, _Remark(), None, max_fee, TIP_STEP + max(tips, default=0))
        return Replacement(lane.id, AttemptKind.FILLER, sign(lane.slot))

    def _draft(self, account: str, call: Call, die_by: int | None, max_fee: int, tip: int) -> _Draft:
        if account not in self.keys:
            raise Refused(account, "no_key")
        born = self.chain.finalised
        era = eras.fit(born.height, self.chain.best.height, die_by)
        if FEE + tip > max_fee:
            raise Refused("fee", "fee_too_high", f"{FEE + tip} of at most {max_fee}")
        return _Draft(self._signed, account, call, tip, born, era.death)

    async def broadcast(self, lane: Lane) -> None:
        """See `CallLanes.broadcast`."""
        what = f"lane {lane.id} ({lane.account} {lane.slot})"
        if lane.purpose is LanePurpose.IMPORTED or not lane.attempts or not lane.latest.tx.raw:
            raise Refused(what, "nothing_to_send")
        tx = self._signed[lane.latest.tx.raw]
        self.link.send(what, lambda: self.chain.submit(tx))

    async def nonce(self, account: str) -> int:
        """The account's nonce at the finalised head."""
        self.link.read("nonce", account)
        return self.chain.finalised.state.account(account).nonce

    # looking

    async def locate(self, lane: Lane) -> Sighting:
        """See `CallLanes.locate`."""
        self.link.read("locate", lane.id)
        chain, at = self.chain, self.chain.finalised
        for attempt in lane.attempts:
            if (found := chain.find(attempt.tx.txid)) is not None:
                block, place = found
                done = self._did(lane, attempt.kind, block.body[place], block.receipts[place])
                return Sighting(
                    SightingKind.IN_BLOCK,
                    at.head,
                    attempt.tx.txid,
                    block.head,
                    block.height <= at.height,
                    done,
                    attempt.kind,
                )
        if lane.purpose is LanePurpose.IMPORTED or not lane.slot.isdecimal():
            return Sighting(SightingKind.UNSEEN, at.head)
        nonce = at.state.account(lane.account).nonce
        if nonce > int(lane.slot):
            return self._taken(lane, at)
        if lane.taken_in_doubt:
            return Sighting(SightingKind.TAKEN, at.head, final=True, taker=lane.taker)
        deaths = [attempt.tx.death for attempt in lane.attempts]
        dead = all(death is not None and death <= at.height for death in deaths)
        if dead:
            return Sighting(SightingKind.EXPIRED, at.head, nonce=nonce)
        return Sighting(SightingKind.UNSEEN, at.head)

    def _did(self, lane: Lane, kind: AttemptKind, tx: Extrinsic, receipt: Receipt) -> bool:
        if kind is not AttemptKind.PAYMENT:
            return receipt.ok
        return _gave(receipt, lane.recipient) == [(lane.account, lane.amount)]

    def _taken(self, lane: Lane, at: TaoBlock) -> Sighting:
        for block in at.back():
            if block.height < max(lane.earliest_birth, 1):
                break
            for tx, receipt in zip(block.body, block.receipts, strict=True):
                if (tx.signer, tx.nonce) == (lane.account, int(lane.slot)):
                    effect = self._effect(lane, receipt)
                    return Sighting(
                        SightingKind.TAKEN, at.head, tx.txid, block.head, final=True, taker=effect
                    )
        return Sighting(SightingKind.TAKEN, at.head, final=True, taker=TakerEffect.AMBIGUOUS)

    def _effect(self, lane: Lane, receipt: Receipt) -> TakerEffect:
        given = _gave(receipt, lane.recipient)
        if not lane.amount or not given:
            return TakerEffect.PAYS_NOTHING
        return TakerEffect.PAYS if given == [(lane.account, lane.amount)] else TakerEffect.AMBIGUOUS


class _Draft:
    """Signs for a nonce; pure, but for the randomness of the signature."""

    def __init__(
        self,
        signed: dict[bytes, Extrinsic],
        account: str,
        call: Call,
        tip: int,
        born: TaoBlock,
        death: int,
    ) -> None:
        self._signed = signed
        self._account = account
        self._call = call
        self._tip = tip
        self._born = born
        self._death = death

    def __call__(self, slot: str) -> SignedTx:
        era = {"birth": self._born.height, "birth_hash": self._born.head.hash, "death": self._death}
        tx = extrinsic(self._account, self._call, int(slot), len(self._signed), tip=self._tip, **era)
        self._signed[tx.raw] = tx
        return SignedTx(tx.txid, tx.raw, tx.cost, tx.birth, tx.death, (slot,))


def _gave(receipt: Receipt, recipient: str) -> list[tuple[str, int]]:
    return [(each.sender, each.amount) for each in receipt.moved if each.recipient == recipient]
