"""The events of a block, read from their SCALE bytes by the runtime's own metadata.

Only what a miner judges by is decoded: success and failure, transfers, contract events. Everything else is
skipped, by sizes that are computed once a runtime. Bytes stay bytes: a decoder that shows them as text where
they happen to be UTF-8 cannot be used for a contract's data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from miner.chains.substrate.scale import read_compact

Skip = Callable[[bytes, int], int]
_PRIMITIVES = {
    "bool": 1, "char": 4, "u8": 1, "u16": 2, "u32": 4, "u64": 8, "u128": 16, "u256": 32,
    "i8": 1, "i16": 2, "i32": 4, "i64": 8, "i128": 16, "i256": 32,
}  # fmt: skip
_KNOWN = frozenset(
    {
        ("System", "ExtrinsicSuccess"),
        ("System", "ExtrinsicFailed"),
        ("Balances", "Transfer"),
        ("Contracts", "ContractEmitted"),
    }
)


class BadEvents(Exception):
    """The bytes are not what the metadata says; nothing can be said of the block."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A `Balances.Transfer`.

    Attributes:
        extrinsic: Index of the extrinsic it belongs to; None outside any.
        sender: Public key, 32 bytes.
        recipient: Public key, 32 bytes.
        amount: Smallest unit.
    """

    extrinsic: int | None
    sender: bytes
    recipient: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class Emitted:
    """A `Contracts.ContractEmitted`; `index` is its place among the block's events."""

    contract: bytes
    data: bytes
    topics: tuple[bytes, ...]
    index: int


@dataclass(frozen=True, slots=True)
class BlockEvents:
    """What a block's events say.

    Attributes:
        succeeded: By extrinsic index: whether it took effect. An index that is missing was in no event.
        transfers: In order.
        emitted: In order.
    """

    succeeded: Mapping[int, bool]
    transfers: tuple[Transfer, ...]
    emitted: tuple[Emitted, ...]


