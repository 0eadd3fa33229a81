"""A swap as the contract tells it, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """A block by height and hash.

    Attributes:
        height: Block number, 0 or more.
        hash: Block hash as the chain writes it (Substrate `0x` + 64 hex, Bitcoin 64 hex).
    """

    height: int
    hash: str


class SwapStatus(StrEnum):
    """The contract's `SwapStatus`, by name."""

    ACTIVE = "Active"
    FULFILLED = "Fulfilled"
    COMPLETED = "Completed"
    TIMED_OUT = "TimedOut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """The contract's `SwapData`. Accounts are SS58 (prefix 42); amounts are in the smallest unit.

    Strings are as the contract holds them: neither trimmed, nor lower-cased, nor believed.
    """

    id: int
    user: str
    miner: str
    source_chain: str
    dest_chain: str
    source_amount: int
    dest_amount: int
    tao_amount: int
    user_source_address: str
    user_dest_address: str
    miner_source_address: str
    miner_dest_address: str
    rate: str
    source_tx_hash: str
    source_tx_block: int
    dest_tx_hash: str
    dest_tx_block: int
    status: SwapStatus
    initiated_block: int
    timeout_block: int
    fulfilled_block: int
    completed_block: int

    @property
    def is_open(self) -> bool:
        """Whether it has not ended. Most contracts delete a swap that has; some keep it."""
        return self.status in _OPEN

    def terms(self) -> tuple[object, ...]:
        """The fields that may never change after assignment; two reads of a swap must agree on them."""
        return tuple(getattr(self, name) for name in _TERMS)

    def to_json(self) -> dict[str, str | int]:
        """Plain values; the u128 amounts as decimal strings, since JSON readers cut them at 64 bits."""
        out: dict[str, str | int] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            out[field.name] = str(value) if field.name in _AMOUNTS else value
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, str | int]) -> Swap:
        """Inverse of `to_json`.

        Raises:
            KeyError: A field is missing.
            ValueError: A field does not read.
        """
        values: dict[str, object] = {}
        for field in fields(cls):
            value = data[field.name]
            if field.name in _AMOUNTS:
                value = int(value)
            values[field.name] = SwapStatus(str(value)) if field.name == "status" else value
        return cls(**values)  # type: ignore[arg-type]


_OPEN = frozenset({SwapStatus.ACTIVE, SwapStatus.FULFILLED})
_AMOUNTS = frozenset({"source_amount", "dest_amount", "tao_amount"})
_CHANGING = frozenset(
    {
        "dest_tx_hash",
        "dest_tx_block",
        "dest_amount",
        "status",
        "initiated_block",  # another one where the block that began it was replaced
        "timeout_block",
        "fulfilled_block",
        "completed_block",
    }
)
_TERMS = tuple(f.name for f in fields(Swap) if f.name not in _CHANGING)


class EndingKind(StrEnum):
    """How an ended swap ended."""

    COMPLETED = "completed"
    TIMED_OUT = "timed_out"
    UNKNOWN = "unknown"
    """It is gone at a finalised block, and neither event nor outcome says how."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A swap's end on finalised evidence.

    Attributes:
        kind: How.
        block: Height at which it ended (or was found gone).
        slash_amount: Collateral lost, rao; 0 unless timed out.
        fee_amount: Fee taken, rao; 0 unless completed.
        dest_tx_hash: Payout id the contract credited, when an outcome or snapshot tells it.
    """

    kind: EndingKind
    block: int
    slash_amount: int = 0
    fee_amount: int = 0
    dest_tx_hash: str | None = None


@dataclass(frozen=True, slots=True)
class ContractEvent:
    """One event of the swap contract.

    Attributes:
        name: Label from the metadata (`SwapInitiated`).
        args: Decoded fields by label; accounts SS58 (prefix 42), integers int, strings str.
        block: The block that holds it.
        index: Its place among the block's events.
    """

    name: str
    args: Mapping[str, object]
    block: Head
    index: int


@dataclass(frozen=True, slots=True)
class Mark:
    """The arguments of `mark_fulfilled`.

    Attributes:
        miner: The calling hotkey, SS58 (prefix 42).
        swap_id: The contract's id.
        txid: Payout id as validators compare it: TAO `0x` + 64 hex, BTC 64 hex.
        block: The payout's real block.
        amount: `dest_amount` that is reported, smallest unit.
    """

    miner: str
    swap_id: int
    txid: str
    block: int
    amount: int


@dataclass(frozen=True, slots=True)
class Terms:
    """The contract's settings at a block.

    Attributes:
        fee_divisor: The fee is `dest_amount // fee_divisor`.
        fulfillment_timeout_blocks: Blocks from initiation to `timeout_block`.
        reservation_ttl_blocks: Blocks a reservation lasts.
        halted: Whether new swaps are refused.
        code_hash: Hash of the contract's code, `0x` + 64 hex.
    """

    fee_divisor: int
    fulfillment_timeout_blocks: int
    reservation_ttl_blocks: int
    halted: bool
    code_hash: str


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """What one block of the contract's chain holds for us.

    Attributes:
        head: The block.
        parent_hash: Its parent.
        time_ms: Its timestamp, ms since 1970 UTC.
        events: The contract's events in order.
    """

    head: Head
    parent_hash: str
    time_ms: int
    events: tuple[ContractEvent, ...]
