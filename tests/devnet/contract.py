"""The swap contract on the devnet: deployed, set up, and read by substrate-interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from scalecodec.types import GenericCall
from substrateinterface import ContractInstance, ContractMetadata, Keypair

from tests.devnet import accounts, paths
from tests.devnet.errors import CallFailed, DispatchFailed
from tests.devnet.substrate import Substrate

TAO = 10**9
PAGE = 10
"""Swaps that one read of `get_swaps` answers."""
GAS = {"ref_time": 20_000_000_000, "proof_size": 2_000_000}
_DEPLOY_GAS = {"ref_time": 100_000_000_000, "proof_size": 4_000_000}


@dataclass(frozen=True)
class Terms:
    """How a contract is set up; amounts in rao, times in blocks."""

    fulfillment_timeout_blocks: int = 150
    reservation_ttl_blocks: int = 50
    min_collateral: int = TAO // 10
    max_collateral: int = 1000 * TAO
    min_swap_amount: int = TAO // 1000
    max_swap_amount: int = 100 * TAO
    consensus_threshold_percent: int = 66
    fee_divisor: int = 100


@dataclass(frozen=True)
class Swap:
    """`SwapData`, as the contract returns it."""

    id: int
    user: str
    miner: str
    source_chain: str
    dest_chain: str
    source_amount: int
    dest_amount: int
    tao_amount: int
    user_source_address: str
    user_dest_address: str
    miner_source_address: str
    miner_dest_address: str
    rate: str
    source_tx_hash: str
    source_tx_block: int
    dest_tx_hash: str
    dest_tx_block: int
    status: str
    initiated_block: int
    timeout_block: int
    fulfilled_block: int
    completed_block: int


class SwapContract:
    """A deployed swap contract.

    Attributes:
        address: its SS58 address.
        validators: the accounts that vote, as registered at deployment.
        terms: as set at deployment.
    """

    def __init__(self, substrate: Substrate, address: str, validators: Sequence[str], terms: Terms) -> None:
        self.substrate = substrate
        self.address = address
        self.validators = tuple(validators)
        self.terms = terms
        self.metadata = _metadata(substrate)
        self._instance = ContractInstance(address, self.metadata, substrate.api)

    @classmethod
    async def deploy(
        cls, substrate: Substrate, *, validators: Sequence[str] | None = None, terms: Terms | None = None
    ) -> Self:
        """Uploads and instantiates the contract as its owner, and registers validators.

        Args:
            substrate: the connection.
            validators: SS58 addresses; `//validator/0` to `2` without it.
            terms: the contract's settings.

        Raises:
            CallFailed: the contract was refused.
        """
        terms = terms or Terms()
        if validators is None:
            validators = [accounts.validator(index).ss58_address for index in range(3)]
        owner = accounts.owner()
        call = await substrate.run(_instantiation, substrate, terms)
        extrinsic = await substrate.sign(call, owner)
        (included,) = await substrate.include([extrinsic])
        events = await substrate.events(included.block_hash, included.index)
        made = [
            e.attributes["contract"] for e in events if (e.pallet, e.name) == ("Contracts", "Instantiated")
        ]
        if not made:
            failure = [e.attributes for e in events if e.name == "ExtrinsicFailed"]
            raise CallFailed(f"the contract could not be instantiated: {failure}")
        contract = cls(substrate, made[0], validators, terms)
        calls: list[tuple[str, dict[str, Any]]] = [("add_validator", {"validator": v}) for v in validators]
        calls.append(("set_fee_divisor", {"divisor": terms.fee_divisor}))
        await contract.execute([(owner.ss58_address, label, args) for label, args in calls])
        return contract

    @property
    def quorum(self) -> int:
        """Votes that carry: ceil(validators × threshold / 100), at least 1."""
        return max(1, -(-len(self.validators) * self.terms.consensus_threshold_percent // 100))

    async def call(self, label: str, args: dict[str, Any] | None = None, *, value: int = 0) -> GenericCall:
        """A composed `Contracts.call` of a message; `value` in rao."""
        return await self.substrate.run(self._compose, label, args, value)

    def _compose(self, label: str, args: dict[str, Any] | None, value: int) -> GenericCall:
        params = {
            "dest": {"Id": self.address},
            "value": value,
            "gas_limit": GAS,
            "storage_deposit_limit": None,
            "data": self.metadata.generate_message_data(name=label, args=self._texts(label, args)).to_hex(),
        }
        return self.substrate.api.compose_call("Contracts", "call", params)

    def _texts(self, label: str, args: dict[str, Any] | None) -> dict[str, Any]:
        """The arguments, so that the library takes a text that begins with 0x for a text, not for bytes."""
        (message,) = (m for m in self.metadata.metadata_dict["spec"]["messages"] if m["label"] == label)
        texts = {each["label"] for each in message["args"] if each["type"]["displayName"][-1:] == ["String"]}
        given = args or {}
        return {
            k: f"0x{v.encode().hex()}" if k in texts and v.startswith("0x") else v for k, v in given.items()
        }

    async def execute(self, messages: Sequence[tuple[str, str, dict[str, Any]]], *, value: int = 0) -> str:
        """Sends messages as (account, label, arguments), all in one block; answers its hash.

        Raises:
            CallFailed: one of them was refused; the others have taken effect.
        """

        def composed() -> list[tuple[str, GenericCall]]:
            return [(sender, self._compose(label, args, value)) for sender, label, args in messages]

        before = (await self.substrate.chain.heads()).hash
        try:
            return await self.substrate.dispatch_as(await self.substrate.run(composed))
        except DispatchFailed as exc:
            sender, label, args = messages[exc.index]
            error = await self.refusal(sender, label, args, block_hash=before)
            raise CallFailed(f"{label} by {sender}: {error or exc} (one of {exc.failures})") from exc

    async def refusal(
        self, sender: str, label: str, args: dict[str, Any] | None = None, *, block_hash: str | None = None
    ) -> str | None:
        """The name of the error that a message is refused with, by a dry run; None where it is not."""
        value = await self._dry_run(Keypair(ss58_address=sender), label, args or {}, block_hash)
        inner = value.get("Ok") if isinstance(value, dict) else None
        if isinstance(inner, dict) and "Err" in inner:
            return str(inner["Err"])
        return None if value is not None and "Ok" in value else str(value)

    async def _dry_run(
        self, sender: Keypair, label: str, args: dict[str, Any], block_hash: str | None
    ) -> Any:
        def dry_run() -> Any:
            texts = self._texts(label, args)
            return self._instance.read(sender, label, texts, block_hash=block_hash).contract_result_data

        result = await self.substrate.run(dry_run)
        return None if result is None else result.value

    async def vote(self, messages: Sequence[tuple[str, dict[str, Any]]], *, votes: int | None = None) -> str:
        """Has a quorum of validators (or `votes` of them) send each message, all in one block."""
        voters = self.validators[: self.quorum if votes is None else votes]
        return await self.execute([(voter, label, args) for voter in voters for label, args in messages])

    async def activate(self, miners: Sequence[str], *, collateral: int = 10 * TAO) -> None:
        """Posts collateral (rao each) for miners and votes them active."""
        await self.execute([(miner, "post_collateral", {}) for miner in miners], value=collateral)
        await self.vote([("vote_activate", {"miner": miner}) for miner in miners])

    async def set_halted(self, halted: bool) -> None:
        """Halts the contract, or ends that."""
        await self.execute([(accounts.owner().ss58_address, "set_halted", {"halted": halted})])

    async def set_timeout(self, blocks: int) -> None:
        """Sets `fulfillment_timeout_blocks`, for swaps that start later."""
        owner = accounts.owner().ss58_address
        await self.execute([(owner, "set_fulfillment_timeout", {"blocks": blocks})])

    async def read(self, label: str, *, block_hash: str | None = None, **args: Any) -> Any:
        """A message's result by a dry run at a block (the head without one), decoded.

        Raises:
            CallFailed: the contract trapped or refused.
        """

        value = await self._dry_run(accounts.owner(), label, args, block_hash)
        if not isinstance(value, dict) or "Ok" not in value:
            raise CallFailed(f"{label}: {value}")
        return value["Ok"]

    async def swap(self, swap_id: int, *, block_hash: str | None = None) -> Swap | None:
        """The swap at a block (the head without one); None where it is not there, not yet or no more."""
        return _swap(await self.read("get_swap", block_hash=block_hash, swap_id=swap_id))

    async def swaps(self, swap_ids: Sequence[int]) -> list[Swap | None]:
        """The swaps at the head, in the order of their ids; None for each that is not there. Ten a read."""
        pages = [list(swap_ids[start : start + PAGE]) for start in range(0, len(swap_ids), PAGE)]
        return [_swap(data) for page in pages for data in await self.read("get_swaps", ids=page)]

    async def next_swap_id(self) -> int:
        """The id of the next swap."""
        return int(await self.read("get_next_swap_id"))

    async def collateral(self, miner: str) -> int:
        """A miner's collateral in rao."""
        return int(await self.read("get_collateral", hotkey=miner))

    async def is_active(self, miner: str) -> bool:
        """Whether a miner is active."""
        return bool(await self.read("get_miner_active", hotkey=miner))


