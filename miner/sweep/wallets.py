"""Inventory against wallet: what is promised is there. Told when it is not, and when it is again."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from miner.amounts import Chain
from miner.ports import Rail
from miner.settle.desk import Desk
from miner.verify import MinerAccounts

log = structlog.get_logger("sweep")

TOLD_AT = 2
"""Sweeps in a row that find an account short before it is told."""


class WalletSweep:
    """Compares what is set aside on each account with what could leave it.

    A payout that has just become final is in both for a moment, so what is short is told when the next
    sweep finds it so again. An account on which nothing is set aside costs no request.
    """

    def __init__(self, desk: Desk, miners: Mapping[str, MinerAccounts]) -> None:
        self._desk = desk
        payers = {(chain, account) for miner in miners.values() for chain, account in miner.accounts.items()}
        self._accounts = sorted(payers | {(Chain.TAO, miner.hotkey) for miner in miners.values()})
        self._short: dict[tuple[Chain, str], int] = {}

    async def __call__(self) -> int:
        """Look at every account; returns on how many something changed."""
        changed = 0
        for chain, account in self._accounts:
            rail = self._desk.rails.get(chain)
            if rail is not None:
                changed += await self._look(rail, account)
        return changed

    async def _look(self, rail: Rail, account: str) -> int:
        key = (rail.chain, account)
        set_aside = await self._desk.store.reserved(rail.chain_id, account)
        spendable = await rail.spendable(account) if set_aside else 0
        if set_aside <= spendable:
            if self._short.pop(key, 0) < TOLD_AT:
                return 0
            log.info("inventory_is_there_again", chain=rail.chain, account=account)
            return 1
        self._short[key] = self._short.get(key, 0) + 1
        if self._short[key] != TOLD_AT:
            return 0
        log.error(
            "inventory_short",
            chain=rail.chain,
            account=account,
            set_aside=str(set_aside),
            spendable=str(spendable),
            remedy=f"send {account} what is missing, or find out who spends from it: `swap-miner status`",
        )
        return 1
