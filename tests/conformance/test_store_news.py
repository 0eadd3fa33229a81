"""Several processes on one store: they hear of each other at once, and one alone recovers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from miner.model import ImportedSend
from miner.store import SqlStore
from tests.conformance import store_fixtures
from tests.conformance.store_builders import discover
from tests.conformance.store_fixtures import House

house, store, other = store_fixtures.house, store_fixtures.store, store_fixtures.other

HEARD_S = 10.0
ROOT = Path(__file__).parents[2]

DECISIONS = {
    "pause": lambda store: store.set_paused("all", True, "operator:x"),
    "import": lambda store: store.import_sent([ImportedSend(7, "0x01", 5, False, None)]),
    "code": lambda store: store.repin("code_hash", "0x2", "operator:x"),
    "clear": lambda store: store.clear_account("tao:0x", "5Payer", 0, "operator:x"),
}


async def hearing(store: SqlStore) -> asyncio.Task[None]:
    """A task that ends at the next news; it listens when this returns."""
    ready = asyncio.create_task(store.changed())  # the first call may return at once: it begins to listen
    await asyncio.wait({ready}, timeout=1.0)
    if ready.done():
        return asyncio.create_task(store.changed())
    return ready


@pytest.mark.parametrize("decision", DECISIONS)
async def test_what_an_operator_decides_is_heard_at_once(
    store: SqlStore, other: SqlStore, decision: str
) -> None:
    await store.pin("code_hash", "0x1")
    heard = await hearing(store)
    await DECISIONS[decision](other)
    await asyncio.wait_for(heard, HEARD_S)


async def test_a_lease_that_is_given_back_is_heard_of(store: SqlStore, other: SqlStore) -> None:
    await other.acquire("watch")
    heard = await hearing(store)
    await other.close()
    await asyncio.wait_for(heard, HEARD_S)
    assert (await store.acquire("watch")).owner == "one"


async def test_its_own_writes_are_no_news(store: SqlStore) -> None:
    heard = await hearing(store)
    await store.set_paused("all", True, "operator:x")
    await discover(store, 1)
    done, _ = await asyncio.wait({heard}, timeout=1.5)
    heard.cancel()
    await asyncio.gather(heard, return_exceptions=True)
    assert not done


async def test_one_alone_recovers_where_several_may_be(
    house: House, store: SqlStore, other: SqlStore
) -> None:
    """A file has one daemon; on a server the second waits until the first gives up or is gone."""
    shared = not house.url.startswith("postgresql")
    assert await store.alone("start-up recovery")
    assert await other.alone("start-up recovery") is shared
    assert await other.alone("something else")
    await store.give_up("start-up recovery")
    assert await other.alone("start-up recovery")
    await other.close()
    for _ in range(200):  # the server ends the session when it gets to it
        if await store.alone("start-up recovery"):
            break
        await asyncio.sleep(0.05)
    else:
        raise AssertionError("the lock outlived its session")


RACER = """
import asyncio, json, random, sys
from miner.errors import LeaseLost, StoreUnavailable
from miner.store import SqlStore

async def main(url, name, seconds):
    random.seed(name)
    held = []
    store = SqlStore(url, owner=name, lease_ttl_s=0.15, busy_timeout_s=5)
    await store.open()
    end = await store.now_ms() + seconds * 1000
    while (now := await store.now_ms()) < end:
        try:
            lease = await store.acquire("watch")
        except LeaseLost:
            await asyncio.sleep(random.random() * 0.02)
            continue
        held.append((lease.epoch, lease.expires_at_ms))
        if random.random() < 0.5:
            await asyncio.sleep(0.2 * random.random())  # it may expire meanwhile
    print(json.dumps(held))
    # no close: its leases simply end

asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
"""


@pytest.mark.matrix("PostgreSQL", "PostgreSQL and SQLite, three processes")
def test_of_racing_processes_each_epoch_has_one_holder(
    real_url: str, record_property: Callable[[str, object], None]
) -> None:
    """Real processes, the database's real clock: an epoch is one process's alone, and they only rise."""
    command = [sys.executable, "-c", RACER, real_url]
    racers = [
        subprocess.Popen([*command, name, "2.5"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for name in ("a", "b", "c")
    ]
    held = [json.loads(racer.communicate(timeout=120)[0]) for racer in racers]
    epochs = [{epoch for epoch, _ in each} for each in held]
    assert all(a.isdisjoint(b) for i, a in enumerate(epochs) for b in epochs[i + 1 :])
    assert sum(map(len, epochs)) == max(max(each, default=0) for each in epochs)  # none was skipped or shared
    assert sum(bool(each) for each in epochs) >= 2
    spans = sorted(span for each in held for span in _spans(each))
    assert all(before[2] <= after[1] for before, after in pairwise(spans))
    record_property("take_overs", sum(map(len, epochs)))
    record_property("double_holders", 0)


def _spans(held: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Each epoch with the first and last moment at which it was surely held."""
    by: dict[int, list[int]] = {}
    for epoch, expires in held:
        by.setdefault(epoch, []).append(expires)
    return [(epoch, min(ends) - 150, max(ends)) for epoch, ends in by.items()]


@pytest.fixture(params=store_fixtures.IMPLEMENTATIONS)
def real_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database with its real clock."""
    return store_fixtures.real_url(request.param, tmp_path)
