"""The real daemon tells a real receiver what becomes of a swap, while another one never answers."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.unit.receivers import Answer, receiving

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

TARGET = """[[notify]]
name = "{name}"
kind = "webhook"
url = "{url}"
secret_file = "hook-key"
least_severity = "info"
allow_loopback = true
timeout_s = 60
"""


async def test_a_swap_is_told_from_its_assignment_to_its_end(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    key = stage.folder / "hook-key"
    key.write_text("canary-key", encoding="utf-8")
    key.chmod(0o600)
    async with receiving() as well, receiving(Answer(hang=True)) as hanging:
        targets = [("well", well.url), ("hanging", hanging.url)]
        extra = "".join(TARGET.format(name=name, url=url) for name, url in targets)
        async with await Daemon.start(stage.config(extra=extra)) as daemon:
            await daemon.ready()
            await stage.cli("pause")
            (opened,) = await stage.open(stage.plan(0))
            await stage.step(daemon)
            await stage.cli("resume")
            await stage.completed(daemon, [opened])
            await stage.step(daemon, blocks=3)
            await well.has(6)
            told = [(got.json["event"], got.json["phase"]) for got in well.got]
            assert "canary" not in daemon.tail(10_000)
        assert len(hanging.got) == 1, "it holds up nothing but itself"
    assert sorted(told) == [
        ("paused", "cleared"),
        ("paused", "raised"),
        ("swap_assigned", "told"),
        ("swap_completed", "told"),
        ("swap_fulfilled", "told"),
        ("swap_paid", "told"),
    ]
    assert [event for event, _ in told if event.startswith("swap_")] == [
        "swap_assigned",
        "swap_paid",
        "swap_fulfilled",
        "swap_completed",
    ]
    record_property("payouts", (await stage.evidence(opened)).payouts)


async def test_targets_are_changed_by_a_reload(stage: Stage) -> None:
    """One comes, one moves to another address, one goes; the process stays, and the others notice nothing."""
    key = stage.folder / "hook-key"
    key.write_text("canary-key", encoding="utf-8")
    key.chmod(0o600)

    def named(**urls: str) -> str:
        return "".join(TARGET.format(name=name, url=url) for name, url in urls.items())

    async with receiving() as old, receiving() as new, receiving() as other:
        config = stage.config(extra=named(first=old.url))
        async with await Daemon.start(config) as daemon:
            await daemon.ready()
            await stage.cli("pause", "btc")
            await old.has(1)
            for targets in ({"first": new.url, "second": other.url}, {"second": other.url}):
                stage.config(extra=named(**targets))
                seen = len(daemon.log)
                daemon.process.send_signal(signal.SIGHUP)
                told = await daemon.event("settings_reloaded", since=seen, changed=["notify"])
                assert told["needs_restart"] == []
                if "first" in targets:
                    await stage.cli("resume", "btc")
                    await new.has(1)
                    await other.has(1)
            await stage.cli("pause", "btc")
            await other.has(2)
            assert await daemon.stop() == 0
            assert "canary" not in daemon.tail(10_000)
    assert [[got.json["phase"] for got in each.got] for each in (old, new, other)] == [
        ["raised"],
        ["cleared"],
        ["cleared", "raised"],
    ]
