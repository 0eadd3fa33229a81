"""`rebuild`: rows from their journals, and open swaps from the chains, where the store is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from miner.app.tell import SystemClock
from miner.app.wiring import Outside, connect, make_desk, make_store
from miner.config import Settings
from miner.errors import MinerError
from miner.lease import WATCH, LeaseKeeper
from miner.model import Audit, Swap
from miner.notify.recovery import RecoveryFile
from miner.ports import Heads, Store
from miner.rebuild import DECIDED, Finding, Rebuilder, Verdict, awaits
from miner.settle.books import LONGEST_LIFE
from miner.settle.desk import CODE_HASH
from miner.store import SqlStore
from miner.sweep import write_recovery
from miner.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAGE = 100
"""Sagas that are computed anew at a time."""
POLL_S = 1.0
"""Between two looks at what was not final yet."""
Progress = Callable[[str, int, int], None]


async def from_journal(
    store: Store, swap_ids: Sequence[int], actor: str, *, do: bool, progress: Progress
) -> Sequence[Audit]:
    """Compute the rows of sagas anew from their journals; all sagas where none is named.

    Args:
        store: Open.
        swap_ids: Which.
        actor: Who asked.
        do: Write those that differ; without it nothing is changed and no lease taken.
        progress: Told how far it is.

    Raises:
        LeaseLost: A daemon works on the store.
    """
    lease = await store.acquire(WATCH) if do else None
    found = list(await store.audit(only=swap_ids)) if swap_ids else await _every(store, progress)
    for each in found:
        if lease is not None and each.differences:
            await store.reproject(each.swap_id, lease, actor)
    return found


async def _every(store: Store, progress: Progress) -> list[Audit]:
    found: list[Audit] = []
    total = sum((await store.count_by_state()).values())
    while page := await store.audit(found[-1].swap_id if found else -1, PAGE, ended=True):
        found += page
        progress("journals", len(found), total)
    return found


async def from_chain(
    settings: Settings, actor: str, *, do: bool, wait_s: float, progress: Progress
) -> dict[str, Any]:
    """Judge every open swap of our miners by the chains, and write what was found into the store.

    Args:
        settings: Name chains, accounts and store.
        actor: Who asked.
        do: Write it; without it nothing is changed, and no store is made.
        wait_s: How long what is not final yet is waited for.
        progress: Told what is looked at.

    Raises:
        LeaseLost: A daemon works on the store.
        ReadFailed: The contract's chain does not answer.
    """
    outside = await connect(settings, SystemClock())
    try:
        async with _store(settings, outside, actor, do) as store:
            made = _Rebuild(settings, outside, store, progress, do)
            return await made.run(wait_s)
    finally:
        await outside.close()


@asynccontextmanager
async def _store(settings: Settings, outside: Outside, actor: str, do: bool) -> AsyncIterator[Store]:
    """The store, leased and in doubt where it is new; for a dry run one in memory, where there is none."""
    store: Store = make_store(settings)
    if not do and not await _exists(settings):
        store = SqlStore("sqlite://")
    await store.open()
    try:
        if do:
            await store.bind(outside.node.genesis, outside.contract.address)
            await store.acquire(WATCH)
            await store.pin(CODE_HASH, outside.code_hash)
            if await store.cursor() is None:
                await store.begin_doubt(actor, "made anew from the chains")
        yield store
    finally:
        await store.close()


async def _exists(settings: Settings) -> bool:
    if not settings.store.may_exist:
        return False
    looked = make_store(settings)
    try:
        return (await looked.survey()).exists
    finally:
        await looked.close()


class _Rebuild:
    """One run over an open store."""

    def __init__(
        self, settings: Settings, outside: Outside, store: Store, progress: Progress, do: bool
    ) -> None:
        self._settings = settings
        self._outside = outside
        self._store = store
        self._do = do
        self._clock = SystemClock()
        self._watcher = Watcher(outside.node, outside.contract, store, outside.miners)
        self._rebuilder = Rebuilder(make_desk(settings, store, outside), progress)

    async def run(self, wait_s: float) -> dict[str, Any]:
        """Look until everything was read or the time is up, then write."""
        keeper = LeaseKeeper(self._store, self._clock, self._settings.store.lease_ttl_s / 3)
        beats = asyncio.create_task(keeper.run(), name="heartbeat")
        try:
            heads, found = await self._look(wait_s)
            if self._do:
                found = await self._rebuilder.write(found)
                await write_recovery(self._store, RecoveryFile(self._settings.recovery_file))
            return await self._told(heads, found)
        finally:
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)

    async def _look(self, wait_s: float) -> tuple[Heads, list[Finding]]:
        until = self._clock.monotonic() + wait_s
        while True:
            heads = await self._outside.node.heads()
            found = await self._rebuilder.look(await self._open_swaps(heads), heads.finalised)
            unread = any(each.verdict is Verdict.UNREAD for each in found)
            if not unread or self._clock.monotonic() >= until:
                return heads, found
            while (await self._outside.node.heads()).finalised == heads.finalised:
                if self._clock.monotonic() >= until:
                    break
                await self._clock.sleep(POLL_S)

    async def _open_swaps(self, heads: Heads) -> list[Swap]:
        if self._do:
            await self._watcher.catch_up(heads.finalised, await self._store.acquire(WATCH))
            await self._store.lease_sagas()
            return [saga.swap for saga in await self._store.open_sagas() if awaits(saga)]
        held = await self._outside.contract.open_swaps(list(self._outside.miners), heads.finalised, 0)
        live = [swap for swap in held if swap.miner in self._outside.miners and swap.is_open]
        known = [await self._known(swap) for swap in live]
        return [swap for swap, is_known in zip(live, known, strict=True) if not is_known]

    async def _known(self, swap: Swap) -> bool:
        try:
            saga = await self._store.saga(swap.id)
        except MinerError:
            return False  # a store in memory is tied to no contract: it knows nothing
        return saga is not None and not awaits(saga)

    async def _told(self, heads: Heads, found: Sequence[Finding]) -> dict[str, Any]:
        doubt = await self._store.doubted_until(heads.best.height + LONGEST_LIFE) if self._do else None
        return {
            "finalised_height": heads.finalised.height,
            "done": self._do,
            "looked_at": len(found),
            "undecided": sum(each.verdict not in DECIDED for each in found),
            "tao_payouts_wait_for_block": doubt,
            "swaps": [_plain(each) for each in found],
        }


def _plain(found: Finding) -> Mapping[str, Any]:
    order, block = found.order, found.block
    return {
        "swap_id": found.swap.id,
        "verdict": found.verdict.value,
        "why": found.why,
        "dest_chain": found.swap.dest_chain,
        "recipient": found.swap.user_dest_address,
        "account": order.account if order else None,
        "amount": str(order.amount) if order else None,
        "timeout_block": found.swap.timeout_block,
        "payout_txid": found.txid or None,
        "payout_block": {"height": block.height, "hash": block.hash} if block else None,
    }
