"""What of changed settings a running daemon takes over, and what waits for a restart. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from miner.config.settings import Settings

T = TypeVar("T", bound=BaseModel)

LIVE = (
    "contract.poll_interval_s",
    "contract.sweep_interval_blocks",
    "limits",
    "log",
    "notify",
    "retry",
)
"""Settings, or tables of them, that a running daemon takes over."""
AT_START = ("limits.tao.mark_fee", "limits.btc.final_confirmations")
"""Those within `LIVE` that adapters are made with."""


@dataclass(frozen=True, slots=True)
class Reload:
    """What a changed file leads to.

    Attributes:
        settings: What holds from now on: the old settings, with what could be taken over.
        live: Names of what was taken over.
        restart: Names of what changed too, and holds after a restart only.
    """

    settings: Settings
    live: tuple[str, ...]
    restart: tuple[str, ...]


def reload(old: Settings, new: Settings) -> Reload:
    """What holds when a daemon that runs by `old` is told `new`."""
    changed = tuple(_differences(old, new))
    live = tuple(name for name in changed if _is_live(name))
    settings = old
    for name in live:
        settings = _with(settings, new, name.split("."))
    return Reload(settings, live, tuple(name for name in changed if name not in live))


def _is_live(name: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in LIVE) and name not in AT_START


def _differences(old: BaseModel, new: BaseModel, prefix: str = "") -> Iterator[str]:
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if isinstance(before, BaseModel) and type(before) is type(after):
            yield from _differences(before, after, f"{prefix}{name}.")
        else:
            yield prefix + name


def _with(model: T, source: BaseModel, path: list[str]) -> T:
    """The model with one value, however deep, from another."""
    name, *rest = path
    value = getattr(source, name)
    if rest:
        value = _with(getattr(model, name), value, rest)
    return model.model_copy(update={name: value})
