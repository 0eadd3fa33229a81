"""A TCP proxy before a PostgreSQL server that cuts or hangs connections, at COMMIT or at any time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import StrEnum
from typing import Self

COMMIT = b"COMMIT"
CHUNK = 65_536
LATE_S = 0.5


class Cut(StrEnum):
    """What becomes of the next COMMIT."""

    BEFORE = "before the server has it"
    AFTER = "after the server has done it"
    LATE = "the server has it after the client was cut off"


class PgProxy:
    """Listens on a loopback port of its own.

    Attributes:
        port: Where it listens.
        cut: What becomes of the next COMMIT of any connection; None: nothing.
        cuts: COMMITs that were cut.
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self.cut: Cut | None = None
        self.after_word = b""
        """Only a COMMIT of a transaction that had this in a statement is cut."""
        self.cuts = 0
        self._passes = asyncio.Event()
        self._passes.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._server is not None
        self._server.close()
        self.disconnect()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def disconnect(self) -> None:
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.CancelledError):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
            self._writers |= {writer, up_writer}
            try:
                mute = asyncio.Event()
                ways = (self._up(reader, up_writer, writer, mute), self._down(up_reader, writer, mute))
                await _first_of(*(asyncio.create_task(way) for way in ways))
            finally:
                for each_writer in (writer, up_writer):
                    each_writer.transport.abort()
                    self._writers.discard(each_writer)
        self._tasks.discard(task)

    async def _up(
        self,
        reader: asyncio.StreamReader,
        up: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        mute: asyncio.Event,
    ) -> None:
        heard = b""
        while data := await reader.read(CHUNK):
            await self._wait()
            heard += data
            if COMMIT in data and (kind := self._cuts_now(heard)) is not None:
                if kind is Cut.BEFORE:
                    return
                mute.set()
                if kind is Cut.LATE:
                    client.transport.abort()
                    await asyncio.sleep(LATE_S)
                up.write(data)
                await up.drain()
                await asyncio.Event().wait()  # until the server has answered
            if COMMIT in data:
                heard = b""
            up.write(data)
            await up.drain()

    def _cuts_now(self, heard: bytes) -> Cut | None:
        if self.cut is None or self.after_word not in heard:
            return None
        kind, self.cut = self.cut, None
        self.cuts += 1
        return kind

    async def _down(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, mute: asyncio.Event
    ) -> None:
        while data := await reader.read(CHUNK):
            await self._wait()
            if mute.is_set():
                return
            client.write(data)
            await client.drain()

    def hang(self) -> None:
        """From now on nothing passes, and nobody is told."""
        self._passes.clear()

    def go_on(self) -> None:
        """End `hang`."""
        self._passes.set()

    async def _wait(self) -> None:
        await self._passes.wait()


async def _first_of(*tasks: asyncio.Task[None]) -> None:
    """Until one of them ends; then none runs any more."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
