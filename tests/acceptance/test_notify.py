"""The real daemon tells a real receiver what becomes of a swap, while another one never answers."""

from __future__ import annotations

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
