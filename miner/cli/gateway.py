"""What the commands need of `miner.app`, which is imported only when a command needs it."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from miner.errors import StoreUnavailable

if TYPE_CHECKING:
    from datetime import datetime

    from miner.affairs.holdings import Quotes, Standings
    from miner.affairs.wallet import Purse
    from miner.config import CheckLine, SecretFile, Settings
    from miner.model import AccountRow, Asked, Audit, ImportedSend, Lease, OperatorRequest, Outcome, Saga
    from miner.ports import Outbox, Store
    from miner.verify import MinerAccounts

T = TypeVar("T")


class Wiring(Protocol):
    """The functions of `miner.app` that the commands call."""

    async def open_store(self, settings: Settings) -> Store:
        """The store that the settings name, open; made and migrated where needed. Takes no lease."""

    async def run(self, settings: Settings, reread: Callable[[], Settings]) -> int:
        """Run the daemon until it is told to end; returns the exit code."""

    def preflight(self, settings: Settings) -> AsyncIterator[CheckLine]:
        """Look at everything that `run` needs; changes nothing."""

    async def leases(self, store: Store) -> Sequence[Lease]:
        """Every lease that is held and not expired."""

    async def accounts(self, store: Store) -> Sequence[AccountRow]:
        """Every payout and marking account that the store knows."""

    async def clear_account(self, settings: Settings, store: Store, account: str, actor: str) -> bool | None:
        """Let first sends go on for a stopped account, everything up to now explained.

        Returns:
            Whether it was stopped; None where the store does not know the account.
        """

    async def accept_code(self, settings: Settings, store: Store, actor: str) -> tuple[str, str]:
        """Accept the contract's code as it is now.

        Returns:
            The code hash that was pinned before, and the one that is pinned now.
        """

    async def would(
        self, settings: Settings, store: Store | None, asked: Sequence[Asked]
    ) -> Sequence[Outcome]:
        """What would come of operators' requests now; nothing is changed and no lease taken."""

    def one_miner(self, settings: Settings, named: str | None) -> MinerAccounts:
        """The miner that is named, or the only one."""

    async def ask(
        self,
        settings: Settings,
        store: Store,
        asked: Sequence[Asked],
        wait_s: float,
        say: Callable[[str], None],
    ) -> Sequence[OperatorRequest]:
        """Have requests carried out by the daemon or, where none runs, under leases taken here."""

    async def chain_now(self, settings: Settings, store: Store, saga: Saga) -> Mapping[str, Any]:
        """What contract and chains say of a swap now."""

    async def resolve_recovery(
        self, settings: Settings, store: Store | None, entry: Mapping[str, Any], reason: str, actor: str
    ) -> None:
        """Append a line that says that an entry of the recovery log was dealt with."""

    def read_recovery(self, settings: Settings) -> tuple[Sequence[Mapping[str, Any]], Sequence[str]]:
        """The recovery log's entries, and its damage in words."""

    def parse_sent_cache(self, path: Path) -> Sequence[ImportedSend]:
        """Read another program's sent cache; raises rather than reading a part."""

    async def store_info(self, settings: Settings) -> Mapping[str, Any]:
        """What the store is and holds."""

    async def rebuild_rows(
        self,
        store: Store,
        swap_ids: Sequence[int],
        actor: str,
        *,
        do: bool,
        progress: Callable[[str, int, int], None],
    ) -> Sequence[Audit]:
        """Compute rows of sagas anew from their journals; write those that differ where `do`."""

    async def rebuild_from_chain(
        self,
        settings: Settings,
        actor: str,
        *,
        do: bool,
        wait_s: float,
        progress: Callable[[str, int, int], None],
    ) -> Mapping[str, Any]:
        """Judge every open swap by the chains, and write what was found where `do`."""

    async def store_copy(
        self,
        settings: Settings,
        to: str,
        password: SecretFile | None,
        actor: str,
        *,
        do: bool,
        progress: Callable[[str, int, int], None],
    ) -> Mapping[str, Any]:
        """Move the store to another database, or say what would be moved."""

    async def wallets(self, settings: Settings, miner: str | None) -> Sequence[Purse]:
        """What the miners' accounts hold and owe."""

    async def standings(self, settings: Settings, miner: str | None) -> Standings:
        """How the miners stand with the contract."""

    async def quotes(self, settings: Settings, miner: str | None, *, read: bool = True) -> Quotes:
        """What the miners have committed as quotes."""

    async def notify_overview(self, settings: Settings, store: Store) -> Mapping[str, Any]:
        """Targets of notices with what waits, arrived and is dead, and what is wrong now."""

    async def notify_test(self, settings: Settings, name: str | None) -> Sequence[Mapping[str, Any]]:
        """Send a test message to a target, or to all; what came of each."""

    def outbox(self, settings: Settings, store: Store) -> Outbox:
        """What operators are to be told, of an open store."""

    async def backup(
        self,
        settings: Settings,
        config: Path,
        to: Path,
        recipients: Sequence[str],
        identity: Path | None,
        keep: int,
    ) -> dict[str, Any]:
        """Write an encrypted, verified copy of store, recovery log and settings."""

    async def restore(
        self, settings: Settings, file: Path, identity: Path, actor: str, *, reconcile: bool
    ) -> dict[str, Any]:
        """Put a backup into an empty state folder, unless the chains show it to be older."""

    def read_log(
        self,
        settings: Settings,
        swap_id: int | None,
        begin: datetime | None,
        file: Path | None,
        unit: str,
        redact: bool,
    ) -> list[dict[str, Any]]:
        """Lines of the log from the journal or a file: a swap's, from a time on, redacted where asked for."""


def wiring() -> Wiring:
    """`miner.app`."""
    from miner import app

    return app


def actor(named: str | None = None) -> str:
    """Who acts, for journals and audit notes: the one named, else the user of the system."""
    if named:
        return f"operator:{named}"
    try:
        return f"operator:{getpass.getuser()}"
    except (KeyError, OSError):
        return "operator"


def looking(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    """Read from a store that exists.

    Raises:
        StoreUnavailable: There is none yet.
    """
    if not settings.store.may_exist:
        raise StoreUnavailable(
            f"there is no store at {settings.store.place}: the daemon has not run yet, or "
            "store.path is another"
        )
    return acting(settings, work)


def acting(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    """Do something with the store, which is made where it is missing."""
    return asyncio.run(_with_store(settings, work))


def looking_if_any(settings: Settings, work: Callable[[Store | None], Awaitable[T]]) -> T:
    """Read from the store where there is one; looking makes none."""
    if settings.store.may_exist:
        return acting(settings, work)

    async def without() -> T:
        return await work(None)

    return asyncio.run(without())


async def _with_store(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    store = await wiring().open_store(settings)
    try:
        return await work(store)
    finally:
        await store.close()
