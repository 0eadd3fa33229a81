"""`notify`: targets from the settings to a real receiver, what was given up, and what no command tells."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from miner.alert import Deliverer, Effort
from miner.app.tell import SystemClock
from miner.app.telling import Telling, make_messenger, routes
from miner.cli.exits import Exit
from miner.config import load, read
from miner.errors import ConfigError
from miner.model import Alarm, NoticeKind
from miner.store import SqlStore
from miner.store.outbox import SqlOutbox
from tests.unit import test_cli
from tests.unit.cli_world import World
from tests.unit.config_files import GOOD
from tests.unit.receivers import Answer, Receiver, receiving

world, filled, run = test_cli.world, test_cli.filled, test_cli.run


@contextmanager
def listening(*answers: Answer) -> Iterator[Receiver]:
    """A receiver in a thread of its own, beside the command's loop."""
    ready, over = threading.Event(), threading.Event()
    found: list[Receiver] = []

    async def serve() -> None:
        async with receiving(*answers) as receiver:
            found.append(receiver)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="receiver")
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        over.set()
        thread.join(30)


def with_target(world: World, url: str, **more: object) -> None:
    """Add a webhook target called `ops` to the settings."""
    folder = world.config.parent
    for name, text in (("hook-url", url), ("hook-key", "canary-key")):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o600)
    values: dict[str, object] = {
        "name": '"ops"', "kind": '"webhook"', "url_file": '"hook-url"', "secret_file": '"hook-key"',
        "allow_loopback": "true", "timeout_s": 5,
    }  # fmt: skip
    lines = "\n".join(f"{key} = {value}" for key, value in (values | more).items())
    world.config.write_text(f"{GOOD}\n[[notify]]\n{lines}\n", encoding="utf-8")


async def deliver(world: World, store: SqlStore, attempts: int = 1) -> None:
    """As the daemon would, once."""
    settings = world.settings
    (wanted,) = settings.notify
    ways = {"ops": make_messenger(settings, wanted)}
    outbox = SqlOutbox(store.database, store.owner)
    effort = Effort(attempts=attempts, base_s=0.001)
    work = Deliverer(outbox, ways, routes(settings), SystemClock(), lambda: 0.0, effort)
    with capture_logs():
        await work.route()
        await work.deliver("ops")


def test_without_targets_nobody_is_told(run: Any, filled: World) -> None:
    assert run("notify", "list").out.startswith("nobody is told")
    assert run("notify", "test").code == Exit.WRONG
    assert run("notify", "dead").out == "0 given up\n"
    assert run("notify", "replay").code == Exit.WRONG


def test_a_test_message_arrives(run: Any, world: World) -> None:
    with listening() as receiver:
        with_target(world, receiver.url)
        found = run("notify", "test", "ops")
    assert found.code == 0
    assert "ops: it arrived" in found.out
    (got,) = receiver.got
    assert (got.json["event"], got.headers["webhook-id"]) == ("test", got.json["id"])
    assert "canary" not in found.out + found.err


def test_a_test_message_that_does_not_arrive_says_why(run: Any, world: World) -> None:
    with listening(Answer(401)) as receiver:
        with_target(world, receiver.url)
        found = run("notify", "test", "--json")
    assert found.code == Exit.WRONG
    assert found.json["targets"][0]["problem"] == "message to ops: answered 401"
    assert "canary" not in found.out + found.err
    assert run("notify", "test", "other").code == Exit.USAGE


