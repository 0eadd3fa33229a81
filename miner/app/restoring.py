"""`restore`: a backup into an empty state folder, compared with what the chains show.

A copy always lacks what was signed after it was made, so a restored store is always in doubt: every account
is audited before it pays, and TAO payouts wait until lost bytes have died (`miner/store/doubts.py`). One that
the chains show to be older is not put back unless that is asked for: a newer one may lie elsewhere.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from miner.amounts import Chain
from miner.app import sealed
from miner.app.tell import SystemClock
from miner.app.wiring import connect
from miner.config import Settings
from miner.durable import as_its_folder, publish, sync_file, sync_folder
from miner.errors import ConfigError, StoreUnavailable
from miner.model import AccountRow, Head, Json
from miner.notify.log import configure
from miner.ports import Rail, Store, SwapContract
from miner.store import SqlStore, backup, folder
from miner.verify import MinerAccounts

DRAFT = ".restore-"
RESTORED_SETTINGS = "settings.restored.toml"
_SHOWN = 20
"""Most lines of a kind that are told."""
_MOST_READ = 200
"""Most swaps that are read to learn whose they are: twenty requests."""


class Chains(Protocol):
    """What of the outside a copy is compared with."""

    @property
    def contract(self) -> SwapContract:
        """The swap contract."""

    @property
    def rails(self) -> Mapping[Chain, Rail]:
        """By chain."""

    @property
    def miners(self) -> Mapping[str, MinerAccounts]:
        """By hotkey address."""


async def restore(
    settings: Settings, file: Path, identity: Path, actor: str, *, reconcile: bool
) -> dict[str, Any]:
    """Put a backup back.

    Args:
        settings: Name the state folder, the chains and the accounts.
        file: The backup.
        identity: The age identity file that opens it.
        actor: Who asks.
        reconcile: Put it back although the chains show more than it holds.

    Returns:
        What it holds, what the chains show beyond it, and whether it was put back.

    Raises:
        ConfigError: The state folder is not empty, or the store is on a server.
        StoreError: The backup is damaged, for others, or of another contract; or it could not be written.
        ReadFailed: A chain could not be asked.
    """
    state = settings.store.path
    if settings.store.url is not None:
        remedy = "pg_restore it there; the daemon finds a changed server, and audits every account"
        raise ConfigError("store.url", "the store is on a PostgreSQL server", remedy)
    identities = sealed.identities_of(identity)
    folder.prepare(state)
    _check_empty(state)
    configure("warning", settings.log.format)
    with tempfile.TemporaryDirectory(prefix=DRAFT, dir=state) as name:
        work = Path(name)
        sealed.open_sealed(file, work / "packed.tar", identities)
        manifest = await asyncio.to_thread(sealed.unpack, work / "packed.tar", work)
        about = await asyncio.to_thread(backup.look_into, work / sealed.STORE)
        missing = await _compare(settings, work / sealed.STORE, actor, manifest)
        told = {"file": str(file), "at": manifest["at"], "sagas": about.sagas, "attempts": about.attempts}
        done = reconcile or not missing
        if done:
            await asyncio.to_thread(_put, settings, work)
    return {**told, "height": about.height, "missing": missing, "restored": done, "state": str(state)}


def _check_empty(state: Path) -> None:
    """Nothing but what a restore that was cut off has left, which is removed."""
    found = sorted(each.name for each in state.iterdir())
    others = [name for name in found if not name.startswith(DRAFT)]
    if others:
        raise ConfigError(
            str(state),
            f"is not empty ({', '.join(others[:5])})",
            "A backup is restored into an empty state folder: stop the daemon, and move what is there away",
        )
    for name in found:
        for each in (state / name).iterdir():
            each.unlink()
        (state / name).rmdir()


async def _compare(settings: Settings, copy: Path, actor: str, manifest: Any) -> list[str]:
    """What the chains show and the copy does not hold, in words; the copy is in doubt from now on."""
    outside = await connect(settings, SystemClock())
    store = SqlStore(copy)
    try:
        await store.open()
        await store.bind(outside.node.genesis, outside.contract.address)
        finalised = (await outside.node.heads()).finalised
        missing = await missing_from(store, outside, finalised)
        await store.begin_doubt(actor, f"restored from a backup of {manifest['at']}")
        detail: dict[str, Json] = {"at": str(manifest["at"]), "missing": len(missing)}
        await store.log_operator(actor, "restore", detail)
        return missing
    finally:
        await store.close()
        await outside.close()


async def missing_from(store: Store, outside: Chains, finalised: Head) -> list[str]:
    """What the chains show and a store does not hold, in words.

    Raises:
        ReadFailed: Nothing was learned.
    """
    swaps = await _swaps(store, outside, finalised)
    return [*swaps[:_SHOWN], *(await _accounts(store, outside))[:_SHOWN]]


async def _swaps(store: Store, outside: Chains, finalised: Head) -> list[str]:
    found = await outside.contract.open_swaps(list(outside.miners), finalised, 0)
    held = await store.known([swap.id for swap in found])
    missing = [f"swap {swap.id} is open on the contract" for swap in found if swap.id not in held]
    newest = await store.list_sagas(limit=1)
    seen = max(await store.first_unseen_id(), newest[0].key.swap_id + 1 if newest else 0)
    due = await outside.contract.next_swap_id(finalised)
    left = due - seen - await _of_others(outside, range(seen, due), finalised)
    if left > 0:
        missing.append(f"the contract has given out {left} swap ids from {seen} on since")
    return missing


async def _of_others(outside: Chains, ids: range, at: Head) -> int:
    """How many of these swaps are known to be other miners'.

    One that has ended may be gone from the contract, and nothing tells whose it was: it is not counted, nor
    is one that does not decode, nor any but the newest, so that this asks for little.
    """
    swaps = await outside.contract.swaps(list(ids[-_MOST_READ:]), at) if ids else {}
    return sum(swap is not None and swap.miner not in outside.miners for swap in swaps.values())


async def _accounts(store: Store, outside: Chains) -> list[str]:
    rails = {rail.chain_id: rail for rail in outside.rails.values()}
    payers = {account for miner in outside.miners.values() for account in miner.accounts.values()}
    missing: list[str] = []
    for row in await store.accounts():
        rail = rails.get(row.chain)
        if rail is None:
            continue
        if row.account in payers:
            slots = await store.slots(row.chain, row.account)
            missing += [f"{row.account}: {each}" for each in await rail.unexplained(row, slots)]
        missing += await _nonce(rail, row)
    return missing


async def _nonce(rail: Rail, row: AccountRow) -> list[str]:
    if rail.chain is not Chain.TAO:
        return []
    used = await rail.baseline(row.account)
    if used <= row.high_water:
        return []
    return [f"{row.account}: {used - row.high_water} nonces from {row.high_water} on were used since"]


def _put(settings: Settings, work: Path) -> None:
    """Give the files their names, the store last: until then the daemon finds none."""
    state = settings.store.path
    places = (
        (sealed.RECOVERY, settings.recovery_file),
        (sealed.SETTINGS, state / RESTORED_SETTINGS),
        (sealed.STORE, settings.store.file),
    )
    try:
        for name, place in places:
            if (work / name).exists() and not (name == sealed.RECOVERY and place.exists()):
                sync_file(work / name)
                publish(work / name, place)
                as_its_folder(place)
        sync_folder(state)
    except OSError as exc:
        with suppress(OSError):
            settings.store.file.unlink()
        raise StoreUnavailable(f"{state}: could not be restored ({exc.strerror or exc})") from exc
