"""Follows a miner's own business until it is final: the same bytes again, or a filler once they are dead."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from miner.errors import EffectError, MinerError, StoreError
from miner.lease import WATCH
from miner.model import Lane, LanePurpose, SightingKind
from miner.ports import Heads
from miner.settle.desk import Desk

log = structlog.get_logger("settle")


async def follow(desk: Desk, due: Collection[int], heads: Heads) -> bool:
    """One round for every lane that no swap owns; whether all of them went well.

    Bytes that died unused are not signed again: what an operator decided an hour ago is asked of them anew.
    Their nonce is filled, since it would block the hotkey's next mark.

    Raises:
        StoreError: The store refuses.
    """
    well = True
    for lane in await desk.store.open_lanes():
        if lane.purpose is not LanePurpose.AFFAIR:
            continue
        try:
            if lane.sighting is SightingKind.EXPIRED:
                await send(desk, await _fill(desk, lane), heads)
            elif lane.id in due:
                await send(desk, lane, heads)
        except StoreError:
            raise
        except EffectError as error:
            well = False
            log.warning("broadcast_unsure", lane=lane.id, outcome=type(error).__name__, cause=error.cause)
        except MinerError as error:
            well = False
            log.warning("affair_tried_again_later", lane=lane.id, cause=str(error))
    return well


async def _fill(desk: Desk, lane: Lane) -> Lane:
    lease = await desk.store.acquire(WATCH)
    filled = await desk.store.fill_affair(await desk.contract.fill_mark(lane), lease)
    log.warning(
        "affair_expired",
        lane=lane.id,
        account=lane.account,
        txid=lane.latest.tx.txid,
        remedy="it was not done, and its nonce is filled; ask for it again",
    )
    return filled


async def send(desk: Desk, lane: Lane, heads: Heads) -> None:
    """Send the newest bytes of a lane.

    Raises:
        EffectError: What became of them is not known, or the node refused them.
    """
    desk.sent.pop(lane.id, None)
    await desk.broadcast(lane)
    desk.sent[lane.id] = (lane.latest.tx.txid, heads.finalised.height)
    log.info("broadcast", lane=lane.id, purpose=lane.purpose, txid=lane.latest.tx.txid)
