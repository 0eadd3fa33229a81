"""A small cache of reads, in which those who ask for one thing at one time share one request."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shared(Generic[K, V]):
    """The newest `limit` values that were asked for.

    A failed read is told to everyone who waited for it, and is not kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[K, V] = OrderedDict()
        self._reading: dict[K, asyncio.Future[V]] = {}

    def peek(self, key: K) -> V | None:
        """The value, if it is there."""
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value that came by another way."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._limit:
            self._values.popitem(last=False)

    def forget(self, key: K) -> None:
        """Read it anew when it is next asked for."""
        self._values.pop(key, None)

    def clear(self) -> None:
        """Forget every value."""
        self._values.clear()

    async def get(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """The value; read once, whoever asks meanwhile."""
        while key not in self._values:
            reading = self._reading.get(key)
            if reading is None:
                return await self._read(key, read)
            try:
                return await asyncio.shield(reading)
            except asyncio.CancelledError:
                if not reading.cancelled():
                    raise  # we are the ones who were cancelled, not the reader
        self._values.move_to_end(key)
        return self._values[key]

    async def _read(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._reading[key] = future
        try:
            value = await read()
        except BaseException as exc:
            if isinstance(exc, Exception):
                future.set_exception(exc)
                future.exception()  # there may be nobody who waits
            else:
                future.cancel()
            raise
        else:
            self.put(key, value)
            future.set_result(value)
            return value
        finally:
            del self._reading[key]