class EventReader:
    """Reads `System.Events` of one runtime.

    Args:
        types: The portable registry: type definitions by id.
        record_type: Id of `Vec<EventRecord>`.

    Raises:
        BadEvents: The metadata does not describe events as this reader knows them.
    """

    def __init__(self, types: Mapping[int, Mapping[str, Any]], record_type: int) -> None:
        self._types = types
        self._sizes: dict[int, int | None] = {}
        self._skips: dict[int, Skip] = {}
        try:
            record = types[types[record_type]["def"]["sequence"]["type"]]
            fields = {field["name"]: field["type"] for field in record["def"]["composite"]["fields"]}
            self._skip_event: dict[tuple[int, int], Skip] = {}
            self._known: dict[tuple[int, int], tuple[str, str]] = {}
            self._read_pallets(types[fields["event"]]["def"]["variant"]["variants"])
            self._amount_size = self._amount_width()
        except (KeyError, TypeError, RecursionError) as exc:
            raise BadEvents(f"the metadata's events: {exc!r}") from exc
        finally:
            self._types = {}
            self._names: dict[tuple[int, int], list[int]] = {}

    def _read_pallets(self, pallets: list[Mapping[str, Any]]) -> None:
        self._names = {}
        for pallet in pallets:
            events = self._types[pallet["fields"][0]["type"]]["def"]["variant"]
            for variant in events.get("variants", []):
                key = (int(pallet["index"]), int(variant["index"]))
                fields = [int(field["type"]) for field in variant.get("fields", [])]
                self._skip_event[key] = self._sequence_of(fields)
                if (name := (str(pallet["name"]), str(variant["name"]))) in _KNOWN:
                    self._known[key] = name
                    self._names[key] = fields

    def _amount_width(self) -> int:
        for key, (pallet, _) in self._known.items():
            if pallet == "Balances":
                sizes = [self._size(field) for field in self._names[key]]
                if sizes[:2] != [32, 32] or len(sizes) != 3 or sizes[2] not in (8, 16):
                    raise KeyError("Balances.Transfer")
                return sizes[2]
        raise KeyError("Balances.Transfer")

    # how long things are

    def _size(self, type_id: int) -> int | None:
        """Size of a type whose every value is as long; None for others."""
        if type_id not in self._sizes:
            self._sizes[type_id] = None  # a type that holds itself has no fixed size
            self._sizes[type_id] = self._measure(self._types[type_id]["def"])
        return self._sizes[type_id]

    def _measure(self, definition: Mapping[str, Any]) -> int | None:
        ((kind, body),) = definition.items()
        if kind == "primitive":
            return _PRIMITIVES.get(body)
        if kind == "array":
            each = self._size(body["type"])
            return None if each is None else each * int(body["len"])
        if kind == "variant":
            variants = body.get("variants", [])
            return 1 if variants and not any(variant.get("fields") for variant in variants) else None
        if kind in ("composite", "tuple"):
            sizes = [self._size(each) for each in _members(kind, body)]
            return None if None in sizes else sum(size for size in sizes if size is not None)
        return None

    def _sequence_of(self, type_ids: list[int]) -> Skip:
        """Skips values of these types, one after another; neighbours of fixed size in one step."""
        steps: list[int | Skip] = []
        for type_id in type_ids:
            size = self._size(type_id)
            if size is None:
                steps.append(self._skip(type_id))
            elif steps and isinstance(last := steps[-1], int):
                steps[-1] = last + size
            else:
                steps.append(size)

        def skip(data: bytes, pos: int) -> int:
            for step in steps:
                pos = pos + step if isinstance(step, int) else step(data, pos)
            return pos

        return skip

    def _skip(self, type_id: int) -> Skip:
        if type_id not in self._skips:
            self._skips[type_id] = lambda data, pos: self._skips[type_id](
                data, pos
            )  # for types within themselves
            self._skips[type_id] = self._make_skip(type_id)
        return self._skips[type_id]

    def _make_skip(self, type_id: int) -> Skip:
        ((kind, body),) = self._types[type_id]["def"].items()
        if (size := self._size(type_id)) is not None:
            return lambda _data, pos: pos + size
        if kind == "compact":
            return lambda data, pos: read_compact(data, pos)[1]
        if kind == "primitive":  # only text has no fixed size
            return _skip_bytes
        if kind == "sequence":
            return self._skip_many(body["type"])
        if kind == "array":
            each = self._skip(body["type"])
            return lambda data, pos: _repeat(each, int(body["len"]), data, pos)
        if kind == "variant":
            return self._skip_variant(body.get("variants", []))
        if kind in ("composite", "tuple"):
            return self._sequence_of(_members(kind, body))
        if kind == "bitSequence":
            return _skip_bits
        raise KeyError(kind)

    def _skip_many(self, type_id: int) -> Skip:
        size = self._size(type_id)
        each = self._skip(type_id)

        def skip(data: bytes, pos: int) -> int:
            count, pos = read_compact(data, pos)
            return pos + count * size if size is not None else _repeat(each, count, data, pos)

        return skip

    def _skip_variant(self, variants: list[Mapping[str, Any]]) -> Skip:
        each = {
            int(variant["index"]): self._sequence_of(
                [int(field["type"]) for field in variant.get("fields", [])]
            )
            for variant in variants
        }
        return lambda data, pos: each[data[pos]](data, pos + 1)

    # reading

    def read(self, data: bytes) -> BlockEvents:
        """The events of a block.

        Args:
            data: SCALE bytes of `System.Events`; empty for a block without any.

        Raises:
            BadEvents: The bytes do not read to their end.
        """
        found = _Found(self._amount_size)
        try:
            count, pos = read_compact(data, 0) if data else (0, 0)
            for index in range(count):
                pos = self._read_record(data, pos, index, found)
        except (IndexError, KeyError, ValueError, RecursionError) as exc:
            raise BadEvents(f"an event does not read: {exc!r}") from exc
        if pos != len(data):
            raise BadEvents(f"{len(data) - pos} bytes after the last event")
        return BlockEvents(found.succeeded, tuple(found.transfers), tuple(found.emitted))

    def _read_record(self, data: bytes, pos: int, index: int, found: _Found) -> int:
        extrinsic = None
        if data[pos] == 0:
            extrinsic = int.from_bytes(data[pos + 1 : pos + 5], "little")
            pos += 4
        elif data[pos] > 2:
            raise KeyError(f"phase {data[pos]}")
        pos += 1
        key, start = (data[pos], data[pos + 1]), pos + 2
        end = self._skip_event[key](data, start)
        count, first_topic = read_compact(data, end)
        after = first_topic + 32 * count
        if after > len(data):
            raise IndexError(after)
        name = self._known.get(key)
        if name is not None:
            topics = tuple(data[at : at + 32] for at in range(first_topic, after, 32))
            found.take(name, extrinsic, data[start:end], topics, index)
        return after


class _Found:
    """Collects what is decoded."""

    def __init__(self, amount_size: int) -> None:
        self.succeeded: dict[int, bool] = {}
        self.transfers: list[Transfer] = []
        self.emitted: list[Emitted] = []
        self._amount_size = amount_size

    def take(
        self, name: tuple[str, str], extrinsic: int | None, data: bytes, topics: tuple[bytes, ...], index: int
    ) -> None:
        if name[0] == "System":
            if extrinsic is not None:
                self.succeeded[extrinsic] = name[1] == "ExtrinsicSuccess"
        elif name[0] == "Balances":
            amount = int.from_bytes(data[64 : 64 + self._amount_size], "little")
            self.transfers.append(Transfer(extrinsic, data[:32], data[32:64], amount))
        else:
            length, start = read_compact(data, 32)
            if start + length != len(data):
                raise IndexError("Contracts.ContractEmitted")
            self.emitted.append(Emitted(data[:32], data[start:], topics, index))


def _members(kind: str, body: Any) -> list[int]:
    if kind == "tuple":
        return [int(each) for each in body]
    return [int(field["type"]) for field in body.get("fields", [])]


def _repeat(each: Skip, count: int, data: bytes, pos: int) -> int:
    for _ in range(count):
        pos = each(data, pos)
        if pos > len(data):
            raise IndexError(pos)
    return pos


def _skip_bytes(data: bytes, pos: int) -> int:
    length, pos = read_compact(data, pos)
    return pos + length


def _skip_bits(data: bytes, pos: int) -> int:
    bits, pos = read_compact(data, pos)
    return pos + (bits + 7) // 8
