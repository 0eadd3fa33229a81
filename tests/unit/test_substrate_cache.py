"""Those who ask at one time share one read; a failure is shared and forgotten."""

from __future__ import annotations

import asyncio

import pytest

from miner.chains.substrate.cache import Shared
from miner.errors import ReadFailed


class Reads:
    def __init__(self) -> None:
        self.count = 0
        self.gate = asyncio.Event()
        self.failing = False

    async def __call__(self) -> int:
        self.count += 1
        await self.gate.wait()
        if self.failing:
            raise ReadFailed("it")
        return self.count


async def started(*coroutines: asyncio.Task[int]) -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_one_read_serves_all_who_wait() -> None:
    shared: Shared[str, int] = Shared(4)
    reads = Reads()
    tasks = [asyncio.create_task(shared.get("a", reads)) for _ in range(5)]
    await started(*tasks)
    reads.gate.set()
    assert await asyncio.gather(*tasks) == [1] * 5
    assert await shared.get("a", reads) == 1
    assert shared.peek("a") == 1
    assert reads.count == 1


async def test_a_failure_is_told_to_all_and_not_kept() -> None:
    shared: Shared[str, int] = Shared(4)
    reads = Reads()
    reads.failing = True
    tasks = [asyncio.create_task(shared.get("a", reads)) for _ in range(3)]
    await started(*tasks)
    reads.gate.set()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in told] == [ReadFailed] * 3
    reads.failing = False
    assert await shared.get("a", reads) == 2


async def test_who_waits_goes_on_when_the_reader_is_cancelled() -> None:
    shared: Shared[str, int] = Shared(4)
    reads = Reads()
    first, second = (asyncio.create_task(shared.get("a", reads)) for _ in range(2))
    await started(first, second)
    first.cancel()
    await started()
    reads.gate.set()
    assert await second == 2
    assert first.cancelled()


async def test_a_waiter_that_is_cancelled_leaves_the_read_alone() -> None:
    shared: Shared[str, int] = Shared(4)
    reads = Reads()
    first, second = (asyncio.create_task(shared.get("a", reads)) for _ in range(2))
    await started(first, second)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    reads.gate.set()
    assert await first == 1


async def test_the_oldest_values_go_first() -> None:
    shared: Shared[int, int] = Shared(2)
    reads = Reads()
    reads.gate.set()
    for key in (1, 2, 1, 3):
        await shared.get(key, reads)
    assert shared.peek(2) is None
    assert shared.peek(1) == 1
    shared.clear()
    assert shared.peek(1) is None
