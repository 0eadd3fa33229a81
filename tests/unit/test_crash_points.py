"""Crash points come from the ports and the saga's table: none is missing, and none is hit by accident."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from miner import ports
from miner.app import crash
from miner.app.points import BOUNDARIES, INNER, acting, boundaries, points, surround, undeclared
from miner.boundary import acts, effect_of, reads
from miner.config import Settings
from miner.errors import ConfigError
from miner.model import Claim, LanePurpose, SignedTx
from miner.saga import TABLE
from tests.acceptance.crashes.matrix import UNREACHED, cases, cases_on_a_server, in_make_test

PORTS = [
    each
    for each in vars(ports).values()
    if inspect.isclass(each)
    and each.__module__.startswith(ports.__name__)
    and getattr(each, "_is_protocol", False)
]


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.__name__)
def test_every_method_of_a_port_says_whether_it_acts(port: type) -> None:
    assert undeclared(port) == (), f"{port.__name__}: mark these @reads or @acts"


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.__name__)
def test_a_port_that_acts_is_a_boundary_or_stands_behind_one(port: type) -> None:
    assert not acting(port) or port in BOUNDARIES.values() or port in INNER


def test_a_method_without_a_declaration_is_found() -> None:
    class Port:
        @reads
        async def look(self) -> None: ...
        @acts
        async def spend(self) -> None: ...
        async def new(self) -> None: ...

    assert undeclared(Port) == ("new",)
    assert acting(Port) == ("spend",)
    assert effect_of(Port.look) == "reads"


def test_every_event_of_the_table_has_its_points() -> None:
    events = {event for moves in TABLE.values() for event in moves}
    named = {name.removeprefix("store.step:") for name in boundaries() if name.startswith("store.step:")}
    assert named == events


def test_whatever_acts_has_points() -> None:
    for name, port in BOUNDARIES.items():
        for method in acting(port):
            assert any(each.partition(":")[0] == f"{name}.{method}" for each in boundaries()), method


def test_each_signature_has_points() -> None:
    assert {name for name in boundaries() if name.endswith(".sign")} == {
        "tao.sign",
        "btc.sign",
        "contract.sign",
        "affairs.sign",
    }


def test_names_are_unique() -> None:
    assert len(set(points())) == len(points()) == 2 * len(boundaries())


# the matrix


def test_the_matrix_reaches_every_point_or_says_why_not() -> None:
    covered = {case.boundary for case in cases()}
    assert covered | set(UNREACHED) == set(boundaries()), (
        "boundaries that no scenario comes to, without a reason"
    )
    assert covered.isdisjoint(UNREACHED), "reached, so no reason is due"
    assert all(UNREACHED.values())


def test_each_boundary_dies_before_and_after_first_and_again_alone_and_not() -> None:
    ways: dict[tuple[str, str, str], set[tuple[str, str, bool]]] = {}
    for case in cases():
        key = (case.scenario, case.boundary, case.rail)
        ways.setdefault(key, set()).add((case.when, case.attempt, case.swaps > 1))
    assert {len(each) for each in ways.values()} == {8}


def test_the_ids_of_cases_are_unique_and_make_test_has_its_share() -> None:
    every = [*cases(), *cases_on_a_server()]
    assert len({case.id for case in every}) == len(every)
    assert {case.rail for case in every if in_make_test(case)} == {case.rail for case in every}


# surrounding an adapter


class Adapter:
    """Stands behind the wrapper: what it was asked, in order, among the points."""

    owner = "me"

    def __init__(self, told: list[str]) -> None:
        self.told = told

    async def recovery_written(self, entry_id: int) -> None:
        self.told.append(f"written {entry_id}")

    async def prepare(self, *_args: object, **_kwargs: object) -> Claim:
        return Claim("tao:0x", "a", LanePurpose.PAYOUT, self.sign, "b", 1, nonce_floor=0)

    def sign(self, slot: str) -> SignedTx:
        self.told.append(f"signed {slot}")
        return SignedTx("0x", b"", 1, None, None, (slot,))

    def __getattr__(self, name: str) -> Any:
        async def nothing() -> None: ...

        return nothing


async def test_points_are_told_around_what_acts_and_nothing_else() -> None:
    told: list[str] = []
    store: Any = surround(Adapter(told), "store", told.append)
    await store.recovery_written(7)
    assert store.owner == "me"
    assert told == ["before:store.recovery_written", "written 7", "after:store.recovery_written"]


async def test_a_signature_is_made_between_its_points_in_the_stores_transaction() -> None:
    told: list[str] = []
    rail: Any = surround(Adapter(told), "tao", told.append)
    claim = await rail.prepare()
    assert told == ["before:tao.prepare", "after:tao.prepare"]
    del told[:]
    assert claim.sign("7").spends == ("7",)
    assert told == ["before:tao.sign", "signed 7", "after:tao.sign"]


async def test_what_is_raised_before_an_effect_keeps_it_from_happening() -> None:
    told: list[str] = []

    def stop(point: str) -> None:
        raise RuntimeError(point)

    store: Any = surround(Adapter(told), "store", stop)
    with pytest.raises(RuntimeError, match=r"before:store\.recovery_written"):
        await store.recovery_written(7)
    assert told == []


def test_the_trigger_counts() -> None:
    died: list[str] = []
    trigger = crash.Trigger("after:store.open", 2, lambda: died.append("now"))
    for point in ("after:store.open", "before:store.open", "after:store.open"):
        assert died == []
        trigger(point)
    assert died == ["now"]


# asking for it


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """As a test on a devnet has them."""
    return made(tmp_path)


def made(folder: Path, **changes: Any) -> Settings:
    """Settings of a devnet, some of them changed."""
    told: dict[str, Any] = {
        "contract": {
            "endpoints": ["ws://127.0.0.1:9944"],
            "address": "5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM",
            "metadata": str(folder / "metadata.json"),
            "allow_dev_keys": True,
        },
        "store": {"path": str(folder)},
        "bitcoin": {"url": "http://localhost:18443", "network": "regtest", "cookie_file": str(folder / "c")},
        "miners": [{"name": "m", "hotkey": {"uri": "//Alice"}}],
    }
    for path, value in changes.items():
        table, key = path.split("__")
        told[table] = value if not key else {**told[table], key: value}
    return Settings.model_validate(told)


def test_without_the_variable_nothing_is_wrapped(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(crash.VARIABLE, raising=False)
    adapter = object()
    assert crash.asked_for(settings).around(adapter, "store") is adapter


def test_on_a_devnet_it_is_done(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(crash.VARIABLE, "after:recovery.append:3")
    adapter = Adapter([])
    assert crash.asked_for(settings).around(adapter, "recovery") is not adapter


KEYFILE = [{"name": "m", "hotkey": {"keyfile": "/keys/hot"}}]
SECOND = [
    {"name": "m", "hotkey": {"uri": "//Alice"}, "tao_key": {"mnemonic_file": "/keys/words"}},
]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"contract__endpoints": ["wss://node.example:443"]}, "node.example:443 is not on this machine"),
        (
            {"contract__endpoints": ["ws://127.0.0.1:1", "ws://10.0.0.1:2"]},
            "10.0.0.1:2 is not on this machine",
        ),
        ({"contract__endpoints": ["ws://127.0.0.1.example:1"]}, "is not on this machine"),
        ({"contract__archive_endpoint": "wss://old.example"}, "old.example is not on this machine"),
        ({"bitcoin__url": "http://10.0.0.1:18443"}, "10.0.0.1:18443 is not on this machine"),
        ({"bitcoin__network": "mainnet"}, "Bitcoin is mainnet"),
        ({"bitcoin__network": "signet"}, "Bitcoin is signet"),
        ({"miners__": KEYFILE}, "miners.0.hotkey is no development key"),
        ({"miners__": SECOND}, "miners.0.tao_key is no development key"),
    ],
)
def test_outside_tests_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], why: str
) -> None:
    monkeypatch.setenv(crash.VARIABLE, "after:store.open")
    with pytest.raises(ConfigError, match=why.replace(".", r"\.")) as refused:
        crash.asked_for(made(tmp_path, **change))
    assert refused.value.where == crash.VARIABLE
    assert refused.value.remedy == f"Unset {crash.VARIABLE}"


@pytest.mark.parametrize(
    ("wish", "near"),
    [
        ("after:store.step:PAYOUT_SIGND", "after:store.step:PAYOUT_SIGNED"),
        ("after:store.opened", "after:store.open"),
        ("", "python -m miner.app.crash"),
        ("after:store.open:0", "after:store.open"),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_are_near(wish: str, near: str) -> None:
    with pytest.raises(ConfigError) as refused:
        crash.parse(wish)
    assert near in refused.value.remedy


@pytest.mark.parametrize(
    ("wish", "meant"),
    [
        ("before:tao.broadcast:payment", ("before:tao.broadcast:payment", 1)),
        ("before:tao.broadcast:payment:2", ("before:tao.broadcast:payment", 2)),
        ("after:store.open:12", ("after:store.open", 12)),
    ],
)
def test_a_name_and_the_time_that_is_meant(wish: str, meant: tuple[str, int]) -> None:
    assert crash.parse(wish) == meant


def test_the_points_are_listed() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "miner.app.crash"], capture_output=True, text=True, check=True, timeout=60
    )
    assert tuple(told.stdout.split()) == points()


def test_death_is_by_sigkill() -> None:
    code = "from miner.app.crash import _die; print('kept in the buffer', end=''); _die()"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=60, env=environment
    )
    assert (told.returncode, told.stdout) == (-signal.SIGKILL, b"")
