"""What `swap-miner check` and `store info` tell of a store on a server: everything but the password."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from miner.app.checks import _store as checked
from miner.app.wiring import make_store
from miner.cli import main
from miner.config import CheckLine, Settings, load
from tests.conformance.store_builders import CONTRACT, GENESIS, discover
from tests.postgres.house import SECRET, make_role, real_schema, the_server
from tests.unit.config_files import GOOD, write_settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings whose store is an empty schema; its password is asked for, and wrong where it matters."""
    url = real_schema(the_server(), port=the_server().port)
    store = f'path = "state"\nurl = "{url}"\npassword_file = "env:STORE_WORD"'
    return write_settings(tmp_path, GOOD.replace('path = "state"', store))


@pytest.fixture
def settings(config: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("STORE_WORD", SECRET)
    return load(config)


async def lines(settings: Settings) -> list[CheckLine]:
    return [line async for line in checked(settings)]


async def test_a_server_without_a_store_is_told_and_nothing_is_made(settings: Settings) -> None:
    for _ in range(2):
        server, store = await lines(settings)
        assert server.ok is True
        assert "fsync on, synchronous_commit on, server " in server.detail
        assert (store.ok, "will be made at the first start" in store.detail) == (None, True)


async def test_a_store_on_a_server_is_told_with_its_block(settings: Settings) -> None:
    store = make_store(settings)
    await store.open()
    await store.bind(GENESIS, CONTRACT)
    await discover(store, 1)
    await store.close()
    told = (await lines(settings))[1]
    assert (told.ok, told.detail.endswith("at block 100")) == (True, True)
    assert "?" not in told.detail


async def test_a_password_is_in_no_line(
    settings: Settings, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_role(the_server())
    monkeypatch.setenv("STORE_WORD", "wrong-" + SECRET)
    replace_in(config, "postgres@", "secretive@")
    (told,) = await lines(load(config))
    assert told.ok is False
    assert "password authentication failed" in told.detail
    assert SECRET not in f"{told} {settings!r}"


def replace_in(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_info_tells_what_the_store_holds(
    settings: Settings, config: Path, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["store", "info", "--config", str(config), *(["--json"] if as_json else [])]
    assert main(command) == 0
    empty = capsys.readouterr().out
    assert "no store yet" in empty or json.loads(empty)["exists"] is False
    assert main(["pause", "--config", str(config)]) == 0
    assert main(command) == 0
    told = capsys.readouterr().out.split("\n", 2)[-1] if not as_json else capsys.readouterr().out
    assert SECRET not in told
    assert "PostgreSQL" in told
    assert "operator_log" in told