def _swap(data: dict[str, Any] | None) -> Swap | None:
    return None if data is None else Swap(**{field.name: data[field.name] for field in fields(Swap)})


def _metadata(substrate: Substrate) -> ContractMetadata:
    return ContractMetadata.create_from_file(str(paths.CONTRACT_METADATA), substrate.api)


def _instantiation(substrate: Substrate, terms: Terms) -> GenericCall:
    data = _metadata(substrate).generate_constructor_data(
        name="new",
        args={
            "recycle_address": accounts.account("//Ferdie").ss58_address,
            "fulfillment_timeout_blocks": terms.fulfillment_timeout_blocks,
            "reservation_ttl": terms.reservation_ttl_blocks,
            "min_collateral": terms.min_collateral,
            "max_collateral": terms.max_collateral,
            "min_swap_amount": terms.min_swap_amount,
            "max_swap_amount": terms.max_swap_amount,
            "consensus_threshold_percent": terms.consensus_threshold_percent,
        },
    )
    params = {
        "value": 0,
        "gas_limit": _DEPLOY_GAS,
        "storage_deposit_limit": None,
        "code": f"0x{paths.CONTRACT_WASM.read_bytes().hex()}",
        "data": data.to_hex(),
        "salt": "0x",
    }
    return substrate.api.compose_call("Contracts", "instantiate_with_code", params)
