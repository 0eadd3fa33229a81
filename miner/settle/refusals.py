"""Refusals: a swap that must not be paid ends unpaid, or is held, once its chains have shown twice why.

One reply that decodes and is not true would otherwise cost a swap for good. So what a chain shows against a
swap is looked at again when a later block of the contract's chain is final, of another endpoint where there
is one; until then the swap waits. What the operator can mend in the settings waits as long as there is time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from miner.errors import InvariantBroken, ReadFailed, Refused
from miner.model import RecoveryEntry, Saga, SagaPatch, Step
from miner.saga import Event, State
from miner.settle.desk import Desk, Round

log = structlog.get_logger("settle")

MENDABLE = frozenset({"chain_not_configured", "miner_address_mismatch", "per_swap_cap"})
"""Refusals by our own settings, not by anything the swap did."""
ON_RECORD = frozenset({"source_tx_used"})
"""Refusals by what our own store holds: no node can lie about it."""
SEEN_ONCE = "to_be_confirmed"
"""Reason prefix of a swap that one look speaks against."""

Wait = Callable[..., Awaitable[Saga | None]]


class Refusals:
    """Ends swaps that must not be paid.

    Args:
        desk: What every part of settling works with.
        wait: Says why a swap waits.
    """

    def __init__(self, desk: Desk, wait: Wait) -> None:
        self._desk = desk
        self._wait = wait

    async def refuse(self, saga: Saga, refused: Refused, this: Round) -> Saga | None:
        """It must not be paid, if a second look says the same.

        Returns:
            The saga, ended or with its terms as read again; None where it waits.

        Raises:
            InvariantBroken: The contract tells other terms than those that were verified.
            ReadFailed: The second look gave no answer.
        """
        if refused.name in MENDABLE:
            return await self._needs_settings(saga, refused)
        if refused.name in ON_RECORD:
            return await self._end(saga, refused)
        if not await self.seen_twice(saga, refused.name, this):
            return None
        return await self._read_again(saga, this) or await self._end(saga, refused)

    async def seen_twice(self, saga: Saga, what: str, this: Round) -> bool:
        """Whether a look at an earlier final block said the same; where none did, this was the first."""
        why, height = f"{SEEN_ONCE}:{what}", this.tick.finalised.height
        first = await self._first_look(saga, why)
        if first is None:
            self._desk.node.ask_another()
            await self._wait(saga, why, finalised_height=height)
        return first is not None and first < height

    async def _first_look(self, saga: Saga, why: str) -> int | None:
        """Finalised height of the first look that said so; None where the last one did not."""
        if saga.reason != why:
            return None
        looks = [
            e.payload for e in await self._desk.store.journal(saga.id) if e.payload.get("waiting") == why
        ]
        return int(str(looks[-1]["finalised_height"]))

    async def _read_again(self, saga: Saga, this: Round) -> Saga | None:
        """The saga with other terms than it was assigned with, where the contract tells others now."""
        swap_id = saga.key.swap_id
        told = (await self._desk.contract.swaps([swap_id], this.tick.finalised)).get(swap_id)
        if told is None:
            raise ReadFailed(f"swap {swap_id}", "it is not there, or does not decode")
        if told.terms() == saga.swap.terms():
            return None
        if saga.state is not State.DISCOVERED:
            raise InvariantBroken(f"swap {swap_id}: its terms changed after they were verified")
        log.warning("swap_read_again", swap_id=swap_id, cause="its terms are others than at its first sight")
        payload = {"terms_read_again": this.tick.finalised.height}
        patch = SagaPatch(swap=told, reason="")
        return await self._desk.step(saga, Step(event=Event.NOTED, payload=payload, patch=patch))

    async def _needs_settings(self, saga: Saga, refused: Refused) -> Saga | None:
        if saga.reason != refused.name:
            log.error(
                "swap_needs_other_settings",
                swap_id=saga.key.swap_id,
                why=str(refused),
                timeout_block=saga.swap.timeout_block,
                remedy="mend the settings and restart the daemon before the deadline",
            )
        return await self._wait(saga, refused.name)

    async def _end(self, saga: Saga, refused: Refused) -> Saga:
        """The swap will time out, which may cost collateral: a person should know."""
        why = RecoveryEntry(
            f"refused:{refused.name}",
            "nothing was paid; the swap will time out; look at the user's payment if this is unexpected",
            {"detail": refused.detail, "source_txid": saga.swap.source_tx_hash},
        )
        step = Step(
            event=Event.REFUSED,
            payload={"name": refused.name, "detail": refused.detail},
            patch=SagaPatch(reason=refused.name),
            recovery=why,
            release=True,
        )
        return await self._desk.step(saga, step)
