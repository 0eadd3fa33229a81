"""The `Store` of `miner.ports`: each method is one transaction."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from miner.errors import ConfigError, StoreError
from miner.model import (
    AccountRow,
    Asked,
    Audit,
    Claim,
    FeedEntry,
    Head,
    ImportedSend,
    Ingest,
    JournalEntry,
    Json,
    Lane,
    Lease,
    OperatorRequest,
    Outcome,
    PendingRecovery,
    RecoveryEntry,
    Replacement,
    Saga,
    Sighting,
    Step,
)
from miner.saga import State
from miner.store import (
    affairs,
    chain,
    doubts,
    journal,
    lanes,
    leases,
    money,
    operator,
    reading,
    requests,
    sightings,
    steps,
    upkeep,
)
from miner.store.database import Database
from miner.store.leases import WATCH, Owner
from miner.store.moving import refuse_moved
from miner.store.news import News, Poll, tell
from miner.store.opening import is_server, path_of
from miner.store.worker import Survey, Worker

P = ParamSpec("P")
T = TypeVar("T")


def system_clock_ms() -> int:
    """The machine's clock, ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


class SqlStore:
    """The store over one SQLite file, or one database of a PostgreSQL server; for use from one event loop.

    Args:
        url: A path, or `sqlite:////absolute/path`, or `postgresql://user@host/database` without a password;
            `sqlite://` is a store in memory, for tests.
        owner: Who holds its leases; random where not given.
        lease_ttl_s: How long a lease lasts from its newest heartbeat.
        busy_timeout_s: How long a transaction waits for another process's.
        clock_ms: What SQLite takes for the time, ms since 1970 UTC; a server has its own clock.
        password: The server's, asked for anew at each connection.
        witness: A file in which what a server has committed is remembered beside it; None remembers nothing.
        bystander: Whether it takes a database as it is, and leaves it to the daemon to note a change.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        owner: str | None = None,
        lease_ttl_s: float = 30.0,
        busy_timeout_s: float = 5.0,
        clock_ms: Callable[[], int] = system_clock_ms,
        password: Callable[[], str] | None = None,
        witness: Path | None = None,
        bystander: bool = False,
    ) -> None:
        self.owner = owner or secrets.token_hex(8)
        self._owner = Owner(self.owner, round(lease_ttl_s * 1000))
        self._epoch = 0
        self.path: Path | None = None
        self._db: Worker
        self._news: News
        if is_server(url):
            from miner.store.listening import Listener
            from miner.store.postgresql import place_of
            from miner.store.server import Server
            from miner.store.witness import Witness

            server = Server(place_of(str(url)), busy_timeout_s, password, Witness(witness), bystander)
            self._db, self._news = server, Listener(server, self.owner)
        else:
            self.path = path_of(url)
            self._db = file = Database(self.path, busy_timeout_s, clock_ms, bystander)
            self._news = Poll(file.others_wrote)

    async def open(self) -> None:
        """See `Store.open`. A store that was moved is not opened."""
        await self._db.open()
        try:
            await self._db.read(refuse_moved, self._db.where)
        except ConfigError:
            await self._db.close()
            raise

    async def close(self) -> None:
        """See `Store.close`. Where the leases cannot be given back, they end by themselves."""
        await self._news.close()
        if self._db.is_open and self._owner.asked:
            with suppress(StoreError):
                await self._tell(leases.release_all, self._owner)
        self._owner.held.clear()
        await self._db.close()

    async def _tell(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """Write, and have the other processes hear of it when it is committed."""

        def both(conn: Connection) -> T:
            done = work(conn, *args, **kw)
            tell(conn, self.owner)
            return done

        both.__name__ = getattr(work, "__name__", "write")
        return await self._db.write(both)

    async def bind(self, genesis: str, contract: str) -> None:
        """See `Store.bind`."""
        await self._db.write(operator.bind, genesis, contract, self._db.where)

    async def pin(self, name: str, value: str) -> str:
        """See `Store.pin`; what is pinned already is only read."""
        pinned = await self._db.read(operator.pinned, name)
        return pinned if pinned is not None else await self._db.write(operator.pin, name, value)

    async def repin(self, name: str, value: str, actor: str) -> str:
        """See `Store.repin`."""
        return await self._tell(operator.repin, name, value, actor)

    async def now_ms(self) -> int:
        """See `Store.now_ms`."""
        return await self._db.read(operator.now_ms)

    # what is behind it

    @property
    def database(self) -> Worker:
        """What runs its transactions, for moving a store as a whole."""
        return self._db

    async def survey(self) -> Survey:
        """What is there, without making anything; the store need not be open."""
        return await self._db.survey()

    async def what_changed(self) -> str | None:
        """See `Store.what_changed`."""
        return await self._db.what_changed()

    async def doubted_until(self, otherwise: int) -> int | None:
        """See `Store.doubted_until`."""
        if await self._db.read(doubts.named, doubts.DOUBT) is None:
            return None
        return await self._db.write(doubts.doubted_until, otherwise)

    async def begin_doubt(self, actor: str, why: str) -> None:
        """See `Store.begin_doubt`."""
        await self._db.write(doubts.begin, actor, why)

    async def dispel_doubt(self) -> None:
        """See `Store.dispel_doubt`."""
        if await self._db.read(doubts.named, doubts.DOUBT):
            await self._db.write(doubts.dispel)

    async def changed(self) -> None:
        """See `Store.changed`."""
        await self._news.wait()

    async def alone(self, what: str) -> bool:
        """See `Store.alone`. One daemon works on a SQLite file, so it is alone there."""
        return await self._db.alone(what)

    async def give_up(self, what: str) -> None:
        """See `Store.give_up`."""
        await self._db.give_up(what)

    # leases

    async def acquire(self, resource: str) -> Lease:
        """See `Store.acquire`."""
        lease = await self._db.write(leases.acquire, self._owner, resource)
        self._owner.held.add(resource)
        if resource == WATCH and lease.epoch != self._epoch:
            await self._db.took_over()
            self._epoch = lease.epoch
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

    async def journal_since(self, position: int, limit: int = 200) -> Sequence[FeedEntry]:
        """See `Store.journal_since`."""
        return await self._db.read(journal.since, position, limit)

    async def last_position(self) -> int:
        """See `Store.last_position`."""
        return await self._db.read(journal.last_position)

    async def next_deadlines(self) -> Mapping[State, int]:
        """See `Store.next_deadlines`."""
        return await self._db.read(reading.next_deadlines)

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
        return await self._tell(money.clear_account, chain, account, base, actor)

    async def saw_nonce(self, chain: str, account: str, nonce: int, height: int) -> None:
        """See `Store.saw_nonce`."""
        await self._db.write(money.saw_nonce, chain, account, nonce, height)

    async def strangers(self, chain: str, account: str) -> Collection[str]:
        """See `Store.strangers`."""
        return await self._db.read(lanes.strangers, chain, account)

    async def bytes_live_until(self, chain: str, account: str) -> int:
        """See `Store.bytes_live_until`."""
        return await self._db.read(money.bytes_live_until, chain, account)

    # affairs

    async def begin_affair(self, claim: Claim, lease: Lease, actor: str, detail: Mapping[str, Json]) -> Lane:
        """See `Store.begin_affair`."""
        return await self._db.write(affairs.begin, claim, lease, actor, detail)

    async def fill_affair(self, wish: Replacement, lease: Lease) -> Lane:
        """See `Store.fill_affair`."""
        return await self._db.write(affairs.fill, wish, lease)

    async def affairs(self, limit: int = 20) -> Sequence[Lane]:
        """See `Store.affairs`."""
        return await self._db.read(affairs.newest, limit)

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
        return await self._tell(operator.set_paused, what, paused, actor)

    async def imported(self, swap_id: int) -> ImportedSend | None:
        """See `Store.imported`."""
        return await self._db.read(operator.imported, swap_id)

    async def imports(self, swap_ids: Collection[int]) -> Mapping[int, ImportedSend]:
        """See `Store.imports`."""
        return await self._db.read(operator.imports, swap_ids)

    async def approved(self, swap_ids: Collection[int]) -> Mapping[int, int]:
        """See `Store.approved`."""
        return await self._db.read(operator.approved, swap_ids)

    async def import_sent(self, sends: Sequence[ImportedSend]) -> int:
        """See `Store.import_sent`."""
        return await self._tell(operator.import_sent, sends, self.owner)

    async def pending_recovery(self) -> Sequence[PendingRecovery]:
        """See `Store.pending_recovery`."""
        return await self._db.read(operator.pending_recovery)

    async def recovery_written(self, entry_id: int) -> None:
        """See `Store.recovery_written`."""
        await self._db.write(operator.recovery_written, entry_id)

    async def every_recovery(self) -> Sequence[PendingRecovery]:
        """See `Store.every_recovery`."""
        return await self._db.read(operator.every_recovery)

    async def log_operator(self, actor: str, action: str, detail: Mapping[str, Json]) -> None:
        """See `Store.log_operator`."""
        await self._db.write(operator.log, actor, action, detail)

    # requests

    async def ask(self, asked: Sequence[Asked], ttl_ms: int) -> Sequence[int]:
        """See `Store.ask`."""
        return await self._tell(requests.ask, asked, ttl_ms)

    async def requests(self, ids: Collection[int]) -> Sequence[OperatorRequest]:
        """See `Store.requests`."""
        return await self._db.read(requests.by_id, ids)

    async def withdraw(self, ids: Collection[int]) -> Sequence[OperatorRequest]:
        """See `Store.withdraw`."""
        return await self._db.write(requests.withdraw, ids)

    async def take_requests(self) -> Sequence[OperatorRequest]:
        """See `Store.take_requests`; writes nothing where there are none."""
        if not await self._db.read(requests.any_open):
            return []
        return await self._db.write(requests.take, self.owner)

    async def answer(self, request: OperatorRequest, outcome: Outcome) -> bool:
        """See `Store.answer`."""
        return await self._db.write(requests.answer, self.owner, request, outcome)

    async def credited(self, chain: str, txid: str) -> Sequence[int]:
        """See `Store.credited`."""
        return await self._db.read(requests.credited, chain, txid)

    async def lanes_of(self, saga_id: int) -> Sequence[Lane]:
        """See `Store.lanes_of`."""
        return await self._db.read(lanes.of_saga, saga_id)

    # upkeep

    async def audit(
        self, after: int = -1, limit: int = 50, only: Collection[int] = (), ended: bool = False
    ) -> Sequence[Audit]:
        """See `Store.audit`."""
        return await self._db.read(upkeep.audit, after, limit, only, ended)

    async def reproject(self, swap_id: int, lease: Lease, actor: str) -> Audit:
        """See `Store.reproject`."""
        return await self._db.write(upkeep.reproject, self._owner, swap_id, lease, actor)

    async def stale_leases(self) -> Sequence[Lease]:
        """See `Store.stale_leases`."""
        return await self._db.read(upkeep.stale_leases)

    async def unreserved(self) -> Sequence[int]:
        """See `Store.unreserved`."""
        return await self._db.read(upkeep.unreserved)

    async def untold(self) -> Sequence[int]:
        """See `Store.untold`."""
        return await self._db.read(upkeep.untold)

    async def reopen(self, lane: Lane, state: State, why: RecoveryEntry) -> bool:
        """See `Store.reopen`."""
        return await self._db.write(upkeep.reopen, lane, state, why)
