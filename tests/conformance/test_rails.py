"""Every rail passes the one suite."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.conformance.rail_tao import TaoHarness, tao, tao_session
from tests.conformance.rails import PaymentTests, RailHarness, RailTests

__all__ = ["tao", "tao_session"]
pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestTao(RailTests, PaymentTests):
    @pytest_asyncio.fixture(loop_scope="session")
    async def harness(self, tao: TaoHarness) -> RailHarness:
        return tao
