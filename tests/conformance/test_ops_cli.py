"""`status`, `swaps` and `show` ask a running daemon, and read the store where none answers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from miner.cli import daemon as asking
from miner.cli.main import main
from tests.conformance.ops_house import Served, server
from tests.unit.cli_world import CANARY
from tests.unit.config_files import write_settings


@pytest.fixture
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "state").mkdir(mode=0o700)
    return write_settings(folder)


async def cli(config: Path, capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    """A command in a thread of its own, as the server is in this one."""
    capsys.readouterr()
    assert await asyncio.to_thread(main, [*args, "--config", str(config)]) == code
    return capsys.readouterr().out


def serve(config: Path) -> Any:
    state = config.parent / "state"
    return server(state / "swap-miner.sqlite", state / "ops.sock")


@pytest.fixture
def store_is_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever would read the store itself fails."""

    def refuse(*_args: Any) -> Any:
        raise AssertionError("the store was read")

    monkeypatch.setattr("miner.cli.look.looking", refuse)


@pytest.mark.usefixtures("store_is_shut")
async def test_a_running_daemon_is_asked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served: Served
    async with serve(config) as served:
        served.board.ready(False, "no new finalised block in 120 s")
        text = await cli(config, capsys, "status")
        assert "daemon: not ready: no new finalised block in 120 s" in text
        assert "held: swap 3" in text
        found = json.loads(await cli(config, capsys, "status", "--json"))
        assert found["counts"] == {"DISCOVERED": 1, "HELD": 1, "SIGNED": 1}
        found = json.loads(await cli(config, capsys, "swaps", "--json", "--state", "HELD"))
        assert [row["swap_id"] for row in found["swaps"]] == [3]
        assert found["known"] == 3
        text = await cli(config, capsys, "show", "2")
        assert "PAYOUT_SIGNED" in text
        assert CANARY.hex() not in text


def within(less: Any, more: Any) -> bool:
    """Whether everything of the one is in the other; a daemon may tell more than the store."""
    if isinstance(less, dict):
        return all(key in more and within(value, more[key]) for key, value in less.items())
    if isinstance(less, list):
        return len(less) == len(more) and all(map(within, less, more))
    return bool(less == more)


async def test_both_ways_tell_the_same(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = (("swaps",), ("swaps", "-n", "2"), ("swaps", "-s", "HELD"), ("show", "2"), ("show", "3"))
    async with serve(config):
        asked = [json.loads(await cli(config, capsys, *each, "--json")) for each in commands]
        (config.parent / "state" / "ops.sock").unlink()
        for each, told in zip(commands, asked, strict=True):
            assert within(json.loads(await cli(config, capsys, *each, "--json")), told), each
        assert "ready" not in json.loads(await cli(config, capsys, "status", "--json"))


@pytest.mark.usefixtures("store_is_shut")
async def test_a_long_list_is_asked_for_page_by_page(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PAGE", 1)
    async with serve(config):
        found = json.loads(await cli(config, capsys, "swaps", "--json", "-n", "2"))
        assert [row["swap_id"] for row in found["swaps"]] == [3, 2]
        found = json.loads(await cli(config, capsys, "swaps", "--json"))
        assert [row["swap_id"] for row in found["swaps"]] == [3, 2, 1]


async def test_a_swap_that_is_not_there_is_told_as_before(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serve(config):
        await cli(config, capsys, "show", "99", code=1)


async def test_a_daemon_that_refuses_this_user_is_passed_over(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("miner.ops.access.is_own_user", lambda _request: False)
    async with serve(config):
        assert "ready" not in json.loads(await cli(config, capsys, "status", "--json"))
