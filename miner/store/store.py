"""The `Store` of `miner.ports`: each method is one transaction."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from miner.errors import StoreError
from miner.model import (
    AccountRow,
    Head,
    ImportedSend,
    Ingest,
    JournalEntry,
    Lane,
    Lease,
    PendingRecovery,
    Saga,
    Sighting,
    Step,
)
from miner.saga import State
from miner.store import chain, journal, lanes, leases, money, operator, reading, sightings, steps
from miner.store.database import Database
from miner.store.leases import Owner
from miner.store.opening import path_of


def system_clock_ms() -> int:
    """The machine's clock, ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


class SqlStore:
    """The store over one SQLite file; for use from one event loop.

    Args:
        url: A path, or `sqlite:////absolute/path`; `sqlite://` is a store in memory, for tests.
        owner: Who holds its leases; random where not given.
        lease_ttl_s: How long a lease lasts from its newest heartbeat.
        busy_timeout_s: How long a transaction waits for another process's.
        clock_ms: What the database takes for the time, ms since 1970 UTC.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        owner: str | None = None,
        lease_ttl_s: float = 30.0,
        busy_timeout_s: float = 5.0,
        clock_ms: Callable[[], int] = system_clock_ms,
    ) -> None:
        self.owner = owner or secrets.token_hex(8)
        self.path = path_of(url)
        self._owner = Owner(self.owner, round(lease_ttl_s * 1000))
        self._db = Database(self.path, busy_timeout_s, clock_ms)

    async def open(self) -> None:
        """See `Store.open`."""
        await self._db.open()

    async def close(self) -> None:
        """See `Store.close`. Where the leases cannot be given back, they end by themselves."""
        if self._db.is_open and self._owner.asked:
            with suppress(StoreError):
                await self._db.write(leases.release_all, self._owner)
        self._owner.held.clear()
        await self._db.close()

    async def bind(self, genesis: str, contract: str) -> None:
        """See `Store.bind`."""
        await self._db.write(operator.bind, genesis, contract, self.path or "the store in memory")

    async def pin(self, name: str, value: str) -> str:
        """See `Store.pin`."""
        return await self._db.write(operator.pin, name, value)

    async def repin(self, name: str, value: str, actor: str) -> str:
        """See `Store.repin`."""
        return await self._db.write(operator.repin, name, value, actor)

    async def now_ms(self) -> int:
        """See `Store.now_ms`."""
        return await self._db.read(operator.now_ms)

    # leases

    async def acquire(self, resource: str) -> Lease:
        """See `Store.acquire`."""
        lease = await self._db.write(leases.acquire, self._owner, resource)
        self._owner.held.add(resource)
        return lease

    async def heartbeat(self) -> Sequence[str]:
        """See `Store.heartbeat`; names what another owner has taken, too."""
        held, lost = await self._db.write(leases.heartbeat, self._owner)
        self._owner.held = held
        return sorted(lost)

    async def lease_sagas(self) -> int:
        """See `Store.lease_sagas`."""
        held = await self._db.write(leases.take_sagas, self._owner)
        self._owner.held |= held
        return len(held)

    # the chain

    async def cursor(self) -> Head | None:
        """See `Store.cursor`."""
        return await self._db.read(chain.cursor)

    async def recent_heads(self, limit: int = 64) -> Sequence[Head]:
        """See `Store.recent_heads`."""
        return await self._db.read(chain.recent_heads, limit)

    async def rewind(self, to: Head, lease: Lease) -> None:
        """See `Store.rewind`."""
        await self._db.write(chain.rewind, self._owner, to, lease)

    async def ingest(self, batch: Ingest, lease: Lease) -> Sequence[int]:
        """See `Store.ingest`."""
        found, leased = await self._db.write(chain.ingest, self._owner, batch, lease)
        self._owner.held |= leased
        return found

    async def reserved_at(self, miner: str) -> tuple[int, int] | None:
        """See `Store.reserved_at`."""
        return await self._db.read(chain.reserved_at, miner)

    # sagas

    async def open_sagas(self) -> Sequence[Saga]:
        """See `Store.open_sagas`."""
        return await self._db.read(reading.open_sagas, self.owner)

    async def saga(self, swap_id: int) -> Saga | None:
        """See `Store.saga`."""
        return await self._db.read(reading.saga, self.owner, swap_id)

    async def known(self, swap_ids: Collection[int]) -> Mapping[int, State]:
        """See `Store.known`."""
        return await self._db.read(reading.known, swap_ids)

    async def first_unseen_id(self) -> int:
        """See `Store.first_unseen_id`."""
        return await self._db.read(operator.first_unseen_id)

    async def set_first_unseen_id(self, swap_id: int) -> None:
        """See `Store.set_first_unseen_id`."""
        await self._db.write(operator.set_first_unseen_id, swap_id)

    async def list_sagas(
        self,
        states: Collection[State] = (),
        miner: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[Saga]:
        """See `Store.list_sagas`."""
        return await self._db.read(reading.list_sagas, self.owner, states, miner, limit, before)

    async def count_by_state(self) -> Mapping[State, int]:
        """See `Store.count_by_state`."""
        return await self._db.read(reading.count_by_state)

    async def journal(self, saga_id: int) -> Sequence[JournalEntry]:
        """See `Store.journal`."""
        return await self._db.read(journal.read, saga_id)

    async def step(self, saga: Saga, step: Step, actor: str = "daemon") -> Saga:
        """See `Store.step`. A saga that has ended with all its lanes gives its lease back."""
        return await self._db.write(steps.take, self._owner, saga, step, actor)

    # lanes

    async def open_lanes(self) -> Sequence[Lane]:
        """See `Store.open_lanes`."""
        return await self._db.read(lanes.open_lanes)

    async def sight(self, lane: Lane, sighting: Sighting) -> Lane:
        """See `Store.sight`."""
        return await self._db.write(sightings.sight, lane, sighting)

    async def slots(self, chain: str, account: str) -> Collection[str]:
        """See `Store.slots`."""
        return await self._db.read(lanes.slots, chain, account)

    async def freed_by(self, saga_id: int) -> str | None:
        """See `Store.freed_by`."""
        return await self._db.read(lanes.freed_by, saga_id)

    # money

    async def reserved(self, chain: str, account: str) -> int:
        """See `Store.reserved`; on a hotkey, the mark fees too."""
        return await self._db.read(money.reserved, chain, account)

    async def outflow(self, chain: str, since_ms: int) -> int:
        """See `Store.outflow`."""
        return await self._db.read(money.outflow, chain, since_ms)

    async def account(self, chain: str, account: str, base: int) -> AccountRow:
        """See `Store.account`."""
        return await self._db.write(money.account, chain, account, base)

    async def stop_account(self, chain: str, account: str, why: str) -> bool:
        """See `Store.stop_account`."""
        return await self._db.write(money.stop_account, chain, account, why)

    async def clear_account(self, chain: str, account: str, base: int, actor: str) -> bool:
        """See `Store.clear_account`; whether it was stopped."""
        return await self._db.write(money.clear_account, chain, account, base, actor)

    # operator

    async def leases(self) -> Sequence[Lease]:
        """See `Store.leases`."""
        return await self._db.read(leases.all_held)

    async def accounts(self) -> Sequence[AccountRow]:
        """See `Store.accounts`."""
        return await self._db.read(money.all_accounts)

    async def paused(self) -> Collection[str]:
        """See `Store.paused`."""
        return await self._db.read(operator.paused)

    async def set_paused(self, what: str, paused: bool, actor: str) -> bool:
        """See `Store.set_paused`."""
        return await self._db.write(operator.set_paused, what, paused, actor)

    async def imported(self, swap_id: int) -> ImportedSend | None:
        """See `Store.imported`."""
        return await self._db.read(operator.imported, swap_id)

    async def imports(self, swap_ids: Collection[int]) -> Mapping[int, ImportedSend]:
        """See `Store.imports`."""
        return await self._db.read(operator.imports, swap_ids)

    async def import_sent(self, sends: Sequence[ImportedSend]) -> int:
        """See `Store.import_sent`."""
        return await self._db.write(operator.import_sent, sends, self.owner)

    async def pending_recovery(self) -> Sequence[PendingRecovery]:
        """See `Store.pending_recovery`."""
        return await self._db.read(operator.pending_recovery)

    async def recovery_written(self, entry_id: int) -> None:
        """See `Store.recovery_written`."""
        await self._db.write(operator.recovery_written, entry_id)
