"""Law 9: every spend of a payout account maps to a lane."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from miner.amounts import Chain
from miner.errors import ReadFailed
from miner.model import WENT_BACK, AccountRow
from miner.settle.books import account_for, rows_of, stop
from miner.settle.desk import Desk
from miner.verify import MinerAccounts

log = structlog.get_logger("sweep")


async def account_for_spends(desk: Desk, miners: Mapping[str, MinerAccounts]) -> int:
    """Law 9: every spend of a payout account maps to a lane; where one does not, first sends stop.

    What a hotkey spends is its owner's affair. But one that was emptied counts from 0 again, and no mark of
    it can land: it is stopped as well, so that nothing is paid which cannot be marked.

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
    payers = {account for chain, account in accounts if chain is Chain.TAO}
    for hotkey in sorted({m.hotkey for m in miners.values()} - payers):
        try:
            stopped += await _notice_that_it_began_again(desk, hotkey, known)
        except ReadFailed as failed:
            unread.append(failed)
    if unread:
        raise ReadFailed(f"the spends of {len(unread)} accounts", str(unread[0])) from unread[0]
    if not doubted:
        await desk.store.dispel_doubt()
    return stopped


async def _notice_that_it_began_again(
    desk: Desk, hotkey: str, known: Mapping[tuple[str, str], AccountRow]
) -> bool:
    """Whether a hotkey was newly stopped, since its nonce went back.

    Where its nonce is what it was again, a node had told of another fork: it goes on by itself. No payout is
    signed with it, so nothing that is valid twice costs anything.
    """
    rail = desk.rails[Chain.TAO]
    row = known.get((rail.chain_id, hotkey))
    if row is None:
        return False
    if (height := (await rail.tip()).height) < row.seen_at:
        raise ReadFailed(f"the nonce of {hotkey}", f"block {height} is behind block {row.seen_at}")
    nonce = await rail.baseline(hotkey)
    why = row.went_back(nonce, await desk.store.slots(rail.chain_id, hotkey))
    if why:
        return await stop(desk, rail, hotkey, [why])
    if row.stopped.startswith(WENT_BACK):
        await desk.store.clear_account(rail.chain_id, hotkey, nonce, "daemon")
        log.warning("hotkey_goes_on", account=hotkey, was=row.stopped)
    return False
