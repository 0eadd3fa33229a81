"""What each account could pay and what of it is set aside: asked of the rails at most once a minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from miner.amounts import Chain
from miner.errors import MinerError
from miner.ops.board import Board, Outlook
from miner.ports import Store

FRESH_S = 60.0
"""How long an answer is told again without asking anew."""
ONE_S = 5.0
"""What one account may take; where a chain does not answer in time, nothing is told of it."""


@dataclass(frozen=True, slots=True)
class Wallet:
    """One account.

    Attributes:
        chain: Its chain.
        account: Its address.
        spendable: What could leave it now, smallest unit; None where its chain did not answer.
        reserved: What is set aside of it, smallest unit.
        at_s: When it was asked, seconds since 1970 UTC.
    """

    chain: Chain
    account: str
    spendable: int | None
    reserved: int
    at_s: float


class Wallets:
    """Looks at the accounts for whoever asks, for all of them at once."""

    def __init__(self, board: Board, store: Store) -> None:
        self._board = board
        self._store = store
        self._known: Sequence[Wallet] = ()
        self._asked_s = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def look(self) -> Sequence[Wallet]:
        """Every account as it is now, or was within the last minute; none before the daemon has connected.

        Raises:
            StoreError: The store refuses.
        """
        async with self._one_at_a_time:
            outlook = self._board.outlook
            if outlook is not None and time.monotonic() - self._asked_s > FRESH_S:
                asked = [self._one(outlook, *account) for account in outlook.accounts]
                self._known = await asyncio.gather(*asked)
                self._asked_s = time.monotonic()
            return self._known

    async def _one(self, outlook: Outlook, chain: Chain, account: str) -> Wallet:
        rail = outlook.rails[chain]
        spendable = None
        try:
            async with asyncio.timeout(ONE_S):
                spendable = await rail.spendable(account)
        except (MinerError, TimeoutError):
            spendable = None
        reserved = await self._store.reserved(rail.chain_id, account)
        return Wallet(chain, account, spendable, reserved, time.time())
