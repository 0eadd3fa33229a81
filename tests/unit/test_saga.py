"""The table is the machine: total, reachable, and with one way back to a new lane."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from miner.errors import InvariantBroken
from miner.saga import BEFORE_PIVOT, ENDS, INITIAL, RESUME, TABLE, Event, State, advance, diagram

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "saga-diagram"
BEGIN, END = "<!-- saga-diagram:begin -->", "<!-- saga-diagram:end -->"

EDGES = [(state, event, after) for state, moves in TABLE.items() for event, after in moves.items()]
AT_OR_AFTER_PIVOT = frozenset(State) - BEFORE_PIVOT - ENDS
OPEN = sorted(frozenset(State) - ENDS)


def reachable(start: State) -> frozenset[State]:
    """Every state that some history leads to from `start`, itself included."""
    seen, todo = {start}, [start]
    while todo:
        for after in TABLE[todo.pop()].values():
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return frozenset(seen)


# the table


def test_every_state_has_a_row_and_a_way_to_resume() -> None:
    assert TABLE.keys() == set(State)
    assert RESUME.keys() == set(State)
    assert all(RESUME.values())


def test_an_audit_note_is_possible_everywhere_and_moves_nothing() -> None:
    assert {state: moves.get(Event.NOTED) for state, moves in TABLE.items()} == {s: s for s in State}


def test_ends_take_audit_notes_only() -> None:
    assert {state for state in State if TABLE[state].keys() == {Event.NOTED}} == ENDS
    assert {state for state in State if state.ended} == ENDS


def test_nothing_is_resumed_in_an_end() -> None:
    assert {state for state in State if RESUME[state] == "–"} == ENDS


def test_every_event_can_happen_somewhere() -> None:
    assert {event for _, event, _ in EDGES} == set(Event)


def test_every_state_is_reachable_from_assignment() -> None:
    assert reachable(INITIAL) == set(State)


@pytest.mark.parametrize("state", OPEN)
def test_from_every_open_state_an_end_is_reachable_without_the_operator(state: State) -> None:
    assert (reachable(state) & ENDS) - {State.QUARANTINED}


@pytest.mark.parametrize("state", OPEN)
def test_every_open_state_can_be_held_for_a_person(state: State) -> None:
    assert TABLE[state][Event.HELD_FOR_OPERATOR] is State.HELD


def test_the_table_takes_no_other_row() -> None:
    with pytest.raises(TypeError):
        TABLE[State.COMPLETED] = TABLE[State.COMPLETED]  # type: ignore[index]


# laws 1 and 8, read off the table


def test_a_payout_is_signed_only_with_inventory_set_aside() -> None:
    edges = [(before, after) for before, event, after in EDGES if event is Event.PAYOUT_SIGNED]
    assert edges == [(State.RESERVED, State.SIGNED)]


def test_only_a_freed_lane_leads_back_to_where_a_new_one_could_be_allotted() -> None:
    back = [edge for edge in EDGES if edge[0] in AT_OR_AFTER_PIVOT and edge[2] in BEFORE_PIVOT]
    assert back == [(State.SIGNED, Event.PAYOUT_FREED, State.VERIFIED)]


def test_the_pivot_is_crossed_by_signing_or_by_a_hold_that_never_signs() -> None:
    across = {edge[1:] for edge in EDGES if edge[0] in BEFORE_PIVOT and edge[2] in AT_OR_AFTER_PIVOT}
    assert across == {
        (Event.PAYOUT_SIGNED, State.SIGNED),
        (Event.IMPORTED_SENT, State.HELD),
        (Event.HELD_FOR_OPERATOR, State.HELD),
    }


@pytest.mark.parametrize("state", [State.SIGNED, State.PAID, State.MARKING, State.MARKED, State.WITHDRAWING])
def test_what_was_signed_is_never_refused_nor_expired(state: State) -> None:
    assert TABLE[state].keys().isdisjoint({Event.REFUSED, Event.EXPIRED, Event.SWAP_ENDED_UNPAID})


def test_a_swap_that_ended_before_anything_was_signed_cannot_end_as_paid() -> None:
    reached = {after for before, _, after in EDGES if before in BEFORE_PIVOT}
    assert State.FAILED not in reached


def test_only_a_person_quarantines_and_only_what_is_held() -> None:
    assert [edge[:2] for edge in EDGES if edge[2] is State.QUARANTINED and edge[0] not in ENDS] == [
        (State.HELD, Event.QUARANTINED)
    ]


def test_after_the_mark_the_payout_is_neither_signed_again_nor_freed() -> None:
    touching = {Event.PAYOUT_SIGNED, Event.PAYOUT_RESIGNED, Event.PAYOUT_FREED}
    for state in (State.MARKING, State.MARKED):
        assert TABLE[state].keys().isdisjoint(touching)


# advance


def test_advance_follows_the_table() -> None:
    for before, event, after in EDGES:
        assert advance(before, event) is after


def test_a_move_that_is_not_in_the_table_breaks_the_law() -> None:
    possible = {(before, event) for before, event, _ in EDGES}
    for state in State:
        for event in Event:
            if (state, event) not in possible:
                with pytest.raises(InvariantBroken, match=rf"^{event} cannot happen in {state}$"):
                    advance(state, event)


# the diagram


def test_the_diagram_is_the_same_at_each_call_and_shows_every_edge() -> None:
    text = diagram()
    assert text == diagram()
    lines = text.splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> DISCOVERED: assigned"]
    shown = {
        (before, event, after)
        for before, rest in (line.strip().split(" --> ") for line in lines[2:])
        if ":" in rest
        for after, events in [rest.split(": ")]
        for event in events.split(", ")
    }
    assert shown == {(b.value, e.value, a.value) for b, e, a in EDGES if e is not Event.NOTED}
    assert {line.split()[0] for line in lines if line.endswith("--> [*]")} == {s.value for s in ENDS}


def test_the_diagram_in_architecture_md_is_current() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    block = text.split(f"{BEGIN}\n")[1].split(END)[0]
    assert block == f"```mermaid\n{diagram()}```\n", "run scripts/saga-diagram"


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def script() -> Run:
    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(SCRIPT), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_the_script_writes_the_block_and_leaves_the_rest(tmp_path: Path, script: Run) -> None:
    file = tmp_path / "A.md"
    file.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nmore ü\n", encoding="utf-8")
    stale = script("--check", file)
    assert (stale.returncode, "run scripts/saga-diagram" in stale.stderr) == (1, True)
    assert "old" in file.read_text(encoding="utf-8"), "--check changes nothing"
    assert script(file).returncode == 0
    assert file.read_text(encoding="utf-8") == (
        f"# Title\n\n{BEGIN}\n```mermaid\n{diagram()}```\n{END}\n\nmore ü\n"
    )
    assert "is current" in script("--check", file).stdout


@pytest.mark.parametrize("text", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n"])
def test_the_script_refuses_a_file_without_its_markers(tmp_path: Path, script: Run, text: str) -> None:
    file = tmp_path / "A.md"
    file.write_text(text, encoding="utf-8")
    done = script(file)
    assert (done.returncode, BEGIN in done.stderr) == (2, True)
    assert file.read_text(encoding="utf-8") == text
