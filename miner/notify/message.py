"""A notice as text and as JSON: what every target's own format is made from."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Any

import orjson

from miner.model import Delivery, NoticeKind, Phase, Severity
from miner.notify.log import strike_secrets

SCHEMA_VERSION = 1
PROGRAM = "swap-miner"
_LONGEST = 1500


def facts(delivery: Delivery) -> dict[str, Any]:
    """What a message says, as plain values: the same at every attempt; secrets struck out."""
    notice, alarm = delivery.notice, delivery.notice.alarm
    told = {
        "schema_version": SCHEMA_VERSION,
        "id": delivery.id,
        "at": datetime.fromtimestamp(notice.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "event": alarm.kind.value,
        "severity": alarm.kind.severity.value,
        "phase": notice.phase.value,
        "subject": clean(alarm.subject),
        "swap_id": alarm.swap_id,
        "text": clean(alarm.text),
        "what_to_do": clean(alarm.what_to_do),
        "detail": dict(alarm.detail),
        "contract": notice.contract,
        "genesis": notice.genesis,
    }
    return dict(strike_secrets(None, "", told))


def body(delivery: Delivery) -> bytes:
    """The JSON of a plain webhook: the same bytes at every attempt."""
    return orjson.dumps(facts(delivery), option=orjson.OPT_SORT_KEYS, default=str)


def clean(text: str) -> str:
    """Text without what hides, turns round or splits it: much of what is told was written by strangers."""
    kept = "".join(" " if char in "\r\n\t" else char for char in text)
    kept = "".join(char for char in kept if unicodedata.category(char) not in ("Cc", "Cf", "Co", "Cs"))
    return kept if len(kept) <= _LONGEST else kept[: _LONGEST - 1] + "…"


def sign_of(delivery: Delivery) -> str:
    """A sign that shows at a glance how things stand."""
    if delivery.notice.phase is Phase.CLEARED:
        return "✅"
    if delivery.notice.alarm.kind is NoticeKind.TEST:
        return "🔔"
    severity = delivery.notice.alarm.kind.severity
    return {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠"}.get(severity, "🔵")


def title(delivery: Delivery) -> str:
    """The first line for people."""
    kind = delivery.notice.alarm.kind.value.replace("_", " ")
    return f"{sign_of(delivery)} {PROGRAM}: {kind}" + (
        " (well again)" if delivery.notice.phase is Phase.CLEARED else ""
    )
