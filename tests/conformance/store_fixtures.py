"""Fixtures of the store's suite: every implementation, one database, as many owners as a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from miner.store import SqlStore
from tests.conformance.store_builders import CONTRACT, GENESIS, VirtualClock


@dataclass
class House:
    """One database, and the stores that tests open on it."""

    url: str
    clock: VirtualClock = field(default_factory=VirtualClock)
    opened: list[SqlStore] = field(default_factory=list)

    async def open(self, owner: str, *, bind: bool = True, busy_timeout_s: float = 5.0) -> SqlStore:
        store = SqlStore(
            self.url, owner=owner, lease_ttl_s=30, busy_timeout_s=busy_timeout_s, clock_ms=self.clock
        )
        self.opened.append(store)
        await store.open()
        if bind:
            await store.bind(GENESIS, CONTRACT)
        return store


IMPLEMENTATIONS = ("sqlite",)


@pytest.fixture(params=IMPLEMENTATIONS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A fresh database of each implementation."""
    found = House(str(tmp_path / "state" / "store.sqlite"))
    yield found
    for store in found.opened:
        await store.close()


@pytest.fixture
async def store(house: House) -> SqlStore:
    """The store of owner `one`."""
    return await house.open("one")


@pytest.fixture
async def other(house: House) -> SqlStore:
    """The store of owner `two`, on the same database."""
    return await house.open("two")
