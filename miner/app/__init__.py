"""The app: the only place that knows adapters and services both.

The command line calls the functions below; each imports what it needs when it is called.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miner.config import CheckLine, Settings
    from miner.model import AccountRow, ImportedSend, Lease
    from miner.ports import Store


async def open_store(settings: Settings) -> Store:
    """The store in `settings.store.file`, open; made and migrated where needed. Takes no lease."""
    from miner.app.wiring import make_store

    store = make_store(settings)
    await store.open()
    return store


async def run(settings: Settings) -> int:
    """Run the daemon until SIGTERM or SIGINT; returns the exit code."""
    from miner.app.daemon import run as run_daemon

    return await run_daemon(settings)


def preflight(settings: Settings) -> AsyncIterator[CheckLine]:
    """Look at everything that `run` needs; changes nothing."""
    from miner.app.checks import preflight as look

    return look(settings)


async def leases(store: Store) -> Sequence[Lease]:
    """Every lease that is held and not expired."""
    return await store.leases()


async def accounts(store: Store) -> Sequence[AccountRow]:
    """Every payout and marking account that the store knows."""
    return await store.accounts()


async def clear_account(settings: Settings, store: Store, account: str, actor: str) -> bool | None:
    """Let first sends go on for a stopped account, everything up to now explained.

    Returns:
        Whether it was stopped; None where the store does not know the account.
    """
    from miner.app.operator import clear

    return await clear(settings, store, account, actor)


async def accept_code(settings: Settings, store: Store, actor: str) -> tuple[str, str]:
    """Accept the contract's code as it is now; returns the hash pinned before, and the one pinned now."""
    from miner.app.operator import accept_code as accept

    return await accept(settings, store, actor)


def read_recovery(settings: Settings) -> tuple[Sequence[Mapping[str, Any]], Sequence[str]]:
    """The recovery log's entries, and its damage in words."""
    from miner.notify.recovery import read

    found = read(settings.recovery_file)
    return found.entries, found.damage


def parse_sent_cache(path: Path) -> Sequence[ImportedSend]:
    """Read another program's sent cache; raises rather than reading a part."""
    from miner.app.operator import read_sent_cache

    return read_sent_cache(path)
