"""The rails of the simulation pass the suite of all rails."""

from __future__ import annotations

import pytest

from tests.conformance.rail_models import ModelBtcHarness, ModelTaoHarness
from tests.conformance.rails import PaymentTests, RailHarness, RailTests


class TestModelTao(RailTests, PaymentTests):
    @pytest.fixture
    def harness(self) -> RailHarness:
        return ModelTaoHarness()


class TestModelBtc(RailTests, PaymentTests):
    @pytest.fixture
    def harness(self) -> RailHarness:
        return ModelBtcHarness()
