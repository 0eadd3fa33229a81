"""systemd/swap-miner-backup.* as systemd itself reads them, and as the program understands them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from miner.cli import main
from tests.unit.test_systemd_unit import analyze, needs_systemd

UNITS = Path(__file__).parents[2] / "systemd"
SERVICE = UNITS / "swap-miner-backup.service"
EXPOSURE_LIMIT = 15


@needs_systemd
def test_systemd_finds_nothing_to_say(tmp_path: Path) -> None:
    text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", SERVICE.read_text(encoding="utf-8"))
    (tmp_path / SERVICE.name).write_text(text, encoding="utf-8")
    shutil.copy(UNITS / "swap-miner-backup.timer", tmp_path)
    for name in (SERVICE.name, "swap-miner-backup.timer"):
        result = analyze("verify", "--man=no", "--recursive-errors=no", str(tmp_path / name))
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@needs_systemd
def test_the_sandbox_is_tight() -> None:
    result = analyze(
        "security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}", "--no-pager", str(SERVICE)
    )
    assert result.returncode == 0 or "offline" in result.stderr, result.stdout + result.stderr


def test_it_runs_as_the_daemons_user_without_a_network() -> None:
    found = dict(re.findall(r"^(\w+)=(.*)$", SERVICE.read_text(encoding="utf-8"), re.MULTILINE))
    daemon = (UNITS / "swap-miner.service").read_text(encoding="utf-8")
    assert f"User={found['User']}" in daemon
    assert found["StateDirectory"].split()[0] == "swap-miner"
    assert found["PrivateNetwork"] == "yes"


def test_the_command_that_it_runs_is_one(capsys: object) -> None:
    (line,) = re.findall(r"(?m)^ExecStart=\S+ (.*)$", SERVICE.read_text(encoding="utf-8"))
    words = [word for word in line.split() if word.startswith("--")]
    assert line.startswith("backup %S/swap-miner-backups ")
    assert main(["backup", "--help"]) == 0
    told = capsys.readouterr().out  # type: ignore[attr-defined]
    assert all(word in told for word in words)
