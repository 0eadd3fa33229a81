"""What the contract answers and announces, as the model's values."""

from __future__ import annotations

from collections.abc import Mapping

from miner.contract.metadata import Metadata
from miner.contract.registry import Choice
from miner.contract.scale import BadText, CodecError, Reader
from miner.model import ContractEvent, Ending, EndingKind, Head, Swap, SwapStatus
from miner.ports import RawContractEvent

UNDECODABLE = "Undecodable"
"""Name of an event that is none of the metadata's, or does not decode as the one it says it is."""

_SWAP_FIELDS = tuple(Swap.__dataclass_fields__)

_ENDINGS = {SwapStatus.COMPLETED: EndingKind.COMPLETED, SwapStatus.TIMED_OUT: EndingKind.TIMED_OUT}


def swap_of(value: object) -> Swap:
    """A decoded `SwapData`, its fields found by name.

    Raises:
        CodecError: A text is no UTF-8, or the status is unknown here.
    """
    fields = _struct(value)
    bad = [name for name in _SWAP_FIELDS if isinstance(fields[name], BadText)]
    if bad:
        raise CodecError(f"`{bad[0]}` is no UTF-8")
    return Swap(**{name: fields[name] for name in _SWAP_FIELDS} | {"status": _status(fields["status"])})  # type: ignore[arg-type]


def miner_of(value: object) -> str:
    """The miner of a decoded `SwapData`, whether or not the rest of it makes sense."""
    return str(_struct(value)["miner"])


def ending_of(value: object) -> Ending | None:
    """A decoded `Option<SwapOutcome>`; None where there is none.

    Raises:
        CodecError: The texts or the status make no sense.
    """
    if value is None:
        return None
    fields = _struct(value)
    txid, status = fields["dest_tx_hash"], _status(fields["status"])
    if isinstance(txid, BadText):
        raise CodecError("`dest_tx_hash` is no UTF-8")
    if status not in _ENDINGS:
        raise CodecError(f"an ended swap's status is {status}")
    return Ending(
        _ENDINGS[status],
        block=_integer(fields["ended_block"]),
        slash_amount=_integer(fields["slash_amount"]),
        fee_amount=_integer(fields["fee_amount"]),
        dest_tx_hash=str(txid) or None,
    )


def event_of(metadata: Metadata, raw: RawContractEvent, block: Head) -> ContractEvent:
    """An event by its signature topic; one that does not decode is `Undecodable` with its raw hex."""
    spec = metadata.events.get(raw.topics[0]) if raw.topics else None
    if spec is None:
        return _undecodable(raw, block, "the metadata has no event of this topic")
    try:
        args = _event_args(metadata, spec.fields, raw.data)
    except CodecError as exc:
        return _undecodable(raw, block, f"{spec.label}: {exc}")
    return ContractEvent(spec.label, args, block, raw.index)


def _event_args(metadata: Metadata, fields: tuple[tuple[str, int], ...], data: bytes) -> Mapping[str, object]:
    types, reader, values = metadata.types, Reader(data), dict[str, object]()
    for label, of in fields:
        values[label] = _plain(types.read(of, reader))
    reader.finish()
    return values


def _undecodable(raw: RawContractEvent, block: Head, why: str) -> ContractEvent:
    topics = ["0x" + topic.hex() for topic in raw.topics]
    args = {"data": "0x" + raw.data.hex(), "topics": topics, "why": why}
    return ContractEvent(UNDECODABLE, args, block, raw.index)


def _plain(value: object) -> object:
    """For people and JSON: bytes as hex, a variant by its name."""
    match value:
        case bytes():
            return "0x" + value.hex()
        case Choice(name, ()):
            return name
        case Choice(name, inner):
            return {name: _plain(inner)}
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def _struct(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise CodecError(f"a struct was expected, not {type(value).__name__}")
    return value


def _status(value: object) -> SwapStatus:
    name = value.name if isinstance(value, Choice) else str(value)
    try:
        return SwapStatus(name)
    except ValueError as exc:
        raise CodecError(f"status {name} is not known here") from exc


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise CodecError(f"an integer was expected, not {type(value).__name__}")
    return value
