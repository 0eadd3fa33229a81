"""The same warning with the same cause is written once; how often it came again is told once a minute.

What differs from one time to the next without telling anything new (a height, a pause) does not count. What
is critical, and what is no warning at all, is always written: each of those is a step of some swap's story.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog
from structlog.typing import EventDict

LIMITED = frozenset({"warning", "error"})
PASSING = frozenset(
    {"at", "height", "best", "finalised", "pause_s", "attempts", "seconds", "until_ms", "took_ms", "behind_s"}
)
"""Fields that may differ in what is the same."""
TOLD = "repeated"
MOST = 1000
"""Most different warnings that are remembered; with more, the oldest is forgotten, and written again."""
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+")


@dataclass(slots=True)
class _Seen:
    since: float
    first: dict[str, Any]
    count: int = 0


class Repetition:
    """A processor of structlog.

    Args:
        every_s: How long the same thing is told once only; 0: nothing is left out.
        clock: Seconds, never going back.
    """

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._seen: dict[tuple[Any, ...], _Seen] = {}

    def __call__(self, _logger: Any, method: str, event: EventDict) -> EventDict:
        """The event; nothing where it was told just now."""
        if not self._every_s or event.get("event") == TOLD:
            return event
        self._tell_due()
        if event.get("level", method) not in LIMITED:
            return event
        key = key_of(event)
        seen = self._seen.get(key)
        if seen is not None:
            seen.count += 1
            raise structlog.DropEvent
        while len(self._seen) >= MOST:
            self._seen.pop(next(iter(self._seen)))
        self._seen[key] = _Seen(self._clock(), dict(event))
        return event

    def _tell_due(self) -> None:
        """Whatever was last told a minute ago: how often it came since; what did not is new the next time."""
        now = self._clock()
        due = [key for key, seen in self._seen.items() if now - seen.since >= self._every_s]
        for key in due:
            seen = self._seen.pop(key)
            if seen.count:
                self._seen[key] = _Seen(now, seen.first)
                _tell(seen, round(now - seen.since))


def _tell(seen: _Seen, seconds: int) -> None:
    said = {name: value for name, value in seen.first.items() if name not in (*PASSING, "event", "level")}
    log = structlog.get_logger()
    say = log.error if seen.first.get("level") == "error" else log.warning
    say(TOLD, of=seen.first.get("event"), times=seen.count, within_s=seconds, **said)


def key_of(event: MutableMapping[str, Any]) -> tuple[Any, ...]:
    """What makes two events the same: everything but what passes, numbers within texts left out."""
    return tuple(
        (name, _NUMBERS.sub("#", value) if isinstance(value, str) and name != "event" else repr(value))
        for name, value in sorted(event.items())
        if name not in PASSING
    )
