"""The app: the only place that knows adapters and services both.

The command line calls the functions below; each imports what it needs when it is called.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from miner.affairs.holdings import Quotes, Standings
    from miner.affairs.wallet import Purse
    from miner.config import CheckLine, SecretFile, Settings
    from miner.model import AccountRow, Asked, Audit, ImportedSend, Lease, OperatorRequest, Outcome, Saga
    from miner.ports import Outbox, Store
    from miner.verify import MinerAccounts


async def open_store(settings: Settings) -> Store:
    """The store that the settings name, open; made and migrated where needed. Takes no lease."""
    from miner.app.wiring import make_store

    store = make_store(settings)
    await store.open()
    return store


async def run(settings: Settings, reread: Callable[[], Settings]) -> int:
    """Run the daemon until SIGTERM or SIGINT; returns the exit code.

    Args:
        settings: What it runs by.
        reread: Reads them anew, for SIGHUP; raises as `config.load`.
    """
    from miner.app.daemon import run as run_daemon

    return await run_daemon(settings, reread)


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
    from miner.app.clearing import clear

    return await clear(settings, store, account, actor)


async def accept_code(settings: Settings, store: Store, actor: str) -> tuple[str, str]:
    """Accept the contract's code as it is now; returns the hash pinned before, and the one pinned now."""
    from miner.app.operator import accept_code as accept

    return await accept(settings, store, actor)


def one_miner(settings: Settings, named: str | None) -> MinerAccounts:
    """The miner that is named, or the only one."""
    from miner.app.affairs import one_miner as found

    return found(settings, named)


async def would(settings: Settings, store: Store | None, asked: Sequence[Asked]) -> Sequence[Outcome]:
    """What would come of operators' requests now; nothing is changed and no lease taken."""
    from miner.app.requests import would as look

    return await look(settings, store, asked)


async def ask(
    settings: Settings, store: Store, asked: Sequence[Asked], wait_s: float, say: Callable[[str], None]
) -> Sequence[OperatorRequest]:
    """Have operators' requests carried out by the daemon or, where none runs, under leases taken here."""
    from miner.app.requests import ask as carry_out

    return await carry_out(settings, store, asked, wait_s, say)


async def chain_now(settings: Settings, store: Store, saga: Saga) -> Mapping[str, Any]:
    """What contract and chains say of a swap now."""
    from miner.app.requests import chain_now_alone as look

    return await look(settings, store, saga)


async def resolve_recovery(
    settings: Settings, store: Store | None, entry: Mapping[str, Any], reason: str, actor: str
) -> None:
    """Append a line that says that an entry of the recovery log was dealt with."""
    from miner.app.operator import resolve

    await resolve(settings, store, entry, reason, actor)


def read_recovery(settings: Settings) -> tuple[Sequence[Mapping[str, Any]], Sequence[str]]:
    """The recovery log's entries, and its damage in words."""
    from miner.notify.recovery import read

    found = read(settings.recovery_file)
    return found.entries, found.damage


def parse_sent_cache(path: Path) -> Sequence[ImportedSend]:
    """Read another program's sent cache; raises rather than reading a part."""
    from miner.app.operator import read_sent_cache

    return read_sent_cache(path)


async def store_info(settings: Settings) -> Mapping[str, Any]:
    """What the store is and holds."""
    from miner.app.stores import info

    return await info(settings)


async def store_copy(
    settings: Settings,
    to: str,
    password: SecretFile | None,
    actor: str,
    *,
    do: bool,
    progress: Callable[[str, int, int], None],
) -> Mapping[str, Any]:
    """Move the store to another database, or say what would be moved."""
    from miner.app.stores import copy

    return await copy(settings, to, password, actor, do=do, progress=progress)


async def rebuild_rows(
    store: Store,
    swap_ids: Sequence[int],
    actor: str,
    *,
    do: bool,
    progress: Callable[[str, int, int], None],
) -> Sequence[Audit]:
    """Compute rows of sagas anew from their journals; write those that differ where `do`."""
    from miner.app.rebuild import from_journal

    return await from_journal(store, swap_ids, actor, do=do, progress=progress)


async def rebuild_from_chain(
    settings: Settings,
    actor: str,
    *,
    do: bool,
    wait_s: float,
    progress: Callable[[str, int, int], None],
) -> Mapping[str, Any]:
    """Judge every open swap by the chains, and write what was found where `do`."""
    from miner.app.rebuild import from_chain

    return await from_chain(settings, actor, do=do, wait_s=wait_s, progress=progress)


async def wallets(settings: Settings, miner: str | None) -> Sequence[Purse]:
    """What the miners' accounts hold and owe."""
    from miner.app.affairs import wallets as look

    return await look(settings, miner)


async def standings(settings: Settings, miner: str | None) -> Standings:
    """How the miners stand with the contract."""
    from miner.app.affairs import standings as look

    return await look(settings, miner)


async def quotes(settings: Settings, miner: str | None, *, read: bool = True) -> Quotes:
    """What the miners have committed as quotes."""
    from miner.app.affairs import quotes as look

    return await look(settings, miner, read=read)


async def notify_overview(settings: Settings, store: Store) -> Mapping[str, Any]:
    """Targets of notices with what waits, arrived and is dead, and what is wrong now."""
    from miner.app.telling import overview

    return await overview(settings, store)


async def notify_test(settings: Settings, name: str | None) -> Sequence[Mapping[str, Any]]:
    """Send a test message to a target, or to all; what came of each."""
    from miner.app.telling import send_test

    return await send_test(settings, name)


def outbox(settings: Settings, store: Store) -> Outbox:
    """What operators are to be told, of an open store."""
    from miner.app.telling import make_outbox

    return make_outbox(settings, store)


async def backup(
    settings: Settings,
    config: Path,
    to: Path,
    recipients: Sequence[str],
    identity: Path | None,
    keep: int,
) -> dict[str, Any]:
    """Write an encrypted, verified copy of store, recovery log and settings."""
    from miner.app.backups import make

    return await make(settings, config, to, recipients, identity, keep)


async def restore(
    settings: Settings, file: Path, identity: Path, actor: str, *, reconcile: bool
) -> dict[str, Any]:
    """Put a backup into an empty state folder, unless the chains show it to be older."""
    from miner.app.restoring import restore as put_back

    return await put_back(settings, file, identity, actor, reconcile=reconcile)


def read_log(
    settings: Settings,
    swap_id: int | None,
    begin: datetime | None,
    file: Path | None,
    unit: str,
    redact: bool,
) -> list[dict[str, Any]]:
    """Lines of the log from the journal or a file: a swap's, from a time on, redacted where asked for."""
    from miner.app.logs import read_log as read

    return read(settings, swap_id, begin, file, unit, redact)
