"""Watch: take in finalised blocks, in order and without gaps, and store what they say with the cursor.

Nothing here judges or acts. A block is taken in when its parent is the one before; another parent at or
below the cursor is a finality violation. What cannot be read stops the cursor; a swap that cannot be
decoded is remembered and read again by the sweep, and stops nobody else.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from miner.amounts import Chain
from miner.errors import Discarded, ReadFailed
from miner.model import (
    BlockFacts,
    ContractEvent,
    Discovery,
    Ending,
    EndingKind,
    Head,
    Ingest,
    Lease,
    Observation,
    Swap,
    SwapStatus,
)
from miner.ports import Node, Store, SwapContract
from miner.verdict import slash_note

log = structlog.get_logger("watch")

CHUNK = 64
"""Blocks stored in one transaction while catching up."""
KEPT_HEADS = 256
"""Stored heads among which a common ancestor is looked for."""
SCAN_LIMIT = 512
"""Unseen swap ids that a sweep reads one by one; above that it asks for the miners' open swaps."""
STUCK_AFTER = 5
"""Failed attempts at the same block after which a gap is bridged, where a scan at the head can be made."""
SWEPT_AT_ONCE = 150
"""Open swaps that one sweep reads again; where there are more, the next sweep goes on with the others."""


class FinalityViolation(ReadFailed):
    """A finalised block has another hash than the one that was stored (law 4).

    Attributes:
        stored: The block as it was taken in.
        ancestor: Newest stored block that is still canonical; None when none of the stored ones is.
    """

    def __init__(self, stored: Head, ancestor: Head | None) -> None:
        super().__init__(f"block {stored.height}", f"{stored.hash} is not canonical any more")
        self.stored = stored
        self.ancestor = ancestor


@dataclass(slots=True)
class _Found:
    """What a chunk of blocks said, by swap id."""

    initiated: dict[int, BlockFacts] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)
    endings: dict[int, Ending] = field(default_factory=dict)
    reserved: dict[str, tuple[int, int]] = field(default_factory=dict)
    initiated_under: dict[int, tuple[int, int]] = field(default_factory=dict)


