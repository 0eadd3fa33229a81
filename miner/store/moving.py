"""A store that was copied elsewhere says so, and serves nobody any more."""

from __future__ import annotations

from sqlalchemy import Connection

from miner.errors import ConfigError
from miner.store import doubts

MOVED_TO = "moved_to"
"""Name in `meta`: where the store was moved to, without credentials."""


def refuse_moved(conn: Connection, where: str) -> None:
    """Refuse a store that was moved.

    Raises:
        ConfigError: Names where it is now.
    """
    target = doubts.named(conn, MOVED_TO)
    if target is not None:
        remedy = "Name the new one in [store] (url, or path); this one is kept for inspection only"
        raise ConfigError(where, f"this store was moved to {target}", remedy)
