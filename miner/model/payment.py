"""Money in and out: the user's payment, the order to pay, what is set aside for it."""

from __future__ import annotations

from dataclasses import dataclass

from miner.amounts import Chain
from miner.model.swap import Head


@dataclass(frozen=True, slots=True)
class PaymentClaim:
    """What a swap says its user paid; nothing of it is believed.

    Attributes:
        txid: The contract's string.
        height: The contract's `source_tx_block`.
        sender: `user_source_address`.
        recipient: `miner_source_address`.
        amount: `source_amount`, smallest unit; more is accepted, less is not.
        confirmations: Blocks (its own included) that it needs; TAO: its block must be finalised as well.
        not_before_height: TAO: first block in which it may be.
        not_before_ms: BTC: earliest block time, slack already taken off.
    """

    txid: str
    height: int
    sender: str
    recipient: str
    amount: int
    confirmations: int
    not_before_height: int = 0
    not_before_ms: int = 0


@dataclass(frozen=True, slots=True)
class Pending:
    """A payment that may yet become good.

    Attributes:
        why: Short name (`unconfirmed`, `not_found`, `too_few_confirmations`).
    """

    why: str


@dataclass(frozen=True, slots=True)
class Payment:
    """The user's payment as it was verified.

    Attributes:
        chain: Source chain.
        txid: Canonical id.
        height: Block height.
        block_hash: Block hash.
        amount: What the miner received, smallest unit.
        tip_hash: Best (BTC) or finalised (TAO) block hash of the source chain at which this was true.
    """

    chain: Chain
    txid: str
    height: int
    block_hash: str
    amount: int
    tip_hash: str


@dataclass(frozen=True, slots=True)
class PayoutOrder:
    """A payout to be made.

    Attributes:
        account: Payout account or address, pinned: the swap's `miner_dest_address`.
        recipient: `user_dest_address`.
        amount: Smallest unit.
        max_fee: Most the network fee may be, smallest unit.
        die_by: First contract-chain height at which the bytes must be invalid (TAO); the swap's
            `timeout_block`.
    """

    account: str
    recipient: str
    amount: int
    max_fee: int
    die_by: int


@dataclass(frozen=True, slots=True)
class Since:
    """When a swap began, for looking at what was paid from then on.

    Attributes:
        height: Block of the contract's chain that it began in.
        age_blocks: Blocks of the contract's chain, whose blocks are the shortest, since then; for chains that
            are of another one, and looked at with a margin.
        at_ms: That block's time; 0 where it is not needed.
    """

    height: int
    age_blocks: int
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """Inventory set aside for one saga.

    Attributes:
        chain: Chain id of the payout account.
        account: Payout account or address.
        amount: Payout, smallest unit.
        fee: Most its network fee may be, smallest unit.
        mark_account: Hotkey that marks.
        mark_fee: Set aside on the hotkey, rao.
    """

    chain: str
    account: str
    amount: int
    fee: int
    mark_account: str
    mark_fee: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """A payout that was made outside this store's lanes and is credited to a saga.

    Attributes:
        chain: Chain id.
        account: Who paid.
        txid: Canonical id.
        block: Block that holds it; final.
        recipient: Who was paid.
        amount: Smallest unit.
    """

    chain: str
    account: str
    txid: str
    block: Head
    recipient: str
    amount: int
