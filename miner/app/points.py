"""Crash points: every boundary between this process and what outlives it, named from the ports themselves.

A port's method that acts (`miner.boundary.acts`) has a point before and one after it. Where one method does
things that differ for a recovery, it has a pair for each: `store.step` for each event of the saga's table,
`store.sight` and `broadcast` for each kind, `store.ingest` for what it brings. A method that gives a `Claim`
has a pair around the signature, which is made inside the store's transaction.

`surround` puts a callback at each point of an adapter: tests end the process there, or raise.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeVar, cast, get_type_hints

from miner import ports
from miner.amounts import Chain
from miner.boundary import effect_of
from miner.model import AttemptKind, Claim, Ingest, SightingKind, SignedTx
from miner.saga import Event

Reached = Callable[[str], None]
"""Told the name of each point as it is reached, in the task or thread that reaches it."""
Adapter = TypeVar("Adapter")
Call = Callable[..., Awaitable[Any]]

BOUNDARIES: Final[Mapping[str, type]] = MappingProxyType(
    {
        "store": ports.Store,
        "contract": ports.SwapContract,
        "affairs": ports.Affairs,
        "recovery": ports.RecoveryLog,
        "outbox": ports.Outbox,
        "messenger": ports.Messenger,
        **{chain.value: ports.Rail for chain in Chain},
    }
)
"""The adapters that services act through, by the name that their points begin with."""

INNER: Final = frozenset({ports.CallLanes, ports.Substrate})
"""Ports between two adapters: reached through a boundary only, whose points surround them."""


def acting(port: type) -> tuple[str, ...]:
    """The methods of a port that act, in the order in which they stand there."""
    return tuple(name for name, member in _members(port).items() if effect_of(member) == "acts")


def _members(port: type) -> dict[str, Any]:
    """What a port asks for, that of its parts included, in the order in which it stands there."""
    parts = [each for each in port.__mro__ if each not in (object, Protocol, Generic)]
    return {name: member for part in parts for name, member in vars(part).items()}


def undeclared(port: type) -> tuple[str, ...]:
    """Methods of a port that say neither that they read nor that they act."""
    members = _members(port).items()
    methods = {name: m for name, m in members if inspect.isfunction(m) and not name.startswith("_")}
    return tuple(name for name, member in methods.items() if effect_of(member) is None)


def claims(port: type, method: str) -> bool:
    """Whether a method gives a claim, which the store has signed in its own transaction."""
    return get_type_hints(getattr(port, method))["return"] is Claim


# what distinguishes two calls of one method


def _event(*args: Any) -> str:
    return str(args[1].event)


def _sighted(*args: Any) -> str:
    return str(args[1].kind)


def _brought(*args: Any) -> str:
    batch: Ingest = args[0]
    if batch.discoveries:
        return "discovery"
    if any(seen.ending is not None for seen in batch.observations):
        return "ending"
    return "observation" if batch.observations else "heads"


def _sent(*args: Any) -> str:
    return str(args[0].latest.kind)


KINDS: Final[Mapping[str, tuple[tuple[str, ...], Callable[..., str]]]] = MappingProxyType(
    {
        "store.step": (tuple(Event), _event),
        "store.sight": (tuple(SightingKind), _sighted),
        "store.ingest": (("discovery", "ending", "observation", "heads"), _brought),
        "contract.broadcast": ((AttemptKind.MARK, AttemptKind.FILLER), _sent),
        **{f"{chain}.broadcast": ((AttemptKind.PAYMENT, AttemptKind.FILLER), _sent) for chain in Chain},
    }
)
"""Methods with a pair of points for each kind of call: all kinds, and the kind of one call's arguments."""


def boundaries() -> tuple[str, ...]:
    """Every boundary: `store.open`, `store.step:PAYOUT_SIGNED`, `btc.sign`, `contract.broadcast:mark` …."""
    return tuple(found for name, port in BOUNDARIES.items() for found in _boundaries_of(name, port))


def _boundaries_of(name: str, port: type) -> Iterator[str]:
    for method in acting(port):
        kinds, _ = KINDS.get(f"{name}.{method}", ((), None))
        yield from (f"{name}.{method}:{kind}" for kind in kinds) if kinds else (f"{name}.{method}",)
        if claims(port, method):
            yield f"{name}.sign"


def points() -> tuple[str, ...]:
    """Every crash point: `before:` and `after:` each boundary."""
    return tuple(f"{when}:{boundary}" for boundary in boundaries() for when in ("before", "after"))


def surround(adapter: Adapter, name: str, reached: Reached) -> Adapter:
    """The adapter, with `reached` called before and after whatever of it acts.

    `after:` is told only of calls that ended well. What `reached` raises comes out of the call: before it,
    nothing was done; after it, all was.

    Args:
        adapter: Implements the port of that name.
        name: A name of `BOUNDARIES`.
        reached: Told each point.
    """
    return cast("Adapter", _Surrounded(adapter, name, reached))


class _Surrounded:
    """Stands for an adapter; what does not act is the adapter's own."""

    def __init__(self, adapter: object, name: str, reached: Reached) -> None:
        self._adapter = adapter
        for method in acting(BOUNDARIES[name]):
            setattr(self, method, _around(getattr(adapter, method), name, method, reached))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)


def _around(method: Call, name: str, label: str, reached: Reached) -> Call:
    _, kind_of = KINDS.get(f"{name}.{label}", ((), None))
    signature = inspect.signature(method)

    @functools.wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        kind = kind_of(*signature.bind(*args, **kwargs).args) if kind_of else ""
        boundary = f"{name}.{label}:{kind}" if kind else f"{name}.{label}"
        reached(f"before:{boundary}")
        result = await method(*args, **kwargs)
        if isinstance(result, Claim):
            result = replace(result, sign=_around_signing(result, f"{name}.sign", reached))
        reached(f"after:{boundary}")
        return result

    return call


def _around_signing(claim: Claim, boundary: str, reached: Reached) -> Callable[[str], SignedTx]:
    def sign(slot: str) -> SignedTx:
        reached(f"before:{boundary}")
        signed = claim.sign(slot)
        reached(f"after:{boundary}")
        return signed

    return sign
