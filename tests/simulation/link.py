"""What lies between the daemon and a model chain, and goes wrong."""

from __future__ import annotations

from collections.abc import Callable

from miner.errors import NotSent, OutcomeUnknown, ReadFailed, Refused


class Link:
    """The way from the daemon to a node, and what goes wrong on it.

    Attributes:
        down: Nothing gets through.
        failing: Names of reads that get no answer, and how often; below 0 for ever.
        lying: Names of reads that are answered, and not truly, and how often.
        lost_replies: So many sends take effect, and their reply does not come.
        lost_sends: So many sends do not arrive, and there is no reply either.
        refusal: The pool's word to every send, while it is set.
        on_call: Called with the name of each read and send; may raise.
    """

    def __init__(self) -> None:
        self.down = False
        self.failing: dict[str, int] = {}
        self.lying: dict[str, int] = {}
        self.lost_replies = 0
        self.lost_sends = 0
        self.refusal = ""
        self.on_call: Callable[[str], None] | None = None

    def read(self, name: str, what: object = "") -> None:
        """Fail a read, if it is to fail.

        Raises:
            ReadFailed: It is.
        """
        if self.on_call is not None:
            self.on_call(name)
        if self.down:
            raise ReadFailed(f"{name} {what}".strip(), "the node cannot be reached")
        if self.failing and (left := self.failing.get(name, 0)) != 0:
            self.failing[name] = left - 1
            raise ReadFailed(f"{name} {what}".strip(), "the node gave no answer")

    def lies(self, name: str) -> bool:
        """Whether this read is to be answered with a lie."""
        left = self.lying.get(name, 0)
        self.lying[name] = max(left - 1, 0)
        return left > 0

    def send(self, what: str, submit: Callable[[], None]) -> None:
        """Send.

        Raises:
            NotSent: It did not leave.
            OutcomeUnknown: It may have arrived.
            Refused: The pool's word.
        """
        if self.on_call is not None:
            self.on_call("broadcast")
        if self.down:
            raise NotSent(what, "the node cannot be reached")
        if self.lost_sends:
            self.lost_sends -= 1
            raise OutcomeUnknown(what, "no reply")
        if self.refusal:
            raise Refused(what, self.refusal)
        submit()
        if self.lost_replies:
            self.lost_replies -= 1
            raise OutcomeUnknown(what, "no reply")
