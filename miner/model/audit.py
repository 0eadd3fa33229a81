"""What a look at the store's own records found."""

from __future__ import annotations

from dataclasses import dataclass

from miner.model.record import Json
from miner.saga import State


@dataclass(frozen=True, slots=True)
class Difference:
    """A column of a saga's row that is not what its journal leads to.

    Attributes:
        column: Its name.
        row: What the row holds.
        journal: What the journal leads to.
    """

    column: str
    row: Json
    journal: Json


@dataclass(frozen=True, slots=True)
class Audit:
    """A saga's row beside its journal.

    Attributes:
        swap_id: The contract's id.
        state: As the row has it.
        differences: By column; empty where both agree.
        broken: Why no row follows from the journal; empty where one does.
    """

    swap_id: int
    state: State
    differences: tuple[Difference, ...] = ()
    broken: str = ""

    @property
    def agrees(self) -> bool:
        """Whether row and journal say the same."""
        return not self.differences and not self.broken
