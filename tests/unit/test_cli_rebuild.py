"""`rebuild`: what it shows, what it changes, and what it leaves alone."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from miner.cli.exits import Exit
from miner.saga import State
from miner.store import SqlStore
from tests.unit import test_cli
from tests.unit.cli_world import World

world, filled, run = test_cli.world, test_cli.filled, test_cli.run


def spoil(world: World, statement: str) -> None:
    """Change the store behind everybody's back."""
    with sqlite3.connect(world.settings.store.file) as store:
        store.execute(statement)
    store.close()


def state(world: World, swap_id: int) -> State:
    async def look(store: SqlStore) -> State:
        saga = await store.saga(swap_id)
        assert saga is not None
        return saga.state

    return world.with_store(look)


def test_rows_that_agree_are_left_alone(filled: World, run: Any) -> None:
    found = run("rebuild")
    assert (found.code, found.out) == (Exit.OK, "looked at 3, differing 0, repaired 0\n")
    assert run("rebuild", "--yes").code == Exit.OK


def test_a_dry_run_shows_the_difference_and_changes_nothing(filled: World, run: Any) -> None:
    spoil(filled, "UPDATE sagas SET state = 'DISCOVERED', payout_lane_id = NULL WHERE swap_id = 2")
    found = run("rebuild")
    assert found.code == Exit.WRONG
    for told in ("payout_lane_id", "DISCOVERED", "SIGNED", "looked at 3, differing 1, repaired 0", "--yes"):
        assert told in found.out
    assert state(filled, 2) is State.DISCOVERED


def test_with_yes_the_row_is_written_anew_with_a_note_of_who(filled: World, run: Any) -> None:
    spoil(filled, "UPDATE sagas SET state = 'DISCOVERED', payout_lane_id = NULL WHERE swap_id = 2")
    found = run("rebuild", "2", "--yes", "--json")
    assert (found.code, found.json["looked_at"], found.json["repaired"]) == (Exit.OK, 1, 1)
    assert found.json["swaps"][0]["columns"]["state"] == {"row": "DISCOVERED", "journal": "SIGNED"}
    assert state(filled, 2) is State.SIGNED
    told = run("show", "2", "--json").json["journal"][-1]
    assert told["actor"].startswith("operator:")
    assert sorted(told["payload"]["rebuilt"]) == ["payout_lane_id", "state"]
    assert run("rebuild").code == Exit.OK


def test_others_are_not_touched(filled: World, run: Any) -> None:
    spoil(filled, "UPDATE sagas SET reason = 'x' WHERE swap_id IN (1, 2)")
    assert run("rebuild", "1", "--yes", "--json").json["repaired"] == 1
    assert run("rebuild", "--json").json["differing"] == 1


def test_a_broken_journal_is_told_and_nothing_is_made_of_it(filled: World, run: Any) -> None:
    spoil(filled, "DELETE FROM journal WHERE seq = 2")
    found = run("rebuild", "2", "--yes")
    assert found.code == Exit.WRONG
    assert "where 2 was due" in found.out
    assert "repaired 0" in found.out


def test_a_swap_that_is_not_there_is_named(filled: World, run: Any) -> None:
    found = run("rebuild", "1", "99")
    assert found.code == Exit.WRONG
    assert "no swap 99" in found.err
    assert "looked at 1" in found.out


def test_a_running_daemon_is_not_worked_behind(filled: World, run: Any) -> None:
    spoil(filled, "UPDATE leases SET owner = 'daemon', expires_at_ms = 9e15, epoch = epoch + 1")
    spoil(filled, "UPDATE sagas SET reason = 'x' WHERE swap_id = 1")
    assert run("rebuild").code == Exit.WRONG, "looking is free"
    found = run("rebuild", "--yes")
    assert found.code == Exit.LEASE
    assert "daemon" in found.err
    assert run("rebuild", "--json").json["differing"] == 1


def test_swaps_and_the_chain_do_not_go_together(world: World, run: Any) -> None:
    assert run("rebuild", "1", "--from-chain").code == Exit.USAGE


@pytest.mark.parametrize(("undecided", "code"), [(0, Exit.OK), (1, Exit.WRONG)])
def test_from_the_chain_a_row_tells_each_swap(world: World, run: Any, undecided: int, code: Exit) -> None:
    row = {
        "swap_id": 7,
        "verdict": "paid",
        "why": "found",
        "dest_chain": "tao",
        "recipient": "5User",
        "account": "5Us",
        "amount": "2000000000",
        "timeout_block": 99,
        "payout_txid": "0x" + "ab" * 32,
        "payout_block": {"height": 12, "hash": "0x00"},
    }
    world.wired.rebuilt = {
        "finalised_height": 40,
        "done": True,
        "looked_at": 1,
        "undecided": undecided,
        "tao_payouts_wait_for_block": 104,
        "swaps": [row],
    }
    found = run("rebuild", "--from-chain", "--yes", "--wait", "5")
    assert found.code == code
    for told in ("0x" + "ab" * 32, "paid", "12", "2 TAO", "block 104", "swap-miner run"):
        assert told in found.out
    assert run("rebuild", "--from-chain", "--json").json["swaps"] == [row]
    assert world.wired.calls == ["from_chain True 5", "from_chain False 60"]
    assert "nothing was written" in run("rebuild", "--from-chain").out
