"""What accounts have committed on chain in Bittensor's `Commitments`: where users read quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from miner.chains.substrate.node import SubstrateNode
from miner.chains.substrate.runtime import Runtime
from miner.errors import ReadFailed, Refused
from miner.model import Commitment, Head

PALLET, ITEM = "Commitments", "CommitmentOf"
_RAW = re.compile(r"Raw(\d{1,3})")


class SubnetCommitments:
    """`ports.Commitments` over one chain.

    Args:
        node: The chain.
        netuid: The subnet; None where the settings name none.
    """

    def __init__(self, node: SubstrateNode, netuid: int | None) -> None:
        self._node = node
        self._netuid = netuid

    async def committed(self, account: str, at: Head) -> Commitment | None:
        """See `ports.Commitments`."""
        _, netuid = self._where(self._node.blocks.newest or await self._node.blocks.runtime())
        return decode(await self._node.storage(PALLET, ITEM, [netuid, account], at.hash))

    def commitment_call(self, text: str) -> bytes:
        """See `ports.Commitments`."""
        newest = self._node.blocks.newest
        if newest is None:
            raise ReadFailed("the runtime", "not connected yet")
        runtime, netuid = self._where(newest)
        return runtime.commitment_call(netuid, text.encode())

    def _where(self, runtime: Runtime) -> tuple[Runtime, int]:
        if self._netuid is None:
            raise Refused("quotes", "no_netuid", "`contract.netuid` is not set: on which subnet are they?")
        if not runtime.has_storage(PALLET, ITEM):
            why = f"the chain's runtime (spec {runtime.spec}) has no `{PALLET}.{ITEM}`: it holds no quotes"
            raise Refused("quotes", "no_commitments", why)
        return runtime, self._netuid


def decode(told: object) -> Commitment | None:
    """A `Registration` as a storage reader gives it.

    Raises:
        ReadFailed: It is of another shape.
    """
    if told is None:
        return None
    try:
        block, fields = int(told["block"]), told["info"]["fields"]  # type: ignore[index]
        parts = [raw for field in _flat(fields) if (raw := _raw(field)) is not None]
    except (KeyError, TypeError, ValueError) as exc:
        raise ReadFailed("a commitment", f"it does not read: {exc!r}") from exc
    return Commitment(block, b"".join(parts).decode("utf-8", "replace") if parts else None)


def _flat(fields: object) -> Iterator[object]:
    """The fields, out of however many lists they come in."""
    if isinstance(fields, list | tuple):
        for field in fields:
            yield from _flat(field)
    else:
        yield fields


def _raw(field: object) -> bytes | None:
    """The bytes of a `RawN` field; None for the kinds that hold hashes or nothing."""
    if not isinstance(field, Mapping) or len(field) != 1:
        return None
    ((name, value),) = field.items()
    match = _RAW.fullmatch(str(name))
    if match is None:
        return None
    raw = _bytes(value)
    if len(raw) != int(match[1]):
        raise ValueError(f"{name} of {len(raw)} bytes")
    return raw


def _bytes(value: object) -> bytes:
    """Bytes as storage readers give them: hex, bytes, numbers, or one of these in a list."""
    while isinstance(value, list | tuple) and len(value) == 1 and not isinstance(value[0], int):
        value = value[0]
    match value:
        case bytes() | bytearray():
            return bytes(value)
        case str() if re.fullmatch(r"0x([0-9a-fA-F]{2})*", value):
            return bytes.fromhex(value[2:])
        case str():
            return value.encode()
        case list() | tuple():
            return bytes(value)
    raise TypeError(f"bytes as {type(value).__name__}")
