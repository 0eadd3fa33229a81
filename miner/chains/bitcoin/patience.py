"""When a Bitcoin node is left alone: since it asked for it, or since it does not answer.

Whoever wants something of it meanwhile learns so at once, without a request: no round waits for a node that
hangs, and no node that is in trouble is asked again and again by every swap.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from miner.chains.asking import jittered

WEDGED_AFTER: Final = 3
"""Requests in a row that hung after which the node is left alone, and knocked at."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0

Knock = Callable[[], Awaitable[bool]]
"""Asks the node for something small; whether it answered."""


class Patience:
    """Counts what was not answered, and says how long the node is left alone.

    Attributes:
        losses: How often no answer came.
    """

    def __init__(self, knock: Knock, sleep: Callable[[float], Awaitable[None]]) -> None:
        """It is asked freely at first.

        Args:
            knock: How to see whether a silent node is back.
            sleep: How to wait between two knocks.
        """
        self._knock = knock
        self._sleep = sleep
        self._unanswered = 0
        self._until_s = 0.0
        self._knocking: asyncio.Task[None] | None = None
        self.losses = 0

    def why_not(self) -> str:
        """Why it is not asked now; empty when it is."""
        if self._knocking is not None:
            return "it does not answer, and is knocked at until it does"
        left_s = self._until_s - time.monotonic()
        return f"it asked to be left alone for {left_s:.0f} s more" if left_s > 0 else ""

    def leave_alone(self, seconds: float) -> None:
        """It asked for it."""
        self._until_s = max(self._until_s, time.monotonic() + seconds)

    def answered(self) -> None:
        """It answers, whatever it said."""
        self._unanswered = 0

    def lost(self, hung: bool) -> None:
        """It did not answer; whoever answers next may be another node.

        Args:
            hung: It took the request and kept silent for as long as a request may take.
        """
        self.losses += 1
        self._unanswered += hung
        if self._unanswered >= WEDGED_AFTER and self._knocking is None:
            self._knocking = asyncio.create_task(self._until_it_answers(), name="bitcoin-knock")

    async def _until_it_answers(self) -> None:
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                await self._sleep(jittered(pause_s))
                if await self._knock():
                    return
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            self._knocking = None
            self._unanswered = 0

    async def close(self) -> None:
        """Knock no more; idempotent."""
        if (knocking := self._knocking) is not None:
            knocking.cancel()
            await asyncio.gather(knocking, return_exceptions=True)
