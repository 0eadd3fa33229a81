"""The matrix: every boundary, before and after, on each rail, first and again, with one swap and several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, product

from tests.acceptance.crashes.scenarios import BOTH, RAIL, SCENARIOS, Scenario
from tests.devnet.terms import ChainName

FIRST, RETRY = "first", "retry"
ONE, SEVERAL = 1, 3
MINERS, CROWD = 16, 48
"""Miners of the devnet, which a troupe shares out: usually, and where there is much to play."""
MUCH = 50
"""Cases."""
MOST_LIVES, MOST_ON_A_SERVER = 24, 12
"""Processes at once; on a PostgreSQL server, each has connections there."""

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
        server: Whether the store is on a PostgreSQL server.
    """

    scenario: str
    rail: ChainName
    when: str
    boundary: str
    attempt: str
    swaps: int
    server: bool = False

    @property
    def id(self) -> str:
        """As it is called in tests and tables."""
        several = "one" if self.swaps == ONE else "several"
        where = f"{self.when}:{self.boundary}"
        store = "-PostgreSQL" if self.server else ""
        return f"{where}-{self.rail.upper()}-{self.attempt}-{several}-{self.scenario}{store}"

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
        mine, theirs = (self.scenario, self.rail, self.server), (other.scenario, other.rail, other.server)
        return mine == theirs


def troupe_of(alike: Sequence[Case], miners: int) -> list[Case]:
    """As many of these cases, from the first on, as there are miners and room for."""
    needed = accumulate(case.swaps for case in alike)
    most = MOST_ON_A_SERVER if alike[0].server else MOST_LIVES
    return [case for case, count in zip(alike, needed, strict=True) if count <= miners][:most]


def cases() -> Iterator[Case]:
    """The whole matrix."""
    for name, scenario in SCENARIOS.items():
        for rail in scenario.rails:
            whole = product(scenario.on(rail), ("before", "after"), (FIRST, RETRY), (ONE, SEVERAL))
            for boundary, when, attempt, swaps in whole:
                yield Case(name, rail, when, boundary, attempt, swaps)


ON_A_SERVER = (
    "store.acquire", "store.heartbeat",
    "store.step:SOURCE_VERIFIED", "store.step:INVENTORY_RESERVED", "store.step:PAYOUT_SIGNED",
    "store.step:PAYOUT_INCLUDED", "store.step:MARK_SIGNED", "store.step:MARK_FULFILLED",
    "store.step:SWAP_COMPLETED",
    f"{RAIL}.prepare", f"{RAIL}.broadcast:payment", "contract.prepare_mark", "contract.broadcast:mark",
)  # fmt: skip
"""Boundaries that are also played with the store on PostgreSQL: first with one swap, again with several."""


def cases_on_a_server() -> Iterator[Case]:
    """The part of the matrix that is played with the store on PostgreSQL as well."""
    for rail, name, when in product(BOTH, ON_A_SERVER, ("before", "after")):
        boundary = name.replace(RAIL, rail.value)
        yield Case("paid", rail, when, boundary, FIRST, ONE, server=True)
        yield Case("paid", rail, when, boundary, RETRY, SEVERAL, server=True)


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
    if case.server:
        return (case.rail, case.attempt, case.boundary) == (ChainName.TAO, FIRST, "store.step:PAYOUT_SIGNED")
    return case.boundary in MAKE_TEST.get((case.scenario, case.rail, case.attempt, case.swaps), ())


UNREACHED = {
    "btc.resign": "Bitcoin's bytes never expire, so nobody asks for them anew",
}
"""Boundaries that no scenario comes to, and why."""
