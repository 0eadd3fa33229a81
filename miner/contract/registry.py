"""The types of a contract's metadata, and decoding and encoding by them.

A decoded value is: int, bool, str; `bytes` for arrays and lists of u8 (a hash too); an SS58 address for an
`AccountId`; a list; a tuple for a tuple; a dict by field name for a struct; what is inside for a struct of
one unnamed field; None or the value for an `Option`; a `Choice` for every other enum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from miner.contract.scale import (
    ACCOUNT_BYTES,
    CodecError,
    Reader,
    account_of,
    address_of,
    blob,
    compact,
    uint,
)

MAX_DEPTH = 64
"""Nesting beyond which a value does not decode."""

UINTS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "u128": 16, "u256": 32}
SINTS = {"i8": 1, "i16": 2, "i32": 4, "i64": 8, "i128": 16, "i256": 32}


@dataclass(frozen=True, slots=True)
class Choice:
    """A variant of an enum with its fields: `()` for none, the value for one unnamed, else tuple or dict."""

    name: str
    value: object = ()


@dataclass(frozen=True, slots=True)
class Primitive:
    """A primitive, by Rust's name."""

    name: str


@dataclass(frozen=True, slots=True)
class Fields:
    """A struct's or a variant's fields; all named, or none."""

    names: tuple[str | None, ...]
    types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Composite:
    """A struct."""

    path: tuple[str, ...]
    fields: Fields


@dataclass(frozen=True, slots=True)
class Variant:
    """An enum: name and fields of each variant by its index on the wire."""

    path: tuple[str, ...]
    variants: Mapping[int, tuple[str, Fields]]

    @property
    def names(self) -> frozenset[str]:
        """Names of the variants."""
        return frozenset(name for name, _ in self.variants.values())

    def fields_of(self, name: str) -> Fields | None:
        """Fields of a variant by name."""
        return next((fields for label, fields in self.variants.values() if label == name), None)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    of: int


@dataclass(frozen=True, slots=True)
class Array:
    """A list of fixed length."""

    of: int
    length: int


@dataclass(frozen=True, slots=True)
class Tuple:
    """A tuple; the empty one is the unit type."""

    of: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Compact:
    """A compact integer."""

    of: int


TypeDef = Primitive | Composite | Variant | Sequence | Array | Tuple | Compact


