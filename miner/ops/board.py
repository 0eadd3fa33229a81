"""What the running daemon has told: readiness, progress, and where its nodes and rails can be asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from miner.amounts import Chain
from miner.ports import Endpoint, Rail


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of the outside once the daemon has connected.

    Attributes:
        endpoints: How each node of the contract's chain stands.
        best_height: The highest fresh best head; 0 before the first.
        rails: By chain.
        accounts: Every account that pays or marks.
    """

    endpoints: Callable[[], Sequence[Endpoint]]
    best_height: Callable[[], int]
    rails: Mapping[Chain, Rail]
    accounts: Sequence[tuple[Chain, str]]


class Board:
    """Where the supervisor's words are written down for whoever asks; see `ports.Tell`.

    Nothing here waits or fails, so that nobody who asks can hold up who tells.

    Attributes:
        owner: Owner id of the daemon's leases.
        started_s: When it started, seconds since 1970 UTC.
        is_ready: Whether swaps can be served.
        why: Why not, in words; empty where it is ready.
        since_s: Since when it is (or is not).
        progress_s: When a new head was worked on last; 0 for never.
        outlook: See there; None while nothing is connected.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.started_s = time.time()
        self.is_ready = False
        self.why = "starting"
        self.since_s = self.started_s
        self.progress_s = 0.0
        self.outlook: Outlook | None = None

    def ready(self, is_ready: bool, why: str) -> None:
        """See `ports.Tell`."""
        if is_ready != self.is_ready:
            self.since_s = time.time()
        self.is_ready, self.why = is_ready, "" if is_ready else why

    def progress(self) -> None:
        """See `ports.Tell`."""
        self.progress_s = time.time()
