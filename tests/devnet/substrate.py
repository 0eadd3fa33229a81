"""The chain as users and validators reach it: substrate-interface, an implementation that is not ours.

The library is synchronous; every use of it runs in a thread, one at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from scalecodec.types import GenericCall, GenericExtrinsic
from substrateinterface import Keypair, SubstrateInterface

from tests.devnet import accounts
from tests.devnet.chain import ContractsChain
from tests.devnet.errors import CallFailed, DispatchFailed

T = TypeVar("T")

TYPE_REGISTRY = {"types": {"Balance": "u64"}}
_ANY_WEIGHT = {"ref_time": 1_000_000, "proof_size": 1_000}


@dataclass(frozen=True)
class Included:
    """An extrinsic in a block."""

    hash: str
    block_hash: str
    block_number: int
    index: int


@dataclass(frozen=True)
class Event:
    """An event of a block; `extrinsic` is the index of the extrinsic that caused it."""

    extrinsic: int | None
    pallet: str
    name: str
    attributes: Any


class Api(SubstrateInterface):  # type: ignore[misc]  # the library has no types
    """The library's client of one runtime, whose types stay as they are when the version is another one.

    The library itself would drop a contract's types then, and ask for the version before each call.
    """

    def init_runtime(self, block_hash: str | None = None, block_id: int | None = None) -> None:
        """See the library; only the first time."""
        if self.runtime_version is None:
            super().init_runtime(block_hash=block_hash, block_id=block_id)

    def follow_upgrades(self) -> None:
        """What is signed from now on is for the version at the head."""
        told = self.rpc_request("state_getRuntimeVersion", [])["result"]
        self.runtime_version, self.transaction_version = told["specVersion"], told["transactionVersion"]


class Substrate:
    """A connection of substrate-interface to the chain, free of faults and counting."""

    def __init__(self, chain: ContractsChain, api: Api) -> None:
        self.chain = chain
        self.api = api
        self._lock = asyncio.Lock()

    @classmethod
    async def connect(cls, chain: ContractsChain) -> Self:
        """Connects, and reads the runtime's metadata."""

        def open_api() -> Api:
            api = Api(url=chain.driver_url, ss58_format=42, type_registry=TYPE_REGISTRY)
            api.init_runtime()
            return api

        return cls(chain, await asyncio.to_thread(open_api))

    async def close(self) -> None:
        """Closes the connection."""
        await self.run(self.api.close)

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Runs the library's work in a thread."""
        async with self._lock:
            return await asyncio.to_thread(work, *args)

    async def call(self, pallet: str, function: str, **params: Any) -> GenericCall:
        """A composed call."""
        return await self.run(self.api.compose_call, pallet, function, params)

    async def nonce(self, address: str) -> int:
        """The account's next nonce, counting what waits in the pool."""
        return int(await self.chain.rpc("system_accountNextIndex", address))

    async def sign(
        self,
        call: GenericCall,
        key: Keypair,
        *,
        nonce: int | None = None,
        era: int | None = None,
        tip: int = 0,
    ) -> GenericExtrinsic:
        """A signed extrinsic; mortal for `era` blocks from the head, immortal without it."""
        if nonce is None:
            nonce = await self.nonce(key.ss58_address)
        mortality = {"period": era} if era else None

        def signed() -> GenericExtrinsic:
            self.api.follow_upgrades()
            return self.api.create_signed_extrinsic(
                call=call, keypair=key, era=mortality, nonce=nonce, tip=tip
            )

        return await self.run(signed)

    async def include(self, extrinsics: Sequence[GenericExtrinsic]) -> list[Included]:
        """Has one block include them all, beside what waits in the pool.

        Raises:
            CallFailed: one was invalid, and is not in the block.
        """
        block_hash = await self.chain.include([str(each.data) for each in extrinsics])
        block = (await self.chain.rpc("chain_getBlock", block_hash))["block"]
        number = int(block["header"]["number"], 16)
        positions = {data: index for index, data in enumerate(block["extrinsics"])}
        missing = [each for each in extrinsics if str(each.data) not in positions]
        if missing:
            raise CallFailed(
                f"{len(missing)} of {len(extrinsics)} extrinsics were invalid: {missing[0].value}"
            )
        return [
            Included(extrinsic_hash(each), block_hash, number, positions[str(each.data)])
            for each in extrinsics
        ]

    async def submit(self, extrinsic: GenericExtrinsic) -> str:
        """Gives an extrinsic to the pool; answers its hash.

        Raises:
            RpcRefused: the pool's word.
        """
        return str(await self.chain.rpc("author_submitExtrinsic", str(extrinsic.data)))

    async def dispatch_as(self, calls: Sequence[tuple[str, GenericCall]]) -> str:
        """Dispatches calls as accounts, all in one extrinsic of the sudo key; answers the block's hash.

        Each call takes effect, emits and fails as if the account had signed it, and pays no fee.

        Raises:
            DispatchFailed: a call failed; those before and after it have taken effect.
        """

        def composed() -> GenericCall:
            each = [
                self.api.compose_call(
                    "Utility", "dispatch_as", {"as_origin": {"system": {"Signed": address}}, "call": call}
                )
                for address, call in calls
            ]
            batch = self.api.compose_call("Utility", "force_batch", {"calls": each})
            return self.api.compose_call(
                "Sudo", "sudo_unchecked_weight", {"call": batch, "weight": _ANY_WEIGHT}
            )

        extrinsic = await self.sign(await self.run(composed), accounts.owner())
        (included,) = await self.include([extrinsic])
        results = [
            event.attributes["result"]
            for event in await self.events(included.block_hash, included.index)
            if (event.pallet, event.name) == ("Utility", "DispatchedAs")
        ]
        if len(results) != len(calls):
            raise CallFailed(f"{len(results)} of {len(calls)} calls were dispatched")
        failures = [(index, result["Err"]) for index, result in enumerate(results) if "Err" in result]
        if failures:
            raise DispatchFailed(failures[0][0], len(failures), failures[0][1])
        return included.block_hash

    async def events(self, block_hash: str, extrinsic: int | None = None) -> list[Event]:
        """The events of a block, or of one of its extrinsics."""
        records = await self.run(self.api.get_events, block_hash)
        events = []
        for record in records:
            value: Mapping[str, Any] = record.value
            if extrinsic is None or value["extrinsic_idx"] == extrinsic:
                events.append(
                    Event(value["extrinsic_idx"], value["module_id"], value["event_id"], value["attributes"])
                )
        return events

    async def query(self, pallet: str, item: str, *params: Any, block_hash: str | None = None) -> Any:
        """A decoded storage value."""

        def queried() -> Any:
            return self.api.query(pallet, item, list(params), block_hash=block_hash).value

        return await self.run(queried)

    async def free_balance(self, address: str) -> int:
        """The account's free balance at the head, in rao."""
        return int((await self.query("System", "Account", address))["data"]["free"])


def extrinsic_hash(extrinsic: GenericExtrinsic) -> str:
    """`0x` + 64 hex."""
    return f"0x{bytes(extrinsic.extrinsic_hash).hex()}"
