"""One version of the chain's runtime: calls, storage keys, extrinsics and events by its metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bittensor_core
import orjson

from miner.chains.substrate.addresses import PREFIX
from miner.chains.substrate.events import BadEvents, EventReader
from miner.chains.substrate.scale import compact, read_compact
from miner.errors import InvariantBroken, ReadFailed

METADATA_VERSION = 15


class Runtime:
    """The codec of one spec version. Pure: it holds metadata and asks nobody.

    Attributes:
        spec: The spec version it decodes and signs for.
        transaction: The transaction version it signs for.
    """

    def __init__(self, metadata: bytes, spec: int, transaction: int) -> None:
        self.spec = spec
        self.transaction = transaction
        self._core = bittensor_core.Runtime(metadata, spec, transaction, PREFIX)
        types = {int(each["id"]): each["type"] for each in orjson.loads(self._core.registry_json())["types"]}
        record_type = self._core.storage_entry("System", "Events").value_type
        self.events = EventReader(types, int(record_type.removeprefix("scale_info::")))
        self.extensions: Sequence[str] = list(self._core.signed_extension_identifiers())

    @classmethod
    def load(cls, metadata: bytes, spec: int, transaction: int | None = None) -> Runtime:
        """A runtime from raw metadata (`meta` + version + body).

        Args:
            metadata: As a node tells it.
            spec: The spec version that is wanted.
            transaction: The transaction version, where it is known better than from the metadata.

        Raises:
            ReadFailed: The metadata does not read, or is of another spec version.
        """
        what = f"metadata of spec version {spec}"
        try:
            version = bittensor_core.Runtime(metadata, spec, 0, PREFIX).constant("System", "Version")
            if int(version["spec_version"]) != spec:
                raise ReadFailed(what, f"the node told that of {version['spec_version']}")
            return cls(
                metadata,
                spec,
                transaction if transaction is not None else int(version["transaction_version"]),
            )
        except (ValueError, KeyError, TypeError, BadEvents) as exc:
            raise ReadFailed(what, f"{type(exc).__name__}: {exc}") from exc

    def error_name(self, pallet: int, error: bytes) -> str:
        """A pallet's error in words (`Contracts.OutOfGas`); its numbers where the metadata has none."""
        try:
            name, _ = self._core.module_error(pallet, error[0])
        except (IndexError, KeyError, TypeError, ValueError):
            return f"pallet {pallet} error 0x{error.hex()}"
        return str(name)

    # calls

    def transfer(self, recipient: str, amount: int) -> bytes:
        """`Balances.transfer_keep_alive`."""
        return self._call("Balances", "transfer_keep_alive", {"dest": recipient, "value": amount})

    def remark(self) -> bytes:
        """`System.remark` of nothing: takes a nonce and does nothing else."""
        return self._call("System", "remark", {"remark": b""})

    def contract_call(
        self, contract: str, data: bytes, ref_time: int, proof_size: int, value: int = 0
    ) -> bytes:
        """`Contracts.call`; `value` is sent along, smallest unit.

        Raises:
            InvariantBroken: The codec did not put `data` in as it is.
        """
        call = self._call(
            "Contracts",
            "call",
            {
                "dest": contract,
                "value": value,
                "gas_limit": {"ref_time": ref_time, "proof_size": proof_size},
                "storage_deposit_limit": None,
                "data": data,
            },
        )
        if not call.endswith(compact(len(data)) + data):
            raise InvariantBroken("Contracts.call does not carry the message's bytes")
        return call

    def commitment_call(self, netuid: int, data: bytes) -> bytes:
        """`Commitments.set_commitment` of one field that holds `data` as it is.

        Raises:
            InvariantBroken: The codec did not put `data` in as it is.
        """
        info = {"fields": [[{f"Raw{len(data)}": data}]]}
        call = self._call("Commitments", "set_commitment", {"netuid": netuid, "info": info})
        if not call.endswith(compact(1) + bytes([len(data) + 1]) + data):
            raise InvariantBroken("Commitments.set_commitment does not carry the text's bytes")
        return call

    def _call(self, module: str, function: str, params: Mapping[str, object]) -> bytes:
        return bytes(self._core.compose_call(module, function, params))

    def shape_of(self, call: bytes) -> tuple[object, ...]:
        """What of a call its fee depends on: its function, length and gas limit.

        Raises:
            ReadFailed: It does not decode.
        """
        try:
            decoded = self._core.decode_call(call)
            gas = [str(each["value"]) for each in decoded["call_args"] if each["name"] == "gas_limit"]
            return (decoded["call_module"], decoded["call_function"], len(call), *gas)
        except (KeyError, ValueError, TypeError) as exc:
            raise ReadFailed("a call", f"{type(exc).__name__}: {exc}") from exc

    # storage

    def storage_key(self, module: str, item: str, params: Sequence[object] = ()) -> str:
        """The key of a storage value, `0x` hex.

        Raises:
            ReadFailed: The runtime has no such item, or it takes other parameters.
        """
        try:
            return "0x" + bytes(self._core.storage_key(module, item, list(params))).hex()
        except (KeyError, ValueError, TypeError) as exc:
            raise ReadFailed(f"{module}.{item}", f"{type(exc).__name__}: {exc}") from exc

    def decode_storage(self, module: str, item: str, data: bytes) -> Any:
        """A storage value from its SCALE bytes.

        Raises:
            ReadFailed: It does not decode.
        """
        try:
            return self._core.decode(self._core.storage_entry(module, item).value_type, data)
        except (KeyError, ValueError, TypeError) as exc:
            raise ReadFailed(f"{module}.{item}", f"{type(exc).__name__}: {exc}") from exc

    def has_storage(self, module: str, item: str) -> bool:
        """Whether the runtime has such a storage item."""
        try:
            self._core.storage_entry(module, item)
        except (KeyError, ValueError, TypeError):
            return False
        return True

    def constant(self, module: str, name: str) -> Any:
        """A pallet's constant; None where there is none."""
        return self._core.constant(module, name)

    # extrinsics

    def payload(
        self, call: bytes, era: Mapping[str, int], nonce: int, tip: int, genesis: bytes, birth: bytes
    ) -> bytes:
        """What the account signs: hashed where it is long, as the protocol wants it."""
        return bytes(
            self._core.signature_payload(
                call, era=dict(era), nonce=nonce, tip=tip, tip_asset_id=None,
                genesis_hash=genesis, era_block_hash=birth,
            )
        )  # fmt: skip

    def extrinsic(
        self,
        call: bytes,
        public_key: bytes,
        signature: bytes,
        scheme: int,
        era: Mapping[str, int],
        nonce: int,
        tip: int,
    ) -> bytes:
        """The signed extrinsic; `scheme` is the signature's kind (1: sr25519)."""
        data, _ = self._core.encode_signed_extrinsic(
            call, public_key=public_key, signature=signature, signature_version=scheme,
            era=dict(era), nonce=nonce, tip=tip, tip_asset_id=None,
        )  # fmt: skip
        return bytes(data)

    def decode_extrinsic(self, data: bytes) -> Mapping[str, Any]:
        """An extrinsic as plain values (`address`, `nonce`, `tip`, `call`).

        Raises:
            ReadFailed: It does not decode.
        """
        try:
            decoded: Mapping[str, Any] = self._core.decode_extrinsic(data)
        except (ValueError, KeyError, TypeError) as exc:
            raise ReadFailed("an extrinsic", f"{type(exc).__name__}: {exc}") from exc
        return decoded

    def fee_of(self, dispatch_info: bytes) -> int:
        """The fee in a reply of `TransactionPaymentApi_query_info`.

        Raises:
            ReadFailed: It does not read.
        """
        try:
            _, pos = read_compact(dispatch_info, 0)  # the weight's time and proof size
            _, pos = read_compact(dispatch_info, pos)
            fee = dispatch_info[pos + 1 :]  # after the class
        except (IndexError, ValueError) as exc:
            raise ReadFailed("a fee", str(exc)) from exc
        if len(fee) not in (8, 16):
            raise ReadFailed("a fee", "the reply does not read")
        return int.from_bytes(fee, "little")


def metadata_of(reply: bytes) -> bytes | None:
    """Raw metadata out of `Option<OpaqueMetadata>`; None where the runtime has none of that version."""
    if not reply or reply[0] == 0:
        return None
    length, start = read_compact(reply, 1)
    return reply[start : start + length]
