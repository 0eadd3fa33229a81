"""Hearing that another process changed the store: told by PostgreSQL, looked for on SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from sqlalchemy import Connection

from miner.errors import StoreError

POLL_S = 1.0
"""How often a SQLite file is asked whether somebody wrote; and how long to wait before listening again."""
CHANNEL = "'swap_miner_' || hashtext(current_schema())"
"""SQL for the store's own channel: a database may hold several stores."""


class News(Protocol):
    """Waits for what others did."""

    async def wait(self) -> None:
        """Return when another process may have changed something since the last call returned."""

    async def close(self) -> None:
        """Let go; idempotent."""


class Poll:
    """SQLite tells by a number that another connection has written."""

    def __init__(self, others_wrote: Callable[[], Awaitable[int]], every_s: float = POLL_S) -> None:
        self._others_wrote = others_wrote
        self._every_s = every_s
        self._known: int | None = None

    async def wait(self) -> None:
        """See `News.wait`."""
        while True:
            with suppress(StoreError):
                found = await self._others_wrote()
                before, self._known = self._known, found
                if before not in (None, found):
                    return
            await asyncio.sleep(self._every_s)

    async def close(self) -> None:
        """See `News.close`."""


def tell(conn: Connection, owner: str) -> None:
    """Tell the other processes when the transaction commits; on SQLite they look by themselves."""
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql(f"SELECT pg_notify({CHANNEL}, %s)", (owner,))
