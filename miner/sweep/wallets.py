"""Inventory against wallet: what is promised is there. Told when it is not, and when it is again."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from miner.amounts import Chain, format_amount
from miner.model import Alarm, NoticeKind
from miner.ports import Outbox, Rail
from miner.settle.desk import Desk
from miner.verify import MinerAccounts

log = structlog.get_logger("sweep")

TOLD_AT = 2
"""Sweeps in a row that find an account short before it is told."""


class WalletSweep:
    """Compares what is set aside on each account with what could leave it.

    A payout that has just become final is in both for a moment, so what is short is told when the next
    sweep finds it so again. An account on which nothing is set aside costs no request, unless the operator
    wants to hear of a low balance.
    """

    def __init__(self, desk: Desk, miners: Mapping[str, MinerAccounts], outbox: Outbox) -> None:
        self._desk = desk
        self._outbox = outbox
        payers = {(chain, account) for miner in miners.values() for chain, account in miner.accounts.items()}
        self._accounts = sorted(payers | {(Chain.TAO, miner.hotkey) for miner in miners.values()})
        self._short: dict[tuple[Chain, str], int] = {}
        self._low = {
            (chain, account): rules.low_balance
            for chain, account in sorted(payers)
            if (rules := desk.policy.rails.get(chain)) is not None and rules.low_balance
        }

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
        low = self._low.get(key)
        spendable = await rail.spendable(account) if set_aside or low else 0
        changed = 0 if low is None else await self._watch_balance(rail.chain, account, spendable, low)
        return changed + await self._compare(rail, account, set_aside, spendable)

    async def _compare(self, rail: Rail, account: str, set_aside: int, spendable: int) -> int:
        key = (rail.chain, account)
        if set_aside <= spendable:
            self._short.pop(key, 0)
            text = f"what is set aside on {account} is there again"
            if not await self._outbox.end(Alarm(kind=NoticeKind.INVENTORY_SHORT, subject=account, text=text)):
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
        missing = format_amount(set_aside - spendable, rail.chain)
        text = f"{account} lacks {missing} of what is set aside on it"
        todo = f"send {account} what is missing, or find out who spends from it: `swap-miner status`"
        short = Alarm(kind=NoticeKind.INVENTORY_SHORT, subject=account, text=text, what_to_do=todo)
        await self._outbox.begin(short)
        return 1

    async def _watch_balance(self, chain: Chain, account: str, spendable: int, low: int) -> int:
        """Told below the line, and cleared a tenth above it, so that it does not flicker."""
        has = format_amount(spendable, chain)
        if spendable < low:
            text = f"{account} can spend {has}, less than {format_amount(low, chain)}"
            todo = f"send it {chain.upper()}, or lower limits.{chain}.low_balance"
            alarm = Alarm(kind=NoticeKind.LOW_BALANCE, subject=account, text=text, what_to_do=todo)
            return int(await self._outbox.begin(alarm))
        if spendable < low + low // 10:
            return 0
        text = f"{account} can spend {has} again"
        return int(await self._outbox.end(Alarm(kind=NoticeKind.LOW_BALANCE, subject=account, text=text)))
