"""The formats of Discord, Slack and Telegram, and the signature of a plain webhook.

Nothing of a notice is taken for mark-up or calls anybody: mentions are off, and what each service would
interpret is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any

from miner.model import Delivery, Phase, Severity
from miner.notify.message import PROGRAM, facts, title

_RED, _ORANGE, _BLUE, _GREEN = 0xD93025, 0xE8710A, 0x1A73E8, 0x188038
_DISCORD_MARKS = re.compile(r"([\\*_~|>\[\]()<#@-])")
LONGEST_TELEGRAM = 4096


def discord(delivery: Delivery) -> dict[str, Any]:
    """A message of a Discord webhook."""
    told = facts(delivery)
    embed: dict[str, Any] = {
        "title": title(delivery),
        "description": _discord_text(told["text"]),
        "color": _colour(delivery),
        "timestamp": told["at"],
        "footer": {"text": told["id"]},
    }
    if told["what_to_do"]:
        embed["fields"] = [{"name": "What to do", "value": _discord_text(told["what_to_do"])[:1024]}]
    return {"username": PROGRAM, "allowed_mentions": {"parse": []}, "embeds": [embed]}


def slack(delivery: Delivery) -> dict[str, Any]:
    """A message of a Slack incoming webhook."""
    told = facts(delivery)
    lines = [f"*{_slack_text(title(delivery))}*", _slack_text(told["text"])]
    if told["what_to_do"]:
        lines.append(f"_What to do:_ {_slack_text(told['what_to_do'])}")
    context = {"type": "mrkdwn", "text": f"{told['at']} · {told['id']}"}
    return {
        "text": _slack_text(f"{title(delivery)}: {told['text']}"),
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)[:3000]}},
            {"type": "context", "elements": [context]},
        ],
    }


def telegram(delivery: Delivery, chat: str) -> dict[str, Any]:
    """A call of `sendMessage` of the Telegram Bot API: plain text, so nothing is mark-up."""
    told = facts(delivery)
    lines = [title(delivery), told["text"]]
    if told["what_to_do"]:
        lines.append(f"What to do: {told['what_to_do']}")
    lines.append(f"{told['at']} · {told['id']}")
    return {
        "chat_id": chat,
        "text": "\n".join(lines)[:LONGEST_TELEGRAM],
        "link_preview_options": {"is_disabled": True},
    }


JSON_FORMATS: Mapping[str, Callable[[Delivery], dict[str, Any]]] = {"discord": discord, "slack": slack}
"""Formats that need nothing but the delivery, by kind of target."""


def signature(secret: str, delivery_id: str, timestamp: int, payload: bytes) -> str:
    """The `webhook-signature` header: HMAC-SHA256 over id, time and body, as Standard Webhooks has it.

    Args:
        secret: The shared key; `whsec_` and base64 stands for the bytes, anything else for its UTF-8.
        delivery_id: The `webhook-id` header.
        timestamp: The `webhook-timestamp` header, seconds since 1970.
        payload: The body, byte by byte.
    """
    signed = f"{delivery_id}.{timestamp}.".encode() + payload
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def key_of(secret: str) -> bytes:
    """The bytes of a shared key.

    Raises:
        ValueError: What follows `whsec_` is no base64.
    """
    kind, found, rest = secret.partition("_")
    return base64.b64decode(rest, validate=True) if found and kind == "whsec" else secret.encode()


def _colour(delivery: Delivery) -> int:
    if delivery.notice.phase is Phase.CLEARED:
        return _GREEN
    severity = delivery.notice.alarm.kind.severity
    return {Severity.CRITICAL: _RED, Severity.WARNING: _ORANGE}.get(severity, _BLUE)


def _discord_text(text: str) -> str:
    """Escaped but for what stands between back-quotes, which Discord shows as it is."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # an odd back-quote would take the rest for code
        parts = [text.replace("`", "'")]
    return "`".join(
        part if index % 2 else _DISCORD_MARKS.sub(r"\\\1", part) for index, part in enumerate(parts)
    )


def _slack_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
