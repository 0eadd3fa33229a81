"""`status`, `swaps` and `show` ask a running daemon, and read the store where none answers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from miner.cli import daemon as asking
from miner.cli.main import main
from miner.errors import ReadFailed
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


@pytest.fixture
def nobody_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that would ask the chains itself fails."""

    def refuse() -> Any:
        raise ReadFailed("the chains", "the command asked them itself")

    for command in ("wallet", "collateral", "quote"):
        monkeypatch.setattr(f"miner.cli.{command}.wiring", refuse)


@pytest.mark.usefixtures("store_is_shut", "nobody_connects")
async def test_wallets_collateral_quotes_and_evidence_are_asked_of_the_daemon(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "v1:btc:a:tao:b:345:350"
    async with serve(config) as served:
        found = json.loads(await cli(config, capsys, "wallet", "--json"))
        hotkey = next(row["account"] for row in found["accounts"] if row["role"] == "marks")
        assert hotkey in await cli(config, capsys, "wallet", "--miner", hotkey)
        found = json.loads(await cli(config, capsys, "collateral", "view", "--json"))
        assert [row["hotkey"] for row in found["miners"]] == [hotkey]
        assert "10 TAO" in await cli(config, capsys, "collateral", "view")
        told = await cli(config, capsys, "quote", "show", "--text", text, code=1)
        assert "345 TAO per BTC" in told
        assert json.loads(await cli(config, capsys, "evidence", "2"))["swap_id"] == 2
        served.hands.outside = None
        for words in (("wallet",), ("collateral", "view"), ("quote", "show", "--text", text)):
            await cli(config, capsys, *words, code=1)
    await cli(config, capsys, "wallet", code=1)


async def test_the_recovery_log_is_told_alike(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with serve(config) as served:
        told = json.loads(await cli(config, capsys, "recovery", "list", "--json"))
        status, _, text = await served.get("/api/v1/recovery", "r" * 40)
        assert status == 200
        assert json.loads(text) == {**told, "entries": told["entries"][::-1]}
