"""What requests may say and what answers look like: the models that the OpenAPI document is made from.

Amounts are decimal strings in the chain's smallest unit. Unknown names are refused, so that a slip of the pen
is never taken for a default.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from miner.amounts import Chain
from miner.model import Came
from miner.saga import Event, State

MAX_ID = 2**63 - 1
"""The largest id and position that the store holds."""
_DECIMAL = re.compile(r"[0-9]{1,19}", re.ASCII)


def digits(value: object) -> object:
    """A query's number: digits alone, not whatever else reads as one."""
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError("write it in decimal digits")
    return value


def whole(value: object) -> object:
    """A body's number: JSON Schema takes 60.0 for an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _yes(value: object) -> object:
    """A query's yes or no: these two words alone, not whatever else reads as one."""
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("write true or false")
    return value


Id = Annotated[int, Field(ge=0, le=MAX_ID), BeforeValidator(digits)]
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Reason = Annotated[
    str,
    Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"),
]
Actor = Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z0-9_.@-]*$", description="Who decides")]
TxId = Annotated[
    str, Field(pattern=r"^(0x)?[0-9a-fA-F]{64}$", description="Id of the transaction that paid the user")
]
Digits = Annotated[str, Field(pattern=r"^-?[0-9]+$", examples=["1500000000"])]


class Said(BaseModel):
    """Something a request says."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(BaseModel):
    """Something an answer tells."""

    model_config = ConfigDict(extra="allow")


# what requests say


class SwapsQuery(Said):
    """Which swaps, newest first."""

    state: list[State] = Field([], description="Only these states; may be given several times")
    miner: str | None = Field(
        None, max_length=64, pattern=r"^[A-Za-z0-9]+$", description="Only this hotkey's"
    )
    limit: Annotated[int, Field(ge=1, le=500), BeforeValidator(digits)] = Field(
        50, description="At most so many"
    )
    before: Id | None = Field(None, description="Only ids below this: the last page's `next_before`")


class JournalQuery(Said):
    """Which part of a journal."""

    after: Id = Field(0, description="Only entries after this `seq`: the last page's `next_after`")
    limit: Annotated[int, Field(ge=1, le=1000), BeforeValidator(digits)] = Field(
        200, description="At most so many"
    )


class RecoveryQuery(Said):
    """Which recovery entries, newest first."""

    open: Annotated[bool, BeforeValidator(_yes)] = Field(False, description="Only what nobody has resolved")
    limit: Annotated[int, Field(ge=1, le=500), BeforeValidator(digits)] = Field(
        50, description="At most so many"
    )


class FeedQuery(Said):
    """Which part of the feed."""

    after: Id | None = Field(
        None, description="Positions after this; none: from now on. Last-Event-ID goes before it"
    )


class ExportQuery(Said):
    """What to export."""

    what: Literal["journal", "recovery"] = Field("journal", description="Journals of all swaps, or recovery")
    after: Id = Field(0, description="Positions (or ids of recovery entries) after this")


class Asking(Said):
    """What goes with every request to change something."""

    actor: Actor = ""


class Retry(Asking):
    """Try now what waits."""

    dry_run: bool = Field(True, description="Only say what would be done")
    reason: Text = Field("", description="Why, for the journal")
    wait_s: Annotated[int, Field(ge=1, le=600), BeforeValidator(whole)] = Field(
        60, description="How long the daemon has to answer"
    )


class Quarantine(Retry):
    """Close a held swap for good."""

    reason: Reason = Field(description="Why, for the journal")


class Release(Quarantine):
    """Give back what is set aside."""

    hold_s: Annotated[int, Field(ge=0, le=86_400), BeforeValidator(whole)] = Field(
        600, description="Seconds for which it is not set aside again"
    )


class OnTransaction(Quarantine):
    """Credit, or mark with, a transaction."""

    txid: TxId
    block: Annotated[int, Field(ge=0, le=MAX_ID), BeforeValidator(whole)] = Field(
        0, description="Its block, where it is known"
    )


class Pause(Asking):
    """What to pause or resume."""

    chain: Chain | None = Field(None, description="One chain; none: all")


class Rebuild(Asking):
    """Write a swap's row anew from its journal."""

    dry_run: bool = Field(True, description="Only say what differs")


