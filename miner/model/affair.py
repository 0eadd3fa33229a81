"""A miner's own business, which no swap owns: collateral, being active, and its quote."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

COOLDOWN_TIMEOUTS = 2
"""Collateral may leave so many fulfilment timeouts after the block of deactivation."""


class AffairKind(StrEnum):
    """What a miner sends on its own account."""

    DEPOSIT = "deposit"
    WITHDRAW = "withdraw"
    DEACTIVATE = "deactivate"
    QUOTE = "quote"
    """To the chain itself, where users read it; the contract has no part in it."""


@dataclass(frozen=True, slots=True)
class Affair:
    """One such call.

    Attributes:
        kind: Which.
        miner: The calling hotkey, SS58 (prefix 42).
        amount: Collateral that moves, rao; 0 where none does.
        text: The quote to commit; empty where it is none.
    """

    kind: AffairKind
    miner: str
    amount: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"{self.kind} of {self.miner}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerStanding:
    """How a miner stands with the contract at a block. None: this contract has no such message.

    Attributes:
        miner: Its hotkey.
        height: The block.
        collateral: Rao.
        minimum: Least collateral with which it may be active, rao.
        maximum: Most that the contract takes, rao; 0 for no limit.
        active: Whether users are given to it.
        has_swap: Whether a swap of its is open.
        reserved_until: Block until which it is reserved for a user.
        deactivation_block: When it was deactivated; 0 for never, or while it is active.
        timeout_blocks: The contract's fulfilment timeout.
        votes: Validators that have voted for activating it.
        votes_needed: How many activate it.
        halted: Whether the contract takes no new business.
    """

    miner: str
    height: int
    collateral: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    active: bool | None = None
    has_swap: bool | None = None
    reserved_until: int | None = None
    deactivation_block: int | None = None
    timeout_blocks: int | None = None
    votes: int | None = None
    votes_needed: int | None = None
    halted: bool | None = None

    @property
    def cooldown_ends(self) -> int | None:
        """First block in which collateral may leave, after a deactivation; None where none is waited for."""
        if self.active or not self.deactivation_block or self.timeout_blocks is None:
            return None
        return self.deactivation_block + COOLDOWN_TIMEOUTS * self.timeout_blocks

    @property
    def cooldown_left(self) -> int:
        """Blocks until then; 0 when it is over, or none is waited for."""
        return 0 if self.cooldown_ends is None else max(0, self.cooldown_ends - self.height)

    @property
    def reserved(self) -> bool:
        """Whether it is reserved for a user in the next block."""
        return self.reserved_until is not None and self.reserved_until > self.height
