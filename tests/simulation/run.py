"""One history from its beginning to its end, and what came of it."""

from __future__ import annotations

import asyncio
import logging
import selectors
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import structlog

from tests.simulation.dice import History
from tests.simulation.hands import Hands
from tests.simulation.memory import Memory
from tests.simulation.oracle import Broken
from tests.simulation.referee import FOR_A_PERSON, OPEN_LANES, Referee

SETTLE_BLOCKS = 420
EVERY_BLOCK = 16
"""Of the blocks after the actions, so many with a round on each; then one on each fourth."""


@dataclass
class Outcome:
    """What came of a history.

    Attributes:
        broken: Laws that were not kept; empty when all is well.
        counts: Figures.
        trace: A line for whatever happened.
        digest: Of both chains and every journal: equal for equal histories.
    """

    broken: list[Broken] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    digest: str = ""

    @property
    def laws(self) -> set[str]:
        """Names of what was broken."""
        return {each.law for each in self.broken}


class StandstillError(RuntimeError):
    """Every task waits for another one: the history would never end."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes only when nothing else can be done, whatever the machine's pace.

    Where nothing is left that could ever be done, it raises `StandstillError`.
    """

    def __init__(self) -> None:
        super().__init__(selectors.SelectSelector())
        self._at = 0.0
        real, self_ = self._selector, self  # type: ignore[has-type]

        class Hasty:
            def select(self, timeout: float | None) -> list[Any]:
                if timeout is None:
                    raise StandstillError("every task waits, and for no time")
                self_._at += timeout
                return []

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        self._selector = Hasty()
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        """See `AbstractEventLoop.time`."""
        return self._at


class Theatre:
    """Plays histories one after the other in this process."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)
        self._memory: Memory | None = None

    def play(self, history: History) -> Outcome:
        """Play one."""
        return self._runner.run(self._play(history))

    def close(self) -> None:
        """End."""
        self._runner.close()

    async def _play(self, history: History) -> Outcome:
        if self._memory is None:
            self._memory = Memory()
        play = Hands(history, self._memory)
        referee = Referee(play)
        await play.begin()
        for action in history.actions:
            await play.do(action)
            if action["do"] == "block":
                referee.after_block()
        await settle(play, referee)
        await referee.at_end()
        return await _outcome(play, referee)


async def settle(play: Hands, referee: Referee) -> None:
    """Faults end; then everything that can be closed is closed."""
    play.calm_down()
    for number in range(SETTLE_BLOCKS):
        rounds = number < EVERY_BLOCK or number % 4 == 0
        await play.block(rounds=rounds)
        if rounds:
            referee.after_block()
        if number % 12 == 3:
            await play.do({"do": "clear"})
        if rounds and number > 2 * play.stage.tao.lag and is_settled(play):
            return


def is_settled(play: Hands) -> bool:
    """Whether nothing is open, and no user waits."""
    tao = play.stage.tao
    if tao.finalised.state.contract.swaps or tao.best.state.contract.swaps:
        return False
    waiting = [a for a in play.people.arrivals if not a.swap_id and play.people.paid_at(a) is not None]
    if any(a.kind != "none" for a in waiting):
        return False
    memory = play.around.memory
    still = memory.rows(
        f"SELECT (SELECT COUNT(*) FROM ({OPEN_LANES}))"
        f" + (SELECT COUNT(*) FROM sagas WHERE ended = 0 AND id NOT IN ({FOR_A_PERSON}))"
        " + (SELECT COUNT(*) FROM recovery WHERE written_at_ms IS NULL)"
    )
    return not next(still)[0]


async def _outcome(play: Hands, referee: Referee) -> Outcome:
    counts = play.counts
    memory, around = play.around.memory, play.around
    counts["swaps"] = next(memory.rows("SELECT COUNT(*) FROM sagas"))[0]
    counts["payouts"] = len(referee._paid_now())
    counts["faults"] = (
        around.tao.faults + around.btc.faults + around.refused + around.traps.sprung.get("lost", 0)
    )
    outcomes = play.stage.tao.best.state.contract.outcomes.values()
    counts["slashes"] = sum(bool(o.slash_amount) for o in outcomes)
    counts["completed"] = sum(bool(o.fee_amount) for o in outcomes)
    laws = Counter(each.law for each in referee.broken)
    counts["double_payouts"] = laws["paid twice"]
    counts["lost_swaps"] = laws["lost swap"]
    counts["avoidable_misses"] = laws["avoidable miss"]
    counts["good_blocks"] = referee.good_blocks
    told = [play.stage.tao.best.head.hash, play.stage.btc.best.head.hash, *play.trace]
    told += [
        repr(row)
        for row in memory.rows("SELECT saga_id, seq, at_ms, event, state_after, payload FROM journal")
    ]
    digest = blake2b("\n".join(told).encode(), digest_size=12).hexdigest()
    return Outcome(referee.broken, counts, play.trace, digest)


def quiet() -> None:
    """No log lines."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        processors=[lambda _logger, _name, event: str(event)],
        logger_factory=structlog.ReturnLoggerFactory(),
    )
