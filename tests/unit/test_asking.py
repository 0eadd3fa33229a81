"""When a node may be asked again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.chains.asking import LONGEST_ASKED_S, jittered, retry_after_s

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("17", 17.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("99999999999999999999", LONGEST_ASKED_S),
        ("Mon, 01 Jun 2026 12:00:30 GMT", 30.0),
        ("Mon, 01 Jun 2026 12:00:30 -0000", 30.0),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0.0),
        ("Tue, 01 Jun 2027 11:00:00 GMT", LONGEST_ASKED_S),
        ("soon", 0.0),
        ("-3", 0.0),
        ("1.5", 0.0),
        ("", 0.0),
    ],
)
def test_what_a_node_asks_for_is_understood_and_bounded(told: str, seconds: float) -> None:
    assert retry_after_s({"Retry-After": told}, NOW) == seconds


def test_nothing_asked_for_is_nothing() -> None:
    assert retry_after_s({}) == 0.0


@given(st.text(max_size=60))
def test_whatever_is_asked_for_is_bounded(told: str) -> None:
    assert 0.0 <= retry_after_s({"Retry-After": told}, NOW) <= LONGEST_ASKED_S


def test_pauses_are_spread_and_never_longer() -> None:
    pauses = {jittered(8.0) for _ in range(50)}
    assert len(pauses) > 10
    assert all(4.0 <= pause <= 8.0 for pause in pauses)
