"""The Bitcoin rail passes the suite of all rails."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.conformance.rail_btc import BtcHarness, btc_harness, btc_session
from tests.conformance.rails import PaymentTests, RailHarness, RailTests

__all__ = ["btc_harness", "btc_session"]
pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestBtc(RailTests, PaymentTests):
    @pytest_asyncio.fixture(loop_scope="session")
    async def harness(self, btc_harness: BtcHarness) -> RailHarness:
        return btc_harness
