"""Law 9: every spend of a payout account maps to a lane."""

from __future__ import annotations

from collections.abc import Mapping

from miner.errors import ReadFailed
from miner.settle.books import account_for, rows_of
from miner.settle.desk import Desk
from miner.verify import MinerAccounts


async def account_for_spends(desk: Desk, miners: Mapping[str, MinerAccounts]) -> int:
    """Law 9: every spend of a payout account maps to a lane; where one does not, first sends stop.

    Returns:
        How many accounts were newly stopped.

    Raises:
        ReadFailed: An account could not be read; it stays unaudited until it can. The others were read.
    """
    stopped = 0
    unread: list[ReadFailed] = []
    doubted = False
    accounts = {(chain, account) for m in miners.values() for chain, account in m.accounts.items()}
    known = await rows_of(desk)
    for chain, account in sorted(accounts):
        if chain in desk.rails:
            rail = desk.rails[chain]
            try:
                books = await account_for(desk, rail, account, known.get((rail.chain_id, account)))
                stopped += books.newly_stopped
                doubted = doubted or books.doubted
            except ReadFailed as failed:
                unread.append(failed)
    if unread:
        raise ReadFailed(f"the spends of {len(unread)} accounts", str(unread[0])) from unread[0]
    if not doubted:
        await desk.store.dispel_doubt()
    return stopped
