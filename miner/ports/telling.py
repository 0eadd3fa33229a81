"""Where the daemon tells: the recovery log, notices, the supervisor's readiness."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from miner.boundary import acts, reads
from miner.model import Alarm, Delivery, DeliveryStanding, NoticeKind, PendingRecovery, Route


class RecoveryLog(Protocol):
    """The append-only recovery log."""

    @acts
    async def append(self, pending: PendingRecovery) -> None:
        """Append and sync one line; an id already in the file is left as it is.

        Raises:
            StoreUnavailable: It could not be written.
        """


class Outbox(Protocol):
    """What operators are to be told, in the store: each method is one transaction, as in `Store`.

    What the store itself changes (a saga's step, a pause, a stopped account) it tells of in the same
    transaction. Only the node that no other one's `watch` lease stands against raises, clears and delivers.
    """

    @acts
    async def begin(self, alarm: Alarm) -> bool:
        """Something is wrong from now on: told on the edge, once until `end`; whether it was told."""

    @acts
    async def end(self, alarm: Alarm) -> bool:
        """It is well again: told where `begin` was; whether it was told."""

    @acts
    async def route(self, routes: Sequence[Route]) -> int:
        """Choose targets for notices that have none yet; returns for how many it was done."""

    @acts
    async def drop_targets(self, named: Collection[str]) -> int:
        """What waits for a target that is not among these is dead; returns how much that was."""

    @acts
    async def take(self, target: str, hold_ms: int, limit: int) -> Sequence[Delivery]:
        """Take what is due for a target, oldest first, each counted as an attempt.

        Nobody else takes them for `hold_ms`; then they are due again, unless `delivered` or `failed` came.
        """

    @acts
    async def delivered(self, delivery: Delivery) -> bool:
        """It arrived; False where this process holds it no more."""

    @acts
    async def failed(self, delivery: Delivery, why: str, after_ms: int, give_up: bool) -> bool:
        """It did not arrive: due again after a while, or dead; False where this process holds it no more."""

    @reads
    async def deliveries(
        self, standings: Collection[DeliveryStanding] = tuple(DeliveryStanding), limit: int = 50
    ) -> Sequence[Delivery]:
        """Deliveries of these standings, newest first."""

    @reads
    async def counts(self) -> Mapping[tuple[str, DeliveryStanding], int]:
        """How many deliveries stand how, by target."""

    @reads
    async def conditions(self) -> Sequence[tuple[NoticeKind, str, int]]:
        """What is wrong now: kind, subject, and since when in ms; oldest first."""

    @acts
    async def replay(self, actor: str, target: str = "", notice_id: int = 0) -> int:
        """Have dead deliveries sent again, of every target and notice where none is named; how many."""

    @acts
    async def prune(self, age_ms: int) -> int:
        """Forget notices that are older and wait for nothing; returns how many."""


class Messenger(Protocol):
    """The way to one target of notices."""

    @acts
    async def send(self, delivery: Delivery) -> None:
        """Bring one message there, with the delivery's id, within the target's own time limit.

        Raises:
            NotSent: It did not arrive; `NotYet` where the target said when to come again.
            OutcomeUnknown: It may have arrived: the same id is sent again.
            Refused: `forbidden_target`, `redirected`, `gone`: it is of no use to try again.
        """


class Tell(Protocol):
    """Where the supervisor reports life and readiness (systemd, metrics)."""

    @reads
    def ready(self, is_ready: bool, why: str) -> None:
        """Say whether swaps can be served, and why not."""

    @reads
    def progress(self) -> None:
        """A new head was worked on: feeds the watchdog."""
