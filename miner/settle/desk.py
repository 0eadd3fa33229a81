"""What every part of settling works with."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from miner.amounts import Chain
from miner.errors import InvariantBroken, ReadFailed
from miner.model import (
    Head,
    Lane,
    LanePurpose,
    Mark,
    Policy,
    Saga,
    Sighting,
    SightingKind,
    Step,
    Swap,
    Terms,
)
from miner.ports import Affairs, Node, Rail, Store, SwapContract
from miner.saga import Event, State
from miner.verdict import Tick
from miner.verdict.remedies import command_for
from miner.verify import Verifier

if TYPE_CHECKING:
    from miner.settle.books import Books

log = structlog.get_logger("settle")

_CALLS = frozenset({LanePurpose.MARK, LanePurpose.AFFAIR})
"""Purposes of lanes that call the contract."""
CODE_HASH = "code_hash"
"""Under which the store pins the hash of the contract's code."""


@dataclass(slots=True)
class Desk:
    """The ports, the rules, and what this process remembers between rounds.

    What is remembered here only spares requests: losing it in a crash costs a look or a broadcast.
    """

    node: Node
    contract: SwapContract
    store: Store
    rails: Mapping[Chain, Rail]
    verifier: Verifier
    policy: Policy
    affairs: Affairs | None = None
    random: random.Random = field(default_factory=random.Random)
    audited: dict[tuple[str, str], int] = field(default_factory=dict)
    """Accounts (chain id, account) whose spends were accounted for since start (law 9), each with the height
    of the contract's chain from which on every spend of it is accounted for."""
    sent: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Lane → (txid, finalised height) of the newest accepted broadcast of this process."""

    def adopt(self, policy: Policy) -> None:
        """Work by these rules from now on; between two rounds."""
        self.policy = policy
        self.verifier.adopt(policy)

    def rail_of(self, lane: Lane) -> Rail:
        """The rail that a payout lane is on."""
        for rail in self.rails.values():
            if rail.chain_id == lane.chain:
                return rail
        raise InvariantBroken(f"lane {lane.id} is on {lane.chain}, for which no rail is configured")

    def dest_rail(self, saga: Saga) -> Rail:
        """The rail that a saga pays on."""
        if saga.dest is None or saga.dest not in self.rails:
            raise InvariantBroken(f"swap {saga.key.swap_id} pays on {saga.dest}, which is not configured")
        return self.rails[saga.dest]

    async def step(self, saga: Saga, step: Step) -> Saga:
        """Write one step, and one log line where it moved the saga. Errors as for `Store.step`."""
        moved = await self.store.step(saga, step)
        if moved.state is not saga.state or step.event is Event.HELD_FOR_OPERATOR:
            log.info(
                "swap_moved",
                swap_id=saga.key.swap_id,
                event_name=step.event,
                before=saga.state,
                state=moved.state,
                reason=moved.reason or None,
                **_needs_you(moved),
            )
        return moved

    async def locate(self, lane: Lane) -> Sighting:
        """Look for a lane where it belongs."""
        if lane.purpose in _CALLS:
            return await self.contract.locate(lane)
        return await self.rail_of(lane).locate(lane)

    async def broadcast(self, lane: Lane) -> None:
        """Send a lane's newest bytes where they belong."""
        if lane.purpose in _CALLS:
            await self.contract.broadcast(lane)
        else:
            await self.rail_of(lane).broadcast(lane)

    def due(self, lane: Lane, seen: Sighting, finalised: Head) -> bool:
        """Whether a lane that was just looked at is due for a broadcast: look first, then the same bytes."""
        if seen.kind is not SightingKind.UNSEEN:
            return False
        txid, height = self.sent.get(lane.id, ("", 0))
        return txid != lane.latest.tx.txid or finalised.height >= height + self.policy.rebroadcast_blocks

    def back_off_ms(self, retries: int) -> int:
        """Time to wait after a transient failure: doubling, capped, with jitter of one half."""
        wait = min(self.policy.retry_cap_s, self.policy.retry_base_s * 2 ** min(retries, 16))
        return int(1000 * wait * (0.5 + self.random.random() / 2))


@dataclass(slots=True)
class Round:
    """One round: what is read once for all sagas of it.

    Attributes:
        tick: What the verdict is told.
        best: Best head as last heard, which pre-sign reads are made at.
        settings: The contract's, or why they could not be read; see `terms`.
        ids: Swap ids that this round will have to read again before signing, read together.
        accounted: Accounts (chain id, account) whose spends were accounted for in this round.
        accounting: Held while one is.
    """

    desk: Desk
    tick: Tick
    best: Head
    settings: Terms | ReadFailed
    ids: tuple[int, ...] = ()
    accounted: dict[tuple[str, str], Books] = field(default_factory=dict)
    accounting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asked: set[int] = field(default_factory=set)
    _fresh: dict[int, Swap | None] = field(default_factory=dict)
    _code_unchanged: bool | None = None

    @property
    def terms(self) -> Terms:
        """The contract's settings.

        Raises:
            ReadFailed: They could not be read in this round.
        """
        if isinstance(self.settings, ReadFailed):
            raise ReadFailed(self.settings.what, self.settings.cause) from self.settings
        return self.settings

    async def fresh(self, swap_id: int) -> Swap | None:
        """The swap at the best head, read with those of its round in one go (law 7: in the same step)."""
        async with self._reading:
            if swap_id not in self._asked:
                wanted = sorted({swap_id, *self.ids} - self._asked)
                self._fresh.update(await self.desk.contract.swaps(wanted, self.best))
                self._asked.update(wanted)
        return _read(self._fresh, swap_id)

    async def goes_on(self, swap_id: int) -> bool:
        """Whether the swap has not ended where the chain is final now (law 7).

        What the round knows of that is as old as its heads, and a process can be stopped at any line.

        Raises:
            ReadFailed: Nothing was learned.
        """
        at = await self.desk.node.finalised()
        if at.height <= self.tick.finalised.height:
            return True
        swap = _read(await self.desk.contract.swaps([swap_id], at), swap_id)
        return swap is not None and swap.is_open

    async def code_unchanged(self) -> bool:
        """Whether the contract's code is still the pinned one at the best head; read once a round."""
        async with self._reading:
            if self._code_unchanged is None:
                found = await self.desk.contract.code_hash(self.best)
                self._code_unchanged = await self.desk.store.pin(CODE_HASH, found) == found
        return self._code_unchanged


def _read(found: Mapping[int, Swap | None], swap_id: int) -> Swap | None:
    """A swap that was asked for; see `SwapContract.swaps`.

    Raises:
        ReadFailed: It does not decode.
    """
    if swap_id not in found:
        raise ReadFailed(f"swap {swap_id}", "it does not decode")
    return found[swap_id]


def _needs_you(saga: Saga) -> dict[str, str]:
    """For the log: the command that a person runs next, where one is needed."""
    if saga.state is not State.HELD:
        return {}
    return {"needs_you": command_for(saga.reason, saga.key.swap_id)}


def mark_of(saga: Saga) -> Mark:
    """The mark that a paid saga makes: the payout's real id, block and amount.

    Raises:
        InvariantBroken: Its payout is in no block.
    """
    lane = saga.payout
    if lane is None or lane.txid is None or lane.block is None:
        raise InvariantBroken(f"swap {saga.key.swap_id} has no payout in a block to mark")
    return Mark(saga.swap.miner, saga.key.swap_id, lane.txid, lane.block.height, lane.amount)
