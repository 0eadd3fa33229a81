"""A new version and the store of an older one: looked at, it is left alone; opened, it is migrated."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from miner.app.checks import preflight
from miner.cli import main
from miner.cli.exits import Exit
from miner.config import CheckLine, load
from miner.store import SqlStore
from miner.store.dialect import APPLICATION_ID
from miner.store.migrate import upgrade
from miner.store.schema import HEAD
from tests.unit.config_files import replaced, write_settings

DOCUMENT = (Path(__file__).parents[2] / "docs" / "upgrading.md").read_text(encoding="utf-8")
METADATA = Path(__file__).parents[2] / "contracts" / "artifacts" / "swap_manager.json"
OLD = "0008"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings, and a store as an older program left it."""
    (tmp_path / "state").mkdir(mode=0o700)
    file = tmp_path / "state" / "swap-miner.sqlite"
    sqlite3.connect(file).close()
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as conn:
        upgrade(conn, OLD)
        conn.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    engine.dispose()
    file.chmod(0o600)
    text = replaced('metadata = "contract.json"', f'metadata = "{METADATA}"\nallow_dev_keys = true')
    text = replaced('{ keyfile = "hotkey", password_file = "password" }', '{ uri = "//Alice" }', text)
    return write_settings(tmp_path, replaced(":9944", ":1", text))


def schema(config: Path) -> str:
    conn = sqlite3.connect(config.parent / "state" / "swap-miner.sqlite")
    try:
        return str(conn.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    finally:
        conn.close()


def set_schema(config: Path, version: str) -> None:
    conn = sqlite3.connect(config.parent / "state" / "swap-miner.sqlite")
    with conn:
        conn.execute("UPDATE alembic_version SET version_num = ?", (version,))
    conn.close()


async def store_line(config: Path) -> CheckLine:
    """What `check` says of the store."""
    lines = [line async for line in preflight(load(config))]
    (found,) = (line for line in lines if line.name == "store")
    return found


async def test_a_check_tells_the_migration_and_leaves_it_to_the_start(config: Path) -> None:
    line = await store_line(config)
    assert line.ok is None
    assert (
        f"has schema {OLD}; the first start of this version brings it to {HEAD}, and not back" in line.detail
    )
    assert "has schema" + line.detail.partition("has schema")[2].replace(HEAD, "0009") in DOCUMENT
    assert line.remedy == "Back it up before you start this version"
    assert schema(config) == OLD


def test_store_info_changes_nothing_either(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "info", "--config", str(config)]) == Exit.OK
    assert f"schema    {OLD}" in capsys.readouterr().out
    assert main(["store", "info", "--json", "--config", str(config)]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["schema"] == OLD
    assert schema(config) == OLD


async def test_what_opens_it_brings_it_up_to_date(config: Path) -> None:
    store = SqlStore(config.parent / "state" / "swap-miner.sqlite")
    await store.open()
    await store.close()
    assert schema(config) == HEAD
    line = await store_line(config)
    assert line.ok is True


def test_a_setting_of_another_version_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with config.open("a", encoding="utf-8") as file:
        file.write("\n[another_version]\n")
    assert main(["check", "--config", str(config)]) == Exit.USAGE
    assert "there is no such setting" in capsys.readouterr().err
    assert "`there is no such setting`" in DOCUMENT


def test_an_older_program_refuses_a_newer_store(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_schema(config, "9999")
    assert main(["status", "--config", str(config)]) == Exit.STORE
    told = capsys.readouterr().err
    words = f"has schema 9999; this program knows up to {HEAD}. Install the newer program"
    assert words in told
    quoted = words.replace("9999", "0010").replace(HEAD, "0009")
    assert quoted in DOCUMENT
    assert schema(config) == "9999"
