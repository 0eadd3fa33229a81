"""The chain that the contract is on, and time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from miner.boundary import reads
from miner.model import Head


@dataclass(frozen=True, slots=True)
class Heads:
    """The chain's two heads as last heard.

    Attributes:
        best: Highest head known.
        finalised: Newest finalised head.
    """

    best: Head
    finalised: Head


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How a node stands.

    Attributes:
        url: Its address, without credentials.
        connected: Whether it is of use now.
        used: Whether it is the one in use.
        best: Highest head it told; None before the first.
        finalised: Newest finalised head it told; None before the first.
        silent_s: Seconds since it told anything.
        why: Why it is of no use, in words; empty where it is.
    """

    url: str
    connected: bool
    used: bool
    best: int | None
    finalised: int | None
    silent_s: float
    why: str = ""


class Clock(Protocol):
    """Time for waiting and back-off; never for leases (the database's clock) or deadlines (blocks)."""

    @reads
    def monotonic(self) -> float:
        """Seconds since some start, never going back."""

    @reads
    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Node(Protocol):
    """The contract's chain."""

    @property
    def genesis(self) -> str:
        """Genesis hash, `0x` + 64 hex; empty before `connect` where the config names none."""

    @reads
    async def connect(self) -> None:
        """Connect to the first endpoint that answers for the right genesis."""

    @reads
    async def close(self) -> None:
        """Close every connection; idempotent."""

    @reads
    def follow(self) -> AsyncIterator[Heads]:
        """The heads now, and again at each change, for ever; reconnects and fails over by itself.

        Fast blocks may be skipped: the reader fills gaps by height. Raises `ReadFailed` only when no
        endpoint has answered for the configured time; may then be called again.
        """

    @reads
    async def hash_at(self, height: int) -> str | None:
        """Hash of the block at `height` on the best chain; None where there is none yet."""

    @reads
    async def finalised(self) -> Head:
        """The newest finalised head, asked for now: a pushed one may be as old as this process's last turn.

        Raises:
            ReadFailed: The node did not say.
        """

    @reads
    def best_height(self) -> int:
        """Highest fresh best head heard from any endpoint; 0 before the first."""

    @reads
    def ask_another(self) -> None:
        """What one endpoint said is to be looked at again: ask another from now on, where one answers."""
