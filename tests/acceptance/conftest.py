"""One devnet for the suite, put back to its start for each test, with the daemon's folder beside it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.crashes.matrix import CROWD, MINERS, MUCH, Case
from tests.acceptance.harness import USERS, Stage
from tests.demo.evidence import Auditor
from tests.devnet.world import Devnet

STATE_MB = 64
AHEAD_S = 3600
"""The devnet's chain runs ahead of the wall clock; the Bitcoin node's clock is put ahead of it."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage_session(request: pytest.FixtureRequest) -> AsyncIterator[Devnet]:
    """One devnet with sixteen miners, more for a whole matrix; a single validator is quicker than three."""
    asked = [getattr(item, "callspec", None) for item in request.session.items]
    crashes = [each for each in asked if each is not None and isinstance(each.params.get("case"), Case)]
    miners = CROWD if len(crashes) > MUCH else MINERS
    async with await Devnet.start(miners=miners, validators=1, users=USERS) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="session")
async def stage(stage_session: Devnet, tmp_path: Path) -> Stage:
    """The devnet as at its start, and an empty folder for the daemon."""
    await stage_session.reset()
    return Stage(stage_session, tmp_path, await Auditor.begin(stage_session))


@pytest_asyncio.fixture(loop_scope="session")
async def clocked(stage: Stage) -> AsyncIterator[Stage]:
    """The stage, with its two chains' clocks in the order that they have in life."""
    chain = stage.devnet.chain
    at = (await stage.devnet.contract.substrate.query("Timestamp", "Now")) // 1000
    await stage.devnet.bitcoin.rpc("setmocktime", at + AHEAD_S)
    yield stage
    await stage.devnet.bitcoin.rpc("setmocktime", 0)
    await chain.clear_faults()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The state folder on a file system of its own, which holds little."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={STATE_MB}m,mode=700", "tmpfs", state], check=True)
    yield state
    subprocess.run(["umount", "--lazy", state], check=True)
