"""`service install` and `service uninstall`: said first, done with `--yes`, below another root."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from miner.cli import main
from miner.cli.exits import Exit

UNIT = Path("etc/systemd/system/swap-miner.service")


@pytest.fixture(autouse=True)
def installed_program(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program was started as one that is installed."""
    program = tmp_path_factory.mktemp("bin") / "swap-miner"
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])


def test_nothing_is_changed_without_yes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--root", str(tmp_path)]) == Exit.OK
    told = capsys.readouterr().out
    assert "Nothing was changed: give --yes to do it." in told
    assert "systemctl enable --now swap-miner.service" in told
    assert list(tmp_path.iterdir()) == []


def test_installed_and_taken_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--root", str(tmp_path), "--yes", "--json"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert found["done"] is True
    assert str(tmp_path / UNIT) in {step["what"] for step in found["steps"]}
    assert (tmp_path / UNIT).is_file()
    assert main(["service", "uninstall", "--root", str(tmp_path), "--yes"]) == Exit.OK
    assert "keep them" in capsys.readouterr().out
    assert not (tmp_path / UNIT).exists()
    assert (tmp_path / "etc/swap-miner/config.toml").is_file()


def test_a_name_that_is_none_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["service", "install", "--root", str(tmp_path), "--name", "../x", "--json"])
    assert code == Exit.USAGE
    assert "is no name" in capsys.readouterr().err
