"""Forked processes behave as started ones do: what they print, how they end, whom they end with."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from miner.cli.exits import Exit
from tests.acceptance.harness import ROOT
from tests.acceptance.nursery import Nursery

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nursery() -> AsyncIterator[Nursery]:
    """One to fork from."""
    made = await Nursery.start(ROOT)
    yield made
    await made.close()


async def test_each_prints_its_own_and_ends_with_its_own_code(nursery: Nursery) -> None:
    good, bad = await asyncio.gather(
        nursery.run("version", environment={}), nursery.run("no-such-command", environment={})
    )
    assert good.pid != bad.pid
    texts = await asyncio.gather(good.output(), bad.output())
    assert "swap-miner" in texts[0]
    assert "no-such-command" in texts[1]
    assert (good.returncode, bad.returncode) == (Exit.OK, Exit.USAGE)


async def test_its_environment_is_what_it_was_given(nursery: Nursery, tmp_path: Path) -> None:
    named = await nursery.run("check", environment={"SWAP_MINER_CONFIG": str(tmp_path / "nowhere.toml")})
    assert "nowhere.toml" in await named.output()
    unnamed = await nursery.run("version", environment={})
    assert "nowhere.toml" not in await unnamed.output()


async def test_a_killed_one_says_so_and_is_no_process_any_more(nursery: Nursery) -> None:
    child = await nursery.run("completion", "bash", environment={})
    child.kill()
    assert await child.wait() in (-signal.SIGKILL, Exit.OK)
    child.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
