"""Fixtures of the store's suite: every implementation, one database, as many owners as a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from miner.store import SqlStore
from tests.conformance.store_builders import CONTRACT, GENESIS, VirtualClock
from tests.postgres.house import real_schema, schema, the_server


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


IMPLEMENTATIONS = ("sqlite", "postgresql")


def build(implementation: str, folder: Path) -> House:
    """A fresh database."""
    if implementation == "sqlite":
        return House(str(folder / "state" / "store.sqlite"))
    return House(*schema(the_server()))


def real_url(implementation: str, folder: Path) -> str:
    """An empty database with its real clock."""
    if implementation == "sqlite":
        return str(folder / "state" / "store.sqlite")
    return real_schema(the_server())


@pytest.fixture(params=IMPLEMENTATIONS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A fresh database of each implementation."""
    found = build(request.param, tmp_path)
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
