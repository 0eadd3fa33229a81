"""The store of the simulation, which is the real one without its thread, passes the store's suites."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from miner.store import SqlStore
from tests.conformance import store_fixtures, test_store, test_store_lanes, test_store_steps
from tests.conformance.store_builders import CONTRACT, GENESIS
from tests.conformance.store_fixtures import House
from tests.simulation.sim_store import SimStore

store, other = store_fixtures.store, store_fixtures.other


@dataclass
class InlineHouse(House):
    """Opens simulated stores."""

    async def open(self, owner: str, *, bind: bool = True, busy_timeout_s: float = 5.0) -> SqlStore:
        made = SimStore(
            self.url, owner=owner, lease_ttl_s=30, busy_timeout_s=busy_timeout_s, clock_ms=self.clock
        )
        self.opened.append(made)
        await made.open()
        if bind:
            await made.bind(GENESIS, CONTRACT)
        return made


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    found = InlineHouse(str(tmp_path / "state" / "store.sqlite"))
    yield found
    for opened in found.opened:
        await opened.close()


class TestWhatItIsTiedTo(test_store.TestWhatItIsTiedTo):
    pass


class TestIngest(test_store.TestIngest):
    pass


class TestObservations(test_store.TestObservations):
    pass


class TestReading(test_store.TestReading):
    pass


class TestOperators(test_store.TestOperators):
    pass


class TestSightings(test_store_lanes.TestSightings):
    pass


class TestAccounts(test_store_lanes.TestAccounts):
    pass


class TestCompareAndSet(test_store_steps.TestCompareAndSet):
    pass


class TestSourcePayments(test_store_steps.TestSourcePayments):
    pass


class TestClaims(test_store_steps.TestClaims):
    pass


class TestOneLaneAPayout(test_store_steps.TestOneLaneAPayout):
    pass


class TestReplacements(test_store_steps.TestReplacements):
    pass


class TestAdoption(test_store_steps.TestAdoption):
    pass


class TestEnds(test_store_steps.TestEnds):
    pass


class TestMoney(test_store_steps.TestMoney):
    pass
