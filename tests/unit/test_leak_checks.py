"""tests/conftest.py fails a test that leaves something open."""

from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TEST_HEAD = """
import asyncio, socket, warnings
import pytest
kept = []

def listening():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock
"""


def run(pytester: pytest.Pytester, body: str) -> pytest.RunResult:
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nfilterwarnings = error\n"
        "markers =\n    unit\n    keeps_sockets\nasyncio_default_fixture_loop_scope = function\n"
    )
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    folder = pytester.mkdir("unit")
    (folder / "test_it.py").write_text(TEST_HEAD + body, encoding="utf-8")
    return pytester.runpytest_subprocess("-p", "no:cacheprovider")


def test_a_task_left_running_fails(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
async def test_it():
    kept.append(asyncio.create_task(asyncio.sleep(60), name="forgotten"))
""",
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["leaked tasks:*", "*forgotten*"])


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_socket_left_open_fails(pytester: pytest.Pytester, keyword: str) -> None:
    result = run(pytester, f"\n{keyword} test_it():\n    kept.append(listening())\n")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["leaked sockets:*", "*127.0.0.1*"])


def test_an_unclosed_socket_that_was_dropped_fails(pytester: pytest.Pytester) -> None:
    """By the ResourceWarning, which is an error."""
    result = run(pytester, "\ndef test_it():\n    listening()\n")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*ResourceWarning*"])


def test_what_is_closed_passes(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.fixture
async def server():
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()
    server.close()

@pytest.fixture(scope="session")
def session_wide():
    with listening() as sock:
        yield sock

async def test_a_server(server, session_wide):
    reader, writer = await asyncio.open_connection(*server)
    await reader.read()
    writer.close()
    await writer.wait_closed()

async def test_a_task():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))

@pytest.mark.keeps_sockets("a pool")
def test_an_allowed_one():
    kept.append(listening())

@pytest.mark.unit
def test_the_mark_of_the_folder(request):
    assert [mark.name for mark in request.node.iter_markers("unit")] == ["unit", "unit"]
    for sock in kept:
        sock.close()
""",
    )
    result.assert_outcomes(passed=4)
