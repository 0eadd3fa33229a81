"""`logs`: a swap's lines from a file or the journal; redacted alike; and no secret among them, ever."""

from __future__ import annotations

import io
import json
import logging
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from miner.cli.exits import Exit
from miner.notify.log import configure
from miner.notify.redact import Redactor
from miner.notify.repeat import MOST, Repetition
from miner.notify.story import lines_of, of_swap, since
from tests.unit import test_cli
from tests.unit.cli_world import World
from tests.unit.config_files import ALICE, BOB, MAINNET

world, run = test_cli.world, test_cli.run
TX = "0x" + "5f" * 32
LINES: list[dict[str, Any]] = [
    {"event": "start_up_report", "level": "info", "at": "2026-01-01T00:00:00Z", "paused": []},
    {"event": "swap_moved", "swap_id": 7, "level": "info", "at": "2026-01-01T00:01:00Z", "state": "VERIFIED"},
    {"event": "swap_moved", "swap_id": 8, "level": "info", "at": "2026-01-01T00:02:00Z", "state": "SIGNED"},
    {
        "event": "broadcast",
        "swap_id": 7,
        "lane": 3,
        "txid": TX,
        "level": "info",
        "at": "2026-01-01T00:03:00Z",
    },
    {"event": "lane_looked_at", "txid": TX, "level": "debug", "at": "2026-01-01T00:04:00Z"},
    {
        "event": "inventory_short",
        "level": "error",
        "at": "2026-01-01T00:05:00Z",
        "account": ALICE,
        "set_aside": "3450000000",
        "remedy": f"send {ALICE} 1.5 TAO; see /var/lib/swap-miner/swap-miner.sqlite at wss://node.test:443/v1/k",
        "swap_ids": [7, 9],
    },
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "daemon.log"
    path.write_text("\n".join(json.dumps(line) for line in LINES) + "\nno json\n[1]\n", encoding="utf-8")
    return path


def events(lines: Any) -> list[str]:
    return [line["event"] for line in lines]


# a swap's story


def test_a_swaps_lines_are_those_with_its_id_and_those_of_its_transactions(run: Any, file: Path) -> None:
    told = run("logs", "--swap", 7, "--file", file, "--json").json["lines"]
    assert events(told) == ["swap_moved", "broadcast", "lane_looked_at", "inventory_short"]
    assert "broadcast" in run("logs", "--swap", 7, "--file", file).out
    assert len(run("logs", "--file", file, "--json").json["lines"]) == len(LINES)


def test_a_bundle_is_told_in_json_too(run: Any, file: Path, tmp_path: Path) -> None:
    told = run("logs", "--swap", 7, "--file", file, "--out", tmp_path / "bundle.jsonl", "--json").json
    assert told == {"file": str(tmp_path / "bundle.jsonl"), "lines": 4}


def test_nothing_is_an_exit_code(run: Any, file: Path) -> None:
    assert run("logs", "--swap", 99, "--file", file).code == Exit.WRONG
    assert run("logs", "--file", file.parent / "none").code == Exit.USAGE
    assert run("logs", "--file", file, "--since", "yesterday").code == Exit.USAGE


def test_from_a_time_on(run: Any, file: Path) -> None:
    told = run("logs", "--file", file, "--since", "2026-01-01T00:03:00", "--json").json["lines"]
    assert events(told) == ["broadcast", "lane_looked_at", "inventory_short"]
    assert run("logs", "--file", file, "--since", "1h").code == Exit.WRONG
    begin = datetime(2030, 1, 1, tzinfo=UTC)
    assert events(since([{"event": "timeless"}, LINES[0]], begin)) == ["timeless"]


def test_the_journals_json_is_read_as_well() -> None:
    entries = [
        {"MESSAGE": json.dumps(LINES[1]), "_HOSTNAME": "host", "__CURSOR": "x"},
        {"MESSAGE": list(json.dumps(LINES[3]).encode()), "PRIORITY": "6"},
        {"MESSAGE": "Started swap-miner.", "_PID": "1"},
        {"MESSAGE": None},
        {"MESSAGE": [999]},
    ]
    found = list(lines_of(json.dumps(entry).encode() for entry in entries))
    assert found == [LINES[1], LINES[3]]


def test_journald_is_asked_where_no_file_is_named(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a program that stands for journalctl and tells how it was called."""
    binary = tmp_path / "bin" / "journalctl"
    binary.parent.mkdir()
    entry = json.dumps({"MESSAGE": json.dumps(LINES[1])})
    binary.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/called\ncat <<'END'\n{entry}\nEND\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:/bin:/usr/bin")
    told = run("logs", "--swap", 7, "--since", "2026-01-01", "--unit", "swap-miner@two.service", "--json")
    assert events(told.json["lines"]) == ["swap_moved"]
    called = (tmp_path / "called").read_text(encoding="utf-8")
    assert "-o json" in called
    assert "-u swap-miner@two.service --since=@1767225600" in called
    binary.write_text("#!/bin/sh\necho no journal >&2\nexit 1\n")
    assert "no journal" in run("logs").err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "--file" in run("logs").err


# redaction


def test_a_redacted_story_tells_nobody_who_or_where(run: Any, world: World, file: Path) -> None:
    told = run("logs", "--swap", 7, "--file", file, "--redact", "--json").out
    for word in (ALICE, BOB, TX, "3450000000", "1.5 TAO", "node.test", "/var/lib", "5f5f"):
        assert word not in told, word
    last = json.loads(told)["lines"][-1]
    assert last["account"] in last["remedy"], "the same account has the same other name"
    assert last["swap_ids"] == [7, 9]


@pytest.mark.parametrize(
    ("text", "is_left"),
    [
        (f"{ALICE} to {MAINNET} and 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", " to  and "),
        ("nonce 9 of 2000000000 in block 5123456", "nonce 9 of  in block 5123456"),
        ("wss://user:pw@node.example:443/key?x=1 fails", " fails"),
        ("10.1.2.3:9944 and [::1]:80 and localhost:5432 and db.example:5432", " and  and  and "),
        ("/etc/swap-miner/keys/hot is open, ~/x/y too", " is open,  too"),
        ("paused by operator:bob, 0.01 BTC and 500 sat", "paused by operator:,  and "),
        ("limits.tao.mark_fee in swap-miner.toml", "limits.tao.mark_fee in swap-miner.toml"),
        ("2026-01-01T00:00:00.123456Z", "2026-01-01T00:00:00.123456Z"),
    ],
)
def test_what_is_taken_out_of_a_text(text: str, is_left: str) -> None:
    found = Redactor().text(text)
    assert re.sub(r"<[a-z]+-\d+>", "", found) == is_left


def test_words_of_the_settings_are_replaced_wherever_they_stand() -> None:
    redactor = Redactor([("host", "node.internal"), ("path", "/srv/state"), ("host", "")])
    assert redactor.text("node.internal has no /srv/state") == "<host-1> has no <path-1>"


def test_fields_that_are_named_like_it_are_replaced_whole() -> None:
    line = {
        "event": "x", "amount": 17, "amount_rao": "5", "endpoint": "n1", "miner": "bobs", "txid": "ab",
        "actor": "bob", "deep": {"spendable": 3, "flag": True, "none": None, "list": [{"fee": 2}]},
        "swap_id": 7, "height": 123456,
    }  # fmt: skip
    assert Redactor().line(line) == {
        "event": "x", "amount": "<amount-1>", "amount_rao": "<amount-2>", "endpoint": "<host-1>",
        "miner": "<address-1>", "txid": "<hash-1>", "actor": "<person-1>",
        "deep": {"spendable": "<amount-3>", "flag": True, "none": None, "list": [{"fee": "<amount-4>"}]},
        "swap_id": 7, "height": 123456,
    }  # fmt: skip


@pytest.mark.parametrize("redact", [True, False])
def test_no_secret_comes_out_of_a_log_that_holds_some(
    run: Any, world: World, tmp_path: Path, redact: bool
) -> None:
    """Canaries, as if a program that knew no better had written the log."""
    path = tmp_path / "careless.log"
    careless = {
        "event": "swap_moved",
        "swap_id": 7,
        "password": "canary",
        "raw": "canary",
        "nested": {"mnemonic": "canary words", "token": "canary"},
        "error": f"signed 0x{'ca' * 120} at wss://u:canary@node",
    }
    path.write_text(json.dumps(careless) + "\n" + json.dumps({"MESSAGE": json.dumps(careless)}) + "\n")
    bundle = tmp_path / "bundle.jsonl"
    options = ["--redact"] if redact else []
    out = run("logs", "--swap", 7, "--file", path, *options).out
    assert run("logs", "--swap", 7, "--file", path, "--out", bundle, *options).code == 0
    for text in (out, bundle.read_text(encoding="utf-8")):
        assert "canary" not in text
        assert "cacaca" not in text


def test_a_bundle_is_for_its_owner_and_overwrites_nothing(run: Any, file: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.jsonl"
    assert "wrote 4 lines" in run("logs", "--swap", 7, "--file", file, "--redact", "--out", bundle).out
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    first, *lines = map(json.loads, bundle.read_text(encoding="utf-8").splitlines())
    assert (first["lines"], first["redacted"], len(lines)) == (4, True, 4)
    assert run("logs", "--swap", 7, "--file", file, "--out", bundle).code == Exit.USAGE


def test_links_are_those_of_the_swap_alone() -> None:
    lines: list[dict[str, Any]] = [
        {"event": "a", "swap_id": 1, "txid": ""},
        {"event": "b", "txid": ""},
        {"event": "c", "lane": 3},
    ]
    assert events(of_swap(lines, 1)) == ["a"]


# repetition


class Minute:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Minute, Any]]:
    """A log that leaves out repetitions for a minute, and what it wrote."""
    clock, out = Minute(), io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr("miner.notify.log.Repetition", lambda every_s: Repetition(every_s, clock))
    configure("debug", "json", out, repeat_s=60)
    yield clock, lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_the_same_warning_is_written_once_and_counted(written: Any) -> None:
    clock, lines = written
    log = structlog.get_logger("x")
    for second in range(0, 150, 10):
        clock.now = float(second)
        log.warning("swap_waits", swap_id=7, why=f"no node at block {second}", height=second)
    told = lines()
    assert [(each["event"], each.get("times")) for each in told] == [
        ("swap_waits", None),
        ("repeated", 5),
        ("repeated", 6),
    ]
    assert (told[1]["of"], told[1]["swap_id"], told[1]["within_s"]) == ("swap_waits", 7, 60)
    assert sum(each.get("times", 1) for each in told) + 3 == 15, "the last three are counted, and told later"


def test_what_stopped_is_told_and_new_when_it_comes_again(written: Any) -> None:
    clock, lines = written
    log = structlog.get_logger("x")
    log.warning("swap_waits", swap_id=7, why="a")
    log.warning("swap_waits", swap_id=7, why="a")
    clock.now = 61.0
    log.info("something_else")
    clock.now = 122.0
    log.info("something_else")
    log.warning("swap_waits", swap_id=7, why="a")
    assert [each["event"] for each in lines()] == [
        "swap_waits",
        "repeated",
        "something_else",
        "something_else",
        "swap_waits",
    ]


def test_repeated_errors_are_told_as_errors(written: Any) -> None:
    clock, lines = written
    for second in (0, 1, 61):
        clock.now = float(second)
        structlog.get_logger("x").error("store_refuses", error="disk is full")
    assert [(each["event"], each["level"]) for each in lines()] == [
        ("store_refuses", "error"),
        ("repeated", "error"),
    ]


def test_what_differs_is_no_repetition_and_steps_are_always_written(written: Any) -> None:
    _, lines = written
    log = structlog.get_logger("x")
    log.warning("swap_waits", swap_id=7, why="a")
    log.warning("swap_waits", swap_id=8, why="a")
    log.warning("swap_waits", swap_id=7, why="b")
    log.error("swap_waits", swap_id=7, why="b")
    for _ in range(3):
        log.info("swap_moved", swap_id=7)
        log.critical("finality_violated", height=1)
    assert len(lines()) == 10


def test_without_a_time_nothing_is_left_out() -> None:
    log = Repetition(0)
    for _ in range(3):
        assert log(None, "warning", {"event": "x", "level": "warning"}) == {"event": "x", "level": "warning"}


def test_a_flood_of_different_warnings_fills_no_memory() -> None:
    log = Repetition(60)
    for number in range(3 * MOST):
        log(None, "warning", {"event": f"e{chr(97 + number % 26)}{number}x", "level": "warning"})
    assert len(log._seen) <= MOST
