"""Runs the Alembic migrations. Importing this costs the import of Alembic, so it is done when needed."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from miner.store.schema import HEAD

SCRIPTS = Path(__file__).with_name("migrations")


def config(conn: Connection | None = None) -> Config:
    """Alembic's settings for the packaged scripts, over a connection."""
    settings = Config()
    settings.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    settings.attributes["connection"] = conn
    return settings


def upgrade(conn: Connection, to: str = HEAD) -> None:
    """Bring the schema up to a revision, within the transaction that `conn` is in."""
    command.upgrade(config(conn), to)
