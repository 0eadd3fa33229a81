"""The structured log: one line an event, JSON or for people, on standard error; secrets are struck out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import Processor

from miner.notify.repeat import Repetition

HIDDEN = "(not shown)"
_SECRET = re.compile(
    r"pass(word|phrase|wd)?$|mnemonic|seed|secret|token|private|raw$|signed_bytes|authorization", re.I
)
_LONG_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]{160,}")  # a signed transaction is longer than any id
_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_DEPTH = 6


def configure(
    level: str = "info", form: str = "json", stream: TextIO | None = None, repeat_s: float = 0.0
) -> None:
    """Set up structlog, and route the log of every library through it.

    Args:
        level: Least severity of ours that is written (`debug`, `info`, `warning`, `error`); of a library's
            lines, warnings and worse.
        form: `json`, or `console` for people.
        stream: Where to; standard error by default.
        repeat_s: How long the same warning with the same cause is written once only; 0: always.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        strike_secrets,
    ]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, Repetition(repeat_s), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_Ours(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(form, handler.stream),
            ],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_Ours.NAME).setLevel(threshold)
    logging.captureWarnings(True)


class _Ours:
    """Hands out the one logger below which all of ours are."""

    NAME = "swap-miner"

    def __call__(self, *_args: Any) -> logging.Logger:
        return logging.getLogger(self.NAME)


def _renderer(form: str, stream: TextIO) -> Processor:
    if form == "console":
        # The plain formatter: others print the values of local variables, among them keys.
        return structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, timestamp_key="at"
        )
    return structlog.processors.JSONRenderer(serializer=_json)


def _json(event: object, **_options: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def strike_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace bytes, long hex, passwords in addresses, and whatever is named like a secret."""
    for key, value in event.items():
        event[key] = _struck(key, value, _DEPTH)
    return event


def _struck(key: str, value: Any, depth: int) -> Any:
    if _SECRET.search(key) and value is not None and not isinstance(value, bool):
        return HIDDEN
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"
    if isinstance(value, str):
        return _IN_URL.sub("…@", _LONG_HEX.sub(HIDDEN, value))
    if isinstance(value, bool | int | float) or value is None:
        return _exact(value)
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return {str(inner): _struck(str(inner), item, depth - 1) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_struck(key, item, depth - 1) for item in value]
    return _struck(key, str(value), depth - 1)


def _exact(value: Any) -> Any:
    """An integer that JSON can carry; a larger one as text."""
    return (
        str(value)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63
        else value
    )
