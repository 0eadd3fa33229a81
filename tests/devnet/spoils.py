"""What faults make of a reply: pure, so that proxy and adapter tests spoil alike."""

from __future__ import annotations

import json
from typing import Any

from tests.devnet.faults import Fault, FaultKind

GARBLED = '{"jsonrpc":"2.0","id":1,"resu'
HUGE_BYTES = 160 * 2**20
"""More than any reply may be."""
_FLIPPED = str.maketrans("0123456789abcdef", "1032547698badcfe")


def flipped(value: Any) -> Any:
    """The value with every digit in its texts and numbers changed; the shape stays."""
    if isinstance(value, str):
        start = 2 if value.startswith("0x") else 0
        return value[:start] + value[start:].translate(_FLIPPED)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return [flipped(each) for each in value]
    if isinstance(value, dict):
        return {key: flipped(each) for key, each in value.items()}
    return value


def of_another_type(value: Any) -> Any:
    """A value of another JSON type."""
    if isinstance(value, str):
        return {"value": value}
    if isinstance(value, dict):
        return list(value)
    if isinstance(value, list):
        return "list"
    return [value]


def cut_short(value: Any) -> Any:
    """The value with the last byte of every hex text gone."""
    if isinstance(value, str):
        return value[:-2] if len(value) > 4 else value
    if isinstance(value, list):
        return [cut_short(each) for each in value]
    if isinstance(value, dict):
        return {key: cut_short(each) for key, each in value.items()}
    return value


def error_reply(reply: dict[str, Any], fault: Fault) -> dict[str, Any]:
    """An error in place of the result."""
    told = {"code": fault.code or -32000, "message": fault.message or "refused by the devnet"}
    if fault.data is not None:
        told["data"] = fault.data
    error: dict[str, Any] = {"jsonrpc": "2.0", "id": reply.get("id"), "error": told}
    return error if "jsonrpc" in reply else {**error, "result": None}


def spoiled(text: str, fault: Fault, method: str, params: Any) -> str:
    """The text of one reply, or notification, as the fault leaves it."""
    if fault.kind is FaultKind.GARBLE:
        return GARBLED
    if fault.kind is FaultKind.TRUNCATE:
        return text[: len(text) // 2]
    reply = json.loads(text)
    if not isinstance(reply, dict):
        return GARBLED
    if fault.kind is FaultKind.OTHER_ID:
        return json.dumps({**reply, "id": 10**9})
    if fault.kind is FaultKind.ERROR_AFTER:
        return json.dumps(error_reply(reply, fault))
    if fault.kind is FaultKind.HUGE:
        return json.dumps({**reply, "padding": "x" * HUGE_BYTES})
    return json.dumps(_with_result(reply, fault, method, params))


def _with_result(reply: dict[str, Any], fault: Fault, method: str, params: Any) -> dict[str, Any]:
    inner = reply.get("params") if "method" in reply else reply
    if not isinstance(inner, dict) or "result" not in inner:
        return reply
    inner["result"] = _changed(inner["result"], fault, method, params)
    return reply


def _changed(result: Any, fault: Fault, method: str, params: Any) -> Any:
    if fault.kind is FaultKind.FLIP:
        return flipped(result)
    if fault.kind is FaultKind.WRONG_TYPE:
        return of_another_type(result)
    if fault.kind is FaultKind.BAD_SCALE:
        return cut_short(result)
    if fault.kind is FaultKind.TWIST and fault.twist is not None:
        return fault.twist(method, params, result)
    return result
