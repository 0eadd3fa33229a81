"""What an operator asks of whoever works on a swap, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from miner.model.record import Json

NO_SWAP = -1
"""Stands where a swap's id would, in a request that is about a miner and not about a swap."""


class Verb(StrEnum):
    """What can be asked, for one swap or for one miner."""

    RETRY = "retry"
    """Try now what waits for its next attempt."""
    RELEASE = "release"
    """Give back what is set aside for a payout that is not signed."""
    QUARANTINE = "quarantine"
    """Close a held swap for good."""
    ADOPT = "adopt-payout"
    """Credit a transaction that was made outside as this swap's payout."""
    MARK = "mark"
    """Have a final payout marked, credited first where it is not."""
    APPROVE = "approve"
    """Let a payout go that is above `hold_above`."""
    DEPOSIT = "deposit"
    """Post collateral."""
    WITHDRAW = "withdraw"
    """Take collateral back."""
    ACTIVATE = "activate"
    """Tell what keeps a miner from being voted active; validators do it, so nothing is sent."""
    DEACTIVATE = "deactivate"
    """End a miner's service."""
    QUOTE = "quote"
    """Commit a quote, where users read it."""

    @property
    def is_affair(self) -> bool:
        """Whether it is about a miner and not about a swap."""
        return self in (Verb.DEPOSIT, Verb.WITHDRAW, Verb.ACTIVATE, Verb.DEACTIVATE, Verb.QUOTE)


class Standing(StrEnum):
    """Where a request stands. The last two are ends."""

    WAITING = "waiting"
    TAKEN = "taken"
    """Somebody who holds the swap's lease is at it."""
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    """Its asker gave up before it was taken: nothing was done, and nothing will be."""


class Came(StrEnum):
    """What came of a request."""

    DONE = "done"
    WOULD = "would"
    """A dry run: it may be done."""
    NOTHING = "nothing"
    """There was nothing to do."""
    REFUSED = "refused"
    """It would lose or double money, or the swap is not where it is possible."""
    UNKNOWN = "unknown"
    """A chain or another holder of the lease stood in the way: nothing was learned, nothing done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked.

    Attributes:
        verb: What to do.
        swap_id: The contract's id; `NO_SWAP` where it is about a miner.
        actor: Who asks.
        reason: Why; empty where the verb needs none.
        txid: The payout in question, as it was typed; empty where there is none.
        block: Where the operator says it is; 0 for unknown.
        hold_s: For a release: how long it is kept from being set aside again.
        account: For a miner's affair: its hotkey.
        amount: For collateral: how much, rao.
        text: For a quote: what is committed.
    """

    verb: Verb
    swap_id: int
    actor: str
    reason: str = ""
    txid: str = ""
    block: int = 0
    hold_s: int = 0
    account: str = ""
    amount: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a request, or would.

    Attributes:
        swap_id: The contract's id.
        came: See `Came`.
        text: What was found and done, in words.
        remedy: The command to run next; empty when there is none.
        stake: What is at stake, in words with amounts; empty when nothing is.
        detail: Amounts (decimal strings), ids, blocks. Never a key nor signed bytes.
    """

    swap_id: int
    came: Came
    text: str
    remedy: str = ""
    stake: str = ""
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRequest:
    """A request as stored.

    Attributes:
        id: Key in the store.
        asked: What is asked.
        standing: Where it stands.
        outcome: Once it is answered.
        orphan: Whether whoever took it ended before answering: it is not known how far that one came.
        at_ms: Database time of asking.
        expires_at_ms: Database time from which nobody takes it any more.
    """

    id: int
    asked: Asked
    standing: Standing
    outcome: Outcome | None = None
    orphan: bool = False
    at_ms: int = 0
    expires_at_ms: int = 0