class Registry:
    """Types by id."""

    def __init__(self, types: Mapping[int, TypeDef]) -> None:
        self._types = dict(types)

    def __getitem__(self, type_id: int) -> TypeDef:
        """The type.

        Raises:
            CodecError: The metadata has none of this id.
        """
        try:
            return self._types[type_id]
        except KeyError as exc:
            raise CodecError(f"the metadata has no type {type_id}") from exc

    def is_account(self, type_id: int) -> bool:
        """Whether the type is an `AccountId` of 32 bytes."""
        kind = self[type_id]
        return (
            isinstance(kind, Composite)
            and kind.path[-1:] == ("AccountId",)
            and len(kind.fields.types) == 1
            and self.byte_array(kind.fields.types[0]) == ACCOUNT_BYTES
        )

    def byte_array(self, type_id: int) -> int | None:
        """Length of a `[u8; n]`; None for any other type."""
        kind = self[type_id]
        return kind.length if isinstance(kind, Array) and self._is_byte(kind.of) else None

    def _is_byte(self, type_id: int) -> bool:
        return self[type_id] == Primitive("u8")

    # decoding

    def decode(self, type_id: int, data: bytes, *, keep_bad_text: bool = False) -> object:
        """A value that takes all of `data`.

        Raises:
            CodecError: The bytes are no such value; nothing else is ever raised.
        """
        reader = Reader(data, keep_bad_text=keep_bad_text)
        value = self.read(type_id, reader)
        reader.finish()
        return value

    def read(self, type_id: int, reader: Reader, depth: int = 0) -> object:
        """A value from the front of what is left. Errors as for `decode`."""
        if depth > MAX_DEPTH:
            raise CodecError("nested too deep")
        match self[type_id]:
            case Primitive(name):
                return _read_primitive(name, reader)
            case Composite(path, fields):
                value = self._read_fields(fields, reader, depth)
                is_account = path[-1:] == ("AccountId",) and isinstance(value, bytes)
                return address_of(value) if is_account and len(value) == ACCOUNT_BYTES else value  # type: ignore[arg-type]
            case Variant() as kind:
                return self._read_variant(kind, reader, depth)
            case Sequence(of):
                return self._read_list(of, reader.length(), reader, depth)
            case Array(of, length):
                return self._read_list(of, length, reader, depth)
            case Tuple(of):
                return tuple(self.read(each, reader, depth + 1) for each in of)
            case Compact():
                return reader.compact()

    def _read_list(self, of: int, length: int, reader: Reader, depth: int) -> object:
        if self._is_byte(of):
            return reader.take(length)
        if length > reader.left:
            raise CodecError(f"{length} elements in {reader.left} bytes")
        return [self.read(of, reader, depth + 1) for _ in range(length)]

    def _read_fields(self, fields: Fields, reader: Reader, depth: int) -> object:
        values = [self.read(each, reader, depth + 1) for each in fields.types]
        if fields.names and fields.names[0] is not None:
            return dict(zip(fields.names, values, strict=True))
        return values[0] if len(values) == 1 else tuple(values)

    def _read_variant(self, kind: Variant, reader: Reader, depth: int) -> object:
        index = reader.uint(1)
        if index not in kind.variants:
            raise CodecError(f"{'::'.join(kind.path) or 'enum'} has no variant {index}")
        name, fields = kind.variants[index]
        if kind.path != ("Option",):
            return Choice(name, self._read_fields(fields, reader, depth))
        return self._read_fields(fields, reader, depth) if fields.types else None

    # encoding: what messages take as arguments

    def encode(self, type_id: int, value: object) -> bytes:
        """The bytes of a value: integers, bools, texts, accounts, bytes, and lists and tuples of those.

        Raises:
            CodecError: The value does not fit, or is of no such type.
        """
        match self[type_id], value:
            case Primitive(name), bool() | int() | str():
                return _write_primitive(name, value)
            case Composite(), str() if self.is_account(type_id):
                return account_of(value)
            case Composite(_, Fields(_, (inner,))), _:
                return self.encode(inner, value)
            case Sequence(of), bytes() if self._is_byte(of):
                return blob(value)
            case Sequence(of), list() | tuple():
                return compact(len(value)) + b"".join(self.encode(of, each) for each in value)
            case Array(of, length), bytes() if self._is_byte(of) and len(value) == length:
                return value
            case Tuple(of), tuple() if len(of) == len(value):
                return b"".join(self.encode(each, part) for each, part in zip(of, value, strict=True))
            case Compact(), int():
                return compact(value)
            case kind, _:
                raise CodecError(f"a {type(value).__name__} is no {type(kind).__name__} of the metadata")


def _read_primitive(name: str, reader: Reader) -> object:
    if name in UINTS:
        return reader.uint(UINTS[name])
    if name == "str":
        return reader.text()
    if name == "bool":
        return reader.boolean()
    if name in SINTS:
        return reader.sint(SINTS[name])
    raise CodecError(f"values of type {name} are not read")


def _write_primitive(name: str, value: bool | int | str) -> bytes:
    if name == "bool" and isinstance(value, bool):
        return bytes([value])
    if name in UINTS and isinstance(value, int) and not isinstance(value, bool):
        return uint(value, UINTS[name])
    if name == "str" and isinstance(value, str):
        try:
            return blob(value.encode("utf-8"))
        except UnicodeEncodeError as exc:
            raise CodecError("text is no Unicode") from exc
    raise CodecError(f"a {type(value).__name__} is no {name}")
