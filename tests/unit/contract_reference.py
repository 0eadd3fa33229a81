"""A second codec for contract data, substrate-interface's, and a node that answers with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.type_registry import load_type_registry_preset

from miner.contract.metadata import Metadata, parse
from miner.contract.needs import check
from miner.contract.scale import Reader, account_of, address_of
from miner.errors import ReadFailed
from miner.model import (
    AttemptKind,
    Claim,
    Head,
    Lane,
    LanePurpose,
    Replacement,
    Sighting,
    SightingKind,
    SignedTx,
)
from miner.ports import CallLanes, RawBlock, RawContractEvent, Substrate

ARTIFACT = Path(__file__).parents[2] / "contracts" / "artifacts" / "swap_manager.json"

Document = dict[str, Any]

ADDRESS = address_of(b"\x07" * 32)
MINER = address_of(b"\x01" * 32)
OTHER = address_of(b"\x02" * 32)
CODE_HASH = "0x" + "ab" * 32


@cache
def _artifact() -> str:
    return ARTIFACT.read_text(encoding="utf-8")


def document() -> Document:
    """The metadata of the project's contract, to be changed at will."""
    told: Document = json.loads(_artifact())
    return told


def field_document() -> Document:
    """The same without the messages that the contract in the field lacks."""
    told = document()
    extra = {"get_swaps", "get_active_swaps", "get_swap_outcome", "get_max_active_swaps"}
    told["spec"]["messages"] = [m for m in told["spec"]["messages"] if m["label"] not in extra]
    return told


def other_document() -> Document:
    """The field's interface by another deployment: fields, arguments and errors in the opposite order."""
    told = field_document()
    for each in told["types"]:
        path = each["type"].get("path", [])
        if path[-1:] == ["SwapData"]:
            each["type"]["def"]["composite"]["fields"].reverse()
        if path[-1:] == ["Error"]:
            variants = each["type"]["def"]["variant"]["variants"]
            for index, variant in enumerate(variants):
                variant["index"] = 2 * (len(variants) - index)
    for message in told["spec"]["messages"]:
        message["args"].reverse()
    return told


def message(told: Document, label: str) -> Document:
    found: Document = next(m for m in told["spec"]["messages"] if m["label"] == label)
    return found


def type_named(told: Document, name: str) -> Document:
    found: Document = next(t["type"] for t in told["types"] if t["type"].get("path", [])[-1:] == [name])
    return found


def metadata(told: Document) -> Metadata:
    return _checked(json.dumps(told))


@cache
def _checked(text: str) -> Metadata:
    return check(parse(text, "swap_manager.json"))


@cache
def _config(types: str) -> RuntimeConfigurationObject:
    config = RuntimeConfigurationObject(ss58_format=42)
    config.update_type_registry(load_type_registry_preset("core"))
    registry = config.create_scale_object("PortableRegistry")
    registry.encode({"types": json.loads(types)})
    config.update_from_scale_info_types(registry["types"], prefix="ink")
    return config


class Reference:
    """scalecodec over a contract's types, without a node."""

    def __init__(self, told: Document) -> None:
        self._config = _config(json.dumps(told["types"]))
        self._written: dict[tuple[int, str], bytes] = {}

    def encode(self, type_id: int, value: object) -> bytes:
        key = type_id, repr(value)
        if key not in self._written:
            self._written[key] = bytes(self._config.create_scale_object(f"ink::{type_id}").encode(value).data)
        return self._written[key]

    def decode(self, type_id: int, data: bytes) -> Any:
        return self._config.create_scale_object(f"ink::{type_id}", ScaleBytes(data)).decode()

    def decode_all(self, type_ids: Sequence[int], data: bytes) -> list[Any]:
        """Values one after the other, with nothing behind them."""
        left = ScaleBytes(data)
        values = [
            self._config.create_scale_object(f"ink::{each}", left).decode(check_remaining=False)
            for each in type_ids
        ]
        assert left.offset == left.length
        return values


def swap_data(swap_id: int = 1, **changes: object) -> dict[str, object]:
    """A plain Active swap, as scalecodec takes it."""
    plain: dict[str, object] = {
        "id": swap_id,
        "user": OTHER,
        "miner": MINER,
        "source_chain": "btc",
        "dest_chain": "tao",
        "source_amount": 1_000_000,
        "dest_amount": 3_450_000_000,
        "tao_amount": 3_450_000_000,
        "user_source_address": "bcrt1quser",
        "user_dest_address": OTHER,
        "miner_source_address": "bcrt1qminer",
        "miner_dest_address": MINER,
        "rate": "345",
        "source_tx_hash": "ab" * 32,
        "source_tx_block": 7,
        "dest_tx_hash": "",
        "dest_tx_block": 0,
        "status": "Active",
        "initiated_block": 10,
        "timeout_block": 160,
        "fulfilled_block": 0,
        "completed_block": 0,
    }
    return plain | changes


@cache
def compact(value: int) -> bytes:
    """Compact by scalecodec."""
    return bytes(RuntimeConfigurationObject().create_scale_object("Compact<u128>").encode(value).data)


def blob(data: bytes) -> bytes:
    return compact(len(data)) + data


def contract_result(
    result: bytes, *, width: int = 8, gas: tuple[int, int] = (1000, 100), events: bytes = b""
) -> bytes:
    """The reply of `ContractsApi_call` around a result."""
    weight = compact(gas[0]) + compact(gas[1])
    return (
        compact(5)
        + compact(6)
        + weight
        + b"\x01"
        + bytes(width)
        + blob(b"debug")
        + result
        + (events or b"\x00")
    )


