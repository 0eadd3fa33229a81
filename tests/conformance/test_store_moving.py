"""A store moves from one database to another, whole, or not at all; and never lives twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from miner.errors import ConfigError, InvariantBroken, LeaseLost, StoreUnavailable
from miner.model import ImportedSend, Saga, SightingKind, Step
from miner.saga import Event
from miner.store import SqlStore, copying
from tests.conformance import store_fixtures
from tests.conformance.store_builders import (
    CONTRACT,
    GENESIS,
    discover,
    get,
    held,
    mark_of,
    marking,
    payout_claim,
    recovery,
    reserved,
    seen,
    signed,
    verified,
)

WAYS = [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("sqlite", "sqlite")]


class Stores:
    """Opens stores, and closes them all."""

    def __init__(self) -> None:
        self.made: list[SqlStore] = []

    async def open(self, url: str, owner: str) -> SqlStore:
        store = SqlStore(url, owner=owner)
        self.made.append(store)
        await store.open()
        await store.bind(GENESIS, CONTRACT)
        return store

    async def both(self, source: str, target: str) -> tuple[SqlStore, SqlStore]:
        """Not as a daemon opens them: bare."""
        pair = SqlStore(source), SqlStore(target)
        self.made += pair
        for store in pair:
            await store.database.open()
        return pair


@pytest.fixture
async def stores() -> AsyncIterator[Stores]:
    found = Stores()
    yield found
    for store in found.made:
        await store.close()


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]}-to-{way[1]}")
def way(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    source, target = request.param
    return (
        store_fixtures.real_url(source, tmp_path / "a"),
        store_fixtures.real_url(target, tmp_path / "b"),
    )


async def fill(store: SqlStore) -> None:
    """Something in every table."""
    await marking(store, 1)
    done = await marking(store, 2)
    await store.sight(mark_of(done), seen(SightingKind.IN_BLOCK, 300, mark_of(done), final=True))
    await store.step(done, Step(event=Event.SWAP_COMPLETED))
    await held(store, 3)
    await reserved(store, 2**40)
    await store.step(await verified(store, 5), Step(event=Event.REFUSED, recovery=recovery("refused:x")))
    await signed(store, 6, payout_claim())
    await store.set_paused("btc", True, "operator:x")
    await store.import_sent([ImportedSend(77, "0x01", 5, True, None)])
    await store.pin("code_hash", "0xcode")


def nobody(*_: object) -> None:
    """Told of progress."""


async def test_everything_arrives_and_work_goes_on_there(stores: Stores, way: tuple[str, str]) -> None:
    old = await stores.open(way[0], "old")
    await fill(old)
    sagas, lanes = await old.list_sagas(), await old.open_lanes()
    pending = await old.pending_recovery()
    journals = [await old.journal(saga.id) for saga in await old.list_sagas()]
    epoch = (await old.acquire("watch")).epoch
    await old.close()
    source, target = await stores.both(*way)
    told: list[tuple[str, int, int]] = []
    moved = copying.move(source.database, target.database, "operator:x", lambda *args: told.append(args))
    assert {name for name, content in moved.items() if content.rows} >= {
        "sagas", "journal", "lanes", "slots", "attempts", "reservations", "leases", "heads", "imported",
        "watch_cursor", "recovery", "paused", "operator_log", "meta", "accounts",
    }  # fmt: skip
    assert ("sagas", 6, 6) in told
    new = await stores.open(way[1], "new")
    assert bare(await new.list_sagas()) == bare(sagas)
    assert await new.open_lanes() == lanes
    assert await new.pending_recovery() == pending
    assert [await new.journal(saga.id) for saga in await new.list_sagas()] == journals
    assert (await new.acquire("watch")).epoch == epoch + 1  # the old holder's writes stay fenced
    assert await new.lease_sagas() == 4
    (saga,) = await discover(new, 8)  # ids go on above those that came
    assert saga.id > max(each.id for each in sagas)
    lane = (await signed(new, 9)).payout
    assert lane is not None
    assert int(lane.slot) > max(int(each.slot) for each in lanes if each.account == lane.account)


def bare(sagas: Sequence[Saga]) -> list[Saga]:
    """Without what depends on who reads them."""
    return [replace(saga, lease_epoch=0) for saga in sagas]


async def test_the_old_store_serves_nobody_and_names_the_new_one(
    stores: Stores, way: tuple[str, str]
) -> None:
    watching = await stores.open(way[0], "watching")  # open all along, without a lease
    source, target = await stores.both(*way)
    copying.move(source.database, target.database, "operator:x", nobody)
    where = target.database.where
    with pytest.raises(ConfigError) as caught:
        await stores.open(way[0], "again")
    assert f"was moved to {where}" in str(caught.value)
    with pytest.raises(ConfigError, match="was moved to"):
        await watching.acquire("watch")


async def test_not_while_anybody_holds_a_lease(stores: Stores, way: tuple[str, str]) -> None:
    daemon = await stores.open(way[0], "daemon")
    await daemon.acquire("watch")
    source, target = await stores.both(*way)
    with pytest.raises(LeaseLost, match="daemon"):
        copying.move(source.database, target.database, "operator:x", nobody)
    await daemon.heartbeat()
    await discover(daemon, 1)  # nothing was marked
    await daemon.close()
    copying.move(source.database, target.database, "operator:x", nobody)


async def test_only_into_an_empty_one(stores: Stores, way: tuple[str, str]) -> None:
    other = await stores.open(way[1], "other")
    await other.set_paused("all", True, "operator:x")
    source, target = await stores.both(*way)
    with pytest.raises(ConfigError, match=r"is not empty \(.*paused 1"):
        copying.move(source.database, target.database, "operator:x", nobody)
    await stores.open(way[0], "old")


async def test_what_does_not_arrive_as_it_was_sent_changes_nothing(
    stores: Stores, way: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await stores.open(way[0], "old")
    await verified(old, 1)
    await old.close()
    source, target = await stores.both(*way)
    honest = copying._copy_all

    def lossy(out: Any, into: Any, progress: Any) -> Any:
        done = honest(out, into, progress)
        into.exec_driver_sql("UPDATE sagas SET reason = 'other'")
        return done

    monkeypatch.setattr(copying, "_copy_all", lossy)
    with pytest.raises(InvariantBroken, match="sagas"):
        copying.move(source.database, target.database, "operator:x", nobody)
    monkeypatch.undo()
    assert (await get(await stores.open(way[0], "again"), 1)).reason == ""


async def test_stopped_between_the_two_commits_it_is_made_again(
    stores: Stores, way: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source is marked, the target did not commit: nobody works on either; the same command ends it."""
    old = await stores.open(way[0], "old")
    await verified(old, 1)
    await old.close()
    source, target = await stores.both(*way)
    whole = type(target.database).transact

    def cut(self: Any, writes: bool, work: Any) -> Any:
        def and_fail(conn: Any) -> Any:
            work(conn)
            raise StoreUnavailable("the connection is gone")

        return whole(self, writes, and_fail if writes and self is target.database else work)

    monkeypatch.setattr(type(target.database), "transact", cut)
    with pytest.raises(StoreUnavailable):
        copying.move(source.database, target.database, "operator:x", nobody)
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="was moved to"):
        await stores.open(way[0], "again")
    assert copying.move(source.database, target.database, "operator:x", nobody)["sagas"].rows == 1
    elsewhere = SqlStore("sqlite://")
    await elsewhere.database.open()
    with pytest.raises(ConfigError, match="already"):
        copying.move(source.database, elsewhere.database, "operator:x", nobody)
    await elsewhere.close()
