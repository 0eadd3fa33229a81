"""Reads the sent cache of the miner in the field.

Its form: `{"<swap id>": [tx hash, block, marked (if known), timeout block (if known)]}`.
"""

from __future__ import annotations

import json
from typing import Any

from miner.errors import ConfigError
from miner.model import ImportedSend
from miner.store.schema import MAX_INT

_REMEDY = "Nothing was imported. Look at the chain and correct the line, or restore the file; never delete it"
_SHOWN = 80


def parse(text: str, source: str) -> list[ImportedSend]:
    """Read a sent cache; all of it, or nothing.

    Args:
        text: The file's content.
        source: The file's name, for errors.

    Returns:
        Its lines by swap id. What they say is a hint: the hash may be the literal `tao_transfer`, the
        block a guess.

    Raises:
        ConfigError: It is empty, no such JSON, names a swap twice, or a line does not read.
    """
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs, parse_float=_Odd, parse_constant=_Odd)
    except ValueError as exc:
        raise ConfigError(source, f"is no JSON ({exc})", _REMEDY) from exc
    except RecursionError as exc:
        raise ConfigError(source, "is no sent cache: nested too deeply", _REMEDY) from exc
    if not isinstance(pairs, _Pairs):
        raise ConfigError(source, f"holds {_show(pairs)} where an object was due", _REMEDY)
    found: dict[int, ImportedSend] = {}
    for key, value in pairs:
        send = _line(key, value, source)
        if send.swap_id in found:
            raise _bad(source, key, value, "the swap is named twice")
        found[send.swap_id] = send
    return [found[swap_id] for swap_id in sorted(found)]


class _Pairs(list[tuple[str, Any]]):
    """An object as it is written, with its repetitions."""


class _Odd(str):
    """A number that is no integer."""


def _line(key: str, value: Any, source: str) -> ImportedSend:
    if not (key.isascii() and key.isdecimal() and int(key) <= MAX_INT):
        raise _bad(source, key, value, "the key is no swap id")
    if not isinstance(value, list) or isinstance(value, _Pairs) or not 2 <= len(value) <= 4:
        raise _bad(source, key, value, "expected [tx hash, block], then marked and timeout block if known")
    txid, block = value[:2]
    marked = value[2] if len(value) > 2 else False
    timeout_block = value[3] if len(value) > 3 else None
    if not isinstance(txid, str) or isinstance(txid, _Odd) or not txid.strip():
        raise _bad(source, key, value, "the first element is no transaction hash")
    if not _is_block(block):
        raise _bad(source, key, value, "the second element is no block number")
    if not isinstance(marked, bool):
        raise _bad(source, key, value, "the third element is neither true nor false")
    if timeout_block is not None and not _is_block(timeout_block):
        raise _bad(source, key, value, "the fourth element is no block number")
    return ImportedSend(int(key), txid.strip(), block, marked, timeout_block)


def _is_block(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INT


def _bad(source: str, key: str, value: Any, why: str) -> ConfigError:
    return ConfigError(f"{source}: {json.dumps(key)}", f"{_show(value)}: {why}", _REMEDY)


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
