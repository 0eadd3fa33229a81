"""Pytest fixtures of the devnet.

The processes live for the session, and so does their event loop: tests that use them run in it, by
`pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.devnet.bitcoin import BitcoinNode
from tests.devnet.chain import ContractsChain
from tests.devnet.world import Devnet


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def devnet_session() -> AsyncIterator[Devnet]:
    """One devnet for all tests: both chains, the contract, eight miners. Use `devnet`."""
    async with await Devnet.start() as world:
        yield world


@pytest_asyncio.fixture(loop_scope="session")
async def devnet(devnet_session: Devnet) -> Devnet:
    """The session's devnet as at its start: no swaps, an empty pool, finality without lag, no faults."""
    await devnet_session.reset()
    return devnet_session


@pytest_asyncio.fixture(loop_scope="session")
async def chain() -> AsyncIterator[ContractsChain]:
    """A contracts chain of the test's own, at block 1, without the contract."""
    async with await ContractsChain.start() as own:
        yield own


@pytest_asyncio.fixture(loop_scope="session")
async def bitcoin_node() -> AsyncIterator[BitcoinNode]:
    """A Bitcoin node of the test's own, with a funded bank."""
    async with await BitcoinNode.start() as own:
        yield own
