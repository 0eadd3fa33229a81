"""What the server has the daemon do that rows in the store cannot ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from miner.model import Asked, Audit, Outcome


class Hands(Protocol):
    """The daemon's own, over what it is connected to."""

    async def look(self, asked: Asked) -> Outcome:
        """What would come of a request; nothing is changed.

        Raises:
            ReadFailed: The daemon is not connected, or a chain does not answer.
        """

    async def rebuild(self, swap_id: int, actor: str) -> Audit:
        """Write a swap's row anew from its journal, under the daemon's own lease.

        Raises:
            LeaseLost: The daemon does not hold it.
        """

    async def validate(self, text: str, files: bool) -> tuple[bool, list[Mapping[str, Any]]]:
        """What is found of settings, line by line, and whether they will do."""
