"""What is wrong with a quote that users can read, and what they would get by it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from miner.amounts import Chain
from miner.errors import Refused
from miner.model.quote import Direction, Preview, Quote, preview


def problems_of(quoted: Quote, accounts: Mapping[Chain, str]) -> list[str]:
    """What would lead users astray.

    Args:
        quoted: What they read.
        accounts: The miner's configured addresses.
    """
    problems = []
    for chain, address in (
        (quoted.forward.source, quoted.forward.pays_to),
        (quoted.forward.dest, quoted.forward.pays_from),
    ):
        if chain not in tuple(Chain):
            problems.append(f"{chain!r} is no chain that a swap may name")
        elif accounts.get(Chain(chain)) not in (None, address):
            ours = accounts[Chain(chain)]
            problems.append(f"its {chain} address is {address}, and the daemon pays from {ours}")
        elif Chain(chain) not in accounts:
            problems.append(f"it names {chain}, for which the settings have no address")
    for direction in quoted.directions:
        problems += _unpayable(direction)
    return problems


def _unpayable(direction: Direction) -> list[str]:
    try:
        preview(direction, 1)
    except Refused as refused:
        if refused.name == "bad_rate":
            return [f"swaps {direction.source} to {direction.dest} would be refused: {refused.cause}"]
    return []


def preview_of(direction: Direction, fee_divisor: int) -> Preview | None:
    """What the example's user would get; None where there is no such swap."""
    try:
        return preview(direction, fee_divisor)
    except Refused:
        return None


def in_words(quoted: Quote, fee_divisor: int) -> str:
    """What users would get, in words."""
    found = [preview_of(each, fee_divisor) for each in quoted.directions]
    told = [str(each) for each in found if each is not None]
    return "; ".join(told) or "both directions are switched off, so that no user chooses it"
