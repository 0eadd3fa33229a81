"""Lanes: the nonce or anchor outpoint that every attempt at one payout (or mark) shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from miner.model.swap import Head


class LanePurpose(StrEnum):
    """What a lane is for."""

    PAYOUT = "payout"
    MARK = "mark"
    AFFAIR = "affair"
    """A miner's own business with the contract, which no swap owns."""
    IMPORTED = "imported"
    """A payout of the program used before this one, known by its id only; never rebroadcast."""


class LaneState(StrEnum):
    """Where a lane stands. The last five are final: nothing of the lane can land any more.

    A lane belongs to its purpose until finalised evidence says otherwise.
    """

    SIGNED = "signed"
    """Bytes are stored; they may or may not have left, and may or may not be in a pool."""
    IN_BLOCK = "in_block"
    """One of our attempts is in a block that may still be reorged."""
    LANDED = "landed"
    """One of our attempts is finalised and did what it was for. ■"""
    REVERTED = "reverted"
    """One of our attempts is finalised, and failed without moving anything. ■"""
    CANCELLED = "cancelled"
    """Our own filler took the slot, finalised. ■"""
    TAKEN = "taken"
    """Somebody else's transaction took the slot, finalised, and pays the recipient nothing. ■"""
    DEAD = "dead"
    """Every attempt's era was over at a finalised block, and its account, emptied since, counts from below
    the slot again: nobody used it, and nothing waits for it. ■"""

    @property
    def closed(self) -> bool:
        """Whether nothing of the lane can land any more."""
        return self not in (LaneState.SIGNED, LaneState.IN_BLOCK)


class AttemptKind(StrEnum):
    """What the bytes of an attempt do."""

    PAYMENT = "payment"
    MARK = "mark"
    CALL = "call"
    """A miner's own business with the contract."""
    FILLER = "filler"
    """Takes the slot and pays nobody: a `remark`, or the anchor spent to ourselves."""


@dataclass(frozen=True, slots=True)
class SignedTx:
    """Signed bytes, a bearer instrument until they land: `raw` is never shown.

    Attributes:
        txid: Id in the chain's canonical form (Substrate `0x` + 64 hex, Bitcoin 64 hex).
        raw: The signed bytes.
        fee: What it will pay at most, smallest unit.
        birth: First block in which it is valid (mortal era), or None.
        death: First block in which it is no longer valid, or None for never.
        spends: Every slot it uses, the lane's own first (one nonce; or the outpoints `txid:vout`).
    """

    txid: str
    raw: bytes = field(repr=False)
    fee: int
    birth: int | None
    death: int | None
    spends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A wish for a new lane: the store picks the slot, has it signed, and stores both or nothing.

    Attributes:
        chain: Chain id of the account's chain (`tao:<genesis>`, `btc:<genesis>`).
        account: The payout account or address, or the miner's hotkey for a mark.
        purpose: What the lane is for.
        nonce_floor: Substrate: the account's nonce at a finalised block. The store allots the larger of
            this and its own high-water mark. None: the slot is the first of `SignedTx.spends`.
        sign: Pure; given the slot (`"17"` or `"txid:vout"`), gives the signed bytes.
        recipient: Who is paid; the contract address for a mark.
        amount: What the recipient gets, smallest unit; 0 for a mark.
        anchor: Bitcoin: the outpoint that every attempt will spend; None where a nonce is the slot.
    """

    chain: str
    account: str
    purpose: LanePurpose
    sign: Callable[[str], SignedTx] = field(repr=False)
    recipient: str
    amount: int
    nonce_floor: int | None = None
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class Replacement:
    """A further attempt in an existing lane: a re-sign, or a filler that cancels.

    Attributes:
        lane_id: The lane.
        kind: What the new bytes do.
        tx: The bytes; `tx.spends[0]` is the lane's slot.
    """

    lane_id: int
    kind: AttemptKind
    tx: SignedTx


@dataclass(frozen=True, slots=True)
class Attempt:
    """Stored signed bytes.

    Attributes:
        seq: 0 for the first of the lane.
        kind: What the bytes do.
        tx: The bytes.
        signed_at_ms: Database time, ms since 1970 UTC.
    """

    seq: int
    kind: AttemptKind
    tx: SignedTx
    signed_at_ms: int


class SightingKind(StrEnum):
    """What one look at the chain showed of a lane. A failed look is a `ReadFailed`, never one of these."""

    UNSEEN = "unseen"
    """Authoritatively in no block up to `at`, and not in the pool that was asked; slot still free."""
    IN_POOL = "in_pool"
    IN_BLOCK = "in_block"
    TAKEN = "taken"
    """The slot was used by a transaction that is none of our attempts, finalised."""
    EXPIRED = "expired"
    """Slot unused, and no attempt can use it: the finalised height is past the death of every one, or that
    block's runtime calls them bad proofs (signed before an upgrade)."""


class TakerEffect(StrEnum):
    """What a stranger's transaction in our lane did for the recipient."""

    PAYS = "pays"
    PAYS_NOTHING = "pays_nothing"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look showed.

    Attributes:
        kind: See `SightingKind`.
        at: Finalised head (Bitcoin: best head) up to which this is true.
        txid: Attempt (or taker) that was seen.
        block: Block that holds it.
        final: Whether that block can no longer be reorged by the rail's own rule.
        succeeded: In a block: whether it did what it was for (judged by events, not by inclusion).
        kind_seen: In a block: which kind of attempt it was.
        taker: For `TAKEN`: what the taker did.
        nonce: For `EXPIRED` on a nonce: the account's at `at`, which is the slot's or below it.
    """

    kind: SightingKind
    at: Head
    txid: str | None = None
    block: Head | None = None
    final: bool = False
    succeeded: bool | None = None
    kind_seen: AttemptKind | None = None
    taker: TakerEffect | None = None
    nonce: int | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane as stored, with its attempts (oldest first) and the newest sighting.

    Attributes:
        id: Key in the store.
        saga_id: The saga it was allotted for; None for an affair, which no saga owns.
        slot: `"17"` (nonce) or `"txid:vout"` (anchor outpoint).
        txid: Id of the attempt (or adopted taker) that is in a block, once one is.
        block: The block that holds it; of a `DEAD` lane the finalised head at which it was that.
        checked_height: Height up to which the newest sighting is true.
        earliest_birth: First height at which any attempt could be in a block.
    """

    id: int
    chain: str
    account: str
    slot: str
    purpose: LanePurpose
    saga_id: int | None
    recipient: str
    amount: int
    state: LaneState
    attempts: tuple[Attempt, ...]
    txid: str | None = None
    block: Head | None = None
    checked_height: int = 0
    earliest_birth: int = 0
    allotted_at_ms: int = 0
    sighting: SightingKind | None = None
    taker: TakerEffect | None = None

    @property
    def latest(self) -> Attempt:
        """The attempt to rebroadcast: the newest."""
        return self.attempts[-1]

    @property
    def cancelling(self) -> bool:
        """Whether a filler has been signed in this lane."""
        return any(a.kind is AttemptKind.FILLER for a in self.attempts)

    @property
    def taken_in_doubt(self) -> bool:
        """Whether it was last seen taken by what may have paid the user, in a block that is canonical."""
        return self.sighting is SightingKind.TAKEN and self.taker is TakerEffect.AMBIGUOUS

    def attempt(self, txid: str) -> Attempt | None:
        """The attempt with this id, if it is one of ours."""
        return next((a for a in self.attempts if a.tx.txid == txid), None)
