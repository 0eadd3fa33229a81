"""What a look at the chain makes of a lane. A closed lane never changes again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from miner.errors import InvariantBroken
from miner.model import (
    PAYOUT_GONE,
    AttemptKind,
    Lane,
    LanePurpose,
    LaneState,
    RecoveryEntry,
    Sighting,
    SightingKind,
    TakerEffect,
)
from miner.saga import State
from miner.store import affairs, lanes, leases, money, notices, operator
from miner.store.rows import lane_of
from miner.store.statements import lanes as sql
from miner.store.statements import sagas as sagas_sql

_TAKEN_BY = {
    TakerEffect.PAYS: LaneState.LANDED,
    TakerEffect.PAYS_NOTHING: LaneState.TAKEN,
    TakerEffect.AMBIGUOUS: LaneState.SIGNED,
}
AFTER_THE_END = (
    "the swap was completed, then its payout's block was replaced, and another transaction spent what the "
    "payout spends: look in the account's history for what the user has received"
)
_NAMED = frozenset({LaneState.IN_BLOCK, LaneState.LANDED})
"""States that need a transaction and its block."""
_LOCATED = _NAMED | {LaneState.REVERTED, LaneState.CANCELLED, LaneState.TAKEN}
"""States whose transaction and block are kept."""


def sight(conn: Connection, lane: Lane, seen: Sighting) -> Lane:
    """See `Store.sight`.

    A taker that pays, and is credited to another lane already, is held as ambiguous: one payout is
    credited to one swap. A lane that has expired stays open: its slot is unused, and blocks those after it
    until the same slot carries a fresh attempt or a filler. Only where its account was emptied, and is
    stopped for that, does it close as dead: the account counts from below the slot again. An `EXPIRED`
    sighting by a look that did not know the newest attempt changes nothing.

    Raises:
        InvariantBroken: The sighting contradicts itself.
    """
    stored = lanes.newest(conn, lane.id)
    if stored.state.closed or seen.at.height < stored.checked_height:
        return stored
    if seen.kind is SightingKind.EXPIRED and len(lane.attempts) < len(stored.attempts):
        return stored
    taker = _taker(conn, stored, seen)
    state = LaneState.DEAD if _is_dead(conn, stored, seen) else state_after(stored, seen, taker)
    if taker is TakerEffect.AMBIGUOUS and stored.saga_id is not None:
        state = _taken_after_the_end(conn, stored, stored.saga_id, state)
    row = conn.execute(sql.SIGHT, _values(stored, seen, state, taker)).one_or_none()
    if row is None:  # another process, on a database that lets two write at a time
        return lanes.newest(conn, lane.id)
    moved = lane_of(row, stored.attempts)
    if state.closed and state is not LaneState.DEAD and money.uses_nonces(stored.chain):
        money.saw_nonce(conn, stored.chain, stored.account, int(stored.slot) + 1, seen.at.height)
    if stored.saga_id is None:
        if state.closed:
            affairs.settled(conn, moved)
        return moved
    if state is LaneState.LANDED:
        money.capture(conn, stored.saga_id, stored.purpose)
    if state.closed:
        leases.release_ended(conn, stored.saga_id)
    return moved


def _is_dead(conn: Connection, lane: Lane, seen: Sighting) -> bool:
    """Whether nothing of a lane can land, and nothing waits for its slot: the account began again below it.

    Two looks say so: this one, and the audit that stopped the account. A person lets it go on, from the
    nonce that the chain has then.
    """
    if seen.kind is not SightingKind.EXPIRED or seen.nonce is None:
        return False
    deaths = [attempt.tx.death for attempt in lane.attempts]
    row = money.find_account(conn, lane.chain, lane.account)
    if row is None or not row.stopped or row.seen_at > seen.at.height:
        return False
    return seen.nonce < row.seen and all(death is not None and death <= seen.at.height for death in deaths)


def _taken_after_the_end(conn: Connection, lane: Lane, saga_id: int, state: LaneState) -> LaneState:
    """While its swap is open, a person decides what the taker was. After its end nothing hangs on that.

    The slot is used, so nothing of ours can land in it. Where the swap was completed by what was in the lane
    before, its user may have lost the payout: that is told.
    """
    row = conn.execute(sagas_sql.END, {"p_id": saga_id}).one_or_none()
    if row is None:
        return state
    if row.state == State.COMPLETED.value and lane.purpose is LanePurpose.PAYOUT:
        why = RecoveryEntry(PAYOUT_GONE, AFTER_THE_END, {"slot": lane.slot})
        if operator.recover(conn, saga_id, State.COMPLETED, why):
            notices.entered(conn, row.swap_id, why)
    return LaneState.TAKEN


def state_after(lane: Lane, seen: Sighting, taker: TakerEffect | None) -> LaneState:
    """The state that a sighting leads an open lane to."""
    if seen.kind is SightingKind.IN_BLOCK:
        return _in_block(lane, seen)
    if seen.kind is SightingKind.TAKEN:
        return _TAKEN_BY[taker or TakerEffect.AMBIGUOUS]
    return LaneState.SIGNED


def _in_block(lane: Lane, seen: Sighting) -> LaneState:
    """In a block that may still be reorged, only what does what the lane is for counts as being there."""
    own = lane.attempt(seen.txid) if seen.txid else None
    kind = seen.kind_seen or (own and own.kind)
    if kind is AttemptKind.FILLER:
        return LaneState.CANCELLED if seen.final else LaneState.SIGNED
    if seen.succeeded is False:
        return LaneState.REVERTED if seen.final else LaneState.SIGNED
    landed = seen.final and kind is not None and seen.succeeded
    return LaneState.LANDED if landed else LaneState.IN_BLOCK


def _taker(conn: Connection, lane: Lane, seen: Sighting) -> TakerEffect | None:
    if seen.kind is not SightingKind.TAKEN:
        return None
    if lane.purpose is LanePurpose.AFFAIR:
        return TakerEffect.PAYS_NOTHING  # whatever it did, nothing of ours can land any more
    effect = seen.taker or TakerEffect.AMBIGUOUS
    if effect is not TakerEffect.PAYS or lane.purpose is LanePurpose.MARK or seen.txid is None:
        return effect
    others = [row for row in lanes.credited(conn, lane.chain, seen.txid) if row.id != lane.id]
    return TakerEffect.AMBIGUOUS if others else effect


def _values(lane: Lane, seen: Sighting, state: LaneState, taker: TakerEffect | None) -> dict[str, Any]:
    located = state in _LOCATED
    block = seen.at if state is LaneState.DEAD else seen.block if located else None
    if state in _NAMED and (seen.txid is None or seen.block is None):
        raise InvariantBroken(f"lane {lane.id} is said to be {state}, by no transaction or in no block")
    return {
        "p_id": lane.id,
        "p_at": seen.at.height,
        "state": state.value,
        "closed": int(state.closed),
        "txid": seen.txid if located else None,
        "block_height": block and block.height,
        "block_hash": block and block.hash,
        "checked_height": seen.at.height,
        "sighting": seen.kind.value,
        "taker": taker and taker.value,
    }
