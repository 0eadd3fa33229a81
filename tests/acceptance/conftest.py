"""One devnet for the suite, put back to its start for each test, with the daemon's folder beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.crashes.matrix import CROWD, MINERS, MUCH, Case
from tests.acceptance.harness import USERS, Stage
from tests.demo.evidence import Auditor
from tests.devnet.world import Devnet


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
