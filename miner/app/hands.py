"""What the daemon does for its ops server: dry runs over its connections, rebuilds under its lease."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from miner.app.wiring import Outside, make_desk
from miner.config import CheckLine, Settings, each_problem, read, settings_lines
from miner.errors import ConfigError, LeaseLost, ReadFailed
from miner.lease import WATCH
from miner.model import Asked, Audit, Outcome
from miner.ports import Store
from miner.recover import Recoverer


class DaemonHands:
    """See `miner.ops.hands.Hands`.

    Args:
        settings: The daemon's.
        store: The daemon's own, which holds its leases.
        reader: The ops server's store, for what only reads.
    """

    def __init__(self, settings: Settings, store: Store, reader: Store) -> None:
        self._settings = settings
        self._store = store
        self._reader = reader
        self.outside: Outside | None = None

    async def look(self, asked: Asked) -> Outcome:
        """See `Hands.look`."""
        outside = self.outside
        if outside is None:
            raise ReadFailed("the contract's chain", "the daemon has not connected yet")
        heads = await outside.node.heads()
        return await Recoverer(make_desk(self._settings, self._reader, outside)).look(asked, heads)

    async def rebuild(self, swap_id: int, actor: str) -> Audit:
        """See `Hands.rebuild`. A lease that is not ours is not taken for it."""
        held = [lease for lease in await self._store.leases() if lease.resource == WATCH]
        if not held or held[0].owner != self._store.owner:
            raise LeaseLost(WATCH, held[0].owner if held else None, held[0].expires_at_ms if held else None)
        return await self._store.reproject(swap_id, await self._store.acquire(WATCH), actor)

    async def validate(self, text: str, files: bool) -> tuple[bool, list[Mapping[str, Any]]]:
        """See `Hands.validate`. Relative paths begin at the daemon's working folder."""
        return await asyncio.to_thread(_validated, text, files)


def _validated(text: str, files: bool) -> tuple[bool, list[Mapping[str, Any]]]:
    try:
        found = read(text, Path("posted.toml"), files)
    except ConfigError as error:
        problems = [CheckLine(each.where, False, each.problem, each.remedy) for each in each_problem(error)]
        return False, [_plain(line) for line in problems]
    return True, [_plain(line) for line in settings_lines(found)]


def _plain(line: CheckLine) -> Mapping[str, Any]:
    return {"name": line.name, "ok": line.ok, "detail": line.detail, "remedy": line.remedy}
