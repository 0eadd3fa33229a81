"""Counts of what this process did: made by adapters and services as they work, read by the metrics.

Beside the log, and like it one for the process. A count never fails, waits or allocates much, so it may stand
anywhere.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

REQUESTS = "requests"
"""Requests to nodes, by chain, method and result (`ok`, `error`: the node said no, `lost`: no answer)."""
SWEEPS = "sweeps"
"""Runs of a sweep, by its name and result (`ok`, `failed`, `lost`: another was first)."""
ROUNDS = "rounds"
"""Rounds of the supervisor, by result (`ok`, or the kind of error that ended it)."""


class Tally:
    """Counters by name and labels, and when each task last showed that it lives."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[tuple[str, ...]]] = {}
        self._beats: dict[str, float] = {}

    def count(self, name: str, *labels: str) -> None:
        """One more."""
        self._counts.setdefault(name, Counter())[labels] += 1

    def beat(self, task: str) -> None:
        """A task has come round: it is alive."""
        self._beats[task] = time.time()

    def counts(self, name: str) -> Mapping[tuple[str, ...], int]:
        """How many so far, by labels."""
        return dict(self._counts.get(name, {}))

    def beats(self) -> Mapping[str, float]:
        """When each task last came round, in seconds since 1970 UTC."""
        return dict(self._beats)


tally = Tally()
"""This process's."""
