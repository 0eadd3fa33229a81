"""Recovery commands: what they print, ask for, and refuse; dry unless told otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miner.cli.exits import Exit
from miner.errors import ReadFailed
from miner.model import Came, Verb
from miner.notify.recovery import RecoveryFile
from tests.unit import test_cli
from tests.unit.cli_world import CANARY, World
from tests.unit.test_recovery import pending, put

world, filled, run = test_cli.world, test_cli.filled, test_cli.run

TX = "0x" + "5f" * 32
WHY = ("--reason", "why not", "--actor", "bob")
COMMANDS = {
    Verb.RETRY: ("retry", "3"),
    Verb.RELEASE: ("release", "3", "--for", "5m"),
    Verb.QUARANTINE: ("quarantine", "3"),
    Verb.ADOPT: ("adopt-payout", "3", TX),
    Verb.MARK: ("mark", "3", "--tx", TX, "--block", "9"),
    Verb.APPROVE: ("approve", "3"),
}
each = pytest.mark.parametrize("verb", [verb for verb in Verb if not verb.is_affair])


@each
def test_without_yes_it_is_a_dry_run(run: Any, filled: World, verb: Verb) -> None:
    filled.wired.outcome = replace(filled.wired.outcome, came=Came.WOULD, text="it can be done")
    found = run(*COMMANDS[verb])
    assert found.code == 0
    assert f"swap 3: would {verb}: it can be done" in found.out
    assert "at stake: 1.5 TAO is paid" in found.out
    assert found.out.splitlines()[-1] == (
        "looked at 1, would change 1; a dry run, nothing was done; do it with --yes"
    )
    assert filled.with_store(rows) == []


async def rows(store: Any) -> Any:
    return await store.requests(range(1, 50))


@each
def test_with_yes_it_is_a_row_that_is_answered(run: Any, filled: World, verb: Verb) -> None:
    found = run(*COMMANDS[verb], *WHY, "--yes")
    assert found.code == 0
    assert f"swap 3: did {verb}: it is done" in found.out
    assert found.out.splitlines()[-1] == "looked at 1, changed 1"
    (asked,) = filled.wired.asked
    assert (asked.verb, asked.swap_id, asked.actor, asked.reason) == (verb, 3, "operator:bob", "why not")
    assert asked.txid == (TX if verb in (Verb.ADOPT, Verb.MARK) else "")
    assert asked.hold_s == (300 if verb is Verb.RELEASE else 0)
    assert asked.block == (9 if verb is Verb.MARK else 0)


@each
def test_json_says_the_same(run: Any, filled: World, verb: Verb) -> None:
    told = run(*COMMANDS[verb], *WHY, "--yes", "--json").json
    assert {name: told[name] for name in ("dry_run", "looked_at", "changed", "would_change")} == {
        "dry_run": False,
        "looked_at": 1,
        "changed": 1,
        "would_change": 0,
    }
    (swap,) = told["swaps"]
    assert (swap["swap_id"], swap["outcome"], swap["at_stake"]) == (3, "done", "1.5 TAO is paid")


@each
@pytest.mark.parametrize("came", [Came.REFUSED, Came.UNKNOWN])
def test_a_refusal_is_an_exit_code_and_names_the_next_command(
    run: Any, filled: World, verb: Verb, came: Came
) -> None:
    filled.wired.outcome = replace(filled.wired.outcome, came=came, text="it would lose money")
    found = run(*COMMANDS[verb], *WHY, "--yes")
    assert found.code == Exit.WRONG
    assert "it would lose money" in found.err
    assert "at stake: 1.5 TAO is paid" in found.err
    assert "next: swap-miner show 7" in found.err
    assert found.out.splitlines()[-1] == "looked at 1, changed 0"


@each
def test_what_was_so_already_is_no_error_but_for_retry(run: Any, filled: World, verb: Verb) -> None:
    filled.wired.outcome = replace(filled.wired.outcome, came=Came.NOTHING, text="so already")
    assert run(*COMMANDS[verb]).code == (Exit.WRONG if verb is Verb.RETRY else Exit.OK)


@each
def test_a_daemon_that_does_not_answer_is_told_and_the_request_withdrawn(
    run: Any, filled: World, verb: Verb
) -> None:
    filled.wired.answers = False
    found = run(*COMMANDS[verb], *WHY, "--yes", "--wait", "7")
    assert found.code == Exit.WRONG
    assert "has not answered in 7 s; the request is withdrawn and nothing was done" in found.err
    assert "swap-miner status" in found.err


@each
def test_a_decision_without_a_reason_is_not_taken(run: Any, filled: World, verb: Verb) -> None:
    found = run(*COMMANDS[verb], "--yes")
    if verb is Verb.RETRY:
        assert found.code == 0
        return
    assert found.code == Exit.USAGE
    assert "--reason: is missing" in found.err
    assert filled.wired.asked == []


def test_several_swaps_are_retried_each_once(run: Any, filled: World) -> None:
    found = run("retry", "1", "2", "1", "--yes", "--json")
    assert found.json["looked_at"] == 2
    assert [one.swap_id for one in filled.wired.asked] == [1, 2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["retry"],
        ["retry", "x"],
        ["release", "3", "--for", "soon"],
        ["quarantine"],
        ["adopt-payout", "3"],
        ["mark", "3"],
        ["mark", "3", "--tx", TX, "--block", "-1"],
        ["recovery", "resolve", "3"],
        ["recovery", "resolve", "3", "--reason", " "],
        ["recovery", "show"],
        ["recovery", "show", "3", "--swap", "3"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(run: Any, filled: World, arguments: list[str]) -> None:
    found = run(*arguments)
    assert found.code == Exit.USAGE
    assert found.err
    assert "Traceback" not in found.err


@each
def test_without_a_store_nothing_is_made(run: Any, world: World, verb: Verb) -> None:
    found = run(*COMMANDS[verb], *WHY, "--yes")
    assert found.code == Exit.STORE
    assert "the daemon has not run yet" in found.err
    assert not world.settings.store.path.exists()


# recovery list, show, resolve


def test_the_list_tells_amount_state_and_command(run: Any, filled: World) -> None:
    (entry,) = run("recovery", "list", "--json").json["entries"]
    assert (entry["swap_id"], entry["state_now"], entry["resolved"]) == (3, "HELD", None)
    assert (entry["amount"], entry["amount_chain"]) == ("3450000000", "tao")
    assert entry["command"] == "swap-miner recovery show --swap 3"
    told = run("recovery", "list").out
    assert "3.45 TAO" in told
    assert told.rstrip().endswith("1 open of 1 entries, 0 damaged lines")


def test_an_entry_is_resolved_by_a_line_of_its_own(run: Any, filled: World) -> None:
    dry = run("recovery", "resolve", "1", "--reason", "user refunded")
    assert "would be resolved" in dry.out
    assert dry.out.rstrip().endswith("do it with --yes")
    assert run("recovery", "list", "--json").json["open"] == 1
    done = run("recovery", "resolve", "1", "--reason", "user refunded", "--actor", "bob", "--yes")
    assert "resolved" in done.out
    assert "swap 3 is still HELD" in done.out
    assert done.out.rstrip().endswith("looked at 1, changed 1")
    raw = filled.settings.recovery_file.read_text().splitlines()
    assert len(raw) == 2
    assert '"cause":"evidence_contradicts"' in raw[0]
    assert '"cause":"resolved:evidence_contradicts"' in raw[1]
    listed = run("recovery", "list", "--json").json
    assert listed["open"] == 0
    assert listed["entries"][0]["resolved"]["actor"] == "operator:bob"
    assert run("recovery", "list", "--open", "--json").json["entries"] == []
    again = run("recovery", "resolve", "1", "--reason", "again", "--yes")
    assert again.out.rstrip().endswith("looked at 1, changed 0")
    assert len(filled.settings.recovery_file.read_text().splitlines()) == 2


def test_an_entry_that_is_not_there_is_not_resolved(run: Any, filled: World) -> None:
    found = run("recovery", "resolve", "9", "--reason", "x", "--yes")
    assert found.code == Exit.WRONG
    assert "swap-miner recovery list" in found.err


def test_entries_of_a_store_that_is_lost_share_an_id(run: Any, filled: World) -> None:
    put(RecoveryFile(filled.settings.recovery_file), pending(1, swap_id=8))
    found = run("recovery", "resolve", "1", "--reason", "x", "--yes")
    assert found.code == Exit.WRONG
    assert "name one by --swap (3, 8)" in found.err or "name one by --swap (8, 3)" in found.err
    assert run("recovery", "resolve", "1", "--swap", "8", "--reason", "x", "--yes").code == 0
    assert run("recovery", "list", "--json").json["open"] == 1


def test_a_log_without_its_store_can_be_read_and_resolved(run: Any, world: World) -> None:
    world.settings.store.path.mkdir()
    put(RecoveryFile(world.settings.recovery_file), pending(1, swap_id=7, amount="1500000000"))
    assert run("recovery", "list", "--json").json["entries"][0]["amount"] == "1500000000"
    assert run("recovery", "resolve", "1", "--reason", "x", "--yes").code == 0
    assert run("recovery", "list", "--json").json["open"] == 0
    assert not world.settings.store.file.exists()


def test_show_tells_everything_and_no_bytes(run: Any, filled: World) -> None:
    filled.wired.chain = {
        "finalised": {"height": 20, "hash": "0x20"}, "status": "Active", "blocks_left": 82,
        "dest_tx_hash": "", "dest_tx_block": 0, "timeout_block": 102,
        "lanes": [{"lane": 1, "purpose": "payout", "seen": "unseen", "txid": None, "block": None}],
    }  # fmt: skip
    found = run("recovery", "show", "--swap", "2")
    assert found.code == 0
    assert "swap 2: SIGNED" in found.out
    assert "0x" + "77" * 32 in found.out
    assert "the chain now, at finalised block 20: Active, 82 blocks left" in found.out
    assert "payout lane 1: unseen" in found.out
    for answer in (found.out, run("recovery", "show", "--swap", "2", "--json").out):
        assert CANARY.decode() not in answer
        assert CANARY.hex() not in answer
    held = run("recovery", "show", "3")
    assert "entry 1" not in held.out.splitlines()[0] or "swap 3" in held.out
    assert "next: swap-miner recovery show --swap 3" in held.out


def test_show_without_a_chain_says_so(run: Any, filled: World) -> None:
    filled.wired.chain = ReadFailed("block 7", "no answer")
    found = run("recovery", "show", "--swap", "2")
    assert found.code == 0
    assert "the chain now: could not be asked: could not read block 7: no answer" in found.out
    assert "not asked (--offline)" in run("recovery", "show", "--swap", "2", "--offline").out
