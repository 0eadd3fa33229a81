"""What the commands need of `miner.app`, which is imported only when a command needs it."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from miner.errors import StoreUnavailable

if TYPE_CHECKING:
    from miner.config import CheckLine, Settings
    from miner.model import AccountRow, ImportedSend, Lease
    from miner.ports import Store

T = TypeVar("T")


class Wiring(Protocol):
    """The functions of `miner.app` that the commands call."""

    async def open_store(self, settings: Settings) -> Store:
        """The store in `settings.store.file`, open; made and migrated where needed. Takes no lease."""

    async def run(self, settings: Settings) -> int:
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

    def read_recovery(self, settings: Settings) -> tuple[Sequence[Mapping[str, Any]], Sequence[str]]:
        """The recovery log's entries, and its damage in words."""

    def parse_sent_cache(self, path: Path) -> Sequence[ImportedSend]:
        """Read another program's sent cache; raises rather than reading a part."""


def wiring() -> Wiring:
    """`miner.app`."""
    from miner import app

    return app


def actor() -> str:
    """Who acts, for journals and audit notes."""
    try:
        return f"operator:{getpass.getuser()}"
    except (KeyError, OSError):
        return "operator"


def looking(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    """Read from a store that exists.

    Raises:
        StoreUnavailable: There is none yet.
    """
    file = settings.store.file
    if not file.exists():
        raise StoreUnavailable(
            f"there is no store at {file}: the daemon has not run yet, or store.path is another"
        )
    return acting(settings, work)


def acting(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    """Do something with the store, which is made where it is missing."""
    return asyncio.run(_with_store(settings, work))


async def _with_store(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    store = await wiring().open_store(settings)
    try:
        return await work(store)
    finally:
        await store.close()