def test_what_was_given_up_is_listed_and_replayed(run: Any, filled: World) -> None:
    with listening(Answer(404), Answer(204)) as receiver:
        with_target(filled, receiver.url)
        filled.with_store(lambda store: deliver(filled, store))
        told = run("notify", "dead", "--json").json["deliveries"]
        assert [(one["event"], one["last_error"]) for one in told] == [
            ("swap_held", "message to ops: answered 404")
        ]
        assert "answered 404" in run("notify", "dead").out
        overview = run("notify", "list", "--json").json
        (ops,) = overview["targets"]
        assert (ops["dead"], ops["waiting"], ops["delivered"]) == (1, 0, 1)
        assert {"swap_held", "account_stopped"} == {one["event"] for one in overview["conditions"]}
        assert run("notify", "replay", "ops", "--notice", told[0]["notice"]).out == (
            "1 messages are sent again\n"
        )
        filled.with_store(lambda store: deliver(filled, store))
    assert [got.json["event"] for got in receiver.got][:3] == ["swap_held", "account_stopped", "swap_held"]
    assert receiver.got[0].headers["webhook-id"] == receiver.got[2].headers["webhook-id"]
    out = run("notify", "list").out
    assert "wrong now: account_stopped" in out
    assert "canary" not in out


def test_nothing_that_is_signed_reaches_a_receiver(run: Any, filled: World) -> None:
    """The filled store holds signed bytes, and control codes in what strangers wrote."""
    with listening() as receiver:
        with_target(filled, receiver.url, least_severity='"info"')
        filled.with_store(lambda store: deliver(filled, store))
    assert len(receiver.got) >= 4
    for got in receiver.got:
        assert b"canary" not in got.body
        assert b"\\u001b" not in got.body
        assert "63616e617279" not in got.body.decode(), "nor as hex"


async def test_the_daemon_delivers_beside_its_work(world: World) -> None:
    async with receiving() as receiver:
        with_target(world, receiver.url)
        settings, store = world.settings, SqlStore(world.settings.store.file)
        await store.open()
        try:
            async with Telling(settings, store).at_work():
                alarm = Alarm(kind=NoticeKind.LOW_BALANCE, subject="a", text="low")
                await SqlOutbox(store.database, store.owner).begin(alarm)
                await receiver.has(1)
        finally:
            await store.close()
    assert receiver.got[0].json["text"] == "low"


# settings

HOOK = '[[notify]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('kind = "webhook"\nurl = "https://a.example"', "has no secret_file"),
        ('kind = "webhook"\nsecret_file = "k"', "names no address"),
        ('kind = "webhook"\nsecret_file = "k"\nurl = "http://a.example"', "is not encrypted"),
        (
            'kind = "webhook"\nsecret_file = "k"\nurl = "http://a.example"\nallow_loopback = true',
            "is not encrypted",
        ),
        ('kind = "webhook"\nsecret_file = "k"\nurl = "https://a"\nurl_file = "u"', "has both"),
        ('kind = "discord"\nurl = "https://discord.example/api/webhooks/1/canary"', "is an access key"),
        ('kind = "slack"\nurl_file = "u"\nchat = "1"', "is for telegram only"),
        ('kind = "telegram"\nsecret_file = "t"', "names no chat"),
        ('kind = "telegram"\nchat = "1"', "has no secret_file"),
        ('kind = "pager"\nurl_file = "u"', "will not do"),
        ('kind = "slack"\nurl_file = "u"\nevents = ["swap_hold"]', "will not do"),
        ('kind = "slack"\nurl_file = "u"\n[[notify]]\nname = "a"\nkind = "slack"\nurl_file = "u"', "already"),
    ],
)
def test_a_target_that_cannot_be_is_refused(table: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        read(f"{GOOD}\n{HOOK}{table}\n", Path("x.toml"))
    assert "canary" not in str(caught.value)


def test_a_target_whose_secret_is_open_to_others_is_refused(world: World) -> None:
    with_target(world, "https://hooks.example/x")
    load(world.config, files=True)
    (world.config.parent / "hook-key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load(world.config, files=True)


def test_an_address_file_without_an_address_is_told(world: World) -> None:
    with_target(world, "canary")
    with pytest.raises(ConfigError, match="holds no web address") as caught:
        world.settings.notify[0].address()
    assert "canary" not in str(caught.value)
