"""A real ops server on a Unix socket and a loopback port, over a real store with swaps in it."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from miner.amounts import Chain
from miner.app.hands import DaemonHands
from miner.app.wiring import Outside
from miner.config import OpsSettings, SecretFile, SecretKind, Settings, load
from miner.model import Asked, Came, Outcome
from miner.ops.access import Gate
from miner.ops.board import Board, Outlook
from miner.ops.desk import OpsDesk
from miner.ops.metrics import Metrics
from miner.ops.server import serving
from miner.ops.wallets import Wallets
from miner.ports import Endpoint
from miner.store import SqlStore
from miner.store.outbox import SqlOutbox
from tests.conformance.ops_outside import outside_of, unused_world
from tests.unit.cli_world import CANARY, fill
from tests.unit.config_files import ALICE, write_settings

READ, OPERATE = "r" * 40, "o" * 40


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Purse:
    """A rail as far as the server asks one."""

    chain, chain_id = Chain.TAO, f"tao:0x{'11' * 32}"

    def __init__(self) -> None:
        self.asked = 0

    async def spendable(self, _account: str) -> int:
        self.asked += 1
        return 7_000_000_000


class HandsOver(DaemonHands):
    """The daemon's own over model chains, but for dry runs of swaps that those do not know."""

    def __init__(self, settings: Settings, store: SqlStore, outside: Outside) -> None:
        super().__init__(settings, store, store)
        self.outside = outside
        self.asked: list[Asked] = []

    async def look(self, asked: Asked) -> Outcome:
        self.asked.append(asked)
        if asked.verb.is_affair:
            return await super().look(asked)
        if asked.swap_id == 1:
            detail = {"raw_hex": CANARY.hex()}
            return Outcome(swap_id=1, came=Came.REFUSED, text="no", stake="1 TAO", remedy="x", detail=detail)
        return Outcome(swap_id=asked.swap_id, came=Came.WOULD, text=f"it may be done {CANARY.hex()}")


def endpoints() -> Sequence[Endpoint]:
    return [
        Endpoint("wss://one.example", True, True, 120, 118, 1.0),
        Endpoint("wss://two.example", True, False, 112, 110, 3.0),
    ]


@dataclass
class Served:
    """A running server and the two ways to it."""

    folder: Path
    socket: Path
    port: int
    board: Board
    daemon: SqlStore
    desk: OpsDesk
    purse: Purse
    hands: HandsOver
    http: aiohttp.ClientSession
    over_tcp: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def get(self, path: str, token: str | None = None, **how: Any) -> tuple[int, str, str]:
        """Over the Unix socket: status, media type, text."""
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **how.pop("headers", {})}
        async with self.http.request(
            how.pop("method", "GET"), f"http://ops{path}", headers=headers, **how
        ) as r:
            return r.status, r.content_type, await r.text()

    async def tcp(self, path: str, token: str | None = None, **how: Any) -> tuple[int, str, str]:
        """Over the loopback port."""
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **how.pop("headers", {})}
        method = how.pop("method", "GET")
        async with self.over_tcp.request(method, f"{self.url}{path}", headers=headers, **how) as r:
            return r.status, r.content_type, await r.text()


def settings_in(folder: Path) -> OpsSettings:
    """Both tokens, in files."""
    for name, token in (("read", READ), ("operate", OPERATE)):
        (folder / name).write_text(token + "\n", encoding="utf-8")
        (folder / name).chmod(0o600)
    files = {name: SecretFile(SecretKind.FILE, str(folder / name)) for name in ("read", "operate")}
    return OpsSettings(read_token_file=files["read"], operate_token_file=files["operate"])


@asynccontextmanager
async def server(
    url: str | Path | None = None, socket_path: Path | None = None, *, filled: bool = True
) -> AsyncIterator[Served]:
    """Serve a store: a fresh file, or the one that is named."""
    with tempfile.TemporaryDirectory(prefix="ops-") as name:
        folder = Path(name)
        place = url or folder / "store.sqlite"
        daemon, own = SqlStore(place, owner="daemon"), SqlStore(place)
        await daemon.open()
        await own.open()
        if filled:
            await fill(daemon)
        board, purse = Board("daemon"), Purse()
        board.outlook = Outlook(endpoints, lambda: 120, {Chain.TAO: purse}, [(Chain.TAO, ALICE)])  # type: ignore[dict-item]
        settings = load(write_settings(folder))
        settings.store.path.mkdir(mode=0o700)
        wallets, hands = Wallets(board, own), HandsOver(settings, daemon, outside_of(unused_world()))
        metrics = Metrics(board, own, wallets, SqlOutbox(own.database, own.owner))
        desk = OpsDesk(board, own, Gate(settings_in(folder)), wallets, metrics, hands)
        path, port = socket_path or folder / "ops.sock", free_port()
        try:
            async with (
                serving(desk, path, ("127.0.0.1", port)),
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
                aiohttp.ClientSession() as over_tcp,
            ):
                yield Served(folder, path, port, board, daemon, desk, purse, hands, http, over_tcp)
        finally:
            await own.close()
            await daemon.close()
