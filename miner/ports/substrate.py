"""What the contract's adapter needs of its chain's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from miner.boundary import acts, reads
from miner.model import Claim, Commitment, Head, Lane, LanePurpose, Replacement, Sighting


@dataclass(frozen=True, slots=True)
class RawContractEvent:
    """A `Contracts.ContractEmitted` as the chain holds it.

    Attributes:
        contract: The emitting contract, SS58 (prefix 42).
        data: SCALE bytes of the event.
        topics: The record's topics, 32 bytes each.
        index: Its place among the block's events.
    """

    contract: str
    data: bytes
    topics: tuple[bytes, ...]
    index: int


@dataclass(frozen=True, slots=True)
class RawBlock:
    """What one read of a block's state gives: time, and contract events undecoded."""

    head: Head
    parent_hash: str
    time_ms: int
    events: tuple[RawContractEvent, ...]


class Substrate(Protocol):
    """The substrate node as the contract adapter sees it; replies of one block are cached."""

    @property
    def genesis(self) -> str:
        """See `Node.genesis`."""

    @reads
    async def raw_block(self, head: Head) -> RawBlock:
        """Time, parent and contract events of a block, in as few requests as the node allows."""

    @reads
    async def state_call(self, method: str, data: bytes, at: str) -> bytes:
        """A runtime call's raw reply at a block hash."""

    @reads
    async def storage(self, module: str, item: str, params: Sequence[object], at: str) -> object:
        """A decoded storage value at a block hash; None where there is none."""

    @reads
    def contract_call(
        self, contract: str, data: bytes, ref_time: int, proof_size: int, value: int = 0
    ) -> bytes:
        """SCALE bytes of `Contracts.call`; raises `ReadFailed` before `connect`."""


class Commitments(Protocol):
    """What accounts commit on a subnet of the chain: where users read quotes.

    Each raises `Refused`: `no_commitments` where this chain has none, `no_netuid` where no subnet is set.
    """

    @reads
    async def committed(self, account: str, at: Head) -> Commitment | None:
        """What an account has committed, at a block; None where it has nothing; or raises `ReadFailed`."""

    @reads
    def commitment_call(self, text: str) -> bytes:
        """SCALE bytes of the call that commits a text of at most 128 bytes; `ReadFailed` before `connect`."""


class CallLanes(Protocol):
    """Nonce lanes on the substrate chain: any call, any account we can sign for.

    A payout's success is a `Balances.Transfer` event of the lane's account to its recipient over its
    amount; a mark's is `System.ExtrinsicSuccess`.
    """

    @property
    def chain_id(self) -> str:
        """`tao:<genesis>`; known after the node has connected."""

    @acts
    async def prepare(
        self,
        account: str,
        call: bytes,
        purpose: LanePurpose,
        recipient: str,
        amount: int,
        die_by: int | None,
        max_fee: int,
    ) -> Claim:
        """A claim for a new lane. Errors as for `Rail.prepare`."""

    @acts
    async def resign(self, lane: Lane, call: bytes, die_by: int | None, max_fee: int) -> Replacement:
        """A fresh attempt in the lane. Errors as for `Rail.prepare`."""

    @acts
    async def filler(self, lane: Lane, max_fee: int) -> Replacement:
        """A `System.remark` in the lane's nonce that outbids what may be in the pool."""

    @acts
    async def broadcast(self, lane: Lane) -> None:
        """See `Rail.broadcast`."""

    @reads
    async def locate(self, lane: Lane) -> Sighting:
        """See `Rail.locate`."""
