"""Ways of a daemon's own to its chain and to its store, so that it can be cut off while others are not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.acceptance.holders import freeze, thaw
from tests.devnet.fault_proxy import FaultProxy
from tests.devnet.faults import Fault, FaultKind
from tests.postgres.house import real_schema, the_server
from tests.postgres.proxy import PgProxy

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"


@dataclass
class Ways:
    """The first daemon's ways.

    Attributes:
        stage: Both chains and the store.
        chain: Before the contract's chain.
        store: Before the server; None where the store is a file.
    """

    stage: Stage
    chain: FaultProxy
    store: PgProxy | None = None

    def configs(self, lease_ttl_s: float, *, standby: bool = False) -> tuple[Path, Path]:
        """Settings of daemons on one store: the first one's, which goes these ways, and the others'."""
        config = self.stage.config(lease_ttl_s=lease_ttl_s, standby=standby)
        text = config.read_text().replace(self.stage.devnet.chain.url, self.chain.url)
        if self.store is not None:
            text = text.replace(f":{the_server().port}/", f":{self.store.port}/")
        own = config.with_name("first.toml")
        own.write_text(text)
        return own, config

    async def stop(self, how: str, daemon: Daemon) -> None:
        """End it, freeze it, or cut it off."""
        if how == "SIGKILL":
            await daemon.kill()
        elif how == "SIGSTOP":
            freeze(daemon)
        elif how == "chain-cut-off":
            await self.chain.down()
        elif how == "store-cut-off":
            assert self.store is not None
            self.store.hang()
        else:
            for method in ("*", "notification"):
                self.chain.fault(Fault(method, FaultKind.HANG if method == "*" else FaultKind.DROP))

    async def resume(self, how: str, daemon: Daemon) -> None:
        """End what `stop` did to it."""
        if how == "SIGSTOP":
            thaw(daemon)
        elif how == "store-cut-off":
            assert self.store is not None
            self.store.go_on()
        else:
            await self.chain.back()
            await self.chain.disconnect()


@asynccontextmanager
async def ways(stage: Stage, store: str) -> AsyncIterator[Ways]:
    """Ways without trouble, to a stage whose daemons keep their store there."""
    chain = FaultProxy(stage.devnet.chain.http_url)
    await chain.start()
    try:
        if store == SQLITE:
            yield Ways(stage, chain)
            return
        stage.store_url = real_schema(the_server(), port=the_server().port)
        async with PgProxy(the_server().port) as proxy:
            yield Ways(stage, chain, proxy)
    finally:
        await chain.stop()
