"""Worlds for the services' tests: the real services over the model chains; each is judged by the oracle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.oracle import Oracle
from tests.simulation.world import MARGIN, World

MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture
async def make_world(tmp_path: Path) -> AsyncIterator[MakeWorld]:
    """Makes worlds. At the end each must have kept the laws; `foreign` spends are the test's own."""
    made: list[World] = []

    async def make(*, on_disk: bool = False, **options: Any) -> World:
        url = str(tmp_path / f"state{len(made)}" / "store.sqlite") if on_disk else "sqlite://"
        made.append(await World.make(url, **options))
        return made[-1]

    yield make
    for world in made:
        await world.stop()
        oracle = Oracle(world.stage, MARGIN, world.foreign)
        assert oracle.check() == []


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    """One miner; finality at once."""
    return await make_world()
