"""The matrix: every boundary, before and after, on each rail, first and again, with one swap and several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tests.acceptance.crashes.scenarios import RAIL, SCENARIOS, Scenario
from tests.devnet.terms import ChainName

FIRST, RETRY = "first", "retry"
ONE, SEVERAL = 1, 3
MINERS = 12
"""Miners of the devnet, which a troupe shares out."""

PER_SWAP = ("store.step:", "store.sight:", "tao.", "btc.", "contract.", "recovery.", "store.recovery_written")
"""Boundaries that each swap comes to: with several, it is at the second time that the process dies there."""

FIRST_DIES = {
    "store.sight:unseen": "after:store.step:PAYOUT_SIGNED",
    "store.step:RESERVATION_YIELDED": "after:store.step:INVENTORY_RESERVED",
    "store.sight:in_pool": "after:{rail}.broadcast:payment",
}
"""Boundaries that only a process comes to which finds what a dead one has left, and where that one dies."""


@dataclass(frozen=True)
class Case:
    """One death, or two, and what becomes of the swaps.

    Attributes:
        scenario: What is played.
        rail: The payout chain.
        when: `before` or `after` the boundary.
        boundary: See `miner.app.points`.
        attempt: `first`: the process dies at the point. `retry`: the first attempt dies before the boundary,
            and the process that tries again dies at the point.
        swaps: How many swaps the daemon has in flight.
    """

    scenario: str
    rail: ChainName
    when: str
    boundary: str
    attempt: str
    swaps: int

    @property
    def id(self) -> str:
        """As it is called in tests and tables."""
        several = "one" if self.swaps == ONE else "several"
        where = f"{self.when}:{self.boundary}"
        return f"{where}-{self.rail.upper()}-{self.attempt}-{several}-{self.scenario}"

    @property
    def play(self) -> Scenario:
        """The scenario."""
        return SCENARIOS[self.scenario]

    @property
    def deaths(self) -> tuple[str, ...]:
        """The points, in order."""
        before = FIRST_DIES.get(self.boundary)
        later = self.swaps > ONE and before is None and self.boundary.startswith(PER_SWAP)
        points = [] if before is None else [before.replace(RAIL, self.rail.value)]
        points += [f"before:{self.boundary}"] if self.attempt == RETRY else []
        return (*points, f"{self.when}:{self.boundary}{':2' if later else ''}")

    def together(self, other: Case) -> bool:
        """Whether both can be played by one troupe."""
        mine, theirs = (self.scenario, self.rail, self.swaps), (other.scenario, other.rail, other.swaps)
        return mine == theirs


def cases() -> Iterator[Case]:
    """The whole matrix."""
    for name, scenario in SCENARIOS.items():
        for rail in scenario.rails:
            whole = product(scenario.on(rail), ("before", "after"), (FIRST, RETRY), (ONE, SEVERAL))
            for boundary, when, attempt, swaps in whole:
                yield Case(name, rail, when, boundary, attempt, swaps)


MAKE_TEST = {
    ("paid", ChainName.TAO, FIRST, ONE): (
        "tao.sign", "store.step:PAYOUT_SIGNED", "tao.broadcast:payment", "store.step:MARK_SIGNED",
        "contract.broadcast:mark",
    ),
    ("paid", ChainName.BTC, RETRY, SEVERAL): ("store.step:PAYOUT_SIGNED", "btc.broadcast:payment"),
    ("timed out", ChainName.TAO, RETRY, ONE): ("recovery.append", "store.recovery_written"),
    ("never left", ChainName.BTC, FIRST, ONE): ("store.step:CANCEL_SIGNED", "btc.broadcast:filler"),
}  # fmt: skip
"""What of the matrix `make test` runs: the boundaries around money, each before and after."""


def in_make_test(case: Case) -> bool:
    """Whether a case is of the subset that `make test` runs."""
    return case.boundary in MAKE_TEST.get((case.scenario, case.rail, case.attempt, case.swaps), ())


UNREACHED = {
    "affairs.prepare_affair": "by an operator's request, which is given again: nothing is stored yet",
    "affairs.sign": "as affairs.prepare_affair: bytes and lane are stored together, or not at all",
    "btc.resign": "Bitcoin's bytes never expire, so nobody asks for them anew",
    "store.step:QUARANTINED": "by an operator's command alone, which writes this one step: see store.answer",
    "store.withdraw": "by a command that nobody answered in time; a request that stays ends by itself",
    "store.log_operator": "a note by an operator's command, which is given again",
    "store.reproject": "only where row and journal differ, which no crash brings about",
    "store.reopen": "only where a finalised payout is gone, which no crash brings about",
    "store.begin_doubt": "by `swap-miner rebuild` into an empty store, which is begun again",
    "store.dispel_doubt": "after `swap-miner rebuild`; at each look until it is written",
}
"""Boundaries that no scenario comes to, and why."""