class Watcher:
    """Follows the contract for all our miners."""

    def __init__(self, node: Node, contract: SwapContract, store: Store, miners: Collection[str]) -> None:
        self._node = node
        self._contract = contract
        self._store = store
        self._miners = frozenset(miners)
        self._unreadable: set[int] = set()
        self._swept_to = 0
        self._stuck: tuple[int, int] = (0, 0)

    async def catch_up(self, finalised: Head, lease: Lease) -> int:
        """Take in every block up to the finalised head.

        A gap whose blocks no endpoint keeps, or that cannot be read again and again, is bridged by a state
        scan at the head: what ended meanwhile ended in a way that only the contract's outcomes can tell.

        Returns:
            How many blocks were taken in.

        Raises:
            FinalityViolation: A stored block is not canonical any more; nothing was stored.
            ReadFailed: A block could not be read; those before it are stored.
        """
        cursor = await self._store.cursor()
        if cursor is None:
            await self._begin(finalised, lease)
            return 1
        if finalised.height <= cursor.height:
            await self._same_chain(cursor, finalised)
            return 0
        taken = 0
        while cursor.height < finalised.height:
            top = min(cursor.height + CHUNK, finalised.height)
            heads = await self._heads(cursor, top, finalised)
            try:
                blocks = await self._blocks(cursor, heads)
            except FinalityViolation:
                raise
            except ReadFailed as failed:
                if not self._hopeless(cursor, failed):
                    raise
                await self._bridge(cursor, finalised, lease, failed)
                return taken + finalised.height - cursor.height
            await self._take_in(cursor, blocks, lease)
            taken += len(blocks)
            cursor = blocks[-1].head
        return taken

    async def _begin(self, finalised: Head, lease: Lease) -> None:
        """First start: everything open now is found by a state scan, and events follow from here.

        A TAO payout of such a swap may have been signed by a store that was lost, and its bytes may still
        land: the new store is in doubt from the start. A Bitcoin wallet tells what it has sent.
        """
        found, seen = await self._scan(finalised, known=0)
        found = [each for each in found if each.ending is None]  # what ended before is another's story
        if any(_may_be_on_its_way(each.swap) for each in found):
            await self._store.begin_doubt("watch", "it is new, and the contract has older open swaps")
        await self._store.ingest(Ingest(None, (finalised,), tuple(found)), lease)
        await self._store.set_first_unseen_id(seen)
        log.info("watch_began", height=finalised.height, open_swaps=len(found))

    def _hopeless(self, cursor: Head, failed: ReadFailed) -> bool:
        """Whether asking for the blocks after the cursor again is of no use."""
        height, times = self._stuck
        self._stuck = (cursor.height, times + 1 if height == cursor.height else 1)
        return isinstance(failed, Discarded) or self._stuck[1] >= STUCK_AFTER

    async def _bridge(self, cursor: Head, finalised: Head, lease: Lease, why: ReadFailed) -> None:
        """Go on from the finalised head: its state tells every open swap, and which ones are gone."""
        on_chain = await self._node.hash_at(cursor.height)
        if on_chain is None:
            raise why
        if on_chain != cursor.hash:
            raise FinalityViolation(cursor, await self._ancestor())
        found, seen = await self._scan(finalised, await self._store.first_unseen_id())
        changed = await self._changed(finalised, everyone=True)
        await self._store.ingest(Ingest(cursor, (finalised,), tuple(found), tuple(changed)), lease)
        await self._store.set_first_unseen_id(seen)
        log.error(
            "gap_bridged",
            after=cursor.height,
            to=finalised.height,
            new=len(found),
            changed=len(changed),
            cause=str(why),
            remedy="name an archive endpoint, so that events of a gap are read",
        )

    async def _same_chain(self, cursor: Head, finalised: Head) -> None:
        """An endpoint that lags is compared where it is final: above that its best chain proves nothing."""
        if finalised.height == cursor.height:
            stored = cursor.hash
        else:
            heads = await self._store.recent_heads(KEPT_HEADS)
            stored = next((h.hash for h in heads if h.height == finalised.height), finalised.hash)
        if finalised.hash != stored:
            raise FinalityViolation(Head(finalised.height, stored), await self._ancestor())

    async def _ancestor(self) -> Head | None:
        for head in await self._store.recent_heads(KEPT_HEADS):
            if await self._node.hash_at(head.height) == head.hash:
                return head
        return None

    async def _heads(self, cursor: Head, top: int, finalised: Head) -> list[Head]:
        heights = range(cursor.height + 1, top + 1)
        return [finalised if h == finalised.height else await self._head(h) for h in heights]

    async def _blocks(self, cursor: Head, heads: Sequence[Head]) -> list[BlockFacts]:
        """Facts of the blocks after the cursor, each the child of the one before."""
        facts: list[BlockFacts] = []
        for start in range(0, len(heads), 8):
            facts += await asyncio.gather(*(self._contract.facts(h) for h in heads[start : start + 8]))
        previous = cursor
        for block in facts:
            if block.parent_hash != previous.hash:
                if previous is cursor and await self._node.hash_at(cursor.height) not in (cursor.hash, None):
                    raise FinalityViolation(cursor, await self._ancestor())
                raise ReadFailed(f"block {block.head.height}", "its parent is not the block before")
            previous = block.head
        return facts

    async def _head(self, height: int) -> Head:
        block_hash = await self._node.hash_at(height)
        if block_hash is None:
            raise ReadFailed(f"hash of block {height}", "the node has no such block")
        return Head(height, block_hash)

    async def _take_in(self, cursor: Head, blocks: Sequence[BlockFacts], lease: Lease) -> None:
        found = _Found()
        for block in blocks:
            for event in block.events:
                await self._note(event, block, found)
        head = blocks[-1].head
        known = await self._store.known(found.changed | set(found.endings) | set(found.initiated))
        found.changed |= found.initiated.keys() & known.keys()  # again, where a block was replaced
        discoveries, swaps = await self._read(found, known, head)
        observations = [
            Observation(i, swaps.get(i), found.endings.get(i), slash_note(found.endings.get(i)))
            for i in sorted(known.keys() & (found.changed | set(found.endings)))
        ]
        batch = Ingest(
            cursor,
            tuple(b.head for b in blocks),
            tuple(discoveries),
            tuple(observations),
            found.reserved,
        )
        new = await self._store.ingest(batch, lease)
        for swap_id in new:
            log.info("swap_assigned", swap_id=swap_id, height=head.height)

    async def _note(self, event: ContractEvent, block: BlockFacts, found: _Found) -> None:
        """Sort one event in; events of other people's swaps are dropped here."""
        swap_id = event.args.get("swap_id")
        ours = event.args.get("miner") in self._miners
        match event.name:
            case "MinerReserved" if ours:
                found.reserved[str(event.args["miner"])] = (block.head.height, block.time_ms)
            case "SwapInitiated" if ours and isinstance(swap_id, int):
                found.initiated[swap_id] = block
                under = found.reserved.get(str(event.args["miner"]))
                under = under or await self._store.reserved_at(str(event.args["miner"]))
                if under is not None:
                    found.initiated_under[swap_id] = under
            case "SwapFulfilled" | "SwapTimeoutExtended" if isinstance(swap_id, int):
                if ours or "miner" not in event.args:
                    found.changed.add(swap_id)
            case "SwapCompleted" if ours and isinstance(swap_id, int):
                fee = int(str(event.args.get("fee_amount", 0)))
                found.endings[swap_id] = Ending(EndingKind.COMPLETED, block.head.height, fee_amount=fee)
            case "SwapTimedOut" if ours and isinstance(swap_id, int):
                slash = int(str(event.args.get("slash_amount", 0)))
                found.endings[swap_id] = Ending(EndingKind.TIMED_OUT, block.head.height, slash_amount=slash)
            case "Undecodable":
                log.warning("event_does_not_decode", height=block.head.height, index=event.index)
            case _:
                pass

    async def _read(
        self, found: _Found, known: Mapping[int, object], head: Head
    ) -> tuple[list[Discovery], dict[int, Swap]]:
        """The swaps that are new or changed, in one read at the newest block."""
        new = [i for i in found.initiated if i not in known]
        live = [i for i in {*new, *(found.changed & known.keys())} if i not in found.endings]
        swaps: dict[int, Swap] = {}
        if live:
            answer = await self._contract.swaps(sorted(live), head)
            swaps = {i: s for i, s in answer.items() if s is not None}
            self._remember_unreadable([i for i in live if i not in answer])
        discoveries = []
        for swap_id in new:
            swap = swaps.get(swap_id) or await self._at_birth(swap_id, found.initiated[swap_id].head)
            if swap is not None:
                block, at_ms = found.initiated_under.get(swap_id, (None, None))
                discoveries.append(Discovery(swap, block, at_ms, found.endings.get(swap_id)))
        return discoveries, swaps

    async def _at_birth(self, swap_id: int, born: Head) -> Swap | None:
        """A swap that had ended again by the newest block, as it was when it began."""
        answer = await self._contract.swaps([swap_id], born)
        if swap_id not in answer:
            self._remember_unreadable([swap_id])
        return answer.get(swap_id)

    def _remember_unreadable(self, ids: Collection[int]) -> None:
        for swap_id in set(ids) - self._unreadable:
            log.error("swap_does_not_decode", swap_id=swap_id, remedy="read again at each sweep")
        self._unreadable |= set(ids)

    # the state sweep

    async def sweep(self, head: Head, lease: Lease) -> int:
        """Find by state what events did not tell: unseen swaps, and open ones that changed or are gone.

        Args:
            head: The cursor, which the reads are made at.
            lease: The `watch` lease.

        Returns:
            How many swaps were new or had changed.
        """
        known = await self._store.first_unseen_id()
        discoveries, seen = await self._scan(head, known)
        observations = await self._changed(head)
        if discoveries or observations:
            await self._store.ingest(Ingest(head, (), tuple(discoveries), tuple(observations)), lease)
            log.info("sweep_found", new=len(discoveries), changed=len(observations), height=head.height)
        if seen != known:
            await self._store.set_first_unseen_id(seen)
        return len(discoveries) + len(observations)

    async def _scan(self, head: Head, known: int) -> tuple[list[Discovery], int]:
        """Our swaps without a saga, and up to which id that is all: to be remembered once they are stored."""
        end = await self._contract.next_swap_id(head)
        if end - known <= SCAN_LIMIT:
            answer = await self._contract.swaps(range(known, end), head) if end > known else {}
            missing = [i for i in range(known, end) if i not in answer]
            swaps: Sequence[Swap] = [s for s in answer.values() if s is not None]
        else:
            swaps = await self._contract.open_swaps(self._miners, head, known)
            missing = []
        self._remember_unreadable(missing)
        ours = [s for s in swaps if s.miner in self._miners]
        seen = await self._store.known([s.id for s in ours])
        found = []
        for swap in ours:
            if swap.id not in seen:
                block, at_ms = await self._store.reserved_at(swap.miner) or (None, None)
                found.append(Discovery(swap, block, at_ms, _told_by(swap, head)))
        return found, min(missing, default=end)

    async def _changed(self, head: Head, everyone: bool = False) -> list[Observation]:
        sagas = {s.key.swap_id: s for s in await self._store.open_sagas() if s.ending is None}
        due = sorted(i for i, s in sagas.items() if not s.state.ended)
        due = due if everyone else sweeps_share(due, self._swept_to)
        if not due:
            return []
        answer = await self._contract.swaps(due, head)
        changed = []
        for swap_id, swap in answer.items():
            if swap is None and swap_id >= await self._contract.next_swap_id(head):
                continue  # not born on this chain (again): the block that began it was replaced
            ending = await self._ending(swap_id, swap, head)
            if ending is not None:
                changed.append(Observation(swap_id, swap, ending, slash_note(ending)))
            elif swap is not None and swap != sagas[swap_id].swap:
                changed.append(Observation(swap_id, swap))
        self._swept_to = due[-1]
        return changed

    async def _ending(self, swap_id: int, swap: Swap | None, head: Head) -> Ending | None:
        """How a swap ended; None where it has not, or could not be read: the next sweep asks again."""
        if swap is not None:
            return _told_by(swap, head)
        try:
            told = await self._contract.outcome(swap_id, head)
        except ReadFailed as failed:
            log.warning("outcome_not_read", swap_id=swap_id, cause=str(failed))
            return None
        return told or Ending(EndingKind.UNKNOWN, head.height)


def sweeps_share(ids: list[int], swept_to: int) -> list[int]:
    """What one sweep reads of open swaps by ascending id: all, or those after the last one that was read."""
    if len(ids) <= SWEPT_AT_ONCE:
        return ids
    start = bisect_right(ids, swept_to)
    return [*ids[start:], *ids[:start]][:SWEPT_AT_ONCE]


def _may_be_on_its_way(swap: Swap) -> bool:
    """Whether a payout that somebody signed before may still land unseen."""
    return swap.status is SwapStatus.ACTIVE and swap.dest_chain != Chain.BTC


def _told_by(swap: Swap, head: Head) -> Ending | None:
    """How a swap ended that the contract still holds; None while it is open."""
    kinds = {SwapStatus.COMPLETED: EndingKind.COMPLETED, SwapStatus.TIMED_OUT: EndingKind.TIMED_OUT}
    if swap.status not in kinds:
        return None
    block = swap.completed_block or head.height
    return Ending(kinds[swap.status], block, dest_tx_hash=swap.dest_tx_hash or None)
