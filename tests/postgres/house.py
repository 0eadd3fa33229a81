"""Databases for single tests: a schema on the session's server, with a clock that the test moves."""

from __future__ import annotations

import atexit
import itertools
import shutil
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg

from tests.conformance.store_builders import VirtualClock
from tests.postgres.server import Server, make_room

_NUMBERS = itertools.count(1)

CLOCK = """
CREATE SCHEMA clock_{n};
CREATE TABLE clock_{n}.now (ms bigint NOT NULL);
INSERT INTO clock_{n}.now VALUES ({ms});
CREATE FUNCTION clock_{n}.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT to_timestamp(ms / 1000.0) FROM clock_{n}.now';
CREATE SCHEMA store_{n};
"""
"""`clock_timestamp` is found before the server's own, by the search path: the store knows nothing of it."""


@dataclass
class ServerClock(VirtualClock):
    """The clock of one schema; each move is written to the server."""

    server: Server | None = None
    number: int = 0

    def pass_s(self, seconds: float) -> None:
        super().pass_s(seconds)
        assert self.server is not None
        admin(self.server).execute(f"UPDATE clock_{self.number}.now SET ms = {self.now_ms}".encode())


@cache
def admin(server: Server) -> psycopg.Connection[Any]:
    """One connection a server, on its socket."""
    return server.connect()


def schema(server: Server) -> tuple[str, ServerClock]:
    """An empty schema: its URL, and its clock."""
    number = next(_NUMBERS)
    clock = ServerClock(server=server, number=number)
    admin(server).execute(CLOCK.format(n=number, ms=clock.now_ms).encode())
    options = f"-csearch_path=store_{number},clock_{number},pg_catalog"
    return server.url(socket=True, options=options), clock


def real_schema(server: Server, *, port: int | None = None) -> str:
    """An empty schema with the server's own clock: its URL, over the socket or a loopback port."""
    number = next(_NUMBERS)
    admin(server).execute(f"CREATE SCHEMA store_{number}".encode())
    return server.url(socket=port is None, port=port, options=f"-csearch_path=store_{number}")


SECRET = "correct-horse-battery"
"""Password of the role `secretive`, the only one that needs one."""


def make_role(server: Server) -> None:
    """Make sure of the role that needs a password."""
    conn = admin(server)
    if not conn.execute("SELECT 1 FROM pg_roles WHERE rolname = 'secretive'").fetchall():
        conn.execute(f"CREATE ROLE secretive LOGIN PASSWORD '{SECRET}'".encode())


@cache
def the_server() -> Server:
    """The session's server; stopped by `stop_all`."""
    atexit.register(stop_all)
    return Server.make(make_room()).start()


def stop_all() -> None:
    """End the session's server, if there is one, and remove its folder."""
    if not the_server.cache_info().currsize:
        return
    server = the_server()
    if admin.cache_info().currsize:
        admin(server).close()
    server.stop()
    shutil.rmtree(server.folder.parent, ignore_errors=True)
    admin.cache_clear()
    the_server.cache_clear()
