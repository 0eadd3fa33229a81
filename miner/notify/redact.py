"""Log lines for strangers: addresses, amounts, hosts, paths and names get other names, always the same.

What is left tells what happened and in which order, and that two lines speak of the same account; it does not
tell whose. Secrets are struck out in any case, redacted or not (`miner.notify.log`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from miner.notify.log import strike_secrets

_BASE58 = "1-9A-HJ-NP-Za-km-z"
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("url", re.compile(r"\b[a-z][a-z0-9+]*://[^\s'\"<>`,;]+", re.I)),
    ("hash", re.compile(r"\b(?:0x)?[0-9a-fA-F]{40,}\b|\b0x[0-9a-fA-F]{8,}\b")),
    ("address", re.compile(rf"\b(?:bc|tb|bcrt)1[0-9a-z]{{8,87}}\b|\b[{_BASE58}]{{46,49}}\b", re.I)),
    ("address", re.compile(rf"\b[123mn][{_BASE58}]{{25,38}}\b")),
    ("host", re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\[[0-9a-fA-F:]{2,}\](?::\d+)?")),
    ("host", re.compile(r"\b(?:[a-z0-9-]+\.)+[a-z0-9-]+:\d+\b|\blocalhost(?::\d+)?\b", re.I)),
    ("path", re.compile(r"(?<![\w./])~?/(?:[\w.@+~-]+/)*[\w.@+~-]+")),
    ("person", re.compile(r"(?<=\boperator:)[^\s:,;'\"]+")),
    ("amount", re.compile(r"\b\d[\d_]*(?:\.\d+)?\s*(?:TAO|BTC|rao|sat)\b", re.I)),
    ("amount", re.compile(r"(?<!block )(?<!height )(?<!nonce )(?<!swap )(?<![\w.:-])\d{5,}(?![\w.:-])")),
)
_AMOUNT = re.compile(
    r"amount|_rao$|_sat$|fee$|balance|spendable|set_aside|reserved|collateral|outflow|slash|missing", re.I
)
_NAMED: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("host", re.compile(r"^(host|hostname|endpoint|url|node|peer|server|store|target)$", re.I)),
    ("address", re.compile(r"^(account|address|miner|hotkey|recipient|user|payer|contract)$", re.I)),
    ("hash", re.compile(r"(hash|txid|genesis|taker|slot)$", re.I)),
    ("path", re.compile(r"(path|file|folder)$", re.I)),
    ("person", re.compile(r"^(actor|person|user_name)$", re.I)),
)
_EVENT_FIELDS = frozenset({"event", "level", "at", "state", "before", "after", "event_name", "of", "logger"})
_DEPTH = 8


class Redactor:
    """Gives each thing one other name, for as long as it lives.

    Args:
        known: Words that are replaced wherever they stand, such as hosts and folders of the settings, with
            the kind of thing that each is.
    """

    def __init__(self, known: Iterable[tuple[str, str]] = ()) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        words = {word: kind for kind, word in known if len(word) > 3}
        self._known = words
        longest_first = sorted(map(re.escape, words), key=len, reverse=True)
        self._word = re.compile("|".join(longest_first)) if words else None

    def line(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """A log line with nothing in it that tells who or where."""
        struck = strike_secrets(None, "", dict(line))
        return {self.text(str(key)): self._value(str(key), value, _DEPTH) for key, value in struck.items()}

    def text(self, text: str) -> str:
        """A text likewise."""
        if self._word is not None:
            text = self._word.sub(lambda m: self._name(self._known[m[0]], m[0]), text)
        for kind, pattern in _KINDS:
            text = pattern.sub(lambda m, kind=kind: self._name(kind, m[0]), text)  # type: ignore[misc]
        return text

    def _value(self, key: str, value: Any, depth: int) -> Any:
        if isinstance(value, bool) or value is None or key in _EVENT_FIELDS:
            return value
        if depth == 0:
            return "…"
        if isinstance(value, Mapping):
            return {self.text(str(k)): self._value(str(k), v, depth - 1) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(key, item, depth - 1) for item in value]
        if _AMOUNT.search(key) and isinstance(value, int | float | str) and str(value):
            return self._name("amount", str(value)) if re.search(r"\d", str(value)) else self.text(str(value))
        return self._plain(key, value)

    def _plain(self, key: str, value: Any) -> Any:
        if not isinstance(value, str) or not value:
            return value
        for kind, pattern in _NAMED:
            if pattern.search(key) and " " not in value:
                return self._name(kind, value)
        return self.text(value)

    def _name(self, kind: str, thing: str) -> str:
        if re.fullmatch(r"<[a-z]+-\d+>", thing):
            return thing
        key = (kind, thing)
        if key not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[key] = f"<{kind}-{self._counts[kind]}>"
        return self._names[key]
