"""The one tree of errors; each answers whether it took effect.

```
MinerError
├ ConfigError            what the operator wrote cannot be used; names file, key, value, remedy
├ ReadFailed             learned nothing; the cursor stays
│ └ Discarded            no endpoint keeps it any more: asking again is of no use
├ EffectError
│ ├ NotSent              certainly no effect; may be tried again
│ │ └ NotYet             the other side says when
│ ├ OutcomeUnknown       look first; never build a second payment
│ └ Refused              the chain said no; carries the contract's or the rail's error name
├ StoreError
│ ├ LeaseLost            another holder, or our lease expired; re-read and reconcile
│ ├ StaleSaga            somebody moved the saga first; re-read and reconcile
│ ├ SlotTaken            the nonce or outpoint belongs to another lane; choose again
│ ├ SchemaTooOld         the file was written by a newer program
│ ├ StoreDamaged         the file is no healthy store, or another contract's or chain's
│ └ StoreUnavailable     disk full, locked, lost: nothing is known to be written
└ InvariantBroken        a law would be broken; hold the saga, alert
```

Adapters translate library exceptions once, with `raise … from exc`.
"""

from __future__ import annotations


class MinerError(Exception):
    """Root of every error this package raises on purpose."""


class ConfigError(MinerError):
    """What the operator wrote cannot be used.

    Attributes:
        where: The file, and the key in it where there is one (`config.toml: miners[0].hotkey`).
        problem: What is wrong, with the value (never a secret).
        remedy: What to do about it.
    """

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(where, problem, remedy)
        self.where = where
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}. {self.remedy}"


class ReadFailed(MinerError):
    """A read gave no answer that can be trusted: nothing was learned.

    Attributes:
        what: What was asked for (`swap 7 at block 120`).
        cause: Why there is no answer, in words.
    """

    def __init__(self, what: str, cause: str = "no answer") -> None:
        super().__init__(what, cause)
        self.what = what
        self.cause = cause

    def __str__(self) -> str:
        return f"could not read {self.what}: {self.cause}"


class Discarded(ReadFailed):
    """No endpoint that was asked keeps the block, or its state, any more."""


class EffectError(MinerError):
    """Something that would change a chain did not end well. See the subclasses for what is known."""

    def __init__(self, what: str, cause: str = "") -> None:
        super().__init__(what, cause)
        self.what = what
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.what}: {self.cause}" if self.cause else self.what


class NotSent(EffectError):
    """Certainly without effect: it did not leave the process. May be tried again."""


class NotYet(NotSent):
    """As `NotSent`, and the other side has said when to try again.

    Attributes:
        after_s: Whole seconds that it asked to wait; at least 0.
    """

    def __init__(self, what: str, cause: str, after_s: int) -> None:
        super().__init__(what, cause)
        self.after_s = max(after_s, 0)


class OutcomeUnknown(EffectError):
    """It may have taken effect. Look first; never build a second payment."""


class Refused(EffectError):
    """The chain, the contract or a rule of the rail said no.

    Attributes:
        name: The error's name from the contract's metadata (`InvalidStatus`), or the rail's
            (`recipient_of_another_network`). Never a number.
    """

    def __init__(self, what: str, name: str, detail: str = "") -> None:
        super().__init__(what, f"{name} ({detail})" if detail else name)
        self.name = name
        self.detail = detail


class StoreError(MinerError):
    """The store did not do what was asked; see the subclasses."""


class LeaseLost(StoreError):
    """The lease is not ours any more (or never was).

    Attributes:
        resource: What the lease is on (`watch`, `saga/12`).
        holder: Owner id that holds it now, if known.
        expires_at_ms: When that holder's lease ends, in ms since 1970 by the database's clock.
    """

    def __init__(self, resource: str, holder: str | None = None, expires_at_ms: int | None = None) -> None:
        super().__init__(resource, holder, expires_at_ms)
        self.resource = resource
        self.holder = holder
        self.expires_at_ms = expires_at_ms

    def __str__(self) -> str:
        if self.holder is None:
            return f"the lease on {self.resource} is not held"
        return f"the lease on {self.resource} is held by {self.holder} until {self.expires_at_ms} ms"


class StaleSaga(StoreError):
    """Somebody moved the saga first: re-read and reconcile; run none of the winner's side effects."""


class SlotTaken(StoreError):
    """The nonce or outpoint already belongs to a lane. The bytes signed for it must be dropped."""


class SchemaTooOld(StoreError):
    """The store was written by a newer program than this one."""


class StoreDamaged(StoreError):
    """The file is damaged, no store of this program, or one of another contract or chain."""


class StoreUnavailable(StoreError):
    """Disk full, locked, or connection lost: the write is not known to have happened."""


class InvariantBroken(MinerError):
    """A law would be broken if this went on. Hold the saga and alert."""
