"""One devnet for the suite, and the program installed once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.harness import USERS, Stage
from tests.demo.evidence import Auditor
from tests.devnet.world import Devnet
from tests.systemd.machine import boots, install_program, is_possible

MINERS = 2


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chains(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Devnet]:
    """Both chains."""
    if not is_possible() or not await boots(tmp_path_factory.mktemp("probe")):
        pytest.skip("needs Linux, root, unshare, systemd (Debian: systemd), and leave to boot it")
    async with await Devnet.start(miners=MINERS, validators=1, users=USERS) as world:
        yield world


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, installed."""
    return install_program(tmp_path_factory.mktemp("install"))


@pytest_asyncio.fixture(loop_scope="session")
async def stage(chains: Devnet, tmp_path: Path) -> Stage:
    """The devnet as at its start, and an empty folder."""
    await chains.reset()
    return Stage(chains, tmp_path, await Auditor.begin(chains))