class Validate(Said):
    """Settings to look at."""

    config: Annotated[str, Field(max_length=200_000)] = Field(description="The settings file's text (TOML)")
    files: bool = Field(True, description="Whether the files that it names are looked at, too")


# what answers tell


class SwapRow(Told):
    """A swap in a list."""

    swap_id: int
    state: State
    reason: str
    miner: str
    source_chain: str
    dest_chain: str
    source_amount: Digits
    dest_amount: Digits
    timeout_block: int
    payout_txid: str | None
    ending: str | None
    created_at: str | None
    updated_at: str | None
    needs_you: str | None = Field(None, description="The command to run next, where one is needed")


class SwapPage(Told):
    """Swaps, newest first."""

    swaps: list[SwapRow]
    next_before: int | None = Field(description="`before` of the next page; null on the last one")
    known: int = Field(description="How many swaps the store knows")


class Entry(Told):
    """A journal entry."""

    seq: int
    at: str | None
    event: Event
    before: State
    after: State
    actor: str
    lease_epoch: int
    payload: dict[str, Any]


class FeedItem(Entry):
    """A journal entry among those of all swaps."""

    position: int
    swap_id: int


class EntryPage(Told):
    """A part of a swap's journal, oldest first."""

    swap_id: int
    events: list[Entry]
    next_after: int | None


class SwapWhole(SwapRow):
    """Everything that is known of a swap, without signed bytes."""

    genesis: str
    contract: str
    version: int
    mark_retries: int
    next_attempt_at: str | None
    swap: dict[str, Any]
    payment: dict[str, Any] | None
    payout: dict[str, Any] | None
    mark: dict[str, Any] | None
    outcome: dict[str, Any] | None
    journal: list[Entry]


class RecoveryEntryShape(Told):
    """What the recovery log was told, whether it was dealt with, and what to do about it."""

    id: int
    at: str | None
    swap_id: int
    state: State
    cause: str
    what_to_do: str
    means: str
    command: str
    resolved: dict[str, Any] | None = Field(description="When, by whom and why; null while it is open")
    state_now: State | None
    amount: Digits | None
    amount_chain: str | None


class RecoveryPage(Told):
    """Recovery entries, newest first."""

    entries: list[RecoveryEntryShape]
    open: int = Field(description="How many nobody has resolved")
    damaged: list[str] = Field(description="What of the log is no entry")


class Overview(Told):
    """How things stand."""

    counts: dict[str, int]
    open: int
    journal_entries: int = Field(description="Position of the newest journal entry, for the feed")
    finalised_height: int | None
    oldest_deadline: dict[str, Any] | None
    needs_operator: list[int]
    paused: list[str]
    stopped_accounts: list[dict[str, Any]]
    leases: list[dict[str, Any]]
    pending_recovery: list[dict[str, Any]]
    ready: bool
    reasons: list[str]
    endpoints: list[dict[str, Any]]
    wallets: list[dict[str, Any]]


class Outcome(Told):
    """What came of a request, or would."""

    swap_id: int
    dry_run: bool
    outcome: Came
    text: str
    at_stake: str
    next: str
    facts: dict[str, Any]


class Paused(Told):
    """What is paused now."""

    what: str
    paused: bool
    changed: bool
    now_paused: list[str]


class Rebuilt(Told):
    """A swap's row beside its journal."""

    swap_id: int
    dry_run: bool
    agrees: bool
    written: bool
    broken: str | None
    columns: dict[str, Any]


class Checks(Told):
    """What was found of settings."""

    ok: bool
    checks: list[dict[str, Any]]


class Health(Told):
    """Alive or ready."""


class Document(Told):
    """This very document."""

    openapi: str


class ProblemShape(Told):
    """A problem (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
