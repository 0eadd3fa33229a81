"""What a port's method leaves behind: each method says it, and the crash points follow from what acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

Method = TypeVar("Method", bound=Callable[..., object])

_EFFECT = "__effect__"


def reads(method: Method) -> Method:
    """Nothing of it outlives this process: it asks, waits, connects or tells how things stand."""
    return _declared(method, "reads")


def acts(method: Method) -> Method:
    """It changes what outlives this process: a store, a chain, a file, a node's wallet; or it signs."""
    return _declared(method, "acts")


def _declared(method: Method, effect: Literal["reads", "acts"]) -> Method:
    setattr(method, _EFFECT, effect)
    return method


def effect_of(method: object) -> Literal["reads", "acts"] | None:
    """What a method of a port declares; None where it declares nothing."""
    return getattr(method, _EFFECT, None)
