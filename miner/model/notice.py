"""What operators are told: each kind of notice, how grave it is, and whether it lasts until it is cleared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from miner.model.record import Json
from miner.saga import Event, State


class Severity(StrEnum):
    """How grave a notice is, the least first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    def reaches(self, least: Severity) -> bool:
        """Whether it is as grave as `least`, or graver."""
        order = tuple(Severity)
        return order.index(self) >= order.index(least)


class NoticeKind(StrEnum):
    """What is told."""

    SWAP_ASSIGNED = "swap_assigned"
    SWAP_PAID = "swap_paid"
    SWAP_FULFILLED = "swap_fulfilled"
    SWAP_COMPLETED = "swap_completed"
    SWAP_NOT_PAID = "swap_not_paid"
    SWAP_WITHDRAWING = "swap_withdrawing"
    SWAP_HELD = "swap_held"
    SWAP_FAILED = "swap_failed"
    RECOVERY_ENTRY = "recovery_entry"
    PAUSED = "paused"
    ACCOUNT_STOPPED = "account_stopped"
    FINALITY_VIOLATED = "finality_violated"
    STORE_DOUBTED = "store_doubted"
    NOT_READY = "not_ready"
    LOW_BALANCE = "low_balance"
    INVENTORY_SHORT = "inventory_short"
    TARGET_FAILING = "target_failing"
    TEST = "test"

    @property
    def severity(self) -> Severity:
        """How grave it is; that all is well again is as grave, so that it reaches the same people."""
        return _SEVERITY.get(self, Severity.INFO)


_SEVERITY: Final[Mapping[NoticeKind, Severity]] = MappingProxyType(
    {
        NoticeKind.SWAP_NOT_PAID: Severity.WARNING,
        NoticeKind.SWAP_WITHDRAWING: Severity.WARNING,
        NoticeKind.SWAP_HELD: Severity.CRITICAL,
        NoticeKind.SWAP_FAILED: Severity.CRITICAL,
        NoticeKind.RECOVERY_ENTRY: Severity.CRITICAL,
        NoticeKind.PAUSED: Severity.WARNING,
        NoticeKind.ACCOUNT_STOPPED: Severity.CRITICAL,
        NoticeKind.FINALITY_VIOLATED: Severity.CRITICAL,
        NoticeKind.STORE_DOUBTED: Severity.CRITICAL,
        NoticeKind.NOT_READY: Severity.CRITICAL,
        NoticeKind.LOW_BALANCE: Severity.WARNING,
        NoticeKind.INVENTORY_SHORT: Severity.CRITICAL,
        NoticeKind.TARGET_FAILING: Severity.WARNING,
    }
)

_OF_EVENT: Final[Mapping[Event, NoticeKind]] = MappingProxyType(
    {
        Event.PAYOUT_INCLUDED: NoticeKind.SWAP_PAID,
        Event.PAYOUT_ADOPTED: NoticeKind.SWAP_PAID,
        Event.MARK_FULFILLED: NoticeKind.SWAP_FULFILLED,
    }
)
_OF_STATE: Final[Mapping[State, NoticeKind]] = MappingProxyType(
    {
        State.COMPLETED: NoticeKind.SWAP_COMPLETED,
        State.COMPENSATED: NoticeKind.SWAP_NOT_PAID,
        State.WITHDRAWING: NoticeKind.SWAP_WITHDRAWING,
        State.HELD: NoticeKind.SWAP_HELD,
        State.FAILED: NoticeKind.SWAP_FAILED,
    }
)


def told_of(event: Event, before: State, after: State) -> NoticeKind | None:
    """What a saga's step tells; None where it tells nothing. A state is told as it is entered, once."""
    if before is not after and after in _OF_STATE:
        return _OF_STATE[after]
    return _OF_EVENT.get(event) if before is not after else None


class Phase(StrEnum):
    """What a notice says of its subject."""

    TOLD = "told"
    """Something happened."""
    RAISED = "raised"
    """Something is wrong from now on."""
    CLEARED = "cleared"
    """It is well again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something to tell.

    Attributes:
        kind: Which kind.
        subject: What it is about (`swap/7`, an account, `daemon`): alarms of one kind and subject are one.
        text: What is so, in a sentence.
        what_to_do: The command to run; empty where nothing is to be done.
        swap_id: The swap, where it is about one.
        detail: Plain facts. Never a key nor signed bytes.
    """

    kind: NoticeKind
    subject: str
    text: str
    what_to_do: str = ""
    swap_id: int | None = None
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What was committed to be told.

    Attributes:
        id: Key in the store.
        at_ms: When, by the database's clock.
        phase: See `Phase`.
        alarm: What.
        genesis: Genesis hash of the store's chain; empty while it is tied to none.
        contract: The contract's address; likewise.
    """

    id: int
    at_ms: int
    phase: Phase
    alarm: Alarm
    genesis: str = ""
    contract: str = ""


class DeliveryStanding(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up; `notify replay` sends it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A notice on its way to one target.

    Attributes:
        notice: What is told.
        target: The target's name in the settings.
        attempts: How often it was begun to send.
        standing: See `DeliveryStanding`.
        next_at_ms: When it is due, by the database's clock.
        last_error: Why the last attempt failed; without addresses or secrets.
    """

    notice: Notice
    target: str
    attempts: int = 0
    standing: DeliveryStanding = DeliveryStanding.WAITING
    next_at_ms: int = 0
    last_error: str = ""

    @property
    def id(self) -> str:
        """The same for every attempt, and for no other delivery: receivers leave out what they know."""
        notice = self.notice
        parts = (notice.genesis, notice.contract, str(notice.id), str(notice.at_ms), self.target)
        return "msg_" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Route:
    """Which notices a target gets.

    Attributes:
        target: Its name.
        kinds: The kinds that it wants.
        least: The least severity that it wants.
    """

    target: str
    kinds: frozenset[NoticeKind] = frozenset(NoticeKind)
    least: Severity = Severity.INFO

    def takes(self, kind: NoticeKind) -> bool:
        """Whether a notice goes there."""
        return kind in self.kinds and kind.severity.reaches(self.least)
