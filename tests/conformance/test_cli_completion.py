"""Completion: its script is installed where shells look, and a real shell completes with it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from miner.cli import main
from miner.cli.completion import Shell, script_of
from miner.cli.exits import Exit
from tests.conformance.ops_house import server
from tests.unit.config_files import GOOD, write_settings

ROOT = Path(__file__).parents[2]
BASH, ZSH, FISH = (shutil.which(name) for name in ("bash", "zsh", "fish"))
ANSWER_S = 60.0
"""Generous: a shell starts the program anew for each key."""
TARGET = '[[notify]]\nname = "duty-phone"\nkind = "slack"\nurl_file = "slack-url"\n'
PROMPT = "ready> "


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home with settings, and nothing in it that a shell would read."""
    made = tmp_path / "home of it"
    made.mkdir()
    monkeypatch.setenv("HOME", str(made))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR", "SWAP_MINER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return made


def put(shell: str, capsys: pytest.CaptureFixture[str]) -> Mapping[str, str | None]:
    assert main(["completion", shell, "--install", "--json"]) == Exit.OK
    found: Mapping[str, str | None] = json.loads(capsys.readouterr().out)
    return found


# where it is put


@pytest.mark.parametrize(
    ("shell", "file", "starts"),
    [
        ("bash", ".local/share/bash-completion/completions/swap-miner", ".bashrc"),
        ("zsh", ".local/share/zsh/site-functions/_swap-miner", ".zshrc"),
        ("fish", ".config/fish/completions/swap-miner.fish", None),
    ],
)
def test_it_is_put_where_the_shell_looks(
    home: Path, capsys: pytest.CaptureFixture[str], shell: str, file: str, starts: str | None
) -> None:
    told = put(shell, capsys)
    assert told["file"] == str(home / file)
    assert (home / file).read_text(encoding="utf-8") == script_of(Shell(shell))
    assert told["line_added_to"] == (None if starts is None else str(home / starts))
    made = {path for path in home.rglob("*") if path.is_file()}
    assert made == {home / each for each in (file, starts) if each is not None}


def test_doing_it_again_adds_no_second_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".bashrc").write_text("alias ll='ls -l'", encoding="utf-8")  # its last line has no end
    put("bash", capsys)
    once = (home / ".bashrc").read_text(encoding="utf-8")
    assert once.startswith("alias ll='ls -l'\n[ -r ")
    assert put("bash", capsys)["line_added_to"] is None
    assert (home / ".bashrc").read_text(encoding="utf-8") == once


def test_the_shell_of_the_user_is_taken(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert main(["completion", "--install"]) == Exit.OK
    assert f"wrote {home}/.config/fish/completions/swap-miner.fish" in capsys.readouterr().out
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert main(["completion", "--install"]) == Exit.USAGE
    assert "say which: bash, zsh or fish" in capsys.readouterr().err


def test_a_home_that_cannot_be_written_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".local").write_text("a file", encoding="utf-8")
    assert main(["completion", "bash", "--install"]) == Exit.USAGE
    assert "cannot be written (Not a directory). Print it instead" in capsys.readouterr().err


# a real shell


