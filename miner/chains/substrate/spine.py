"""The best chain by height: every hash linked to the one above it, down from one pair of heads.

A look at many lanes takes all its blocks from one such chain, and each body is read once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from miner.chains.substrate.node import SubstrateNode
from miner.errors import ReadFailed
from miner.model import Head
from miner.ports import Heads

HASHES_KEPT = 4096
LINK_BLOCKS = 32
"""How far below the finalised head a link to what was known before is looked for."""


class Spine:
    """The chain that ends in one pair of heads; it does not change when the heads move on.

    Attributes:
        heads: The heads.
    """

    def __init__(self, node: SubstrateNode, heads: Heads, hashes: Mapping[int, str]) -> None:
        self.heads = heads
        self._node = node
        self._hashes = dict(hashes)

    @property
    def known(self) -> Mapping[int, str]:
        """The hashes linked so far."""
        return self._hashes

    async def hash(self, height: int) -> str:
        """Hash of the block at a height, at or below the best head.

        Raises:
            ReadFailed: It could not be read.
        """
        if height not in self._hashes:
            above = self._hashes.get(height + 1)
            if above is not None:
                self._hashes[height] = (await self._node.blocks.body(above)).parent
            else:
                self._hashes[height] = await self._node.finalised_hash(height)
        return self._hashes[height]


class Spines:
    """Grows the spine with the heads."""

    def __init__(self, node: SubstrateNode) -> None:
        self._node = node
        self._newest: Spine | None = None
        self._lock = asyncio.Lock()

    def forget(self) -> None:
        """A block did not read: a hash may not be true. All are read again, down from the heads."""
        self._newest = None
        self._node.forget_hashes()

    async def at_heads(self) -> Spine:
        """The spine of the heads as last heard; shared by all who ask meanwhile.

        Raises:
            ReadFailed: A block is missing, or the best head does not descend from the finalised one.
        """
        async with self._lock:
            heads = await self._node.heads()
            if self._newest is None or self._newest.heads != heads:
                known = self._newest.known if self._newest is not None else {}
                self._newest = None
                self._newest = await self._grow(heads, known)
            return self._newest

    async def _grow(self, heads: Heads, known: Mapping[int, str]) -> Spine:
        for start in (known, {}):
            linked = await self._link(heads, start)
            if linked.get(heads.finalised.height) == heads.finalised.hash:
                newest = sorted(linked)[-HASHES_KEPT:]
                return Spine(self._node, heads, {height: linked[height] for height in newest})
        raise ReadFailed(f"the chain above block {heads.finalised.height}", "the best head is on another one")

    async def _link(self, heads: Heads, known: Mapping[int, str]) -> Mapping[int, str]:
        """Hashes from the best head down to a known one, or to the finalised head where none is near."""
        fresh: dict[int, str] = {}
        head = heads.best
        lowest = heads.finalised.height - (LINK_BLOCKS if known else 0)
        while head.height >= max(lowest, 0) and known.get(head.height) != head.hash:
            fresh[head.height] = head.hash
            if head.height == max(lowest, 0):
                return fresh
            head = Head(head.height - 1, (await self._node.blocks.body(head.hash)).parent)
        return {height: known[height] for height in known if height <= head.height} | fresh
