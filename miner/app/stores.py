"""A store as a whole: what it is, and moving it from one database to another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from miner.app.wiring import make_store
from miner.config import SecretFile, Settings
from miner.errors import ConfigError
from miner.store import SqlStore, copying, doubts
from miner.store.moving import MOVED_TO
from miner.store.schema import HEAD

Progress = Callable[[str, int, int], None]


async def info(settings: Settings) -> dict[str, Any]:
    """What the store is and holds; makes nothing.

    Raises:
        ConfigError: Its server is not durable.
        StoreError: It cannot be read.
    """
    store = make_store(settings)
    found: dict[str, Any] = {"store": settings.store.place}
    try:
        about = await store.survey()
        found |= {"exists": about.exists, "server": about.server}
        if about.exists:
            found["schema"] = about.older or HEAD
        if about.older is not None:
            found |= {"moved_to": None, "doubt": None, "tables": {}}
        elif about.exists:
            await store.database.open()
            found |= await store.database.read(_told)
            found["tables"] = _plain(await store.database.read(copying.contents))
    finally:
        await store.close()
    return found


def _told(conn: Any) -> dict[str, Any]:
    return {"moved_to": doubts.named(conn, MOVED_TO), "doubt": doubts.named(conn, doubts.DOUBT)}


def _plain(contents: Mapping[str, copying.Content]) -> dict[str, Any]:
    return {name: asdict(content) for name, content in contents.items()}


async def copy(
    settings: Settings, to: str, password: SecretFile | None, actor: str, *, do: bool, progress: Progress
) -> dict[str, Any]:
    """Move the store to another database, or say what would be moved.

    Args:
        settings: Name the source.
        to: A PostgreSQL URL, or a path for SQLite.
        password: Where the target's password is.
        actor: Who asked.
        do: Move it; without it only what would be moved is told, and the target is not touched.
        progress: Told how far it is.

    Returns:
        Source, target, and rows and digest by table.

    Raises:
        LeaseLost: A daemon works on one of the two.
        ConfigError: The target is not empty or not durable, or is the source; or the source was moved before.
        StoreError: One of the two refused; nothing is moved, unless the text says to copy again.
    """
    store = make_store(settings)
    target = SqlStore(to, password=None if password is None else password.read)
    source_db, target_db = store.database, target.database
    if source_db.where == target_db.where:
        raise ConfigError("--to", f"{target_db.where} is the store itself", "Name another database")
    try:
        if not (await store.survey()).exists:
            raise ConfigError(source_db.where, "there is no store to copy", "Look at [store]")
        await source_db.open()
        if do:
            await target_db.open()
            moved = await asyncio.to_thread(copying.move, source_db, target_db, actor, progress)
        else:
            await source_db.read(copying.check_source, source_db.where, target_db.where)
            await target.survey()
            moved = await source_db.read(copying.contents, progress)
    finally:
        await store.close()
        await target.close()
    return {"from": source_db.where, "to": target_db.where, "copied": do, "tables": _plain(moved)}
