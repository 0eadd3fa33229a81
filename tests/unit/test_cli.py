"""The command line: what it prints, its exit codes, and what it never prints."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import miner
from miner.cli import main
from miner.cli.exits import Exit
from miner.config import CheckLine, read
from miner.errors import (
    ConfigError,
    InvariantBroken,
    LeaseLost,
    NotSent,
    ReadFailed,
    SchemaTooOld,
    StoreDamaged,
    StoreUnavailable,
)
from miner.model import Lease
from miner.notify.recovery import RecoveryFile
from miner.saga import State
from miner.store import SqlStore
from tests.unit.cli_world import CANARY, World, fill, world_in
from tests.unit.config_files import ALICE, BOB, GOOD, line_with, replaced, write_settings
from tests.unit.test_recovery import pending, put


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = world_in(tmp_path)
    monkeypatch.setattr(miner, "app", made.wired)
    monkeypatch.setenv("SWAP_MINER_CONFIG", str(made.config))
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def filled(world: World) -> World:
    world.with_store(fill)
    return world


@pytest.fixture
def run(world: World, capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*arguments: object) -> Ran:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return command


# usage


def test_help_teaches(run: Any) -> None:
    found = run("--help")
    assert found.code == 0
    assert "Exit codes: 0 fine" in found.out
    commands = (
        "init check run status swaps show evidence pause resume import-sent retry release quarantine "
        "adopt-payout mark recovery completion version"
    )
    for command in commands.split():
        assert command in found.out
        told = run(command, "--help")
        assert told.code == 0
        if command not in ("version", "recovery"):
            assert "Example" in told.out
            assert f"swap-miner {command}" in told.out


def test_help_loads_no_chain_and_no_settings() -> None:
    """In a process of its own: what else a test has imported does not count."""
    script = "import sys; from miner.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=dict(os.environ),
    )
    loaded = set(found.stderr.split())
    assert not loaded & {
        "miner.app",
        "bittensor",
        "sqlalchemy",
        "pydantic_settings",
        "miner.config",
        "aiohttp",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bogus"],
        ["bogus"],
        ["check", "--bogus"],
        ["show"],
        ["show", "x"],
        ["show", "-1"],
        ["swaps", "--state", "BOGUS"],
        ["swaps", "--limit", "0"],
        ["pause", "doge"],
        ["resume", "tao", "--account", "x"],
        ["recovery", "bogus"],
        ["recovery", "show", "x"],
        ["import-sent"],
        ["completion", "csh"],
        ["swaps", "--miner", "nobody"],
    ],
)
def test_wrong_usage_is_2(run: Any, arguments: list[str]) -> None:
    found = run(*arguments)
    assert found.code == Exit.USAGE
    assert found.err
    assert "Traceback" not in found.err


def test_version_and_completion(run: Any) -> None:
    assert run("version").out.startswith("swap-miner ")
    assert run("version", "--json").json["program"] == "swap-miner"
    assert "_SWAP_MINER_COMPLETE" in run("completion", "bash", "--json").json["script"]
    for shell in ("bash", "zsh", "fish"):
        assert "_SWAP_MINER_COMPLETE" in run("completion", shell).out


# settings


def test_init_writes_settings_that_load_and_overwrites_nothing(run: Any, tmp_path: Path) -> None:
    target = tmp_path / "new.toml"
    found = run("init", target)
    assert found.code == 0
    assert f"swap-miner check --config {target}" in found.out
    read(target.read_text(encoding="utf-8"), target)
    told = run("init", tmp_path / "other.toml", "--json").json
    assert told["file"] == str(tmp_path / "other.toml")
    assert told["next"][-1] == f"swap-miner run --config {tmp_path / 'other.toml'}"
    target.write_text("mine", encoding="utf-8")
    again = run("init", target)
    assert again.code == Exit.USAGE
    assert again.err == f"error: {target}: exists already. Name another file, or move this one away\n"
    assert target.read_text(encoding="utf-8") == "mine"
    assert run("init", tmp_path / "absent" / "x.toml").code == Exit.USAGE


COMMANDS = [
    ["check"],
    ["run"],
    ["status"],
    ["swaps"],
    ["show", "1"],
    ["evidence", "1"],
    ["pause"],
    ["recovery", "list"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_wrong_setting_ends_every_command_alike(run: Any, world: World, command: list[str]) -> None:
    text = replaced('"0.01 TAO"', "5", replaced("[store]", "[stroe]"))
    world.config.write_text(text, encoding="utf-8")
    found = run(*command)
    assert found.code == Exit.USAGE
    assert found.out == ""
    stroe = f"{world.config}:{line_with('[stroe]', text)}: stroe"
    assert found.err.splitlines() == [
        f"error: {stroe}: there is no such setting. Did you mean store?",
        f"error: {world.config}:{line_with('max_fee = 5', text)}: limits.tao.max_fee: 5 has no unit. "
        'Write the amount with its unit, in quotes: "1.5 TAO" or "1500000000 rao"',
    ]


def test_settings_that_are_not_there(run: Any, tmp_path: Path) -> None:
    found = run("status", "--config", tmp_path / "absent.toml")
    assert found.code == Exit.USAGE
    assert f"{tmp_path / 'absent.toml'}: cannot be read (No such file or directory)" in found.err
    assert "swap-miner init" in found.err


def test_an_open_key_stops_what_pays_and_not_what_reads(run: Any, filled: World) -> None:
    (filled.config.parent / "hotkey").chmod(0o644)
    for command in ("check", "run"):
        found = run(command)
        assert found.code == Exit.USAGE
        assert "miners[0].hotkey.keyfile" in found.err
        assert "chmod 600" in found.err
    assert filled.wired.calls == []
    assert run("status").code == 0


# check and run


def test_check(run: Any, world: World) -> None:
    world.wired.checks = [
        CheckLine("endpoint ws://127.0.0.1:9944", True, "block 7"),
        CheckLine("wallet", False, "locked", "bitcoin-cli walletpassphrase"),
        CheckLine("archive", None, "not looked at"),
    ]
    found = run("check")
    assert found.code == Exit.WRONG
    assert "FAIL" in found.out
    assert "bitcoin-cli walletpassphrase" in found.out
    assert "3 for the mark to land + 100" in found.out
    assert found.out.rstrip().endswith("1 failed")
    answer = run("check", "--json").json
    assert answer["ok"] is False
    assert [line["name"] for line in answer["checks"] if line["ok"] is False] == ["wallet"]
    world.wired.checks = world.wired.checks[:1]
    assert run("check").code == 0
    assert run("check", "--json").json["ok"] is True


def test_a_preflight_that_breaks_off_has_failed(run: Any, world: World) -> None:
    world.wired.checks = [CheckLine("first", True), ReadFailed("block 7", "no answer")]
    found = run("check")
    assert found.code == Exit.WRONG
    assert "could not read block 7: no answer" in found.out


@pytest.mark.parametrize("code", [0, 1, 4])
def test_run_passes_the_code_on(run: Any, world: World, code: int) -> None:
    world.wired.result = code
    assert run("run").code == code
    assert world.wired.calls == ["run one"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x.toml:1: a", "bad", "Mend it"), Exit.USAGE),
        (StoreUnavailable("disk full"), Exit.STORE),
        (StoreDamaged("damaged"), Exit.STORE),
        (SchemaTooOld("newer"), Exit.STORE),
        (LeaseLost("watch", "abc", 17), Exit.LEASE),
        (ReadFailed("block 7"), Exit.WRONG),
        (NotSent("payout"), Exit.WRONG),
        (InvariantBroken("law 1"), Exit.INTERNAL),
        (ExceptionGroup("tasks", [ValueError("canary"), LeaseLost("watch", "abc", 17)]), Exit.LEASE),
    ],
)
def test_each_error_has_its_code_and_one_line(run: Any, world: World, error: Exception, code: Exit) -> None:
    world.wired.result = error
    found = run("run")
    assert found.code == code
    assert found.err.startswith("error: ")
    assert found.err.count("\n") == 1
    traced = run("--debug", "run")
    assert traced.code == code
    assert "Traceback" in traced.err


def test_an_unforeseen_error_does_not_say_what_it_holds(run: Any, world: World) -> None:
    world.wired.result = ValueError("canary")
    found = run("run")
    assert found.code == Exit.INTERNAL
    assert found.err == "internal error: ValueError. Run it again with: swap-miner --debug …\n"


# reading


def test_status(run: Any, filled: World) -> None:
    filled.wired.held = [
        Lease("watch", "abc", 1, 1_700_000_000_000),
        Lease("saga/1", "abc", 1, 1_700_000_000_000),
    ]
    found = run("status")
    assert found.code == 0
    lines = found.out.splitlines()
    assert "swaps: 1 DISCOVERED, 1 HELD, 1 SIGNED" in lines
    assert "open: 3" in lines
    assert "next deadline: block 101, swap 1 (DISCOVERED), 81 blocks left" in lines
    assert "paused: nothing" in lines
    assert "held: swap 3 (look: swap-miner show 3)" in lines
    assert f"stopped: {ALICE}" in found.out
    assert f"swap-miner resume --account {ALICE}" in found.out
    assert "leases: abc holds 2 (until 2023-11-14T22:13:20+00:00)" in lines
    assert "recovery entry 1 for swap 3 (evidence_contradicts) is not in the log file yet" in lines
    answer = run("status", "--json").json
    assert answer["counts"] == {"DISCOVERED": 1, "HELD": 1, "SIGNED": 1}
    assert answer["oldest_deadline"]["swap_id"] == 1
    assert answer["needs_operator"] == [3]


def test_status_of_an_empty_store(run: Any, world: World) -> None:
    async def nothing(_store: SqlStore) -> None: ...

    world.with_store(nothing)
    found = run("status")
    assert "swaps: none yet" in found.out
    assert "no daemon is running on this store" in found.out


@pytest.mark.parametrize("command", [["status"], ["swaps"], ["show", "1"], ["evidence", "1"]], ids=" ".join)
def test_reading_makes_no_store(run: Any, world: World, command: list[str]) -> None:
    found = run(*command)
    assert found.code == Exit.STORE
    assert str(world.settings.store.file) in found.err
    assert not world.settings.store.path.exists()


def test_reading_takes_no_lease_and_changes_nothing(run: Any, filled: World) -> None:
    """While a daemon works on the same store."""

    def rows() -> list[list[tuple[Any, ...]]]:
        with contextlib.closing(sqlite3.connect(filled.settings.store.file)) as found:
            tables = [
                name for (name,) in found.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            return [found.execute(f'SELECT * FROM "{name}"').fetchall() for name in sorted(tables)]

    with asyncio.Runner() as daemon:
        store = SqlStore(filled.settings.store.file)
        daemon.run(store.open())
        daemon.run(store.acquire("watch"))
        assert daemon.run(store.lease_sagas()) == 3
        before = rows()
        for command in (["status"], ["swaps"], ["show", 2], ["evidence", 2]):
            assert run(*command).code == 0
        assert rows() == before
        daemon.run(store.close())


def test_swaps(run: Any, filled: World) -> None:
    found = run("swaps")
    assert found.code == 0
    assert "3.45 TAO" in found.out
    assert found.out.rstrip().endswith("3 of 3 swaps")
    answer = run("swaps", "--json").json
    assert [row["swap_id"] for row in answer["swaps"]] == [3, 2, 1]
    assert answer["swaps"][1]["dest_amount"] == "3450000000"
    assert [row["swap_id"] for row in run("swaps", "--json", "-n", 1).json["swaps"]] == [3]
    states = run("swaps", "--json", "-s", "held", "-s", "SIGNED").json["swaps"]
    assert [row["state"] for row in states] == ["HELD", "SIGNED"]
    assert len(run("swaps", "--json", "--miner", "one").json["swaps"]) == 3
    assert len(run("swaps", "--json", "--miner", ALICE).json["swaps"]) == 3
    none = run("swaps", "--miner", BOB)
    assert none.code == 0
    assert none.out == "0 of 3 swaps\n"


def test_show(run: Any, filled: World) -> None:
    found = run("show", 2)
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0] == "swap 2: SIGNED"
    assert f"  payout: signed, slot 17 of {ALICE}" in lines
    assert "[RESERVED → SIGNED]" in found.out
    answer = run("show", 2, "--json").json
    assert answer["payout"]["attempts"][0]["txid"] == "0x" + "77" * 32
    assert [entry["after"] for entry in answer["journal"]][-1] == "SIGNED"
    assert "swap 3: HELD (evidence_contradicts)" in run("show", 3).out


def test_evidence(run: Any, filled: World) -> None:
    answer = run("evidence", 2).json
    assert answer["schema_version"] == 1
    assert answer["swap_id"] == 2
    assert answer["payout"]["in_a_block"] is False
    assert answer["user_payment"]["amount"] == "1000000"
    assert answer["swap"]["dest_amount"] == "3450000000"
    assert [event["event"] for event in answer["events"]][-1] == "PAYOUT_SIGNED"


@pytest.mark.parametrize("command", ["show", "evidence"])
def test_a_swap_that_is_not_there(run: Any, filled: World, command: str) -> None:
    found = run(command, 99)
    assert found.code == Exit.WRONG
    assert found.err == "error: there is no swap 99 among the 3 in the store (list: swap-miner swaps)\n"


def test_no_command_prints_signed_bytes_or_control_codes(run: Any, filled: World) -> None:
    told = ""
    for command in (["status"], ["swaps"], ["show", 1], ["show", 2], ["evidence", 2], ["recovery", "list"]):
        for form in ([], ["--json"]):
            found = run(*command, *form)
            assert found.code == 0
            told += found.out + found.err
    for secret in (CANARY.decode(), CANARY.hex(), CANARY.hex().upper(), repr(CANARY), "canary"):
        assert secret not in told
    assert "\x1b" not in told
    assert "\u202e" not in told


# acting


def test_pause_and_resume(run: Any, filled: World) -> None:
    assert run("pause", "btc").out.splitlines() == ["paused btc", "paused now: btc"]
    assert run("pause", "btc").out.splitlines()[0] == "nothing changed: btc was paused already"
    assert run("pause", "--json").json == {
        "what": "all", "paused": True, "changed": True, "now_paused": ["all", "btc"],
    }  # fmt: skip
    assert "paused: all, btc (go on: swap-miner resume)" in run("status").out
    assert run("resume").out.splitlines()[0] == "resumed all"
    assert run("resume", "tao").out.splitlines() == [
        "nothing changed: tao was not paused already",
        "paused now: btc",
    ]


def test_an_account_is_cleared(run: Any, filled: World) -> None:
    assert run("resume", "--account", ALICE).out == f"{ALICE} may pay again\n"
    assert run("resume", "--account", ALICE).out == f"{ALICE} was not stopped; nothing changed\n"
    found = run("resume", "--account", BOB, "--json")
    assert found.code == Exit.WRONG
    assert found.json == {"account": BOB, "known": False, "cleared": False}
    assert f"stopped: {ALICE}" not in run("status").out


def test_a_sent_cache_is_taken_in(run: Any, filled: World, tmp_path: Path) -> None:
    cache = tmp_path / "sent.json"
    cache.write_text(
        json.dumps({"1": ["0x" + "aa" * 32, 12], "9": ["tao_transfer", 13, True]}), encoding="utf-8"
    )
    dry = run("import-sent", cache, "--dry-run")
    assert dry.out == f"looked at 2 entries of {cache}: 2 new (nothing was stored)\n"
    assert run("import-sent", cache).out == f"looked at 2 entries of {cache}: 2 new and stored\n"
    assert run("import-sent", cache, "--json").json == {"looked_at": 2, "new": 0, "dry_run": False}
    cache.write_text('{"1": [', encoding="utf-8")
    broken = run("import-sent", cache)
    assert broken.code == Exit.USAGE
    assert str(cache) in broken.err
    assert "Nothing was imported" in broken.err


def test_a_dry_run_makes_no_store(run: Any, world: World, tmp_path: Path) -> None:
    cache = tmp_path / "sent.json"
    cache.write_text('{"1": ["0xaa", 12]}', encoding="utf-8")
    assert "1 new" in run("import-sent", cache, "--dry-run").out
    assert not world.settings.store.path.exists()


# recovery


def test_recovery(run: Any, world: World) -> None:
    world.settings.store.path.mkdir()
    log = RecoveryFile(world.settings.recovery_file)
    put(log, pending(1, swap_id=7, amount="1500000000"))
    put(log, pending(2, swap_id=8, cause="mark_refused:MinerNotActive"))
    found = run("recovery", "list")
    assert found.code == 0
    assert "mark_refused:MinerNotActive" in found.out
    assert found.out.rstrip().endswith("2 entries, 0 damaged lines")
    assert [one["swap_id"] for one in run("recovery", "list", "--json").json["entries"]] == [7, 8]
    shown = run("recovery", "show", 1)
    assert "amount: 1500000000" in shown.out
    assert "what to do: swap-miner show 7" in shown.out
    assert run("recovery", "show", 2, "--json").json["swap_id"] == 8
    missing = run("recovery", "show", 3)
    assert missing.code == Exit.WRONG
    assert "none of the 2 entries has the id 3" in missing.err


def test_damage_in_the_recovery_log_is_told(run: Any, world: World) -> None:
    world.settings.store.path.mkdir()
    put(RecoveryFile(world.settings.recovery_file), pending(1))
    with world.settings.recovery_file.open("ab") as file:
        file.write(b"nonsense\n{torn")
    found = run("recovery", "list")
    assert found.code == Exit.WRONG
    assert found.err.splitlines() == [
        "warning: recovery log, line 2: no JSON",
        "warning: recovery log, line 3: torn: it has no end, and does not count",
    ]
    assert "1 entries, 2 damaged lines" in found.out


def test_no_recovery_log_is_an_empty_one(run: Any, world: World) -> None:
    found = run("recovery", "list")
    assert (found.code, found.out) == (0, "0 open of 0 entries, 0 damaged lines\n")


def test_every_state_can_be_asked_for(run: Any, filled: World) -> None:
    for state in State:
        assert run("swaps", "--state", state.value).code == 0


def test_the_config_option_goes_before_the_environment(run: Any, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    config = write_settings(other, replaced('name = "one"', 'name = "two"', GOOD))
    assert run("run", "--config", config).code == 0
