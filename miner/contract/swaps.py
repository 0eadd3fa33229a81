"""Reading swaps: by id, the open ones of some miners, and how one ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog

from miner.contract.calls import UNKNOWN, CallFailed, Calls, gathered
from miner.contract.codec import ending_of, miner_of, swap_of
from miner.contract.scale import CodecError
from miner.errors import ReadFailed
from miner.model import Ending, Head, Swap

log = structlog.get_logger("miner.contract")

PAGE = 10
"""Swaps asked for in one call: what fits into ink!'s buffer of 16 KiB."""

WINDOW = 64
"""Ids read at a time by a scan, newest first."""

MAX_PAGES = 100
"""Pages of one miner's open swaps after which a list is taken for endless."""


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A swap whose data makes no sense.

    Attributes:
        swap_id: Its id.
        why: What does not decode.
        miner: Whose it is, where that can be told.
    """

    swap_id: int
    why: str
    miner: str | None = None


Read = Swap | Undecoded | None


class SwapReads:
    """Reads of the contract's swaps."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def next_id(self, at: Head) -> int:
        """The id the next swap will get."""
        return await self._calls.uint("get_next_swap_id", at.hash)

    async def outcome(self, swap_id: int, at: Head) -> Ending | None:
        """How an ended swap ended; None where the contract cannot tell."""
        if not self._calls.has("get_swap_outcome"):
            return None
        answer = await self._calls.ask("get_swap_outcome", {"swap_id": swap_id}, at.hash)
        try:
            return ending_of(answer.value)
        except CodecError as exc:
            raise CallFailed(f"outcome of swap {swap_id}", UNKNOWN, str(exc)) from exc

    async def by_id(self, ids: Sequence[int], at: Head) -> Mapping[int, Swap | None]:
        """Swaps by id; one that does not decode is missing, and logged."""
        read = await self._read(list(dict.fromkeys(ids)), at)
        return {swap_id: swap for swap_id, swap in read.items() if not isinstance(swap, Undecoded)}

    async def open_of(self, miners: Collection[str], at: Head, known: int) -> Sequence[Swap]:
        """Open swaps of miners by id, ascending; see `SwapContract.open_swaps`.

        Raises:
            ReadFailed: Nothing was learned; also where an id of a scan does not decode and may be theirs,
                so that a scan is never taken for complete.
        """
        if not miners:
            return []
        listed = self._calls.has("get_active_swaps")
        found = await (self._listed(miners, at) if listed else self._scanned(frozenset(miners), at, known))
        return sorted((s for s in found if s.is_open and s.miner in miners), key=lambda s: s.id)

    async def _listed(self, miners: Collection[str], at: Head) -> list[Swap]:
        lists = await gathered(self._list_of(miner, at) for miner in dict.fromkeys(miners))
        return list({swap.id: swap for swaps in lists for swap in swaps}.values())

    async def _list_of(self, miner: str, at: Head) -> list[Swap]:
        """Page until an empty one: a deployment may answer less than what is asked for."""
        found: list[Swap] = []
        offset = 0
        for _ in range(MAX_PAGES):
            args = {"miner": miner, "offset": offset, "limit": PAGE}
            page = (await self._calls.ask("get_active_swaps", args, at.hash, keep_bad_text=True)).value
            if not isinstance(page, list) or not page:
                return found
            read = [_decoded(None, value, at) for value in page]
            found += [swap for swap in read if isinstance(swap, Swap)]
            offset += len(page)
        raise ReadFailed(f"open swaps of {miner}", f"more than {MAX_PAGES} pages")

    async def _scanned(self, miners: frozenset[str], at: Head, known: int) -> list[Swap]:
        end = await self.next_id(at)
        if end - known > WINDOW and self._calls.has("get_miner_has_active_swap"):
            miners = await self._busy(miners, at)
        found: dict[int, Swap] = {}
        while known < end and miners and not self._all_found(miners, found):
            start = max(known, end - WINDOW)
            read = await self._read(range(start, end), at)
            for swap_id, swap in read.items():
                if isinstance(swap, Undecoded) and swap.miner in {None, *miners}:
                    raise ReadFailed(f"swap {swap_id} at {at.height}", swap.why)
                if isinstance(swap, Swap) and swap.miner in miners and swap.is_open:
                    found[swap_id] = swap
            end = start
        return list(found.values())

    async def _busy(self, miners: frozenset[str], at: Head) -> frozenset[str]:
        asked = sorted(miners)
        answers = await gathered(
            self._calls.ask("get_miner_has_active_swap", {"hotkey": miner}, at.hash) for miner in asked
        )
        return frozenset(miner for miner, answer in zip(asked, answers, strict=True) if answer.value)

    def _all_found(self, miners: frozenset[str], found: Mapping[int, Swap]) -> bool:
        """Without a settable maximum a miner has one open swap, so each one's newest is all."""
        served = {swap.miner for swap in found.values()}
        return miners <= served and not self._calls.has("get_max_active_swaps")

    async def _read(self, ids: Sequence[int], at: Head) -> dict[int, Read]:
        if not self._calls.has("get_swaps") or len(ids) == 1:
            return await self._singly(ids, at)
        chunks = [ids[i : i + PAGE] for i in range(0, len(ids), PAGE)]
        parts = await gathered(self._chunk(chunk, at) for chunk in chunks)
        return {swap_id: swap for part in parts for swap_id, swap in part.items()}

    async def _chunk(self, ids: Sequence[int], at: Head) -> dict[int, Read]:
        """One call; where its answer as a whole makes no sense, each id by itself."""
        try:
            answer = await self._calls.ask("get_swaps", {"ids": list(ids)}, at.hash, keep_bad_text=True)
        except CallFailed as exc:
            log.warning("swaps_read_singly", ids=list(ids), height=at.height, why=exc.cause)
            return await self._singly(ids, at)
        values = answer.value if isinstance(answer.value, list) and len(answer.value) <= len(ids) else []
        read = {swap_id: _decoded(swap_id, value, at) for swap_id, value in zip(ids, values, strict=False)}
        return read | await self._singly(ids[len(values) :], at)

    async def _singly(self, ids: Sequence[int], at: Head) -> dict[int, Read]:
        swaps = await gathered(self._one(swap_id, at) for swap_id in ids)
        return dict(zip(ids, swaps, strict=True))

    async def _one(self, swap_id: int, at: Head) -> Read:
        try:
            answer = await self._calls.ask("get_swap", {"swap_id": swap_id}, at.hash, keep_bad_text=True)
        except CallFailed as exc:
            return _not_decoded(Undecoded(swap_id, exc.cause), at)
        return _decoded(swap_id, answer.value, at)


def _decoded(swap_id: int | None, value: object, at: Head) -> Read:
    """A decoded `SwapData` as a swap; `swap_id` is what was asked for, None in a list."""
    if value is None:
        return None
    try:
        swap = swap_of(value)
    except CodecError as exc:
        told = value["id"] if swap_id is None and isinstance(value, dict) else swap_id
        return _not_decoded(Undecoded(told or 0, str(exc), miner_of(value)), at)
    if swap_id is not None and swap.id != swap_id:
        return _not_decoded(Undecoded(swap_id, f"the contract answered swap {swap.id}"), at)
    return swap


def _not_decoded(what: Undecoded, at: Head) -> Undecoded:
    log.warning(
        "swap_data_unreadable", swap_id=what.swap_id, miner=what.miner, height=at.height, why=what.why
    )
    return what
