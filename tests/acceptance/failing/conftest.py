"""The stage between faulty nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.acceptance.failing.ground import Ground
from tests.acceptance.harness import Stage


@pytest_asyncio.fixture(loop_scope="session")
async def ground(stage: Stage) -> AsyncIterator[Ground]:
    """Both nodes behind proxies, without trouble."""
    made = await Ground.make(stage)
    try:
        yield made
    finally:
        await made.close()
