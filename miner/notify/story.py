"""Log lines read back: from journald's JSON or our own, and those among them that tell of one swap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from miner.notify.log import strike_secrets

_LINKS = ("txid", "saga_id", "lane")
"""Fields by which a line without a swap's id may still be about it."""


def lines_of(raw: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Our lines: as they are, or within what `journalctl -o json` writes; anything else is left out.

    Secrets are struck out once more, whoever wrote the line.
    """
    for each in raw:
        found = _json(each)
        if found is not None and "MESSAGE" in found and "event" not in found:
            found = _journal(found)
        if found is not None and isinstance(found.get("event"), str):
            yield dict(strike_secrets(None, "", found))


def _journal(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    message = entry["MESSAGE"]
    if isinstance(message, list):  # journald's way to write what is no text
        try:
            message = bytes(message)
        except (ValueError, TypeError):
            return None
    return _json(message if isinstance(message, bytes) else str(message).encode())


def _json(raw: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def of_swap(lines: Iterable[Mapping[str, Any]], swap_id: int) -> list[Mapping[str, Any]]:
    """What tells of a swap: lines with its id, and those about its transactions and lanes, in their order."""
    kept = list(lines)
    links = {
        (name, str(line[name]))
        for line in kept
        if _names(line, swap_id)
        for name in _LINKS
        if line.get(name) not in (None, "")
    }
    return [line for line in kept if _names(line, swap_id) or _linked(line, links)]


def _names(line: Mapping[str, Any], swap_id: int) -> bool:
    if line.get("swap_id") == swap_id:
        return True
    several = line.get("swap_ids") or line.get("swaps")
    return isinstance(several, list) and swap_id in several


def _linked(line: Mapping[str, Any], links: set[tuple[str, str]]) -> bool:
    return "swap_id" not in line and any((name, str(line.get(name))) in links for name in _LINKS)


def since(lines: Iterable[Mapping[str, Any]], begin: datetime | None) -> Iterator[Mapping[str, Any]]:
    """Lines from a time on; a line without a time that can be read is kept."""
    for line in lines:
        at = moment(line)
        if begin is None or at is None or at >= begin:
            yield line


def moment(line: Mapping[str, Any]) -> datetime | None:
    """When a line was written."""
    try:
        found = datetime.fromisoformat(str(line.get("at")))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
