"""The types of the settings' values: each knows what it accepts, and what to write instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
)

from miner.amounts import Chain, format_amount
from miner.config.problems import BadValue
from miner.config.quantities import amount_of, check_ss58
from miner.config.secrets import SecretFile, absolute, parse_secret

_HASH = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)


class Part(BaseModel):
    """A table of the settings: immutable, and without keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise BadValue("{value} is no number", "Write a number")
    return value


def _url(*schemes: str) -> Any:
    wanted = " or ".join(f'"{scheme}://host:port"' for scheme in schemes)

    def check(value: object) -> str:
        parts = _split(value)
        if parts is None or parts.scheme not in schemes or not parts.hostname:
            raise BadValue("{value} is no address of a node", f"Write it as {wanted}")
        if "@" in parts.netloc:
            raise BadValue(
                "{value} holds a user or password", f"Write it as {wanted}; see user, password_file"
            )
        return str(value)

    return check


_POSTGRES = re.compile(
    r"postgres(?:ql)?://(?:(?P<user>[^/?#@]*)@)?[^/?#@]*/[^/?#]+(?:\?(?P<query>[^#]*))?", re.ASCII
)


def _store_url(value: object) -> str:
    found = _POSTGRES.fullmatch(value) if isinstance(value, str) and value.isprintable() else None
    wanted = 'Write it as "postgresql://user@host:5432/database"'
    if found is None or " " in str(value):
        raise BadValue("{value} is no PostgreSQL database", f"{wanted}; for SQLite set only path")
    names = [part.partition("=")[0].lower() for part in (found["query"] or "").split("&")]
    if ":" in (found["user"] or "") or {"password", "sslpassword"} & set(names):
        raise BadValue("holds a password", f"{wanted}, and name the password's file in password_file")
    return str(value)


def _split(value: object) -> SplitResult | None:
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        return None
    try:
        parts = urlsplit(value)
        return None if parts.port == 0 else parts
    except ValueError:
        return None


def _hash(value: object) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value.lower()):
        raise BadValue(
            "{value} is no block hash", "Write 0x and 64 hex digits, as chain_getBlockHash(0) answers"
        )
    return value.lower()


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise BadValue("{value} is no name", "Use letters, digits, '-', '_' and '.'; at most 63 of them")
    return value


def _amount(chain: Chain) -> Any:
    read = amount_of(chain)

    def check(value: object) -> int:
        return read(value)

    return check


Seconds = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, le=86_400)]
Blocks = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=1_000_000)]
Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=1_000_000)]
SatPerVbyte = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=10_000)]
Confirmations = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=1_000)]

Rao = Annotated[
    int,
    PlainValidator(_amount(Chain.TAO)),
    PlainSerializer(lambda v: format_amount(v, Chain.TAO), return_type=str),
]
Sat = Annotated[
    int,
    PlainValidator(_amount(Chain.BTC)),
    PlainSerializer(lambda v: format_amount(v, Chain.BTC), return_type=str),
]

FilePath = Annotated[Path, PlainValidator(absolute)]
Secret = Annotated[SecretFile, PlainValidator(parse_secret), PlainSerializer(str, return_type=str)]
NodeUrl = Annotated[str, PlainValidator(_url("wss", "ws"))]
HttpUrl = Annotated[str, PlainValidator(_url("http", "https"))]
StoreUrl = Annotated[str, PlainValidator(_store_url)]
Ss58 = Annotated[str, Field(strict=True), AfterValidator(check_ss58)]
BlockHash = Annotated[str, PlainValidator(_hash)]
Name = Annotated[str, PlainValidator(_name)]
