"""What the watcher brings in, and the store's other rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from miner.model.record import RecoveryEntry, SagaKey
from miner.model.swap import Ending, Head, Swap
from miner.saga import State


@dataclass(frozen=True, slots=True)
class Observation:
    """What a finalised block showed of one swap, to be stored with the cursor.

    Attributes:
        swap_id: The contract's id.
        swap: The swap as read there; None when it is gone or unchanged.
        ending: How it ended, if it did.
        recovery_if_ended: For the recovery log when the saga had already ended (a refused swap's slash).
    """

    swap_id: int
    swap: Swap | None = None
    ending: Ending | None = None
    recovery_if_ended: RecoveryEntry | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """A swap that is one of our miners' and has no saga yet.

    Attributes:
        swap: As read at a finalised block.
        reserved_block: Block of the miner's `MinerReserved`, if seen.
        reserved_at_ms: Its time.
        ending: Set when it had already ended when first seen.
    """

    swap: Swap
    reserved_block: int | None = None
    reserved_at_ms: int | None = None
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Ingest:
    """Everything one stretch of finalised blocks brought, stored in one transaction with the cursor.

    Attributes:
        previous: The cursor it was computed from; another cursor in the store refuses the whole.
        heads: The new finalised blocks, oldest first; the last is the new cursor. Empty for a sweep.
        discoveries: New swaps; one that has a saga already is skipped.
        observations: Changes of known swaps.
        reserved: Newest `MinerReserved` by miner: (height, time in ms).
    """

    previous: Head | None
    heads: tuple[Head, ...]
    discoveries: tuple[Discovery, ...] = ()
    observations: tuple[Observation, ...] = ()
    reserved: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportedSend:
    """A line of the sent cache of the miner in the field. What it says is a hint.

    Attributes:
        swap_id: The contract's id.
        txid: Its transaction hash, or the literal `tao_transfer`.
        block: Its block; may be a guess.
        marked: Whether it says it has marked.
        timeout_block: The swap's deadline, if told.
    """

    swap_id: int
    txid: str
    block: int
    marked: bool = False
    timeout_block: int | None = None


WENT_BACK = "nonce went back"
"""How the reason begins for which an account is stopped that was emptied and began again."""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """What the store knows of a payout or marking account.

    Attributes:
        chain: Chain id.
        account: Address.
        high_water: Substrate: highest nonce ever allotted or seen finalised, plus one. Bitcoin: 0.
        base: Substrate: first nonce that must be explained by a lane. Bitcoin: height from which every
            spend must be.
        stopped: Why first sends on this account are stopped; empty when they are not.
        seen: Substrate: highest finalised nonce ever seen; below it, the account was emptied and began
            again. Bitcoin: 0.
        seen_at: Height at which that nonce was seen; a view that ends below it proves nothing.
    """

    chain: str
    account: str
    high_water: int
    base: int
    stopped: str = ""
    seen: int = 0
    seen_at: int = 0

    def went_back(self, nonce: int, slots: Collection[str]) -> str:
        """Why a finalised nonce proves that the account was emptied and began again; empty where it does not.

        Args:
            nonce: The account's, at a height that is not below `seen_at`.
            slots: Those of the account's lanes.
        """
        if nonce >= self.seen and (nonce >= self.high_water or str(nonce) in slots):
            return ""
        stood = max(self.seen, self.high_water)
        return f"{WENT_BACK}: {self.account} stands at {nonce} and stood at {stood}"


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lease.

    Attributes:
        resource: `watch`, or `saga/<id>`.
        owner: Owner id, random per process.
        epoch: Rises at each acquisition, and when an owner takes its own expired lease again.
        expires_at_ms: Database time.
        acquired_at_ms: Database time at which its epoch began; 0 where it was not read.
    """

    resource: str
    owner: str
    epoch: int
    expires_at_ms: int
    acquired_at_ms: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class PendingRecovery:
    """A recovery entry committed with its step and not yet in the log file.

    Attributes:
        id: Key in the store; the log's `id`, by which a repeated append is recognised.
        saga: The saga's key.
        state: State after the step.
        at_ms: Database time of the step.
        entry: What to write.
    """

    id: int
    saga: SagaKey
    state: State
    at_ms: int
    entry: RecoveryEntry
