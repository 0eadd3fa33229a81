"""The formats of messages, to the byte; nothing of a notice is mark-up, and no secret is in any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from miner.model import NoticeKind, Phase
from miner.notify import formats, message
from tests.unit.receivers import delivery

GOLDEN = Path(__file__).parent / "golden" / "notices.json"
HOSTILE = "swap 7: @everyone <@1> [x](http://evil.example) *b* `c <!channel> &amp; \u202e\x1b[31m"
SIGNED = "0x" + "c0ffee" * 60


def written(kind: NoticeKind, phase: Phase) -> dict[str, Any]:
    told = delivery(kind, phase=phase)
    return {
        "webhook": json.loads(message.body(told)),
        "discord": formats.discord(told),
        "slack": formats.slack(told),
        "telegram": formats.telegram(told, "-100"),
    }


def test_the_formats_are_as_they_were() -> None:
    """Receivers rely on them. To change them on purpose, write the file anew and say so in the changelog."""
    found = {
        f"{kind}/{phase}": written(kind, phase)
        for kind, phase in (
            (NoticeKind.SWAP_HELD, Phase.RAISED),
            (NoticeKind.SWAP_HELD, Phase.CLEARED),
            (NoticeKind.SWAP_COMPLETED, Phase.TOLD),
            (NoticeKind.PAUSED, Phase.RAISED),
            (NoticeKind.TEST, Phase.TOLD),
        )
    }
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_strangers_words_call_nobody_and_hide_nothing() -> None:
    told = delivery(text=HOSTILE, what_to_do="")
    discord, slack, telegram = formats.discord(told), formats.slack(told), formats.telegram(told, "1")
    assert discord["allowed_mentions"] == {"parse": []}
    assert "\\[x\\]\\(http" in discord["embeds"][0]["description"]
    assert "\\<\\@1\\>" in discord["embeds"][0]["description"]
    assert "&lt;!channel&gt; &amp;amp;" in slack["blocks"][0]["text"]["text"]
    assert "parse_mode" not in telegram
    for each in (discord, slack, telegram, message.facts(told)):
        assert "\u202e" not in str(each)
        assert "\x1b" not in json.dumps(each, ensure_ascii=False)


def test_commands_keep_their_quotes_for_discord() -> None:
    field = formats.discord(delivery())["embeds"][0]["fields"][0]
    assert field["value"] == "run `swap-miner recovery show --swap 7`"


def test_no_message_is_longer_than_its_service_takes() -> None:
    told = delivery(text="x" * 100_000, what_to_do="y" * 100_000)
    embed = formats.discord(told)["embeds"][0]
    assert len(embed["description"]) <= 4096
    assert len(embed["fields"][0]["value"]) <= 1024
    assert len(formats.slack(told)["blocks"][0]["text"]["text"]) <= 3000
    assert len(formats.telegram(told, "1")["text"]) <= 4096


@pytest.mark.parametrize("where", ["text", "what_to_do", "detail"])
def test_no_secret_is_in_any_message(where: str) -> None:
    """Canaries: signed bytes in any text, and whatever is named like a secret in the facts."""
    planted: dict[str, Any] = (
        {"detail": {"raw": "canary", "deep": {"password": "canary", "tx": SIGNED}}}
        if where == "detail"
        else {where: f"look at {SIGNED} and wss://user:canary@node"}
    )
    told = delivery(**planted)
    for each in (
        message.body(told).decode(),
        *map(json.dumps, (formats.discord(told), formats.slack(told), formats.telegram(told, "1"))),
    ):
        assert "canary" not in each
        assert "c0ffeec0ffee" not in each