class Terminal:
    """A shell at the end of a pseudo-terminal."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def type(self, keys: str) -> None:
        os.write(self._handle, keys.encode())

    def until(self, wanted: str) -> str:
        """What it shows up to `wanted`."""
        told, end = "", time.monotonic() + ANSWER_S
        while wanted not in told:
            ready, _, _ = select.select([self._handle], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {wanted!r} in {told!r}"
            told += os.read(self._handle, 65536).decode(errors="replace")
        return told

    def completes(self, line: str, to: str) -> None:
        """A line and a tabulator become another line; that one is then wiped out."""
        self.type(line + "\t")
        self.until(to)
        self.type("\x15")  # Ctrl-U

    def offers(self, line: str, *offers: str) -> None:
        """A line and two tabulators list these, and nothing else."""
        self.type(line + "\t\t")
        self.until(line)
        told = self.until(line)
        assert told.partition("\n")[2].rpartition(PROMPT)[0].split() == list(offers)
        self.type("\x15")


@contextmanager
def terminal(*command: str, **environment: str) -> Iterator[Terminal]:
    """A shell of a user whose home is `HOME`, with the program in its path."""
    program = Path(os.environ["HOME"]) / "bin" / "swap-miner"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m miner.cli "$@"\n', "utf-8")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    known = {"PATH": path, "HOME": os.environ["HOME"], "TERM": "dumb", "LANG": "C.UTF-8", "COLUMNS": "200"}
    pid, handle = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, known | environment)
    try:
        yield Terminal(handle)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(handle)


def settings(home: Path) -> Path:
    """Settings with a target of messages, and a state folder without a daemon."""
    (home / "state").mkdir(mode=0o700)
    return write_settings(home, GOOD + TARGET)


@pytest.mark.skipif(BASH is None, reason="there is no bash")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_bash_completes_what_was_installed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = settings(home)
    put("bash", capsys)
    with terminal("bash", "-i", SWAP_MINER_CONFIG=str(config), PS1=PROMPT) as shell:
        shell.type(f"PS1='{PROMPT}'\r")
        shell.until(f"\r\n{PROMPT}")
        shell.completes("swap-miner sta", "swap-miner status ")
        shell.completes("swap-miner recovery li", "recovery list ")
        shell.completes("swap-miner swaps --mi", "swaps --miner ")
        shell.completes("swap-miner swaps --state HE", "--state HELD ")
        shell.completes("swap-miner notify test du", "notify test duty-phone ")
        shell.completes("swap-miner wallet --miner on", "--miner one ")
        shell.offers("swap-miner collateral ", "deposit", "view", "withdraw")


@pytest.mark.skipif(BASH is None, reason="there is no bash")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_bash_completes_the_swaps_of_a_running_daemon(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(home)
    put("bash", capsys)

    def look() -> None:
        with terminal("bash", "-i", SWAP_MINER_CONFIG=str(config)) as shell:
            shell.type(f"PS1='{PROMPT}'\r")
            shell.until(f"\r\n{PROMPT}")
            shell.offers("swap-miner show ", "1", "2", "3")
            shell.completes("swap-miner recovery show --swap 3", "--swap 3 ")

    async with server(home / "state" / "swap-miner.sqlite", home / "state" / "ops.sock"):
        await asyncio.to_thread(look)


@pytest.mark.skipif(ZSH is None, reason="there is no zsh")
def test_zsh_completes_what_was_installed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("zsh", capsys)
    with terminal("zsh", "-i", SWAP_MINER_CONFIG=str(settings(home))) as shell:
        shell.type(f"PROMPT='{PROMPT}'\r")
        shell.until(f"\r{PROMPT}")
        shell.completes("swap-miner sta", "tus")
        shell.completes("swap-miner wallet --miner o", "ne")


@pytest.mark.skipif(FISH is None, reason="there is no fish")
def test_fish_completes_what_was_installed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("fish", capsys)
    with terminal("fish", "-c", "complete --do-complete 'swap-miner sta'") as shell:
        assert "status" in shell.until("status")


# nothing is better than a wrong word in somebody's line


@pytest.mark.parametrize("broken", ["[store", ""])
def test_wrong_settings_offer_nothing_and_say_nothing(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    config = settings(home)
    config.write_text(broken, encoding="utf-8")
    monkeypatch.setenv("SWAP_MINER_CONFIG", str(config))
    monkeypatch.setenv("_SWAP_MINER_COMPLETE", "complete_bash")
    for line in ("swap-miner show ", "swap-miner notify test ", "swap-miner wallet --miner "):
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
        assert main([]) == Exit.OK
        told = capfd.readouterr()
        assert (told.out.strip(), told.err) == ("", "")


def test_without_a_daemon_the_store_is_left_alone(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWAP_MINER_CONFIG", str(settings(home)))
    monkeypatch.setenv("_SWAP_MINER_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "swap-miner show ")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert main([]) == Exit.OK
    assert capfd.readouterr().out.strip() == ""
    assert list((home / "state").iterdir()) == []
