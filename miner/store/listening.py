"""LISTEN: what another process tells of the store, at once."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from psycopg import sql

from miner.store import postgresql
from miner.store.news import CHANNEL, POLL_S
from miner.store.server import Server


class Listener:
    """A session of its own that listens. Where it breaks, that is news as well: something may be missed."""

    def __init__(self, server: Server, owner: str) -> None:
        self._server = server
        self._owner = owner
        self._session: psycopg.AsyncConnection[Any] | None = None

    async def wait(self) -> None:
        """See `News.wait`."""
        try:
            if self._session is None:
                await self._listen()
                return
            while True:
                heard = [note.payload async for note in self._session.notifies(stop_after=1)]
                if set(heard) != {self._owner}:
                    return
        except (psycopg.Error, OSError):
            await self.close()
            await asyncio.sleep(POLL_S)

    async def _listen(self) -> None:
        server = self._server
        told = postgresql.parameters(server.place, server.busy_timeout_s, server.password)
        session = await psycopg.AsyncConnection.connect(**told, autocommit=True)
        try:
            row = await (await session.execute(f"SELECT {CHANNEL}".encode())).fetchone()
            await session.execute(sql.SQL("LISTEN {}").format(sql.Identifier(str(row and row[0]))))
        except BaseException:
            await session.close()
            raise
        self._session = session

    async def close(self) -> None:
        """See `News.close`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
