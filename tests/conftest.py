"""What holds for every test: nothing leaks, each folder has its mark, hypothesis repeats itself in CI."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from tests.proof.plugin import add_rows

settings.register_profile("dev", deadline=None)
# The same examples in every run, so that a red build is red again at home; no database of past failures.
settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, print_blob=True, max_examples=200
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

SUITES = frozenset({"unit", "conformance", "devnet", "acceptance", "simulation", "bench"})
COVERING = "unit"
"""The suite that covers the pure core whole. The others run untraced: tracing costs half as much again."""
TESTS = Path(__file__).parent
SETTLE_TURNS = 10  # loop turns for a closed transport to give its socket back


def pytest_configure(config: pytest.Config) -> None:
    """Cases of the proof's matrices leave rows where a file for them is named."""
    add_rows(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its folder, whether it is traced, and put the leak checks outside its fixtures."""
    for item in items:
        suite = item.path.relative_to(TESTS).parts[0]
        if suite in SUITES:
            item.add_marker(suite)
        if suite != COVERING:
            item.add_marker("no_cover")
        if isinstance(item, pytest.Function) and item.get_closest_marker("asyncio") is not None:
            item.fixturenames.insert(0, "no_leaks_in_loop")


def internet_sockets() -> dict[str, str]:
    """The open IPv4 and IPv6 sockets of this process: kernel name → address."""
    found: dict[str, str] = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile, as the listing's own descriptor is
            name = str(entry.readlink())
            if not name.startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as sock:
                if sock.family in {socket.AF_INET, socket.AF_INET6}:
                    found[name] = str(sock.getsockname())
    return found


def fail_on(kind: str, leaked: list[str]) -> None:
    """Fail the test that leaked, with what it leaked."""
    if leaked:
        pytest.fail(f"leaked {kind}:\n  " + "\n  ".join(leaked), pytrace=False)


@pytest.fixture(autouse=True)
def no_leaked_sockets(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test closes what it opens. Fixtures of a wider scope are set up before this looks.

    A listener of such a fixture may be closed and opened again, at the same address.
    """
    if request.node.get_closest_marker("keeps_sockets") is not None:
        yield
        return
    before = internet_sockets()
    yield
    left = [at for name, at in internet_sockets().items() if name not in before and at not in before.values()]
    fail_on("sockets", left)


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """What a test sets up for the log, it sets up for itself."""
    was_configured, before = structlog.is_configured(), structlog.get_config()
    yield
    if was_configured:
        structlog.configure(**before)
    else:
        structlog.reset_defaults()


@pytest.fixture
async def no_leaks_in_loop() -> AsyncIterator[None]:
    """A coroutine test ends its tasks. Added to each of them; set up first, so torn down last."""
    before = asyncio.all_tasks()
    yield
    for _ in range(SETTLE_TURNS):
        await asyncio.sleep(0)
    leaked = asyncio.all_tasks() - before - {asyncio.current_task()}
    for task in leaked:
        task.cancel()
    await asyncio.gather(*leaked, return_exceptions=True)
    fail_on("tasks", sorted(repr(task) for task in leaked))
