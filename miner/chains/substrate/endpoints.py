"""The endpoints of one chain: one is in use, the others are watched; reads fail over, sends never do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp
import structlog

from miner.chains.substrate.link import Limits, Link, Version
from miner.chains.substrate.rpc import Lost, RpcError
from miner.errors import Discarded, NotSent, OutcomeUnknown, ReadFailed
from miner.model import Head
from miner.ports import Clock, Endpoint, Heads

log = structlog.get_logger("chains")

UNKNOWN_METHOD = (-32601, -32602, -32600)
"""Codes of a request that no node of this kind understands: another one would say the same."""
_NOT_KEPT = ("already discarded", "unknownblock", "unknown block", "was not found", "header was not found")


def is_not_kept(error: RpcError) -> bool:
    """Whether the node says that it does not have this block, or not its state."""
    told = f"{error.message} {error.data}".lower()
    return any(text in told for text in _NOT_KEPT)


class Endpoints:
    """Connections to every endpoint of one chain.

    Args:
        urls: Websocket endpoints, the preferred one first.
        genesis: `0x` + 64 hex; None takes the first endpoint's.
        archive_urls: Endpoints that keep all state; asked only for what the others have discarded.
        limits: Time limits.
        clock: For freshness and pauses.
    """

    def __init__(
        self,
        urls: Sequence[str],
        genesis: str | None,
        archive_urls: Sequence[str],
        limits: Limits,
        clock: Clock,
    ) -> None:
        self.genesis = genesis or ""
        self._limits = limits
        self._clock = clock
        self._links = [Link(url, limits, clock, self._on_change) for url in urls]
        self._archives = [
            Link(url, limits, clock, self._on_change) for url in archive_urls if url not in urls
        ]
        for link in self._links:
            link.compare_at = partial(self._compare_at, link)
        self._active = self._links[0]
        self._http: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._differing: frozenset[str] = frozenset()

    async def connect(self) -> None:
        """Connect to every endpoint, and use the first one in order that answers for the genesis.

        Raises:
            ReadFailed: None does; says why, for each.
        """
        if self._http is None:
            self._http = aiohttp.ClientSession()
            self._keep(self._http, self._links)
        if self._active.ready:
            return
        for link in self._links:
            with suppress(TimeoutError):
                async with asyncio.timeout(2 * self._limits.connect_s):
                    await link.tried.wait()
            if link.ready:
                self._active = link
                return
        raise ReadFailed("the chain", self._no_endpoint())

    async def close(self) -> None:
        """Close every connection; idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    def _keep(self, http: aiohttp.ClientSession, links: Sequence[Link]) -> None:
        for link in links:
            keeping = self._keep_one(http, link)
            self._tasks.append(asyncio.create_task(keeping, name=f"substrate-{link.url}"))

    async def _keep_one(self, http: aiohttp.ClientSession, link: Link) -> None:
        """The others come after the preferred one was tried: they are compared with it as they connect."""
        if link in self._links[1:]:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.connect_s):
                    await self._links[0].tried.wait()
        await link.keep(http, self._wrong_genesis)

    def _wrong_genesis(self, told: str) -> str | None:
        self.genesis = self.genesis or told
        return None if told == self.genesis else f"its genesis is {told}, not {self.genesis}"

    def _no_endpoint(self) -> str:
        return "; ".join(f"{link.url}: {link.why or 'connected'}" for link in self._links)

    # which one

    def _on_change(self, link: Link) -> None:
        if link in self._links and link is not self._active and link.ready and self._is_better(link):
            self._active = link
        self._tell_differing()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _is_better(self, link: Link) -> bool:
        if not self._active.ready or self._active.best is None or link.best is None:
            return True
        if self._differs(link):
            return False
        return link.best.head.height >= self._active.best.head.height + self._limits.behind_blocks

    def _differs(self, link: Link) -> bool:
        """Whether it has another finalised block than the endpoint in use, at a height that both told.

        Then one of them lies, or is on a chain that is not final: the one in use is kept while it answers.
        """
        ours = self._active.finalised_at
        return link is not self._active and any(
            ours.get(height, told) != told for height, told in link.finalised_at.items()
        )

    def _compare_at(self, link: Link) -> int | None:
        """Where an endpoint that connects is compared with the one in use."""
        used = self._active.finalised
        return None if link is self._active or not self._active.ready or used is None else used.head.height

    def _tell_differing(self) -> None:
        differing = frozenset(link.url for link in self._links if link.ready and self._differs(link))
        if differing - self._differing:
            log.error(
                "endpoints_disagree",
                used=self._active.url,
                others=sorted(differing),
                remedy="they tell different finalised blocks: find out which one is right, remove the other",
            )
        self._differing = differing

    async def _usable(self) -> Link:
        """The endpoint in use; waits for one where none answers.

        Raises:
            Lost: None did within the time to connect.
        """
        try:
            async with asyncio.timeout(self._limits.connect_s):
                while not self._active.ready:
                    other = next((link for link in self._links if link.ready), None)
                    if other is not None:
                        self._active = other
                        break
                    await self._changed.wait()
        except TimeoutError as exc:
            raise Lost(self._no_endpoint(), sent=False) from exc
        return self._active

    async def usable(self, what: str) -> None:
        """Wait until an endpoint is connected.

        Raises:
            ReadFailed: None was within the time to connect.
        """
        try:
            await self._usable()
        except Lost as exc:
            raise ReadFailed(what, exc.why) from exc

    # what it says

    @property
    def heads(self) -> Heads | None:
        """Heads as last pushed by the endpoint in use; None where none is connected."""
        link = self._active
        if not link.ready or link.best is None or link.finalised is None:
            return None
        best, finalised = link.best.head, link.finalised.head
        return Heads(best if best.height > finalised.height else finalised, finalised)

    @property
    def version(self) -> Version | None:
        """The runtime version as pushed by the endpoint in use; None where it pushes none."""
        return self._active.version if self._active.ready else None

    def parent_of(self, block: Head) -> str | None:
        """The parent of a head that was just pushed; None for other blocks."""
        for header in (self._active.finalised, self._active.best):
            if header is not None and header.head == block:
                return header.parent
        return None

    def best_height(self) -> int:
        """Highest best head of those endpoints that are fresh; the last one known when none is."""
        known = [link for link in self._links if link.best is not None]
        oldest = self._clock.monotonic() - self._limits.stall_s
        fresh = [link for link in known if link.ready and link.heard_at >= oldest]
        return max((link.best.head.height for link in fresh or known if link.best is not None), default=0)

    def standing(self) -> list[Endpoint]:
        """How each endpoint stands, for people."""
        now = self._clock.monotonic()
        return [
            Endpoint(
                url=link.url,
                connected=link.ready,
                used=link is self._active,
                best=None if link.best is None else link.best.head.height,
                finalised=None if link.finalised is None else link.finalised.head.height,
                silent_s=now - link.heard_at,
                why=link.why,
            )
            for link in [*self._links, *self._archives]
        ]

    async def follow(self) -> AsyncIterator[Heads]:
        """The heads now, and again at each change. See `ports.Node.follow`."""
        last: Heads | None = None
        source: tuple[str, int] = ("", 0)
        silent_since: float | None = None
        told_at = self._clock.monotonic()
        while True:
            changed, heads = self._changed, self.heads
            silent_since = self._silence(silent_since)
            now = (self._active.url, self._active.session)
            if heads is None or heads == last or not self._continues(last, heads, now == source, told_at):
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.silence_s):
                        await changed.wait()
                continue
            last, source, told_at = heads, now, self._clock.monotonic()
            yield heads

    def _continues(self, last: Heads | None, heads: Heads, same_source: bool, told_at: float) -> bool:
        """Whether heads may be told: another endpoint's view that is behind is no step back of the chain.

        Where no endpoint has come up to the last ones for as long as a frozen one is waited for, they were
        another chain's, or nobody's: the reader compares what it holds with what there is now (law 4).
        """
        if last is None or same_source or heads.finalised.height >= last.finalised.height:
            return True
        if self._clock.monotonic() - told_at < self._limits.stall_s:
            return False
        log.warning(
            "heads_step_back",
            used=self._active.url,
            told=last.finalised.height,
            now=heads.finalised.height,
            remedy="no endpoint knows the block that was told as final: find out who told it",
        )
        return True

    def _silence(self, since: float | None) -> float | None:
        """Since when no endpoint has been connected; None while one is.

        Raises:
            ReadFailed: For longer than the limit.
        """
        if any(link.ready for link in self._links):
            return None
        now = asyncio.get_running_loop().time()
        if since is not None and now - since >= self._limits.silence_s:
            raise ReadFailed("the heads", self._no_endpoint())
        return now if since is None else since

    # asking

    async def read(self, what: str, method: str, params: Sequence[Any], *, archive: bool = False) -> Any:
        """The result of a method that changes nothing; asked of another endpoint when one fails.

        Args:
            what: What is read, for the error.
            method: JSON-RPC method.
            params: Its parameters.
            archive: Whether an archive endpoint may know what the others have discarded.

        Raises:
            ReadFailed: No endpoint gave an answer.
        """
        failed: Lost | RpcError | None = None
        for _ in range(2):
            try:
                link = await self._usable()
            except Lost as exc:
                failed = failed or exc
                break
            try:
                return await link.request(method, params)
            except Lost as exc:
                failed = exc
                self._prefer_another(link)
            except RpcError as exc:
                failed = exc
                if archive and self._archives and is_not_kept(exc):
                    return await self._read_archive(what, method, params, exc)
                if exc.code in UNKNOWN_METHOD:
                    break
                return await self._read_elsewhere(link, what, method, params, exc)
        kept = not (isinstance(failed, RpcError) and is_not_kept(failed))
        raise (ReadFailed if kept else Discarded)(what, f"{method}: {failed}") from failed

    async def _read_elsewhere(
        self, link: Link, what: str, method: str, params: Sequence[Any], failed: RpcError
    ) -> Any:
        """What the next endpoint says where this one answers with an error; it is used from then on.

        A node that lacks only this block is kept: others lack others.
        """
        for other in self._others(link):
            try:
                told = await other.request(method, params)
            except (Lost, RpcError):
                continue
            if not is_not_kept(failed):
                self._active = other
            return told
        kept = not is_not_kept(failed)
        raise (ReadFailed if kept else Discarded)(what, f"{method}: {failed}") from failed

    def _others(self, link: Link) -> list[Link]:
        """The endpoints that may answer in place of one."""
        return [
            other for other in self._links if other is not link and other.ready and not self._differs(other)
        ]

    def ask_another(self) -> None:
        """Use another endpoint from now on, where one answers that tells the same finalised blocks."""
        self._prefer_another(self._active)

    def _prefer_another(self, link: Link) -> None:
        self._active = next(iter(self._others(link)), self._active)

    async def _read_archive(self, what: str, method: str, params: Sequence[Any], failed: RpcError) -> Any:
        cause = f"{method}: {failed}"
        if not any(link.tried.is_set() for link in self._archives) and self._http is not None:
            self._keep(self._http, self._archives)
        for link in self._archives:
            with suppress(TimeoutError):
                async with asyncio.timeout(2 * self._limits.connect_s):
                    await link.tried.wait()
            try:
                return await link.request(method, params)
            except (Lost, RpcError) as exc:
                cause = f"{cause}; {link.url}: {exc}"
        raise ReadFailed(what, cause) from failed

    async def send(self, what: str, method: str, params: Sequence[Any]) -> Any:
        """The result of a method that acts; asked once.

        Raises:
            RpcError: The node's word.
            NotSent: There was no connection.
            OutcomeUnknown: There was no reply.
        """
        try:
            link = await self._usable()
            return await link.request(method, params)
        except Lost as exc:
            if exc.sent:
                raise OutcomeUnknown(what, exc.why) from exc
            raise NotSent(what, exc.why) from exc
