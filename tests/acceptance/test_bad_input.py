"""What is wrong from outside: it is refused with a reason, loses nothing, and stops nobody else."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet.driver import Bad, Plan
from tests.devnet.terms import ChainName

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAINNET = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
BAD = {
    "underpaid": (Bad(paid_amount=999_999), "wrong_amount"),
    "paid by another": (Bad(paid_by=20), "wrong_sender"),
    "rate NaN": (Bad(rate="NaN"), "bad_rate"),
    "rate 1e9": (Bad(rate="1e9"), "bad_rate"),
    "rate -1": (Bad(rate="-1"), "bad_rate"),
    "rate with a letter of another script": (Bad(rate="٣٤٥"), "bad_rate"),
    "promises more than the rate gives": (Bad(dest_amount=3_450_000_001), "amount_mismatch"),
    "recipient is no address": (Bad(user_dest_address="nobody\u0000\u202e"), "bad_address"),
    "recipient of another network": (Bad(user_dest_address=MAINNET), "bad_address"),
}


async def test_bad_swaps_are_refused_by_name_and_a_good_one_beside_them_is_paid(stage: Stage) -> None:
    plans = [stage.plan(i, bad=bad) for i, (bad, _) in enumerate(BAD.values())]
    good = len(plans)
    plans.append(stage.plan(good))
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        opened = await stage.open(*plans)
        await stage.fulfilled(daemon, [opened[good]])
        reasons = dict(stage.rows("SELECT swap_id, reason FROM sagas"))
        for swap, (name, (_, expected)) in zip(opened, BAD.items(), strict=False):
            assert reasons[swap.id] == expected, name
            assert (await stage.evidence(swap)).payouts == 0, name
        logged = {(e["swap_id"], e["cause"]) for e in stage.recovery()}
        assert logged == {(s.id, f"refused:{e}") for s, (_, e) in zip(opened, BAD.values(), strict=False)}


async def test_the_recipient_of_another_bitcoin_network_is_refused(stage: Stage) -> None:
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        (opened,) = await stage.open(stage.plan(0, ChainName.TAO, bad=Bad(user_dest_address=MAINNET)))
        await stage.step(daemon, blocks=2)
        assert stage.rows("SELECT state, reason FROM sagas") == [
            ("COMPENSATED", "recipient_of_another_network")
        ]
        assert (await stage.evidence(opened)).payouts == 0


async def test_one_deposit_backs_one_swap_however_its_id_is_written(stage: Stage) -> None:
    """The contract compares raw strings: the same payment in capitals is another one to it."""
    async with await Daemon.start(stage.config()) as daemon:
        await daemon.ready()
        (first,) = await stage.open(stage.plan(0))
        await stage.completed(daemon, [first])
        again = Bad(
            source_tx_hash=first.payment.tx_hash.upper(),
            source_tx_block=first.payment.block,
            user_source_address=first.swap.user_source_address,
        )
        same = Plan(stage.devnet.miners[0], user=first.plan.user, bad=again)
        (second,) = await stage.open(same)
        await stage.step(daemon, blocks=3)
        assert stage.states()[second.id] == "COMPENSATED"
        assert [e["cause"] for e in stage.recovery()] in (["refused:source_tx_used"], ["refused:too_old"])
        assert (await stage.evidence(second)).txids == (await stage.evidence(first)).txids


async def ended_with(config: Path, code: int) -> str:
    """What the daemon said before it ended with this exit code."""
    async with await Daemon.start(config) as daemon:
        assert await daemon.process.wait() == code, daemon.tail()
        await daemon.event("process_ended")
        return daemon.tail()


async def test_a_damaged_store_is_refused_and_named(stage: Stage) -> None:
    config = stage.config()
    state = stage.folder / "state"
    state.mkdir(mode=0o700)
    (state / "swap-miner.sqlite").write_bytes(b"SQLite format 3\x00" + b"\xff" * 8000)
    said = await ended_with(config, 3)
    assert "swap-miner.sqlite" in said


async def test_somebody_elses_database_is_refused_and_left_alone(stage: Stage) -> None:
    config = stage.config()
    state = stage.folder / "state"
    state.mkdir(mode=0o700)
    with sqlite3.connect(state / "swap-miner.sqlite") as other:
        other.execute("CREATE TABLE music (title TEXT)")
    said = await ended_with(config, 3)
    assert "swap-miner.sqlite" in said
    with sqlite3.connect(state / "swap-miner.sqlite") as other:
        assert [name for (name,) in other.execute("SELECT name FROM sqlite_master")] == ["music"]


async def test_a_store_of_another_contract_is_refused_naming_both(stage: Stage) -> None:
    config = stage.config()
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        await daemon.stop()
    other = "5" + "C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM"
    database = stage.folder / "state" / "swap-miner.sqlite"
    with sqlite3.connect(database) as store:
        changed = sum(
            store.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (other, told)).rowcount
            for table, column, told in _texts(store, stage.devnet.contract.address)
        )
    assert changed
    said = await ended_with(config, 3)
    assert other in said
    assert stage.devnet.contract.address in said


def _texts(store: sqlite3.Connection, wanted: str) -> list[tuple[str, str, str]]:
    """Every (table, column, value) whose value is `wanted`."""
    found = []
    for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for column in store.execute(f"PRAGMA table_info({table})").fetchall():
            hits = store.execute(f"SELECT 1 FROM {table} WHERE {column[1]} = ?", (wanted,)).fetchall()
            found += [(table, column[1], wanted)] if hits else []
    return found


async def test_an_address_without_code_is_refused(stage: Stage) -> None:
    config = stage.config()
    nobody = stage.devnet.miners[3].hotkey.ss58_address
    config.write_text(config.read_text().replace(stage.devnet.contract.address, str(nobody), 1))
    said = await ended_with(config, 2)
    assert str(nobody) in said


async def test_metadata_of_another_contract_is_refused(stage: Stage) -> None:
    config = stage.config()
    metadata = Path(__file__).parents[2] / "contracts" / "artifacts" / "swap_manager.json"
    told = json.loads(metadata.read_text())
    told["spec"]["messages"] = [m for m in told["spec"]["messages"] if m["label"] != "mark_fulfilled"]
    poor = stage.folder / "poor.json"
    poor.write_text(json.dumps(told))
    config.write_text(config.read_text().replace(str(metadata), str(poor)))
    said = await ended_with(config, 2)
    assert "mark_fulfilled" in said
    assert "poor.json" in said


async def test_a_contract_without_the_extra_messages_is_served_as_well(stage: Stage) -> None:
    config = stage.config()
    metadata = Path(__file__).parents[2] / "contracts" / "artifacts" / "swap_manager.json"
    extras = {"get_active_swaps", "get_swaps", "get_swap_outcome", "get_max_active_swaps"}
    told = json.loads(metadata.read_text())
    told["spec"]["messages"] = [m for m in told["spec"]["messages"] if m["label"] not in extras]
    field = stage.folder / "field.json"
    field.write_text(json.dumps(told))
    config.write_text(config.read_text().replace(str(metadata), str(field)))
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        opened = await stage.open(stage.plan(0), stage.plan(1, ChainName.TAO))
        await stage.completed(daemon, opened)
        await stage.step(daemon)
        assert set(stage.states().values()) == {"COMPLETED"}


async def test_an_unwritable_state_folder_ends_the_start_with_its_name(stage: Stage) -> None:
    config = stage.config()
    (stage.folder / "state").write_text("a file where the folder should be")
    said = await ended_with(config, 3)
    assert "state" in said
