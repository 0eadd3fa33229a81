"""Letting first sends go on for an account that was stopped, once nothing of its past can land again."""

from __future__ import annotations

from collections.abc import Mapping

from miner.amounts import Chain
from miner.app.tell import SystemClock
from miner.app.wiring import connect
from miner.config import Settings
from miner.errors import ReadFailed, Refused
from miner.model import AccountRow
from miner.ports import Rail, Store


async def clear(settings: Settings, store: Store, account: str, actor: str) -> bool | None:
    """See `clear_over`; over connections of a command's own."""
    if await _row_of(store, account) is None:
        return None
    outside = await connect(settings, SystemClock())
    try:
        return await clear_over(outside.rails, store, account, actor)
    finally:
        await outside.close()


async def clear_over(rails: Mapping[Chain, Rail], store: Store, account: str, actor: str) -> bool | None:
    """Let first sends go on for a stopped account; accounting begins anew where the chain stands now.

    Returns:
        Whether it was stopped; None where the store does not know the account.

    Raises:
        Refused: `old_bytes_are_valid_again`: its nonce went back, and an era that was signed before still
            lives; says until when. `lanes_are_open`: the daemon has not closed what it began before.
        ReadFailed: Its chain does not answer, or is not configured.
    """
    row = await _row_of(store, account)
    if row is None:
        return None
    rail = rails.get(Chain(row.chain.partition(":")[0]))
    if rail is None:
        raise ReadFailed(row.chain, "no node of it is configured")
    base = await rail.baseline(account)
    if base < row.seen:
        await _wait_for_eras(store, rail, row, base)
    return await store.clear_account(row.chain, account, base, actor)


async def _row_of(store: Store, account: str) -> AccountRow | None:
    return next((row for row in await store.accounts() if row.account == account), None)


async def _wait_for_eras(store: Store, rail: Rail, row: AccountRow, nonce: int) -> None:
    """An account that was emptied counts from 0 again, and what it signed before is valid again."""
    dead_at, height = await store.bytes_live_until(row.chain, row.account), (await rail.tip()).height
    if height < dead_at:
        detail = (
            f"its nonce went back from {row.seen} to {nonce}: what was signed before could pay a second time "
            f"until block {dead_at}, and it is block {height}; run this again then"
        )
        raise Refused(row.account, "old_bytes_are_valid_again", detail)
