"""What is decided on, and what a decision says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from miner.amounts import Chain, format_amount
from miner.model import Came, Head, Json, Lane, PayoutOrder, Saga, Swap


class Act(StrEnum):
    """What a permitted request leads to."""

    NOTHING = "nothing"
    TRY_AGAIN = "try_again"
    """Clear the time of the next attempt; the round that follows tries."""
    YIELD = "yield"
    """Give the reservation back."""
    FREE = "free"
    """Give it back since the lane is finalised as freed."""
    QUARANTINE = "quarantine"
    ADOPT = "adopt"
    APPROVE = "approve"
    """Let its payout go."""


@dataclass(frozen=True, slots=True)
class Found:
    """A transaction that is said to be a payout.

    Attributes:
        txid: Canonical id; as typed where it is none.
        block: The final block that holds it; None where it was not found to be good.
        problem: Why it is not exactly this swap's payout; empty when it is.
        others: Swaps that it is credited to, or was signed for, or that the contract shows marked with it.
    """

    txid: str
    block: Head | None = None
    problem: str = ""
    others: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that one decision rests on.

    Attributes:
        saga: As stored.
        finalised: The finalised head that `on_chain` is true at.
        now_ms: Database time.
        on_chain: The swap on the contract; None: authoritatively absent there.
        margin_blocks: Of law 7, for the rail it pays on.
        owed: What has to be paid, where the terms tell it.
        imported: Whether another program says it paid this swap.
        mark_refusal: What a dry run of its mark was refused with; empty when it was not, or not tried.
        found: The transaction in question, for `adopt-payout` and `mark`.
        held_above: Whether its payout waits for a person, by the settings.
        let_go: The amount that a person has let go for it; 0 for none.
        hold_s: For a release: how long it is to be kept from being set aside again.
    """

    saga: Saga
    finalised: Head
    now_ms: int
    on_chain: Swap | None
    margin_blocks: int = 0
    owed: PayoutOrder | None = None
    imported: bool = False
    mark_refusal: str = ""
    found: Found | None = None
    held_above: bool = False
    let_go: int = 0
    hold_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A decision.

    Attributes:
        came: `WOULD` when it may be done, `NOTHING`, or `REFUSED`.
        act: What doing it means.
        text: Why, in words.
        remedy: The command to run instead, or next.
        stake: Amounts at stake, in words.
        detail: For journals and JSON.
    """

    came: Came
    text: str
    act: Act = Act.NOTHING
    remedy: str = ""
    stake: str = ""
    detail: Mapping[str, Json] = field(default_factory=dict)


def payout_of(facts: Facts) -> int:
    """The payout's amount: of its lane, else what is owed, else what the swap names (fee not taken off)."""
    saga = facts.saga
    if saga.payout is not None:
        return saga.payout.amount
    return facts.owed.amount if facts.owed is not None else saga.swap.dest_amount


def at_stake(facts: Facts, *, payout: str = "", collateral: str = "") -> str:
    """Amounts in words.

    Args:
        facts: Of the swap.
        payout: What may become of the payout (`may be paid twice`); empty: it is not at stake.
        collateral: Likewise of the collateral, which a slash takes up to the swap's TAO amount.
    """
    words = []
    if payout:
        words.append(f"{_shown(payout_of(facts), facts.saga.dest)} {payout}")
    if collateral:
        words.append(
            f"up to {format_amount(facts.saga.swap.tao_amount, Chain.TAO)} of collateral {collateral}"
        )
    return "; ".join(words)


def amounts(facts: Facts) -> dict[str, Json]:
    """The same amounts as decimal strings in the smallest unit."""
    return {
        "payout_amount": str(payout_of(facts)),
        "payout_chain": str(facts.saga.dest or facts.saga.swap.dest_chain),
        "collateral_rao": str(facts.saga.swap.tao_amount),
    }


def lane_words(lane: Lane, facts: Facts) -> str:
    """A lane in words: its amount, slot and newest id; never its bytes."""
    txid = lane.txid or (lane.latest.tx.txid if lane.attempts else "no attempt")
    return f"{_shown(lane.amount, facts.saga.dest)} in slot {lane.slot} ({txid}, {lane.state})"


def _shown(amount: int, chain: Chain | None) -> str:
    return str(amount) if chain is None else format_amount(amount, chain)
