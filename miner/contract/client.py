"""The swap contract as the services know it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from miner.contract.affairs import ContractAffairs
from miner.contract.calls import Calls, ErrorName
from miner.contract.codec import event_of
from miner.contract.marks import Marks
from miner.contract.metadata import Metadata
from miner.contract.scale import CodecError
from miner.contract.swaps import SwapReads
from miner.contract.terms import TermsReads
from miner.errors import ConfigError
from miner.model import BlockFacts, Claim, Ending, Head, Lane, Mark, Replacement, Sighting, Swap, Terms
from miner.ports import CallLanes, Commitments, Judgement, Substrate, SwapContract


class Contract(SwapContract):
    """`SwapContract` over a substrate node.

    Attributes:
        address: The contract's, SS58 (prefix 42).
        affairs: The miners' own business with it.
    """

    def __init__(
        self,
        substrate: Substrate,
        lanes: CallLanes,
        metadata: Metadata,
        address: str,
        *,
        mark_fee: int = 5_000_000,
        error_name: ErrorName | None = None,
        concurrency: int = 8,
        keep_terms_blocks: int = 300,
        commitments: Commitments | None = None,
    ) -> None:
        """Nothing is asked of the node yet; see `check_code`.

        Args:
            substrate: The node.
            lanes: Nonce lanes of the miners' hotkeys.
            metadata: The contract's, checked (`miner.contract.load`).
            address: The contract's, SS58 (prefix 42).
            mark_fee: Most that a mark's network fee may be, rao.
            error_name: Names pallet errors in what is told to people.
            concurrency: Most requests under way at once.
            keep_terms_blocks: Blocks after which the settings are read again without an event.
            commitments: Where the miners' quotes are; None where this chain's are not known.

        Raises:
            ConfigError: The address is none.
        """
        self.address = address
        self._substrate = substrate
        self._lanes = lanes
        self._metadata = metadata
        try:
            calls = Calls(substrate, metadata, address, error_name, concurrency)
        except CodecError as exc:
            raise ConfigError("contract.address", str(exc), "Give the contract's SS58 address") from exc
        self._swaps = SwapReads(calls)
        self._terms = TermsReads(calls, substrate, address, keep_terms_blocks)
        self.affairs = ContractAffairs(calls, substrate, lanes, address, mark_fee, commitments)
        self._marks = Marks(calls, self._terms, substrate, lanes, address, mark_fee)

    @property
    def genesis(self) -> str:
        """Genesis hash of the chain it is on."""
        return self._substrate.genesis

    async def facts(self, head: Head) -> BlockFacts:
        """See `SwapContract`. An event that does not decode is there as `Undecodable`, with its raw hex."""
        raw = await self._substrate.raw_block(head)
        ours = (event for event in raw.events if event.contract == self.address)
        events = tuple(event_of(self._metadata, event, raw.head) for event in ours)
        self._terms.note(events)
        self._marks.note(raw.head)
        return BlockFacts(raw.head, raw.parent_hash, raw.time_ms, events)

    async def swaps(self, ids: Sequence[int], at: Head) -> Mapping[int, Swap | None]:
        """See `SwapContract`; a call for ten swaps where the metadata has `get_swaps`, else one for each."""
        return await self._swaps.by_id(ids, at)

    async def open_swaps(self, miners: Collection[str], at: Head, known: int) -> Sequence[Swap]:
        """See `SwapContract`; ascending by id."""
        return await self._swaps.open_of(miners, at, known)

    async def next_swap_id(self, at: Head) -> int:
        """See `SwapContract`."""
        return await self._swaps.next_id(at)

    async def outcome(self, swap_id: int, at: Head) -> Ending | None:
        """See `SwapContract`."""
        return await self._swaps.outcome(swap_id, at)

    async def terms(self, at: Head) -> Terms:
        """See `SwapContract`; five reads at first, then none until `ConfigUpdated` or old age.

        The code hash is as old as the settings; `code_hash` reads it anew.
        """
        return await self._terms.terms(at)

    async def code_hash(self, at: Head) -> str:
        """See `SwapContract`; one read, none where that block's was read before."""
        return await self._terms.code_hash(at)

    async def check_code(self, at: Head) -> str:
        """The code hash, at start.

        Raises:
            ConfigError: The address has no code on this chain.
            ReadFailed: Nothing was learned.
        """
        return await self._terms.check_code(at)

    async def try_mark(self, mark: Mark, at: Head) -> None:
        """See `SwapContract`."""
        await self._marks.dry_run(mark, at)

    async def prepare_mark(self, mark: Mark) -> Claim:
        """See `SwapContract`; a dry run only where none was made since the code is known.

        Raises:
            Refused: The contract's named error in that dry run, or see `CallLanes.prepare`.
            ReadFailed: Nothing was learned.
        """
        return await self._marks.prepare(mark)

    async def resign_mark(self, lane: Lane, mark: Mark) -> Replacement:
        """See `SwapContract`; errors as for `prepare_mark`."""
        return await self._marks.resign(lane, mark)

    async def fill_mark(self, lane: Lane) -> Replacement:
        """See `SwapContract`; errors as for `CallLanes.filler`."""
        return await self._marks.fill(lane)

    async def why_failed(self, lane: Lane, mark: Mark) -> Judgement:
        """See `SwapContract`; never raises what a node can cause: no answer is `RPC_FAILURE`."""
        return await self._marks.why_failed(lane, mark)

    async def broadcast(self, lane: Lane) -> None:
        """See `SwapContract`."""
        await self._lanes.broadcast(lane)

    async def locate(self, lane: Lane) -> Sighting:
        """See `SwapContract`."""
        return await self._lanes.locate(lane)
