"""Each mutant of the daemon is found by random histories, within the number that its entry says."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from tests.simulation.dice import history
from tests.simulation.many import RAISED, play
from tests.simulation.mutants import MUTANTS

FIRST_SEED = 600_000
Record = Callable[[str, object], None]


def named(*marks: pytest.MarkDecorator) -> list[object]:
    return [pytest.param(name, id=name.replace("_", "-"), marks=marks) for name in MUTANTS]


def find(name: str, within: int, kinds: Collection[str], record: Record) -> None:
    with MUTANTS[name].on():
        for number in range(within):
            outcome = play(history(FIRST_SEED + number, kinds))
            if outcome.broken:
                assert RAISED not in outcome.laws, "the mutant does not run, so it shows nothing"
                record("within", within)
                record("histories_needed", number + 1)
                record("broke", ", ".join(sorted(outcome.laws)))
                return
    pytest.fail(f"{name} survived {within} histories")


@pytest.mark.matrix("Mutants found", "model chains")
@pytest.mark.parametrize("name", named())
def test_a_mutant_is_found_by_histories_of_its_faults(name: str, record_property: Record) -> None:
    record_property("faults", ", ".join(MUTANTS[name].kinds))
    find(name, MUTANTS[name].soon, MUTANTS[name].kinds, record_property)


@pytest.mark.matrix("Mutants found", "model chains")
@pytest.mark.parametrize("name", named(pytest.mark.proof, pytest.mark.timeout(3600)))
def test_a_mutant_is_found_by_histories_of_any_kind(name: str, record_property: Record) -> None:
    record_property("faults", "any")
    find(name, MUTANTS[name].within, (), record_property)


@pytest.mark.parametrize("name", named())
def test_what_finds_a_mutant_passes_without_it(name: str) -> None:
    kinds = MUTANTS[name].kinds
    assert [seed for seed in range(FIRST_SEED, FIRST_SEED + 3) if play(history(seed, kinds)).broken] == []
