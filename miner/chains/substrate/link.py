"""One endpoint, kept connected: its genesis is checked at each connect, its heads are pushed to us."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import aiohttp

from miner.chains.asking import UNREADABLE, jittered
from miner.chains.substrate.rpc import Connection, Lost, RpcError
from miner.chains.substrate.scale import blake2_256, encode_header, hash_from, number_from, to_hex
from miner.model import Head
from miner.ports import Clock

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
GOOD_SESSION_S = 30.0
"""A connection that lasted so long was a good one: after its loss pauses begin anew."""
PLACES_KEPT = 64
"""Heads whose places are remembered."""
FINALISED_KEPT = 64
"""Finalised heads of an endpoint that are compared with those of others."""
_LOSS: Final = "loss"
_PUSHED: Final = ("best", "finalised")
"""Heads that are pushed; each subscription can fall silent by itself."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits of a chain's endpoints, seconds.

    Attributes:
        connect_s: For a connection and its first answers.
        reply_s: For any reply.
        stall_s: Without a new head after which an endpoint counts as frozen; several block times.
        silence_s: Without any endpoint after which `follow` gives up.
        behind_blocks: How far the endpoint in use may fall behind another one.
    """

    connect_s: float = 10.0
    reply_s: float = 20.0
    stall_s: float = 75.0
    silence_s: float = 120.0
    behind_blocks: int = 4


@dataclass(frozen=True, slots=True)
class Header:
    """A block's place in the chain.

    Attributes:
        head: Height and hash.
        parent: Hash of the block before it.
    """

    head: Head
    parent: str


@dataclass(frozen=True, slots=True)
class Version:
    """The runtime that executes the next block.

    Attributes:
        spec: `specVersion`.
        transaction: `transactionVersion`.
    """

    spec: int
    transaction: int


class Link:
    """An endpoint and, while it answers, its connection and its view of the chain.

    Attributes:
        url: The endpoint.
        best: Best head, as last pushed.
        finalised: Finalised head, as last pushed.
        version: Runtime version, as last pushed; None where the node pushes none.
        heard_at: When a best head was last pushed, by the clock.
        why: Why there is no connection; empty while there is one.
        finalised_at: Hashes of the last finalised heads that this connection told, by height.
        compare_at: Tells a height at which its chain is to be compared with another endpoint's.
        session: Counts connections, so that views of two of them are not compared.
    """

    def __init__(self, url: str, limits: Limits, clock: Clock, changed: Callable[[Link], None]) -> None:
        self.url = url
        self.best: Header | None = None
        self.finalised: Header | None = None
        self.version: Version | None = None
        self.heard_at = 0.0
        self.why = "not tried yet"
        self.session = 0
        self.finalised_at: dict[int, str] = {}
        self.compare_at: Callable[[], int | None] = _nowhere
        self.tried = asyncio.Event()
        self._limits = limits
        self._clock = clock
        self._changed = changed
        self._connection: Connection | None = None
        self._hashes: OrderedDict[bytes, str] = OrderedDict()
        self._hash_locally = False
        self._places: OrderedDict[str, int] = OrderedDict()

    @property
    def ready(self) -> bool:
        """Whether it is connected to the right chain, with heads known."""
        return self._connection is not None and not self._connection.lost and self.why == ""

    async def request(self, method: str, params: Sequence[Any], timeout_s: float | None = None) -> Any:
        """The method's result.

        Raises:
            RpcError: The node said no.
            Lost: There was no reply, or no connection.
        """
        if self._connection is None or not self.ready:
            raise Lost(self.why or "not connected", sent=False)
        return await self._connection.request(method, params, timeout_s=timeout_s)

    async def keep(self, http: aiohttp.ClientSession, genesis: Callable[[str], str | None]) -> None:
        """Connect, and again whenever the connection is lost, for ever.

        Args:
            http: For the websocket.
            genesis: Given the genesis hash of the endpoint, says what is wrong with it, or None.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            began, wait_s = self._clock.monotonic(), 0.0
            try:
                await self._follow(http, genesis)
            except Lost as exc:
                self.why, wait_s = str(exc), exc.wait_s
            except RpcError as exc:
                self.why = str(exc)
            except UNREADABLE as exc:
                self.why = f"a reply that does not read: {exc!r}"
            except Exception as exc:  # noqa: BLE001 (no memory, say: ending here would end it for good)
                self.why = f"it broke: {exc!r}"
            finally:
                await self._drop()
            self.tried.set()
            self._changed(self)
            if self._clock.monotonic() - began >= GOOD_SESSION_S:
                pause_s = FIRST_PAUSE_S
            await self._clock.sleep(max(jittered(pause_s), wait_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self.why = self.why or "closed"
        if connection is not None:
            await connection.close()

    async def _follow(self, http: aiohttp.ClientSession, genesis: Callable[[str], str | None]) -> None:
        """Stay connected; returns never, ends by an error that says why."""
        self.why = self.why or "connecting"
        events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        connection = await Connection.open(http, self.url, self._limits.connect_s, self._limits.reply_s)
        self._connection = connection
        connection.on_loss = partial(events.put_nowait, (_LOSS, None))
        if (wrong := genesis(hash_from(await connection.request("chain_getBlockHash", [0])))) is not None:
            raise Lost(wrong, sent=False)
        await self._look_around(connection)
        await self._subscribe(connection, events)
        self.why = ""
        self.session += 1
        self.heard_at = self._clock.monotonic()
        self.tried.set()
        self._changed(self)
        now_s = asyncio.get_running_loop().time
        told_s = dict.fromkeys(_PUSHED, now_s())
        while True:
            quiet = min(_PUSHED, key=lambda what: told_s[what])
            try:
                async with asyncio.timeout(max(0.0, told_s[quiet] + self._limits.stall_s - now_s())):
                    what, told = await events.get()
            except TimeoutError:
                await self._still_says_so(connection, quiet)
                told_s[quiet] = now_s()
            else:
                told_s[what] = now_s()
                await self._take(connection, what, told)

    async def _still_says_so(self, connection: Connection, quiet: str) -> None:
        """Nothing was pushed for long: best heads always move on; for finalised ones, ask.

        Raises:
            Lost: The chain, or the subscription, is silent.
        """
        if quiet == "finalised" and self.finalised is not None:
            told = await connection.request("chain_getFinalizedHead")
            if told == self.finalised.head.hash:
                return  # finality itself stands still
        raise Lost(f"no new {quiet} head in {self._limits.stall_s:g} s", sent=False)

    async def _look_around(self, connection: Connection) -> None:
        """Learn the heads, and whether a header's hash can be computed here."""
        finalised = hash_from(await connection.request("chain_getFinalizedHead"))
        header = await connection.request("chain_getHeader", [finalised])
        self._hashes.clear()
        self._hash_locally = to_hex(blake2_256(encode_header(header))) == finalised
        self._hashes[encode_header(header)] = finalised
        self._places[finalised] = number_from(header["number"])
        self.finalised = await self._place(connection, header)
        self.finalised_at.clear()
        self._note(self.finalised.head)
        height = self.compare_at()
        if height is not None and height < self.finalised.head.height:
            self._note(Head(height, hash_from(await connection.request("chain_getBlockHash", [height]))))
        self.best = await self._place(connection, await connection.request("chain_getHeader"))

    async def _subscribe(self, connection: Connection, events: asyncio.Queue[tuple[str, Any]]) -> None:
        for what, method in (
            ("finalised", "chain_subscribeFinalizedHeads"),
            ("best", "chain_subscribeNewHeads"),
            ("version", "state_subscribeRuntimeVersion"),
        ):
            try:
                await connection.request(method, on=partial(_put, events, what))
            except RpcError:
                if what != "version":
                    raise
                self.version = None

    async def _take(self, connection: Connection, what: str, told: Any) -> None:
        if what == _LOSS:
            raise Lost(connection.why, sent=True, wait_s=connection.wait_s)
        if what == "version":
            self.version = Version(int(told["specVersion"]), int(told["transactionVersion"]))
        elif what == "best":
            self.best = await self._place(connection, told)
            self.heard_at = self._clock.monotonic()
        else:
            self.finalised = await self._place(connection, told)
            self._note(self.finalised.head)
        self._changed(self)

    def _note(self, finalised: Head) -> None:
        self.finalised_at[finalised.height] = finalised.hash
        while len(self.finalised_at) > FINALISED_KEPT:
            del self.finalised_at[next(iter(self.finalised_at))]

    async def _place(self, connection: Connection, header: dict[str, Any]) -> Header:
        """The header with its hash, at no cost where it can be computed or was asked for before."""
        raw, height = encode_header(header), number_from(header["number"])
        if self._hash_locally:
            place = Header(Head(height, to_hex(blake2_256(raw))), hash_from(header["parentHash"]))
            await self._check_held(connection, place)
            return place
        block_hash = self._hashes.get(raw)
        if block_hash is None:
            block_hash = hash_from(await connection.request("chain_getBlockHash", [height]))
            self._hashes[raw] = block_hash
            while len(self._hashes) > PLACES_KEPT:
                self._hashes.popitem(last=False)
        return Header(Head(height, block_hash), hash_from(header["parentHash"]))

    async def _check_held(self, connection: Connection, place: Header) -> None:
        """A head that does not follow from one told before is asked for: a node has its own heads.

        Raises:
            Lost: It does not have this one.
        """
        head = place.head
        if head.hash not in self._places and self._places.get(place.parent) != head.height - 1:
            told = await connection.request("chain_getHeader", [head.hash])
            if told is None or to_hex(blake2_256(encode_header(told))) != head.hash:
                raise Lost(f"it does not have its own head {head.height}", sent=False)
        self._places[head.hash] = head.height
        while len(self._places) > PLACES_KEPT:
            self._places.popitem(last=False)


def _nowhere() -> int | None:
    return None


def _put(events: asyncio.Queue[tuple[str, Any]], what: str, told: Any) -> None:
    events.put_nowait((what, told))
