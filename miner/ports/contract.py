"""The swap contract, and a miner's own business with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from miner.boundary import acts, reads
from miner.model import (
    Affair,
    BlockFacts,
    Claim,
    Commitment,
    Ending,
    Head,
    Lane,
    Mark,
    MinerStanding,
    Replacement,
    Sighting,
    Swap,
    Terms,
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why a finalised mark did not take effect.

    Attributes:
        name: The contract error's name from the metadata, or a transient one (`CALL_FAILED`,
            `INSUFFICIENT_BALANCE`, `RPC_FAILURE`, `UNKNOWN`).
        terminal: Whether the contract itself said it, by a named error.
    """

    name: str
    terminal: bool


class SwapContract(Protocol):
    """Reads of the swap contract, and its marks. All reads are at the block they name."""

    address: str

    @property
    def genesis(self) -> str:
        """Genesis hash of the chain it is on; see `Node.genesis`."""

    @reads
    async def facts(self, head: Head) -> BlockFacts:
        """The contract's events, time and parent of one block."""

    @reads
    async def swaps(self, ids: Sequence[int], at: Head) -> Mapping[int, Swap | None]:
        """Swaps by id; None for one the contract does not hold. One read where the metadata allows.

        An id whose data does not decode is missing from the mapping: nothing was learned of it.
        """

    @reads
    async def open_swaps(self, miners: Collection[str], at: Head, known: int) -> Sequence[Swap]:
        """Open swaps of these miners, found without events.

        By `get_active_swaps` where the metadata has it, else by reading every id from `known` (first id
        not yet looked at) to `get_next_swap_id`.
        """

    @reads
    async def next_swap_id(self, at: Head) -> int:
        """The id that the next swap will get."""

    @reads
    async def outcome(self, swap_id: int, at: Head) -> Ending | None:
        """How an ended swap ended; None where the contract cannot tell."""

    @reads
    async def terms(self, at: Head) -> Terms:
        """The contract's settings and code hash; cached by code and setting events where possible."""

    @reads
    async def code_hash(self, at: Head) -> str:
        """Hash of the contract's code at a block, read now; `0x` + 64 hex.

        Raises:
            Refused: `no_code`: there is no contract at the address.
        """

    @reads
    async def try_mark(self, mark: Mark, at: Head) -> None:
        """Dry-run a mark.

        Raises:
            Refused: The contract's named error.
            ReadFailed: Anything else, an unknown variant included.
        """

    @acts
    async def prepare_mark(self, mark: Mark) -> Claim:
        """A claim for a mark lane on the miner's hotkey."""

    @acts
    async def resign_mark(self, lane: Lane, mark: Mark) -> Replacement:
        """The same mark again in its lane, with a fresh era."""

    @acts
    async def fill_mark(self, lane: Lane) -> Replacement:
        """A filler in a mark's lane whose swap has ended, since its nonce would block the next mark."""

    @reads
    async def why_failed(self, lane: Lane, mark: Mark) -> Judgement:
        """Why a finalised mark reverted, by a dry run against its block's parent."""

    @acts
    async def broadcast(self, lane: Lane) -> None:
        """Send the lane's newest attempt again. See `Rail.broadcast`."""

    @reads
    async def locate(self, lane: Lane) -> Sighting:
        """Look for the lane's attempts. See `Rail.locate`."""


class Affairs(Protocol):
    """A miner's own business, which no swap owns: collateral, being active, and its quote."""

    @reads
    async def standing(self, miner: str, at: Head) -> MinerStanding:
        """How a miner stands with the contract at a block; None for what this contract does not tell."""

    @reads
    async def committed(self, miner: str, at: Head) -> Commitment | None:
        """What a miner has committed as its quote, at a block; None where it has nothing.

        Raises:
            Refused: `no_commitments`: this chain holds no quotes; `no_netuid`: no subnet is set.
            ReadFailed: Nothing was learned.
        """

    @reads
    async def try_affair(self, affair: Affair, at: Head) -> None:
        """Dry-run a call; a quote's only as far as that there is such a call.

        Raises:
            Refused: The contract's named error; `no_such_message` where it has no such message; as for
                `committed`.
            ReadFailed: Anything else, an unknown variant included.
        """

    @acts
    async def prepare_affair(self, affair: Affair, at: Head) -> Claim:
        """A claim for a lane on the miner's hotkey, its gas measured at a block.

        Raises:
            Refused: As for `try_affair`; or see `CallLanes.prepare`.
            ReadFailed: Nothing was learned.
        """
