"""Blocks as far as a miner reads them: whose extrinsics they hold, and what their events say.

Each is read once, by hash, whoever asks: a hash names one block for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from miner.chains.asking import UNREADABLE
from miner.chains.substrate.cache import Shared
from miner.chains.substrate.endpoints import UNKNOWN_METHOD, Endpoints
from miner.chains.substrate.events import BadEvents, BlockEvents
from miner.chains.substrate.link import Version
from miner.chains.substrate.rpc import RpcError
from miner.chains.substrate.runtime import Runtime, metadata_of
from miner.chains.substrate.scale import (
    blake2_256,
    from_hex,
    hash_from,
    number_from,
    read_compact,
    to_hex,
)
from miner.errors import ReadFailed
from miner.model import Head

BODIES_KEPT = 256
STATES_KEPT = 64
RUNTIMES_KEPT = 3
_SIGNED = 0x84


@dataclass(frozen=True, slots=True)
class Body:
    """What a block's body is searched for.

    Attributes:
        head: The block.
        parent: Hash of its parent.
        txids: Extrinsic ids in order.
        index: The place of each id.
        signers: Public key that signed each; None where none did, or not in the usual form.
    """

    head: Head
    parent: str
    txids: tuple[str, ...]
    index: Mapping[str, int]
    signers: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    height: int
    parent: str


@dataclass(frozen=True, slots=True)
class State:
    """What a block's own state tells of it.

    Attributes:
        parent: Hash of its parent.
        time_ms: Its timestamp.
        events: What happened in it.
    """

    parent: str
    time_ms: int
    events: BlockEvents


class Blocks:
    """Bodies, states and runtimes, each read once."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._bodies: Shared[str, Body] = Shared(BODIES_KEPT)
        self._states: Shared[str, State] = Shared(STATES_KEPT)
        self._runtimes: Shared[int, Runtime] = Shared(RUNTIMES_KEPT)
        self._newest: Runtime | None = None
        self._versions: Shared[str, Version] = Shared(4)
        self._together = True
        self._executed = 0

    # bodies

    async def body(self, block_hash: str) -> Body:
        """Which extrinsics a block holds.

        Raises:
            ReadFailed: The node does not have it, or did not answer.
        """
        return await self._bodies.get(block_hash, lambda: self._read_body(block_hash))

    async def _read_body(self, block_hash: str) -> Body:
        header, extrinsics = await self._fetch(block_hash)
        txids = tuple(to_hex(blake2_256(each)) for each in extrinsics)
        return Body(
            Head(header.height, block_hash),
            header.parent,
            txids,
            {txid: index for index, txid in reversed(list(enumerate(txids)))},
            tuple(signer_of(each) for each in extrinsics),
        )

    async def extrinsic(self, block_hash: str, index: int) -> bytes:
        """The bytes of one extrinsic; not cached.

        Raises:
            ReadFailed: As for `body`.
        """
        _, extrinsics = await self._fetch(block_hash)
        if index >= len(extrinsics):
            raise ReadFailed(f"extrinsic {index} of block {block_hash}", "the block changed under its hash")
        return extrinsics[index]

    async def _fetch(self, block_hash: str) -> tuple[_Place, list[bytes]]:
        what = f"block {block_hash}"
        told = await self._endpoints.read(what, "chain_getBlock", [block_hash], archive=True)
        if told is None:
            raise ReadFailed(what, "the node does not have it")
        try:
            header, extrinsics = told["block"]["header"], told["block"]["extrinsics"]
            place = _Place(number_from(header["number"]), hash_from(header["parentHash"]))
            return place, [from_hex(each) for each in extrinsics]
        except UNREADABLE as exc:
            raise ReadFailed(what, f"the reply does not read: {exc!r}") from exc

    # states

    async def state(self, block_hash: str) -> State:
        """Time, parent and events of a block.

        Raises:
            ReadFailed: The node does not have its state, or did not answer.
        """
        return await self._states.get(block_hash, lambda: self._read_state(block_hash))

    async def _read_state(self, block_hash: str) -> State:
        runtime = self._newest or await self.runtime()  # any: it only names the keys
        keys = [
            runtime.storage_key("System", "Events"),
            runtime.storage_key("Timestamp", "Now"),
            runtime.storage_key("System", "ParentHash"),
            runtime.storage_key("System", "LastRuntimeUpgrade"),
        ]
        events, now, parent, upgrade = await self.values(f"block {block_hash}", keys, block_hash)
        if now is None or parent is None or len(parent) != 32 or len(now) != 8:
            raise ReadFailed(
                f"block {block_hash}", "it has no timestamp or parent: a genesis, or no such state"
            )
        parent_hash = to_hex(parent)
        if upgrade is not None:
            spec = _spec_of(upgrade, block_hash)  # what executed this block
            runtime = await self._runtime(spec, None, parent_hash)
            self._executed = max(self._executed, spec)
        try:
            return State(parent_hash, int.from_bytes(now, "little"), runtime.events.read(events or b""))
        except BadEvents as exc:
            raise ReadFailed(f"events of block {block_hash}", str(exc)) from exc

    async def values(self, what: str, keys: Sequence[str], at: str) -> list[bytes | None]:
        """Raw storage values at a block, in the order of `keys`; in one request where the node can.

        Raises:
            ReadFailed: As for `state`.
        """
        if self._together and len(keys) > 1:
            try:
                told = await self._endpoints.read(
                    what, "state_queryStorageAt", [list(keys), at], archive=True
                )
                found = {str(key): value for changes in told for key, value in changes["changes"]}
                return [None if found[key] is None else from_hex(found[key]) for key in keys]
            except UNREADABLE as exc:
                raise ReadFailed(what, f"the reply does not read: {exc!r}") from exc
            except ReadFailed as exc:
                if not (isinstance(exc.__cause__, RpcError) and exc.__cause__.code in UNKNOWN_METHOD):
                    raise
                self._together = False
        return [await self._value(what, key, at) for key in keys]

    async def _value(self, what: str, key: str, at: str) -> bytes | None:
        told = await self._endpoints.read(what, "state_getStorage", [key, at], archive=True)
        try:
            return None if told is None else from_hex(told)
        except UNREADABLE as exc:
            raise ReadFailed(what, f"the reply does not read: {exc!r}") from exc

    def forget(self, block_hash: str) -> None:
        """What was read of a block is to be read again."""
        self._bodies.forget(block_hash)
        self._states.forget(block_hash)

    # runtimes

    @property
    def newest(self) -> Runtime | None:
        """The runtime loaded last for signing; None before the first."""
        return self._newest

    async def runtime(self) -> Runtime:
        """The runtime that executes the next block.

        Raises:
            ReadFailed: It could not be read.
        """
        heads = self._endpoints.heads
        if heads is None:
            raise ReadFailed("the runtime's version", "no endpoint is connected")
        at = heads.best.hash
        version = self._endpoints.version
        if version is None or version.spec < self._executed:  # none was pushed, or not the last one
            version = await self._versions.get(at, lambda: self._read_version(at))
        self._newest = await self._runtime(version.spec, version.transaction, at)
        return self._newest

    async def _read_version(self, at: str) -> Version:
        what = "the runtime's version"
        told = await self._endpoints.read(what, "state_getRuntimeVersion", [at])
        try:
            return Version(int(told["specVersion"]), int(told["transactionVersion"]))
        except UNREADABLE as exc:
            raise ReadFailed(what, f"the reply does not read: {exc!r}") from exc

    async def _runtime(self, spec: int, transaction: int | None, at: str) -> Runtime:
        """The runtime of a spec version, from the metadata at a block whose code it is."""
        return await self._runtimes.get(spec, lambda: self._load(spec, transaction, at))

    async def _load(self, spec: int, transaction: int | None, at: str) -> Runtime:
        what = f"metadata of spec version {spec}"
        call = ["Metadata_metadata_at_version", "0x0f000000", at]  # u32, little-endian: 15
        try:
            raw = metadata_of(from_hex(await self._endpoints.read(what, "state_call", call, archive=True)))
            if raw is None:
                raw = from_hex(await self._endpoints.read(what, "state_getMetadata", [at], archive=True))
        except UNREADABLE as exc:
            raise ReadFailed(what, f"the reply does not read: {exc!r}") from exc
        return Runtime.load(raw, spec, transaction)


def _spec_of(upgrade: bytes, block_hash: str) -> int:
    try:
        return read_compact(upgrade, 0)[0]
    except (IndexError, ValueError) as exc:
        raise ReadFailed(f"block {block_hash}", "its last runtime upgrade does not read") from exc


def signer_of(extrinsic: bytes) -> bytes | None:
    """The public key that signed an extrinsic (version 4, signed, addressed by account id)."""
    try:
        _, pos = read_compact(extrinsic, 0)
        if extrinsic[pos] != _SIGNED or extrinsic[pos + 1] != 0 or len(extrinsic) < pos + 34:
            return None
    except (IndexError, ValueError):
        return None
    return extrinsic[pos + 2 : pos + 34]
