"""A contract's metadata (ink! 5): read from its JSON file and checked at the edge.

Selectors, argument order, types, error names and numbers, struct layouts and event topics all come from
here, so a deployment that orders or numbers them otherwise works as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from miner.contract.registry import (
    Array,
    Compact,
    Composite,
    Fields,
    Primitive,
    Registry,
    Sequence,
    Tuple,
    TypeDef,
    Variant,
)
from miner.contract.scale import CodecError
from miner.errors import ConfigError

VERSION = 5
"""Format of the metadata of ink! 5."""

REMEDY = "Point `contract.metadata` at the JSON file that was built with the deployed contract (ink! 5)"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the contract.

    Attributes:
        label: Its name.
        selector: 4 bytes in front of the arguments.
        args: Label and type of each argument, in the order they are encoded.
        returns: Type of the whole answer, ink!'s `Result<T, LangError>`.
        answer: Type of its `T`.
    """

    label: str
    selector: bytes
    args: tuple[tuple[str, int], ...]
    returns: int
    answer: int


@dataclass(frozen=True, slots=True)
class EventSpec:
    """An event of the contract.

    Attributes:
        label: Its name.
        topic: First topic of each such event, 32 bytes.
        fields: Label and type of each field, in the order they are encoded.
    """

    label: str
    topic: bytes
    fields: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a contract's metadata says.

    Attributes:
        where: The file it was read from.
        types: The type registry.
        messages: By label.
        events: By signature topic.
        code_hash: Hash of the code it was built with, `0x` + 64 hex; empty where it does not say.
    """

    where: str
    types: Registry = field(repr=False)
    messages: Mapping[str, Message] = field(repr=False)
    events: Mapping[bytes, EventSpec] = field(repr=False)
    code_hash: str = ""

    def event(self, label: str) -> EventSpec | None:
        """An event by name."""
        return next((event for event in self.events.values() if event.label == label), None)

    def call_data(self, label: str, args: Mapping[str, object]) -> bytes:
        """Selector and encoded arguments of a message.

        Args:
            label: The message.
            args: Values by argument label.

        Raises:
            CodecError: A value does not fit its type.
        """
        message = self.messages[label]
        return message.selector + b"".join(self.types.encode(of, args[name]) for name, of in message.args)


def parse(text: str, where: str) -> Metadata:
    """Read metadata; nothing of what the daemon needs is checked yet, see `miner.contract.needs`.

    Args:
        text: The JSON.
        where: Names it in errors.

    Raises:
        ConfigError: It is no ink! 5 metadata.
    """
    if not text.strip():
        raise ConfigError(where, "the file is empty", REMEDY)
    try:
        document = json.loads(text)
    except ValueError as exc:
        raise ConfigError(where, f"the file is no JSON ({exc})", REMEDY) from exc
    except RecursionError as exc:
        raise ConfigError(where, "the file is nested too deep", REMEDY) from exc
    if not isinstance(document, dict) or not {"spec", "types"} <= document.keys():
        raise ConfigError(where, "the file is no contract metadata: `spec` or `types` is missing", REMEDY)
    if str(document.get("version")) != str(VERSION):
        told = document.get("version", "none")
        raise ConfigError(where, f"metadata version {VERSION} expected, {told!r} found", REMEDY)
    return _Parser(where).metadata(document)


def read(path: Path) -> Metadata:
    """Read a metadata file. See `parse`.

    Raises:
        ConfigError: It cannot be read, or is no ink! 5 metadata.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as exc:
        raise ConfigError(str(path), f"the file cannot be read ({exc.strerror or exc})", REMEDY) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(str(path), "the file is no UTF-8 text", REMEDY) from exc


class _Parser:
    """Walks the document; each part that does not read is named in the error."""

    def __init__(self, where: str) -> None:
        self._where = where

    def metadata(self, document: Mapping[str, Any]) -> Metadata:
        types = self._part("types", lambda: _types(document["types"]))
        spec = document["spec"]
        messages = self._part("spec.messages", lambda: [_message(m, types) for m in spec["messages"]])
        events = self._part("spec.events", lambda: [e for e in map(_event, spec["events"]) if e is not None])
        code_hash = self._part("source", lambda: str((document.get("source") or {}).get("hash", "")))
        return Metadata(
            self._where,
            types,
            {message.label: message for message in messages},
            {event.topic: event for event in events},
            code_hash.lower(),
        )

    def _part(self, name: str, work: Callable[[], T]) -> T:
        try:
            return work()
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
            raise ConfigError(self._where, f"`{name}` does not read ({exc!r})", REMEDY) from exc


def _types(told: list[Mapping[str, Any]]) -> Registry:
    return Registry({int(each["id"]): _type(each["type"]) for each in told})


def _type(told: Mapping[str, Any]) -> TypeDef:
    path = tuple(map(str, told.get("path", ())))
    ((kind, body),) = told["def"].items()
    match kind:
        case "primitive":
            return Primitive(str(body))
        case "composite":
            return Composite(path, _fields(body.get("fields", [])))
        case "variant":
            return Variant(path, dict(map(_variant, body.get("variants", ()))))
        case "sequence":
            return Sequence(int(body["type"]))
        case "array":
            return Array(int(body["type"]), int(body["len"]))
        case "tuple":
            return Tuple(tuple(map(int, body)))
        case "compact":
            return Compact(int(body["type"]))
        case _:
            return Primitive(str(kind))  # bit sequences: known, never read


def _variant(told: Mapping[str, Any]) -> tuple[int, tuple[str, Fields]]:
    return int(told["index"]), (str(told["name"]), _fields(told.get("fields", [])))


def _fields(told: list[Mapping[str, Any]]) -> Fields:
    names = tuple(None if f.get("name") is None else str(f["name"]) for f in told)
    if any(names) and not all(names):
        raise ValueError("some fields have names and some have not")
    return Fields(names, tuple(int(f["type"]) for f in told))


def _args(told: list[Mapping[str, Any]]) -> tuple[tuple[str, int], ...]:
    return tuple((str(arg["label"]), int(arg["type"]["type"])) for arg in told)


def _message(told: Mapping[str, Any], types: Registry) -> Message:
    selector = bytes.fromhex(told["selector"].removeprefix("0x"))
    if len(selector) != 4:
        raise ValueError(f"selector {told['selector']}")
    returns = int(told["returnType"]["type"])
    return Message(str(told["label"]), selector, _args(told["args"]), returns, _answer(types, returns))


def _answer(types: Registry, returns: int) -> int:
    """`T` of ink!'s `Result<T, LangError>`."""
    result = types[returns]
    ok = result.fields_of("Ok") if isinstance(result, Variant) else None
    if ok is None or len(ok.types) != 1:
        raise CodecError(f"type {returns} is no Result")
    return ok.types[0]


def _event(told: Mapping[str, Any]) -> EventSpec | None:
    """The event; None for an anonymous one, which cannot be told from others."""
    if told.get("signature_topic") is None:
        return None
    topic = bytes.fromhex(told["signature_topic"].removeprefix("0x"))
    if len(topic) != 32:
        raise ValueError(f"signature topic {told['signature_topic']}")
    return EventSpec(str(told["label"]), topic, _args(told["args"]))
