"""systemd/swap-miner.service as systemd itself reads it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "swap-miner.service"
ANALYZE = shutil.which("systemd-analyze")
EXPOSURE_LIMIT = 15  # in tenths: 1.5, where 10 is an unconfined service

needs_systemd = pytest.mark.skipif(
    ANALYZE is None, reason="systemd-analyze is not installed (Debian: systemd)"
)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, check=False, timeout=60)


def settings() -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE))


@needs_systemd
def test_systemd_finds_nothing_to_say(tmp_path: Path) -> None:
    """Of a copy whose program exists, since the real one is installed elsewhere."""
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(encoding="utf-8")))
    result = analyze("verify", "--man=no", "--recursive-errors=no", str(copy))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@needs_systemd
def test_the_sandbox_is_tight() -> None:
    options = ("--offline=true", f"--threshold={EXPOSURE_LIMIT}", "--no-pager")
    result = analyze("security", *options, str(UNIT))
    if "offline" in result.stderr:
        pytest.skip("this systemd cannot judge a unit file offline (needs 250 or later)")
    assert result.returncode == 0, result.stdout + result.stderr


OPENS = """
import pathlib, re, bittensor_core
pair = bittensor_core.Keypair.create_from_uri("//Alice")
plain = bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair))
bittensor_core.encrypt_keyfile_data(plain, "password")
status = pathlib.Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) // 1024)
"""
"""Prints the most memory in MiB; what `getrusage` tells begins with what the parent of a fork had."""
DAEMON_MIB = 128


@pytest.mark.parametrize("unit", ["swap-miner.service", "swap-miner@.service"])
def test_there_is_room_to_open_an_encrypted_wallet(unit: str, opening_mib: int) -> None:
    """It takes as much to close one, which is measured here. Less room, and each start would end by it."""
    text = (UNIT.parent / unit).read_text(encoding="utf-8")
    (high,) = re.findall(r"^MemoryHigh=(\d+)M$", text, re.MULTILINE)
    assert int(high) >= opening_mib + DAEMON_MIB


@pytest.fixture(scope="module")
def opening_mib() -> int:
    told = subprocess.run([sys.executable, "-c", OPENS], capture_output=True, text=True, check=True)
    return int(told.stdout)


def test_the_daemon_is_restarted_and_watched() -> None:
    found = settings()
    assert found["Type"] == "notify"
    assert found["NotifyAccess"] == "main"
    assert found["Restart"] == "always"
    assert found["StartLimitIntervalSec"] == "0"
    assert int(found["WatchdogSec"]) > 0
    assert found["StateDirectory"] == "swap-miner"
    assert found["ExecStart"].startswith("/")


def test_no_secret_is_in_the_environment() -> None:
    text = UNIT.read_text(encoding="utf-8")
    assert not re.search(
        r"(?im)^(environment|environmentfile|passenvironment)=.*(key|pass|secret|token|mnemonic)", text
    )
