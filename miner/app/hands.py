"""What the daemon does for its ops server: over its connections, and under its lease."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from miner.affairs.holdings import Quotes, Standings
from miner.affairs.wallet import Purse
from miner.app import clearing, holdings, operator, telling
from miner.app.requests import chain_now
from miner.app.wiring import Outside, make_desk
from miner.config import CheckLine, Settings, each_problem, read, settings_lines
from miner.errors import ConfigError, LeaseLost, ReadFailed
from miner.lease import WATCH
from miner.model import Asked, Audit, Outcome, Saga
from miner.notify.recovery import read as read_recovery
from miner.ports import Outbox, Store
from miner.recover import Recoverer
from miner.settle.desk import CODE_HASH


class DaemonHands:
    """See `miner.ops.hands.Hands`.

    Attributes:
        outside: What the daemon is connected to; None while it is not.

    Args:
        settings: The daemon's.
        store: The daemon's own, which holds its leases.
        reader: The ops server's store, for all but what needs the leases.
    """

    def __init__(self, settings: Settings, store: Store, reader: Store) -> None:
        self._settings = settings
        self._store = store
        self._reader = reader
        self.outside: Outside | None = None

    def adopt(self, settings: Settings) -> None:
        """Judge by these settings from now on."""
        self._settings = settings

    def _connected(self) -> Outside:
        if self.outside is None:
            raise ReadFailed("the contract's chain", "the daemon has not connected yet")
        return self.outside

    async def look(self, asked: Asked) -> Outcome:
        """See `Hands.look`."""
        outside = self._connected()
        heads = await outside.node.heads()
        return await Recoverer(make_desk(self._settings, self._reader, outside)).look(asked, heads)

    async def rebuild(self, swap_id: int, actor: str) -> Audit:
        """See `Hands.rebuild`. A lease that is not ours is not taken for it."""
        held = [lease for lease in await self._store.leases() if lease.resource == WATCH]
        if not held or held[0].owner != self._store.owner:
            raise LeaseLost(WATCH, held[0].owner if held else None, held[0].expires_at_ms if held else None)
        return await self._store.reproject(swap_id, await self._store.acquire(WATCH), actor)

    async def validate(self, text: str, files: bool) -> tuple[bool, list[Mapping[str, Any]]]:
        """See `Hands.validate`. Relative paths begin at the daemon's working folder."""
        return await asyncio.to_thread(_validated, text, files)

    # a miner's business

    def miner(self, named: str | None) -> tuple[str, str]:
        """See `Hands.miner`."""
        found = holdings.the_one(self._connected().miners, named)
        return found.name, found.hotkey

    async def wallets(self, named: str | None) -> Sequence[Purse]:
        """See `Hands.wallets`."""
        return await holdings.wallets(self._connected(), self._reader, named)

    async def standings(self, named: str | None) -> Standings:
        """See `Hands.standings`."""
        return await holdings.standings(self._connected(), self._reader, named)

    async def quotes(self, named: str | None, *, read: bool) -> Quotes:
        """See `Hands.quotes`."""
        netuid = holdings.netuid_for_quotes(self._settings.contract.netuid, read)
        return await holdings.quotes(self._connected(), netuid, named)

    # decisions

    async def chain_now(self, saga: Saga) -> Mapping[str, Any]:
        """See `Hands.chain_now`."""
        outside = self._connected()
        at = (await outside.node.heads()).finalised
        return await chain_now(make_desk(self._settings, self._reader, outside), saga, at)

    async def clear_account(self, account: str, actor: str) -> bool | None:
        """See `Hands.clear_account`."""
        return await clearing.clear_over(self._connected().rails, self._reader, account, actor)

    async def accept_code(self, actor: str) -> tuple[str, str]:
        """See `Hands.accept_code`."""
        outside = self._connected()
        now = await outside.contract.code_hash((await outside.node.heads()).finalised)
        return await self._reader.repin(CODE_HASH, now, actor), now

    # the recovery log

    async def recovery_log(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[str]]:
        """See `Hands.recovery_log`."""
        found = await asyncio.to_thread(read_recovery, self._settings.recovery_file)
        return found.entries, found.damage

    async def resolve(self, entry: Mapping[str, Any], reason: str, actor: str) -> None:
        """See `Hands.resolve`."""
        await operator.resolve(self._settings, self._reader, entry, reason, actor)

    # being told

    async def notices(self) -> Mapping[str, Any]:
        """See `Hands.notices`."""
        return await telling.overview(self._settings, self._reader)

    async def send_test(self, target: str | None) -> Sequence[Mapping[str, Any]]:
        """See `Hands.send_test`."""
        return await telling.send_test(self._settings, target)

    def outbox(self) -> Outbox:
        """See `Hands.outbox`."""
        return telling.make_outbox(self._settings, self._reader)


def _validated(text: str, files: bool) -> tuple[bool, list[Mapping[str, Any]]]:
    try:
        found = read(text, Path("posted.toml"), files)
    except ConfigError as error:
        problems = [CheckLine(each.where, False, each.problem, each.remedy) for each in each_problem(error)]
        return False, [_plain(line) for line in problems]
    return True, [_plain(line) for line in settings_lines(found)]


def _plain(line: CheckLine) -> Mapping[str, Any]:
    return {"name": line.name, "ok": line.ok, "detail": line.detail, "remedy": line.remedy}
