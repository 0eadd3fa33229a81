"""What is set aside, what has left, which accounts are stopped."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from miner.boundary import acts, reads
from miner.model import AccountRow


class Money(Protocol):
    """What is set aside, what has left, which accounts are stopped."""

    @reads
    async def reserved(self, chain: str, account: str) -> int:
        """Sum of amount and fee set aside and not yet landed on an account, smallest unit.

        Where slots are coins, without payouts that are signed: `Rail.spendable` leaves out their coins.
        """

    @reads
    async def outflow(self, chain: str, since_ms: int) -> int:
        """Sum of payouts signed on a chain since a time and not withdrawn, and of what is set aside now."""

    @acts
    async def account(self, chain: str, account: str, base: int) -> AccountRow:
        """The account's row; written with `base` when it is new."""

    @acts
    async def stop_account(self, chain: str, account: str, why: str) -> bool:
        """Stop first sends on an account; whether it was not stopped before."""

    @acts
    async def clear_account(self, chain: str, account: str, base: int, actor: str) -> bool:
        """Let first sends go on after a person looked; spends before `base` count as explained.

        Raises:
            Refused: `lanes_are_open`: its nonce went back, and a lane that it began before is open.
        """

    @acts
    async def saw_nonce(self, chain: str, account: str, nonce: int, height: int) -> None:
        """Remember an account's nonce at a finalised height, where it is the highest ever seen."""

    @reads
    async def strangers(self, chain: str, account: str) -> Collection[str]:
        """Slots of lanes that another program's transaction took, in the time that is accounted for."""

    @reads
    async def bytes_live_until(self, chain: str, account: str) -> int:
        """Height from which nothing that was signed for an account is valid; 0 where eras set no end."""
