"""How miners stand with the contract, and what they have committed as quotes: plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from miner.amounts import Chain
from miner.model import Lane, MinerStanding


@dataclass(frozen=True, slots=True)
class Standings:
    """Miners by name, with how each stands with the contract.

    Attributes:
        miners: Name and standing, in the settings' order.
        best_height: Best head, by which cooldowns are counted.
        sent: Their newest transactions of their own, newest first.
    """

    miners: Sequence[tuple[str, MinerStanding]]
    best_height: int
    sent: Sequence[Lane] = ()


@dataclass(frozen=True, slots=True)
class Committed:
    """What a miner has committed on chain.

    Attributes:
        miner: The operator's name for it.
        hotkey: Who committed.
        accounts: Its configured addresses, by chain.
        text: The commitment; None where there is none, or it is no text.
        block: When it was made; 0 for never.
        problem: Why it could not be read; empty where it was.
    """

    miner: str
    hotkey: str
    accounts: Mapping[Chain, str]
    text: str | None = None
    block: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Quotes:
    """What miners have committed, and what a user's amount is divided by for the fee."""

    miners: Sequence[Committed]
    fee_divisor: int
    height: int
