"""The row that a journal leads to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.errors import InvariantBroken
from miner.model import Discovery, JournalEntry
from miner.saga import INITIAL, TABLE, Event, State, advance
from miner.store import journal as written
from miner.store import project
from tests.conformance.store_builders import swap

ASSIGNED = written.assigned(Discovery(swap(7)))


def entry(seq: int, event: Event, before: State, after: State) -> JournalEntry:
    return JournalEntry(seq, 1, 0, "daemon:x", 1, event, before, after, ASSIGNED if seq == 1 else {})


@st.composite
def journals(draw: st.DrawFn) -> list[JournalEntry]:
    """Any walk through the table."""
    state, made = INITIAL, [entry(1, Event.NOTED, INITIAL, INITIAL)]
    for _ in range(draw(st.integers(0, 20))):
        event = draw(st.sampled_from(sorted(TABLE[state])))
        made.append(entry(len(made) + 1, event, state, advance(state, event)))
        state = made[-1].after
    return made


@given(made=journals())
def test_it_is_the_last_entrys(made: list[JournalEntry]) -> None:
    found = project(made)
    assert found.state is made[-1].after
    assert (found.row["version"], found.row["swap_id"]) == (len(made), 7)


@given(made=journals(), data=st.data())
def test_a_hole_or_a_false_move_is_found(made: list[JournalEntry], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(made) - 1))
    old = made[at]
    after = data.draw(st.sampled_from([s for s in State if s is not old.after]))
    before = data.draw(st.sampled_from([s for s in State if s is not old.before]))
    changed = [replace(old, seq=old.seq + 1), replace(old, after=after), replace(old, before=before)]
    broken = [[*made[:at], entry, *made[at + 1 :]] for entry in changed]
    broken.append(made[:at] + made[at + 1 :] if at < len(made) - 1 else [])
    for journal in broken:
        with pytest.raises(InvariantBroken):
            project(journal)


def test_a_journal_that_does_not_begin_with_the_assignment_leads_to_no_row() -> None:
    with pytest.raises(InvariantBroken, match="assignment"):
        project([replace(entry(1, Event.NOTED, INITIAL, INITIAL), payload={})])
