"""The contract's chain: following it, and reading it for those who know what they look for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from miner.chains.asking import UNREADABLE
from miner.chains.substrate.accounts import AccountInfo, Accounts
from miner.chains.substrate.addresses import address_of
from miner.chains.substrate.blocks import Blocks, Body
from miner.chains.substrate.cache import Shared
from miner.chains.substrate.endpoints import Endpoints
from miner.chains.substrate.link import Limits
from miner.chains.substrate.scale import from_hex, hash_from, number_from, to_hex
from miner.errors import ReadFailed
from miner.model import Head
from miner.ports import Clock, Heads, RawBlock, RawContractEvent

REPLIES_KEPT = 256
HASHES_KEPT = 1024


class SubstrateNode:
    """A Substrate chain behind one or more endpoints: `ports.Node` and `ports.Substrate`.

    Args:
        urls: Websocket endpoints, the preferred one first.
        clock: For freshness and pauses.
        genesis: `0x` + 64 hex that every endpoint must answer; None takes the first one's.
        archive_urls: Endpoints that keep all state; asked for what the others have discarded.
        accounts: Accounts whose nonces and balances are read together, SS58.
        limits: Time limits.

    Attributes:
        endpoints: The connections.
        blocks: Bodies, states and runtimes.
    """

    def __init__(
        self,
        urls: Sequence[str],
        clock: Clock,
        *,
        genesis: str | None = None,
        archive_urls: Sequence[str] = (),
        accounts: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> None:
        self.endpoints = Endpoints(urls, genesis, archive_urls, limits or Limits(), clock)
        self.blocks = Blocks(self.endpoints)
        self._accounts = Accounts(self.blocks, accounts)
        self._calls: Shared[tuple[str, bytes, str], bytes] = Shared(REPLIES_KEPT)
        self._values: Shared[tuple[str, str], bytes | None] = Shared(REPLIES_KEPT)
        self._finalised: dict[int, str] = {}
        self._last_finalised: Head | None = None

    @property
    def genesis(self) -> str:
        """Genesis hash, `0x` + 64 hex; empty before `connect` where none was given."""
        return self.endpoints.genesis

    async def connect(self) -> None:
        """Connect to the first endpoint that answers for the right genesis, and load its runtime.

        Raises:
            ReadFailed: None does, or its metadata could not be read.
        """
        await self.endpoints.connect()
        await self.blocks.runtime()

    async def close(self) -> None:
        """Close every connection; idempotent."""
        await self.endpoints.close()

    def follow(self) -> AsyncIterator[Heads]:
        """The heads now, and again at each change. See `ports.Node.follow`."""
        return self.endpoints.follow()

    def best_height(self) -> int:
        """Highest fresh best head heard from any endpoint; 0 before the first."""
        return self.endpoints.best_height()

    def ask_another(self) -> None:
        """See `ports.Node.ask_another`."""
        self.endpoints.ask_another()

    async def heads(self) -> Heads:
        """The heads as last pushed; costs nothing.

        Raises:
            ReadFailed: No endpoint is connected.
        """
        heads = self.endpoints.heads
        if heads is None:
            await self.endpoints.usable("the heads")
            heads = self.endpoints.heads
        if heads is None:
            raise ReadFailed("the heads", "no endpoint is connected")
        return heads

    async def finalised(self) -> Head:
        """The newest finalised head by the node's word now: one request, two where the head is new.

        Raises:
            ReadFailed: The node did not say.
        """
        what = "the finalised head"
        told = await self.endpoints.read(what, "chain_getFinalizedHead", [])
        known = self.endpoints.heads
        if known is not None and told == known.finalised.hash:
            return known.finalised
        try:
            block_hash = hash_from(told)
            header = await self.endpoints.read(what, "chain_getHeader", [block_hash])
            return Head(number_from(header["number"]), block_hash)
        except UNREADABLE as exc:
            raise ReadFailed(what, f"the reply does not read: {exc!r}") from exc

    async def hash_at(self, height: int) -> str | None:
        """Hash of the block at `height` on the best chain; None where there is none yet.

        Raises:
            ReadFailed: The node did not say.
        """
        told = await self.endpoints.read(f"block {height}", "chain_getBlockHash", [height])
        try:
            return None if told is None else hash_from(told)
        except ValueError as exc:
            raise ReadFailed(f"block {height}", f"the reply does not read: {exc}") from exc

    async def finalised_hash(self, height: int) -> str:
        """Hash of a block at or below the finalised head; asked for once, until the chain contradicts itself.

        Raises:
            ReadFailed: It is above the finalised head, or the node did not say.
        """
        finalised = (await self.heads()).finalised
        if height > finalised.height:
            raise ReadFailed(f"finalised block {height}", f"the finalised head is {finalised.height}")
        await self._watch_finality(finalised)
        if height not in self._finalised:
            found = await self.hash_at(height)
            if found is None:
                raise ReadFailed(f"finalised block {height}", "the node does not have it")
            self._finalised[height] = found
            while len(self._finalised) > HASHES_KEPT:
                del self._finalised[next(iter(self._finalised))]
        return self._finalised[height]

    def forget_hashes(self) -> None:
        """Ask again which block is finalised at which height."""
        self._finalised.clear()

    async def finalised_body(self, height: int) -> Body:
        """The body of a block at or below the finalised head. A hash that no block has is not kept.

        Raises:
            ReadFailed: As for `finalised_hash`; or the node does not have the block, or not at this height.
        """
        block_hash = await self.finalised_hash(height)
        try:
            body = await self.blocks.body(block_hash)
            if body.head.height != height:
                self.blocks.forget(block_hash)
                raise ReadFailed(f"finalised block {height}", f"the node gave block {body.head.height}")
        except ReadFailed:
            self._finalised.pop(height, None)
            raise
        return body

    async def _watch_finality(self, finalised: Head) -> None:
        """Forget what was finalised when the finalised head is no descendant of the last one."""
        last, self._last_finalised = self._last_finalised, finalised
        if last is None or last == finalised:
            return
        follows = self.endpoints.parent_of(finalised) == last.hash
        if not follows and (finalised.height <= last.height or await self.hash_at(last.height) != last.hash):
            self._finalised.clear()
        self._finalised[finalised.height] = finalised.hash

    # the port of the contract adapter

    async def raw_block(self, head: Head) -> RawBlock:
        """Time, parent and contract events of a block: one request, none when it was read before.

        Raises:
            ReadFailed: The node does not have the block's state, or did not answer.
        """
        state = await self.blocks.state(head.hash)
        events = tuple(
            RawContractEvent(address_of(each.contract), each.data, each.topics, each.index)
            for each in state.events.emitted
        )
        return RawBlock(head, state.parent, state.time_ms, events)

    async def state_call(self, method: str, data: bytes, at: str) -> bytes:
        """A runtime call's raw reply at a block hash.

        Raises:
            ReadFailed: The runtime trapped, or the node did not answer.
        """
        return await self._calls.get((method, data, at), lambda: self._read_call(method, data, at))

    async def _read_call(self, method: str, data: bytes, at: str) -> bytes:
        told = await self.endpoints.read(
            f"{method} at {at}", "state_call", [method, to_hex(data), at], archive=True
        )
        try:
            return from_hex(told)
        except (AttributeError, ValueError) as exc:
            raise ReadFailed(f"{method} at {at}", f"the reply does not read: {exc!r}") from exc

    async def storage(self, module: str, item: str, params: Sequence[object], at: str) -> object:
        """A decoded storage value at a block hash; None where nothing is stored.

        Raises:
            ReadFailed: The node did not answer, or the value does not decode.
        """
        runtime = self.blocks.newest or await self.blocks.runtime()
        key = runtime.storage_key(module, item, params)
        raw = await self._values.get((key, at), lambda: self._read_value(f"{module}.{item} at {at}", key, at))
        return None if raw is None else runtime.decode_storage(module, item, raw)

    async def _read_value(self, what: str, key: str, at: str) -> bytes | None:
        (value,) = await self.blocks.values(what, [key], at)
        return value

    def contract_call(
        self, contract: str, data: bytes, ref_time: int, proof_size: int, value: int = 0
    ) -> bytes:
        """SCALE bytes of `Contracts.call`; `value` is sent along, smallest unit.

        Raises:
            ReadFailed: Before `connect`.
        """
        runtime = self.blocks.newest
        if runtime is None:
            raise ReadFailed("the runtime", "not connected yet")
        return runtime.contract_call(contract, data, ref_time, proof_size, value)

    # accounts

    async def account(self, address: str, at: Head | None = None) -> AccountInfo:
        """An account at a block, the finalised head unless told; one request a block for all accounts.

        Raises:
            ReadFailed: It could not be read.
        """
        block = at or (await self.heads()).finalised
        return await self._accounts.at(address, block.hash)
