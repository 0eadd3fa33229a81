"""A glance at the node that all lanes share: has anything changed since a lane was looked at?

What a look at a lane shows follows from the best block and from who holds its anchor in the mempool. Both
are read for all lanes together, and while they are as they were, so is what the look showed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from miner.chains.bitcoin.node import Node
from miner.chains.bitcoin.transactions import Outpoint
from miner.model import Sighting
from miner.ports import Clock

_KEPT: Final = 1024
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Glance:
    """What stands at one moment.

    Attributes:
        best: Hash of the best block.
        holder: Who spends the anchor in the mempool, if anyone.
    """

    best: str
    holder: str | None


@dataclass(slots=True)
class _Shared:
    best: str
    holders: Mapping[Outpoint, str]
    covers: frozenset[Outpoint]
    read_s: float
    told_to: set[Outpoint] = field(default_factory=set)


class Glances:
    """Reads glances, and keeps what the looks at them showed.

    Args:
        node: The node.
        clock: For the age of a glance.
        ttl_s: How long a glance is believed.
    """

    def __init__(self, node: Node, clock: Clock, ttl_s: float) -> None:
        self._node = node
        self._clock = clock
        self._ttl_s = ttl_s
        self._anchors: dict[Outpoint, None] = {}
        self._newest: _Shared | None = None
        self._seen: dict[Hashable, tuple[Glance, Sighting]] = {}
        self._reading = asyncio.Lock()

    def expect(self, anchor: Outpoint) -> None:
        """From now on this anchor is read with all others."""
        _keep(self._anchors, anchor, None)

    async def at(self, anchor: Outpoint) -> Glance:
        """How it stands with an anchor; read anew for one that was told it before.

        Raises:
            ReadFailed: Nothing was learned.
        """
        async with self._reading:
            shared = self._newest
            if shared is None or not self._serves(shared, anchor):
                self.expect(anchor)
                shared = self._newest = await self._read()
            shared.told_to.add(anchor)
            return Glance(shared.best, shared.holders.get(anchor))

    def _serves(self, shared: _Shared, anchor: Outpoint) -> bool:
        fresh = self._clock.monotonic() - shared.read_s <= self._ttl_s
        return fresh and anchor in shared.covers and anchor not in shared.told_to

    async def _read(self) -> _Shared:
        asked_s, anchors = self._clock.monotonic(), frozenset(self._anchors)
        holders = await self._node.pool_spenders(sorted(anchors, key=str))
        return _Shared(await self._node.best_hash(), holders, anchors, asked_s)

    def shown(self, key: Hashable, glance: Glance) -> Sighting | None:
        """What a look showed when it stood as it does."""
        kept = self._seen.get(key)
        return kept[1] if kept is not None and kept[0] == glance else None

    def keep(self, key: Hashable, glance: Glance, sighting: Sighting) -> None:
        """Keep what a look showed, unless a block came meanwhile."""
        if sighting.at.hash == glance.best:
            _keep(self._seen, key, (glance, sighting))


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    kept.pop(key, None)
    while len(kept) >= _KEPT:
        del kept[next(iter(kept))]
    kept[key] = value
