"""Operators' requests from a command's side: a dry run, or a row that whoever holds the leases answers.

A dry run connects, reads and judges; it takes no lease and writes nothing. What is to be done is always a
row in the store. Where a daemon runs, it takes the row up in its next round, under its own leases. Where
none runs, the command takes the leases and does what the daemon would, by the same services; so nobody
ever works behind another's back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from miner.app.tell import SystemClock
from miner.app.telling import routes
from miner.app.wiring import Outside, connect, make_desk, supervisor
from miner.config import Settings
from miner.errors import LeaseLost, MinerError
from miner.lease import WATCH
from miner.model import Asked, Head, LanePurpose, OperatorRequest, Outcome, Saga, Sighting, Standing
from miner.notify.log import configure
from miner.ports import Store
from miner.recover import Recoverer
from miner.settle.desk import Desk
from miner.store import SqlStore

POLL_S = 0.3
"""Between two looks at a request's row."""
Say = Callable[[str], None]
"""Told what is being waited for."""


class Quiet:
    """`ports.Tell` of a command: nobody listens."""

    def ready(self, is_ready: bool, why: str) -> None:
        """See `ports.Tell`."""

    def progress(self) -> None:
        """See `ports.Tell`."""


async def _connected(settings: Settings) -> Outside:
    """Connected, with the log of what follows on standard error, where it spoils no command's answer."""
    configure("warning", settings.log.format)
    return await connect(settings, SystemClock())


async def would(settings: Settings, store: Store | None, asked: Sequence[Asked]) -> Sequence[Outcome]:
    """What would come of requests now; nothing is changed and no lease taken.

    Args:
        settings: Lead to the chains.
        store: None where there is none yet: an empty one in memory stands for it.
        asked: What is asked.

    Raises:
        ReadFailed: The contract's chain does not answer.
    """
    if store is None:
        return await _would_at_first(settings, asked)
    outside = await _connected(settings)
    try:
        heads = await outside.node.heads()
        judging = Recoverer(make_desk(settings, store, outside))
        return [await judging.look(each, heads) for each in asked]
    finally:
        await outside.close()


async def _would_at_first(settings: Settings, asked: Sequence[Asked]) -> Sequence[Outcome]:
    empty = SqlStore("sqlite://")
    await empty.open()
    try:
        return await would(settings, empty, asked)
    finally:
        await empty.close()


async def ask(
    settings: Settings, store: Store, asked: Sequence[Asked], wait_s: float, say: Say
) -> Sequence[OperatorRequest]:
    """Have requests carried out by the daemon or, where none runs, here.

    Returns:
        The requests as they stand in the end: answered; or, after `wait_s` without an answer, withdrawn, so
        that nothing will be done; or still taken, where somebody is at it.

    Raises:
        MinerError: No daemon runs, and it could not be done here either; what nobody took is withdrawn.
    """
    ids = await store.ask(asked, round(wait_s * 1000))
    try:
        return await _answered(settings, store, ids, wait_s, say)
    except BaseException:
        await store.withdraw(ids)
        raise


async def _answered(
    settings: Settings, store: Store, ids: Sequence[int], wait_s: float, say: Say
) -> Sequence[OperatorRequest]:
    clock = SystemClock()
    until = clock.monotonic() + wait_s
    while True:
        found = await store.requests(ids)
        if all(request.standing is Standing.ANSWERED for request in found):
            return found
        if clock.monotonic() >= until:
            return await store.withdraw(ids)
        if await _nobody_works(store) and await _served_here(settings, store, say):
            return await store.withdraw(ids)
        say("waiting for the daemon's next round")
        await clock.sleep(POLL_S)


async def _nobody_works(store: Store) -> bool:
    return not any(lease.resource == WATCH and lease.owner != store.owner for lease in await store.leases())


async def _served_here(settings: Settings, store: Store, say: Say) -> bool:
    """Do what the daemon would; False when another process took the lease first."""
    say("no daemon runs: doing it here")
    try:
        await store.acquire(WATCH)
    except LeaseLost:
        return False
    outside = await _connected(settings)
    try:
        services = await supervisor(settings, store, outside, Quiet(), lambda: routes(settings))
        await services.serve_alone(await outside.node.heads())
    finally:
        await outside.close()
    return True


# what the chain says


async def chain_now(desk: Desk, saga: Saga, at: Head) -> dict[str, Any]:
    """What contract and chains say of a swap at a finalised block; what could not be asked is told so.

    Raises:
        ReadFailed: The contract's chain does not answer.
    """
    swaps = await desk.contract.swaps([saga.key.swap_id], at)
    swap = swaps.get(saga.key.swap_id)
    known = saga.key.swap_id in swaps
    told: dict[str, Any] = {
        "finalised": {"height": at.height, "hash": at.hash},
        "status": swap.status.value if swap is not None else "gone" if known else "does not decode",
        "blocks_left": saga.swap.timeout_block - at.height,
        "dest_tx_hash": swap.dest_tx_hash if swap is not None else None,
        "dest_tx_block": swap.dest_tx_block if swap is not None else None,
        "timeout_block": swap.timeout_block if swap is not None else None,
    }
    told["lanes"] = [
        await _lane_now(desk.locate(lane), lane.id, lane.purpose)
        for lane in (saga.payout, saga.mark)
        if lane is not None and lane.attempts and not lane.state.closed
    ]
    return told


async def chain_now_alone(settings: Settings, store: Store, saga: Saga) -> dict[str, Any]:
    """The same, over connections of a command's own."""
    outside = await _connected(settings)
    try:
        at = (await outside.node.heads()).finalised
        return await chain_now(make_desk(settings, store, outside), saga, at)
    finally:
        await outside.close()


async def _lane_now(look: Any, lane_id: int, purpose: LanePurpose) -> dict[str, Any]:
    facts: dict[str, Any] = {"lane": lane_id, "purpose": purpose.value}
    try:
        seen: Sighting = await look
    except MinerError as error:
        return {**facts, "problem": str(error)}
    block = None if seen.block is None else {"height": seen.block.height, "hash": seen.block.hash}
    return {**facts, "seen": seen.kind.value, "txid": seen.txid, "block": block, "final": seen.final}
