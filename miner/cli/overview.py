"""What `status` tells: the same as the ops server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from miner.cli.gateway import wiring
from miner.ops import overview as found

if TYPE_CHECKING:
    from miner.ports import Store


async def overview(store: Store) -> Mapping[str, Any]:
    """Counts, the nearest deadline, what is paused or stopped, who works, what waits to be told."""
    return await found.overview(store, await wiring().accounts(store), await wiring().leases(store))
