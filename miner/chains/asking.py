"""What every node has in common: replies that do not read, and how soon it may be asked again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from miner.tally import REQUESTS, tally

LONGEST_ASKED_S: Final = 300.0
"""Longest that a node's word is waited for; a deadline may depend on it."""
BUSY: Final = frozenset({429, 503})
"""HTTP statuses of a node that wants to be left alone for a while."""
UNREADABLE: Final = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What reading a reply of an unexpected shape leads to: nothing was learned from it."""


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """Seconds that a reply's `Retry-After` asks for (RFC 9110 §10.2.3: seconds, or a date).

    Args:
        headers: The reply's.
        now: The present; the machine's clock without it.

    Returns:
        At most `LONGEST_ASKED_S`; 0 where nothing is asked for, or it does not read.
    """
    told = headers.get("Retry-After", "").strip()
    if told.isascii() and told.isdecimal():
        return LONGEST_ASKED_S if len(told) > 6 else min(float(told), LONGEST_ASKED_S)
    try:
        until = parsedate_to_datetime(told)
    except (TypeError, ValueError):
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    left = (until - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, min(left, LONGEST_ASKED_S))


@contextmanager
def counted(chain: str, method: str, says_no: type[Exception]) -> Iterator[None]:
    """A request, for the metrics: answered, answered with an error of the node's, or not answered."""
    try:
        yield
    except says_no:
        tally.count(REQUESTS, chain, method, "error")
        raise
    except Exception:
        tally.count(REQUESTS, chain, method, "lost")
        raise
    tally.count(REQUESTS, chain, method, "ok")


def jittered(seconds: float) -> float:
    """Between half of it and all of it, so that many who lost one node do not come back at once."""
    return seconds * (0.5 + random.random() / 2)  # noqa: S311  # spreads load, guards nothing
