"""What operators decided, and what they are told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from miner.boundary import acts, reads
from miner.model import AccountRow, ImportedSend, Json, Lease, PendingRecovery


class OperatorRecord(Protocol):
    """What operators decided, and what they are told."""

    @reads
    async def leases(self) -> Sequence[Lease]:
        """Every lease that is held and not expired, whoever holds it."""

    @reads
    async def accounts(self) -> Sequence[AccountRow]:
        """Every account the store knows."""

    @reads
    async def paused(self) -> Collection[str]:
        """What is paused: `all`, or chain names."""

    @acts
    async def set_paused(self, what: str, paused: bool, actor: str) -> bool:
        """Pause or resume; whether it changed."""

    @reads
    async def imported(self, swap_id: int) -> ImportedSend | None:
        """What an imported sent cache says of a swap."""

    @reads
    async def imports(self, swap_ids: Collection[int]) -> Mapping[int, ImportedSend]:
        """What imported sent caches say, by swap id."""

    @reads
    async def approved(self, swap_ids: Collection[int]) -> Mapping[int, int]:
        """Those of the swaps whose payout a person let go, with the amount that was let go."""

    @acts
    async def import_sent(self, sends: Sequence[ImportedSend]) -> int:
        """Take in another program's sent cache; returns how many lines were new."""

    @reads
    async def pending_recovery(self) -> Sequence[PendingRecovery]:
        """Recovery entries not yet in the log file, oldest first."""

    @acts
    async def recovery_written(self, entry_id: int) -> None:
        """The entry is in the file, synced."""

    @reads
    async def every_recovery(self) -> Sequence[PendingRecovery]:
        """Every recovery entry of this store, in the log file or not, oldest first."""

    @acts
    async def log_operator(self, actor: str, action: str, detail: Mapping[str, Json]) -> None:
        """Append to the operator's log."""
