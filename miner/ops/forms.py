"""What requests on a miner's business, notices and recovery entries may say, and what answers look like."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from miner.model import Came, DeliveryStanding
from miner.ops.shapes import MAX_ID, Asking, Id, Reason, Retry, Said, Told, digits, whole

MinerName = Annotated[
    str | None,
    Field(max_length=64, pattern=r"^[A-Za-z0-9_.-]+$", description="Its name or hotkey; none: the only one"),
]
AnyMiner = Annotated[
    str | None,
    Field(max_length=64, pattern=r"^[A-Za-z0-9_.-]+$", description="Its name or hotkey; none: all"),
]
Rao = Annotated[
    str,
    Field(pattern=r"^[1-9][0-9]{0,17}$", description="In rao, as a decimal string", examples=["1500000000"]),
]
Limit = Annotated[int, Field(ge=1, le=1000), BeforeValidator(digits)]
Number = Annotated[int, Field(ge=0, le=MAX_ID), BeforeValidator(whole)]
WaitS = Annotated[int, Field(ge=1, le=600), BeforeValidator(whole)]


# what requests say


class MinersQuery(Said):
    """Whose business."""

    miner: AnyMiner = None


class MinerQuery(Said):
    """Which miner's business."""

    miner: MinerName = None


class QuoteQuery(MinersQuery):
    """Which quote."""

    text: str | None = Field(None, max_length=512, description="A text that is not committed, to be judged")


class OfMiner(Retry):
    """A miner's own business."""

    miner: MinerName = None


class Collateral(OfMiner):
    """Collateral to move."""

    amount: Rao


class NewQuote(OfMiner):
    """A quote to commit."""

    text: str = Field(
        min_length=1,
        max_length=512,
        description="`v1:{src}:{src_addr}:{dst}:{dst_addr}:{rate}:{counter_rate}`, at most 128 bytes",
    )


class Drain(Asking):
    """Finish what is open, and end."""

    dry_run: bool = Field(True, description="Only say what is left")
    deactivate: bool = Field(False, description="Deactivate every active miner, so that no users come")
    wait_s: WaitS = Field(60, description="How long the daemon has for each deactivation")


class Account(Asking):
    """An account that was stopped."""

    account: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9]+$", description="Its address")]


class Code(Asking):
    """The contract's code as it is now."""


class Resolve(Asking):
    """A recovery entry that was dealt with."""

    entry: Annotated[int, Field(ge=0, le=MAX_ID), BeforeValidator(whole)] = Field(
        description="The entry's id"
    )
    swap_id: Annotated[int, Field(ge=0, le=MAX_ID), BeforeValidator(whole)] | None = Field(
        None, description="Where several stores' entries share an id"
    )
    reason: Reason = Field(description="What was done about it")
    dry_run: bool = Field(True, description="Only say what would be noted")


class NoticesQuery(Said):
    """Which messages, newest first."""

    standing: list[DeliveryStanding] = Field([], description="Only these; `dead` are those given up")
    limit: Limit = Field(20, description="At most so many")


class Target(Asking):
    """A target of notices."""

    target: str | None = Field(None, max_length=64, description="Its name; none: all")


class Replay(Target):
    """Messages to send again."""

    notice: Number = Field(0, description="Only this notice; 0: all that were given up")


# what answers tell


class Wallet(Told):
    """What accounts hold and owe."""

    accounts: list[dict[str, Any]]


class Standing(Told):
    """How miners stand with the contract."""

    height: int
    miners: list[dict[str, Any]]


class Quoted(Standing):
    """What miners have committed as quotes."""

    fee_divisor: int


class AffairOutcome(Told):
    """What came of a miner's business, or would."""

    miner: str
    hotkey: str
    dry_run: bool
    outcome: Came
    text: str
    next: str
    facts: dict[str, Any]


class Draining(Told):
    """What is left before the daemon ends."""

    draining: bool
    changed: bool
    left: list[str]
    deactivated: list[str]


class Cleared(Told):
    """Whether the account was stopped."""

    account: str
    cleared: bool


class Accepted(Told):
    """Hashes of the contract's code."""

    before: str
    now: str
    changed: bool


class Evidence(Told):
    """What shows others that a swap was paid, marked and ended."""

    swap_id: int
    schema_version: int


class ChainNow(Told):
    """What contract and chains say of a swap now."""

    status: str
    blocks_left: int
    lanes: list[dict[str, Any]]


class Resolved(Told):
    """A recovery entry."""

    dry_run: bool
    changed: bool
    entry: dict[str, Any]


class Notices(Told):
    """Targets, what is wrong now, and messages."""

    targets: list[dict[str, Any]]
    conditions: list[dict[str, Any]]
    deliveries: list[dict[str, Any]]


class Tested(Told):
    """What came of test messages."""

    targets: list[dict[str, Any]]


class Replayed(Told):
    """How many messages are sent again."""

    replayed: Id
