"""What operators ask of whoever works."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from miner.boundary import acts, reads
from miner.model import Asked, Lane, OperatorRequest, Outcome


class Requests(Protocol):
    """What operators ask of whoever works."""

    @acts
    async def ask(self, asked: Sequence[Asked], ttl_ms: int) -> Sequence[int]:
        """Store requests for whoever works on their swaps; their ids. Nobody takes them after `ttl_ms`."""

    @reads
    async def requests(self, ids: Collection[int]) -> Sequence[OperatorRequest]:
        """These requests as they stand."""

    @acts
    async def withdraw(self, ids: Collection[int]) -> Sequence[OperatorRequest]:
        """Withdraw what nobody has taken; all of them as they stand then."""

    @acts
    async def take_requests(self) -> Sequence[OperatorRequest]:
        """Take every waiting request whose swap no other owner works on.

        Returns:
            Everything that this owner has taken and not answered, what it took before included.
        """

    @acts
    async def answer(self, request: OperatorRequest, outcome: Outcome) -> bool:
        """Answer a request that this owner has taken, with a line in the operator's log; whether it was."""

    @reads
    async def credited(self, chain: str, txid: str) -> Sequence[int]:
        """Ids of the swaps that a transaction has paid or was signed for, by this store's lanes."""

    @reads
    async def lanes_of(self, saga_id: int) -> Sequence[Lane]:
        """Every lane that a saga ever had, oldest first."""
