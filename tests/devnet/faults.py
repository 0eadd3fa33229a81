"""Faults that either node's endpoint can be told to inject."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class Fault:
    """One kind of fault for one method.

    Attributes:
        method: the JSON-RPC method; `*` for all; `notification` (chain only, with DROP)
            silences subscriptions.
        kind: what happens.
        count: how many requests are hit; every one without it.
        match: text that must occur in the request's parameters (as JSON).
        ms: the delay, in milliseconds.
        before: with CLOSE, the work is not done.
        code: with REFUSE, the error's code.
        message: with REFUSE, the error's text.
        data: with REFUSE, the error's data.
        result: with REPLACE, the lie.
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

    def as_json(self) -> dict[str, Any]:
        """The fault as the launcher takes it: without what is not set."""
        return {key: value for key, value in asdict(self).items() if value is not None}
