"""What the store keeps of a saga, and the one step that changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from miner.amounts import Chain
from miner.model.lane import Claim, Lane, Replacement
from miner.model.payment import Adopted, Payment, Reservation
from miner.model.swap import Ending, Swap
from miner.saga import Event, State

Json = str | int | bool | None | list[Any] | dict[str, Any]
"""A JSON value. Integers above 2⁵³ are written as decimal strings."""


@dataclass(frozen=True, slots=True)
class SagaKey:
    """What a saga is about, worldwide.

    Attributes:
        genesis: Genesis hash of the contract's chain.
        contract: Contract address, SS58 (prefix 42).
        swap_id: The contract's id.
    """

    genesis: str
    contract: str
    swap_id: int


@dataclass(frozen=True, slots=True)
class Saga:
    """A saga's row: a projection of its journal. Immutable; every change gives a new one.

    Attributes:
        id: Key in the store.
        key: See `SagaKey`.
        version: Rises by one with each step; the compare-and-set is on it.
        state: See `miner.saga`.
        swap: The swap as last read at a finalised block.
        dest: Chain paid on.
        reason: Why it is held, refused or ended; a short name, empty while all is well.
        ending: How the swap ended, once finalised evidence says so.
        payment: The user's payment, once verified.
        payout: The payout lane, once allotted (the newest, where an earlier one was freed).
        mark: The mark lane, once allotted (the newest).
        mark_retries: Transient or rejected marks so far.
        next_attempt_ms: Database time before which no retry is made; 0 for at once.
        reserved_block: Block of the miner's `MinerReserved` event for this swap, if it was seen.
        reserved_at_ms: That block's time.
        lease_epoch: Epoch under which this copy was read.
        created_at_ms: Database time of assignment.
        updated_at_ms: Database time of the last step.
    """

    id: int
    key: SagaKey
    version: int
    state: State
    swap: Swap
    dest: Chain | None
    reason: str = ""
    ending: Ending | None = None
    payment: Payment | None = None
    payout: Lane | None = None
    mark: Lane | None = None
    mark_retries: int = 0
    next_attempt_ms: int = 0
    reserved_block: int | None = None
    reserved_at_ms: int | None = None
    lease_epoch: int = 0
    created_at_ms: int = 0
    updated_at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaPatch:
    """Columns a step changes beside the state; None leaves a column as it is."""

    swap: Swap | None = None
    reason: str | None = None
    ending: Ending | None = None
    payment: Payment | None = None
    mark_retries: int | None = None
    next_attempt_ms: int | None = None


PAYOUT_GONE = "landed_payout_is_gone"
"""Cause of an entry on a payout that counted as landed and whose block was replaced."""


@dataclass(frozen=True, slots=True)
class RecoveryEntry:
    """A line of the recovery log. One per saga and cause, ever.

    Attributes:
        cause: Short name (`timed_out_after_payout`, `mark_refused:MinerNotActive`).
        what_to_do: The command to run, or what will happen by itself.
        detail: Amounts (decimal strings), hashes, blocks. Never a key nor unlanded bytes.
    """

    cause: str
    what_to_do: str
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One move of a saga with everything that must be written with it, or not at all.

    Attributes:
        event: What happened; the table says where it leads.
        payload: For the journal.
        patch: Columns that change.
        claim: A new lane to allot and sign within the transaction.
        replacement: A further attempt in an existing lane.
        reserve: Inventory to set aside.
        adopt: A payout made outside our lanes, credited to this saga.
        release: Whether the saga's reservation is given back.
        approve: The swap's amount, where a person lets its payout go.
        recovery: A line for the recovery log.
    """

    event: Event
    payload: Mapping[str, Json] = field(default_factory=dict)
    patch: SagaPatch = SagaPatch()
    claim: Claim | None = None
    replacement: Replacement | None = None
    reserve: Reservation | None = None
    adopt: Adopted | None = None
    release: bool = False
    approve: int | None = None
    recovery: RecoveryEntry | None = None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One event of a saga's journal, append-only.

    Attributes:
        seq: 1, 2, 3 … without gaps.
        schema_version: Of the payload.
        at_ms: Database time, ms since 1970 UTC.
        actor: Who (`daemon:<owner>`, `operator:<name>`, `import`).
        lease_epoch: Under which it was written.
        event: What happened.
        before: State before.
        after: State after.
        payload: What belongs to it.
    """

    seq: int
    schema_version: int
    at_ms: int
    actor: str
    lease_epoch: int
    event: Event
    before: State
    after: State
    payload: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A journal entry among those of all swaps.

    Attributes:
        position: Rises with each entry that is committed, of whatever swap; there may be gaps.
        swap_id: The contract's id.
        assigned_at_ms: Database time at which the swap was taken in.
        dest_chain: Chain that the swap is paid on, as the contract names it.
        entry: The entry.
    """

    position: int
    swap_id: int
    assigned_at_ms: int
    dest_chain: str
    entry: JournalEntry
