"""What goes wrong between processes and the world, shared by all processes of a history."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from miner.errors import NotSent, OutcomeUnknown, ReadFailed, Refused, StoreUnavailable
from tests.simulation.link import Link
from tests.simulation.memory import Life

TAKEN_ALL_THE_SAME = frozenset({"already_known", "temporarily_banned"})
"""Words with which a pool may answer for what it has."""


@dataclass
class Air:
    """The way to one chain's node, whoever goes it.

    Attributes:
        down: Nothing gets through.
        failing: Names of reads that get no answer, and how often.
        every: Each so-many-th read gets no answer; 0 for none.
        lost_replies: So many sends take effect, and their reply does not come.
        lost_sends: So many sends do not arrive, and there is no reply either.
        refusal: The pool's word to every send, while it is set.
        faults: How many calls went wrong.
    """

    down: bool = False
    failing: dict[str, int] = field(default_factory=dict)
    every: int = 0
    lost_replies: int = 0
    lost_sends: int = 0
    refusal: str = ""
    faults: int = 0
    _reads: int = 0

    def is_clear(self) -> bool:
        """Whether nothing goes wrong at present."""
        some = self.down or self.every or self.refusal or self.lost_replies or self.lost_sends
        return not some and not any(self.failing.values())

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.down, self.every, self.lost_replies, self.lost_sends, self.refusal = False, 0, 0, 0, ""
        self.failing.clear()

    def fails(self, name: str) -> bool:
        """Whether this read is to fail."""
        self._reads += 1
        left = self.failing.get(name, 0)
        if left:
            self.failing[name] = left - 1
        failed = bool(self.down or left or (self.every and self._reads % self.every == 0))
        self.faults += failed
        return failed


class Wire(Link):
    """One process's way through the air."""

    def __init__(self, air: Air, life: Life) -> None:
        super().__init__()
        self._air = air
        self._life = life

    def read(self, name: str, what: object = "") -> None:
        """See `Link.read`."""
        self._life.cross("call", name)
        if self._air.fails(name):
            raise ReadFailed(f"{name} {what}".strip(), "the node gave no answer")

    def send(self, what: str, submit: Callable[[], None]) -> None:
        """See `Link.send`."""
        air = self._air
        self._life.cross("send", what)
        if air.down:
            air.faults += 1
            raise NotSent(what, "the node cannot be reached")
        if air.lost_sends:
            air.lost_sends -= 1
            air.faults += 1
            raise OutcomeUnknown(what, "no reply")
        if air.refusal:
            air.faults += 1
            if air.refusal in TAKEN_ALL_THE_SAME:
                with suppress(Refused):
                    submit()
            raise Refused(what, air.refusal)
        submit()
        self._life.cross("sent", what)
        if air.lost_replies:
            air.lost_replies -= 1
            air.faults += 1
            raise OutcomeUnknown(what, "no reply")


@dataclass
class Trap:
    """Something that will befall whichever process reaches a boundary first.

    Attributes:
        kind: Of the boundary: `write`, `written`, `read`, `call`, `send`, `sent`.
        name: Of the transaction or call; any where empty.
        skip: So many such boundaries pass before.
        what: `crash`, `stop` or `lost` (a commit whose answer is lost).
        blocks: How long the process is away then.
    """

    kind: str
    name: str
    skip: int
    what: str
    blocks: int


@dataclass
class Traps:
    """What is laid out, and what has sprung.

    Attributes:
        laid: Waiting.
        sprung: So many by what they did.
        boundaries: How many were passed.
    """

    laid: list[Trap] = field(default_factory=list)
    sprung: dict[str, int] = field(default_factory=dict)
    boundaries: int = 0
    last: Trap | None = None

    def pass_by(self, life: Life, kind: str, name: str) -> None:
        """A process reaches a boundary."""
        self.boundaries += 1
        for trap in self.laid:
            if trap.kind == kind and trap.name in ("", name):
                trap.skip -= 1
                if trap.skip < 0:
                    self.laid.remove(trap)
                    self._spring(trap, life)
                    return

    def _spring(self, trap: Trap, life: Life) -> None:
        self.sprung[trap.what] = self.sprung.get(trap.what, 0) + 1
        self.last = trap
        if trap.what == "crash":
            life.away = trap.blocks
            life.kill()
        elif trap.what == "stop":
            life.away = trap.blocks
            life.stop()
        else:
            raise StoreUnavailable(f"{trap.name}: the commit got no answer")
