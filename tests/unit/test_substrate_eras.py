"""Eras by the protocol's formula, with two other implementations as witnesses."""

from __future__ import annotations

import bittensor_core
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scalecodec.base import ScaleBytes
from scalecodec.types import Era as ScaleEra

from miner.chains.substrate.eras import Era, fit
from miner.errors import Refused

periods = st.sampled_from([2**power for power in range(2, 17)])
heights = st.integers(min_value=0, max_value=2**32 - 1)


@given(periods, heights)
def test_birth_and_death_are_the_codecs(period: int, current: int) -> None:
    era = Era(period, current)
    assert era.birth == bittensor_core.era_birth(period, current)
    theirs = ScaleEra(data=ScaleBytes("0x" + era.encode().hex()))
    theirs.decode()
    assert (theirs.period, theirs.phase) == (period, era.phase)
    assert (theirs.birth(current), theirs.death(current)) == (era.birth, era.death)


@given(periods, heights)
def test_an_era_is_encoded_as_the_codec_does(period: int, current: int) -> None:
    theirs = ScaleEra().encode({"period": period, "current": current})
    assert bytes(theirs.data) == Era(period, current).encode()


@given(periods, heights)
def test_the_anchor_is_within_its_era(period: int, current: int) -> None:
    era = Era(period, current)
    assert era.birth <= current < era.death
    if period <= 4096:
        assert era.birth == current


@given(st.integers(0, 10**6), st.integers(0, 20), st.one_of(st.none(), st.integers(0, 100)))
def test_what_fits_dies_in_time_and_is_alive(anchor: int, lag: int, room: int | None) -> None:
    best = anchor + lag
    die_by = None if room is None else anchor + room
    alive = [period for period in (4, 8, 16, 32, 64) if anchor + period > best + 1]
    if not any(die_by is None or anchor + period <= die_by for period in alive):
        with pytest.raises(Refused, match="too_late"):
            fit(anchor, best, die_by)
        return
    era = fit(anchor, best, die_by)
    assert era.period in (4, 8, 16, 32, 64)
    assert era.death > best + 1
    assert die_by is None or era.death <= die_by
    longer = anchor + 2 * era.period
    assert era.period == 64 or (die_by is not None and longer > die_by)


@pytest.mark.parametrize(("room", "period"), [(64, 64), (65, 64), (63, 32), (8, 8), (7, 4), (4, 4)])
def test_the_boundary_belongs_to_the_era(room: int, period: int) -> None:
    assert fit(100, 100, 100 + room).period == period


@pytest.mark.parametrize(("best", "die_by"), [(100, 103), (100, 0), (103, 104), (163, None)])
def test_too_late_is_said(best: int, die_by: int | None) -> None:
    with pytest.raises(Refused) as told:
        fit(100, best, die_by)
    assert told.value.name == "too_late"
