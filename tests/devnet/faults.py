"""Faults that a node's endpoint can be told to inject, by the launcher (the first six) or the proxy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """What happens to a request."""

    DROP = "drop"
    """The work is done; the reply never comes."""
    DELAY = "delay"
    """The work is done; the reply comes after `ms`."""
    REFUSE = "refuse"
    """The work is not done; an error comes back."""
    GARBLE = "garble"
    """The work is done; the reply does not decode."""
    CLOSE = "close"
    """The work is done (not with `before`); then the connection closes."""
    REPLACE = "replace"
    """The work is not done; `result` comes back: a node that lies."""

    # From here on the proxy alone.

    HANG = "hang"
    """The work is not done, and no reply comes."""
    ERROR_AFTER = "error_after"
    """The work is done; an error comes back."""
    RESET = "reset"
    """The work is done; the connection breaks in the middle of the reply."""
    TRUNCATE = "truncate"
    """The work is done; a whole message comes that holds half of the reply."""
    FLIP = "flip"
    """The work is done; the reply is valid JSON in whose texts and numbers digits were changed."""
    WRONG_TYPE = "wrong_type"
    """The work is done; the result is of another JSON type than it should be."""
    BAD_SCALE = "bad_scale"
    """The work is done; every hex in the result is cut short by a byte."""
    HUGE = "huge"
    """The work is done; the reply is followed by megabytes of padding inside the same JSON."""
    DUPLICATE = "duplicate"
    """The work is done; the reply comes twice (websocket), as do notifications."""
    OTHER_ID = "other_id"
    """The work is done; the reply names another request."""
    BUSY = "busy"
    """The work is not done: HTTP 429 with Retry-After; on a websocket error -32005, then close code 1013."""
    TWIST = "twist"
    """The work is done; the result is what `twist` makes of it: a node that lies."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault for one method.

    Attributes:
        method: the JSON-RPC method; `*` for all; `notification` silences subscriptions: all of the chain's
            with the launcher and DROP; through the proxy all, or those named in `match`, with any kind.
        kind: what happens.
        count: how many requests are hit; every one without it.
        match: text that must occur in the request's parameters (as JSON).
        ms: the delay, in milliseconds.
        before: with CLOSE, the work is not done.
        code: with REFUSE and ERROR_AFTER, the error's code.
        message: with REFUSE and ERROR_AFTER, the error's text.
        data: with REFUSE, the error's data.
        result: with REPLACE, the lie.
        retry_after_s: with BUSY, what the node asks for; None says nothing.
        twist: with TWIST, method, parameters and result → the lie.
    """

    method: str
    kind: FaultKind
    count: int | None = None
    match: str | None = None
    ms: int | None = None
    before: bool | None = None
    code: int | None = None
    message: str | None = None
    data: Any = None
    result: Any = None
    retry_after_s: int | None = None
    twist: Callable[[str, Any, Any], Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The fault as the launcher takes it: without what is not set."""
        told = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "twist"}
        return {key: value for key, value in told.items() if value is not None}


class FaultList:
    """Injected faults, counted down as they hit."""

    def __init__(self) -> None:
        self._faults: list[tuple[Fault, list[int]]] = []

    def add(self, fault: Fault) -> None:
        """Inject one; the first that fits a request hits it."""
        self._faults.append((fault, [fault.count if fault.count is not None else 1 << 60]))

    def clear(self) -> None:
        """End all."""
        self._faults.clear()

    def take(self, method: str, params: str) -> Fault | None:
        """The fault that hits this request, if any."""
        for fault, left in self._faults:
            named = fault.method == method or (fault.method == "*" and method != "notification")
            if left[0] > 0 and named and (fault.match is None or fault.match in params):
                left[0] -= 1
                return fault
        return None