def ran(data: bytes, flags: int = 0) -> bytes:
    """A result of a contract that ran to its end."""
    return b"\x00" + flags.to_bytes(4, "little") + blob(data)


def stopped(error: bytes) -> bytes:
    """A result of a contract that the chain stopped."""
    return b"\x01" + error


Handler = Callable[..., object]
"""Takes the message's arguments by label; answers the value, or bytes: a whole result."""


@dataclass
class ScriptedNode(Substrate):
    """A node whose contract is a table of functions; counts its requests by what was asked."""

    told: Document
    handlers: dict[str, Handler] = field(default_factory=dict)
    genesis: str = "0x" + "45" * 32
    width: int = 8
    code_hash: object = CODE_HASH
    blocks: dict[int, RawBlock] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    origins: list[bytes] = field(default_factory=list)
    at: list[str] = field(default_factory=list)
    gas: tuple[int, int] = (1000, 100)

    def __post_init__(self) -> None:
        self.reference = Reference(self.told)
        self._by_selector = {m["selector"]: m for m in self.told["spec"]["messages"]}

    def count(self, label: str) -> int:
        return sum(asked == label for asked, _ in self.asked)

    async def raw_block(self, head: Head) -> RawBlock:
        self.asked.append(("raw_block", {}))
        if head.height not in self.blocks:
            raise ReadFailed(f"block {head.height}")
        return self.blocks[head.height]

    async def state_call(self, method: str, data: bytes, at: str) -> bytes:
        if method == "TransactionPaymentApi_query_length_to_fee":
            self.asked.append(("width", {}))
            return bytes(self.width)
        assert method == "ContractsApi_call"
        start = 64 + self.width + 2
        assert data[32:64] == account_of(ADDRESS)
        assert data[64:start] == bytes(self.width + 2)
        envelope = Reader(data[start:])
        call = envelope.take(envelope.length())
        envelope.finish()
        told = self._by_selector["0x" + call[:4].hex()]
        values = self.reference.decode_all([arg["type"]["type"] for arg in told["args"]], call[4:])
        args = {arg["label"]: value for arg, value in zip(told["args"], values, strict=True)}
        self.asked.append((told["label"], args))
        self.origins.append(data[:32])
        self.at.append(at)
        answer = self.handlers[told["label"]](**args)
        if isinstance(answer, Exception):
            raise answer
        result = answer if isinstance(answer, bytes) else self.answer(told["label"], answer)
        return contract_result(result, width=self.width, gas=self.gas)

    def answer(self, label: str, value: object) -> bytes:
        """The result of a message that answers `value`."""
        failed = isinstance(value, dict) and "Err" in value
        data = self.reference.encode(message(self.told, label)["returnType"]["type"], {"Ok": value})
        return ran(data, flags=int(failed))

    async def storage(self, module: str, item: str, params: Sequence[object], at: str) -> object:
        assert (module, item, list(params)) == ("Contracts", "ContractInfoOf", [ADDRESS])
        self.asked.append(("code", {}))
        return None if self.code_hash is None else {"trie_id": b"", "code_hash": self.code_hash}

    def contract_call(
        self, contract: str, data: bytes, ref_time: int, proof_size: int, value: int = 0
    ) -> bytes:
        sent = [value] if value else []
        return json.dumps([contract, data.hex(), ref_time, proof_size, *sent]).encode()


@dataclass
class RecordingLanes(CallLanes):
    """Lanes that keep what they were asked to sign."""

    chain_id: str = "tao:0x45"
    prepared: list[Mapping[str, object]] = field(default_factory=list)

    async def prepare(
        self,
        account: str,
        call: bytes,
        purpose: LanePurpose,
        recipient: str,
        amount: int,
        die_by: int | None,
        max_fee: int,
    ) -> Claim:
        self.prepared.append(
            {"account": account, "call": call, "purpose": purpose, "recipient": recipient, "max_fee": max_fee}
            | {"amount": amount, "die_by": die_by}
        )
        return Claim(self.chain_id, account, purpose, lambda slot: signed(call, slot), recipient, amount, 0)

    async def resign(self, lane: Lane, call: bytes, die_by: int | None, max_fee: int) -> Replacement:
        self.prepared.append({"call": call, "die_by": die_by, "max_fee": max_fee})
        return Replacement(lane.id, AttemptKind.MARK, signed(call, lane.slot))

    async def filler(self, lane: Lane, max_fee: int) -> Replacement:
        self.prepared.append({"filler": lane.id, "max_fee": max_fee})
        return Replacement(lane.id, AttemptKind.FILLER, signed(b"", lane.slot))

    async def broadcast(self, lane: Lane) -> None:
        self.prepared.append({"broadcast": lane.id})

    async def locate(self, lane: Lane) -> Sighting:
        return Sighting(SightingKind.UNSEEN, Head(1, "0x01"))


def signed(call: bytes, slot: str) -> SignedTx:
    return SignedTx("0x" + "cd" * 32, call, 0, None, None, (slot,))


def raw_event(
    told: Document, label: str, fields: Mapping[str, object], index: int = 0, contract: str = ADDRESS
) -> RawContractEvent:
    """An event as the contract would emit it."""
    reference = Reference(told)
    spec = next(e for e in told["spec"]["events"] if e["label"] == label)
    data = b"".join(reference.encode(arg["type"]["type"], fields[arg["label"]]) for arg in spec["args"])
    return RawContractEvent(contract, data, (bytes.fromhex(spec["signature_topic"][2:]),), index)
