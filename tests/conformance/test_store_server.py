"""The store on a PostgreSQL server: what it asks of the server, and what it makes of lost connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, text

from miner.errors import (
    ConfigError,
    InvariantBroken,
    MinerError,
    SchemaTooOld,
    StaleSaga,
    StoreDamaged,
    StoreUnavailable,
)
from miner.model import Step
from miner.saga import Event, State
from miner.store import SqlStore
from miner.store.server import TRIES, Server
from tests.conformance.store_builders import (
    CONTRACT,
    GENESIS,
    discover,
    get,
    payout_claim,
    payout_of,
    reserved,
    verified,
)
from tests.conformance.store_fixtures import House
from tests.postgres.house import SECRET, admin, make_role, schema, the_server
from tests.postgres.proxy import Cut, PgProxy

NOTED = Step(event=Event.NOTED)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    found = House(*schema(the_server()))
    yield found
    for store in found.opened:
        await store.close()


@pytest.fixture
async def store(house: House) -> SqlStore:
    return await house.open("one")


def through(house: House, port: int) -> str:
    """The house's URL, by way of another port."""
    return the_server().url(port=port) + "?" + house.url.partition("?")[2]


def server_of(store: SqlStore) -> Server:
    assert isinstance(store.database, Server)
    return store.database


async def fails(url: str, error: type[MinerError], **options: Any) -> str:
    store = SqlStore(url, **options)
    with pytest.raises(error) as caught:
        await store.open()
    await store.close()
    return str(caught.value)


class TestTheServer:
    @pytest.fixture
    def fsync_off(self) -> Iterator[None]:
        conn = admin(the_server())

        def put(statement: str, value: str) -> None:
            conn.execute(statement.encode())
            conn.execute("SELECT pg_reload_conf()")
            end = time.monotonic() + 10
            while conn.execute("SHOW fsync").fetchone() != (value,) and time.monotonic() < end:
                time.sleep(0.05)

        put("ALTER SYSTEM SET fsync = off", "off")
        yield
        put("ALTER SYSTEM RESET fsync", "on")

    async def test_that_does_not_sync_is_refused(self, house: House, fsync_off: None) -> None:
        told = await fails(house.url, ConfigError)
        assert "fsync is off" in told
        assert "ALTER SYSTEM SET fsync = on" in told

    @pytest.mark.parametrize("value", ["off", "local", "remote_write"])
    async def test_that_answers_before_it_has_synced_is_refused(self, house: House, value: str) -> None:
        url = house.url + f"%20-csynchronous_commit%3D{value}"
        told = await fails(url, ConfigError)
        assert f"synchronous_commit is {value}" in told
        assert "Set it to on" in told

    async def test_a_standby_a_missing_schema_and_a_stranger_are_refused(self, house: House) -> None:
        server = the_server()
        assert "CREATE SCHEMA" in await fails(
            server.url(socket=True, options="-csearch_path=nowhere"), StoreUnavailable
        )
        admin(server).execute(f"CREATE TABLE store_{house.clock.number}.theirs (i int)".encode())  # type: ignore[attr-defined]
        assert "no store of this program" in await fails(house.url, StoreDamaged)

    async def test_a_store_of_a_newer_program_is_refused(self, house: House, store: SqlStore) -> None:
        admin(the_server()).execute(
            f"UPDATE store_{house.clock.number}.alembic_version SET version_num = '9999'".encode()  # type: ignore[attr-defined]
        )
        assert "9999" in await fails(house.url, SchemaTooOld)

    async def test_a_store_of_an_older_program_is_told_without_being_opened(
        self, house: House, store: SqlStore
    ) -> None:
        assert (await store.survey()).older is None
        table = f"store_{house.clock.number}.alembic_version"  # type: ignore[attr-defined]
        admin(the_server()).execute(f"UPDATE {table} SET version_num = '0008'".encode())
        beside = SqlStore(house.url)
        try:
            assert (await beside.survey()).older == "0008"
        finally:
            await beside.close()

    async def test_one_that_is_not_there_is_unavailable(self) -> None:
        told = await fails("postgresql://nobody@127.0.0.1:1/none", StoreUnavailable, busy_timeout_s=2)
        assert "postgresql://nobody@127.0.0.1:1/none" in told

    async def test_two_that_begin_at_once_make_one_store(self, house: House) -> None:
        one, two = await asyncio.gather(house.open("one"), house.open("two"))
        await discover(one, 1)
        assert await two.saga(1) is not None


class TestThePassword:
    """Law 11: it is in no error, no text of ours, and no URL."""

    @pytest.fixture(autouse=True)
    def _role(self) -> None:
        make_role(the_server())

    def url(self, number: int) -> str:
        admin(the_server()).execute(f"CREATE SCHEMA own_{number} AUTHORIZATION secretive".encode())
        options = f"-csearch_path=own_{number}"
        return the_server().url(options=options).replace("postgres@", "secretive@")

    async def test_is_asked_for_and_not_kept(self, house: House) -> None:
        asked: list[str] = []

        def password() -> str:
            asked.append(SECRET)
            return SECRET

        store = SqlStore(self.url(house.clock.number), password=password)  # type: ignore[attr-defined]
        await store.open()
        await store.bind(GENESIS, CONTRACT)
        for shown in (repr(store), str(vars(store)), str(vars(store.database)), store.database.where):
            assert SECRET not in shown
        await store.close()
        assert asked

    async def test_a_wrong_one_is_told_without_it(self, house: House) -> None:
        url = self.url(house.clock.number)  # type: ignore[attr-defined]
        told = await fails(url, StoreUnavailable, password=lambda: "wrong-" + SECRET)
        assert SECRET not in told
        assert "password authentication failed" in told

    @pytest.mark.parametrize(
        "url",
        [
            f"postgresql://user:{SECRET}@host/db",
            f"postgresql://user@host/db?password={SECRET}",
            f"postgresql://user@host/db?sslpassword={SECRET}",
            f"postgresql://user:{SECRET}@host:port/db",
            f"postgresql://u:{SECRET}@[broken/db",
        ],
    )
    def test_in_a_url_it_is_refused_and_not_repeated(self, url: str) -> None:
        with pytest.raises(ConfigError) as caught:
            SqlStore(url)
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None


class TestOneWriterAtATime:
    async def test_a_second_one_waits_and_then_is_told(self, house: House, store: SqlStore) -> None:
        held, go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold(conn: Connection) -> None:
            conn.execute(text("SELECT 1"))
            loop.call_soon_threadsafe(held.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()

        holding = asyncio.create_task(store.database.write(hold))
        await held.wait()
        other = SqlStore(house.url, owner="two", busy_timeout_s=0.3)
        try:
            with pytest.raises(StoreUnavailable, match="lock timeout"):
                await other.open()
        finally:
            go_on.set()
            await holding
        await other.open()
        await other.close()

    async def test_a_client_that_hangs_in_a_transaction_is_put_out(self, house: House) -> None:
        """As a stopped daemon would: its transaction ends, and it learns that nothing is known."""
        stopped = SqlStore(house.url, owner="stopped", busy_timeout_s=0.3)
        await stopped.open()
        with pytest.raises(StoreUnavailable):
            await stopped.database.write(lambda conn: time.sleep(1.5))
        await stopped.bind(GENESIS, CONTRACT)
        await stopped.close()

    async def test_racing_steps_of_one_saga_have_one_winner(self, house: House, store: SqlStore) -> None:
        """Three sessions of one owner: neither lease nor thread keeps them apart."""
        saga = await verified(store, 1)
        three = [store, await house.open("one"), await house.open("one")]
        results = await asyncio.gather(*(each.step(saga, NOTED) for each in three), return_exceptions=True)
        assert sum(isinstance(result, StaleSaga) for result in results) == 2

    async def test_racing_payouts_get_a_nonce_each(self, house: House, store: SqlStore) -> None:
        sagas = [await reserved(store, swap_id) for swap_id in range(1, 7)]
        sessions = [store, *[await house.open("one") for _ in range(5)]]
        step = Step(event=Event.PAYOUT_SIGNED, claim=payout_claim())
        done = await asyncio.gather(
            *(each.step(saga, step) for each, saga in zip(sessions, sagas, strict=True))
        )
        assert sorted(int(payout_of(saga).slot) for saga in done) == [3, 4, 5, 6, 7, 8]

    async def test_racing_beginners_read_the_same_pin(self, house: House) -> None:
        sessions = [await house.open("one", bind=False) for _ in range(5)]
        told = await asyncio.gather(*(each.pin("code", str(n)) for n, each in enumerate(sessions)))
        assert len(set(told)) == 1


class TestALostCommit:
    """The answer to a COMMIT did not come: not known to be written, and read back by key."""

    @pytest.mark.matrix("PostgreSQL", "PostgreSQL, a proxy that drops at COMMIT")
    @pytest.mark.parametrize("cut", list(Cut), ids=lambda cut: cut.name.lower())
    async def test_is_not_known_and_is_read_back(
        self, house: House, cut: Cut, record_property: Callable[[str, object], None]
    ) -> None:
        async with PgProxy(the_server().port) as proxy:
            house.url = through(house, proxy.port)
            store = await house.open("one")
            saga = await reserved(store, 1)
            proxy.cut = cut
            with pytest.raises(StoreUnavailable):
                await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=payout_claim()))
            assert proxy.cuts == 1
            now = await get(store, 1)
            written = cut is not Cut.BEFORE
            assert now.state is (State.SIGNED if written else State.RESERVED)
            assert len(await store.open_lanes()) == written
            assert await store.what_changed() is None
            assert server_of(store).newest == ""
            record_property("written", written)
            await store.close()

    async def test_a_connection_cut_at_any_other_time_is_made_again(self, house: House) -> None:
        async with PgProxy(the_server().port) as proxy:
            house.url = through(house, proxy.port)
            store = await house.open("one")
            await discover(store, 1)
            proxy.disconnect()
            with pytest.raises(StoreUnavailable):
                await store.now_ms()
            assert await store.saga(1) is not None
            await store.close()

    async def test_a_server_that_answers_no_more_is_given_up(self, house: House) -> None:
        async with PgProxy(the_server().port) as proxy:
            house.url = through(house, proxy.port)
            store = await house.open("one")
            server_of(store)._answer_s = 0.5
            proxy.hang()
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(store.now_ms(), 20)
            proxy.go_on()
            server_of(store)._answer_s = 20
            assert await store.now_ms() > 0
            await store.close()


class TestTryingAgain:
    async def test_what_certainly_was_not_committed(self, store: SqlStore) -> None:
        """A deadlock or a serialization failure before COMMIT: the whole transaction is run again."""
        runs: list[int] = []

        def work(conn: Connection) -> None:
            runs.append(1)
            conn.execute(text("INSERT INTO meta VALUES ('tried', 'x')"))
            if len(runs) < 3:
                conn.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$")

        await store.database.write(work)
        assert len(runs) == 3

    async def test_ends_sometime(self, store: SqlStore) -> None:
        runs: list[int] = []

        def work(conn: Connection) -> None:
            runs.append(1)
            conn.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")

        with pytest.raises(StoreUnavailable):
            await store.database.write(work)
        assert len(runs) == TRIES

    async def test_never_after_commit_was_sent(self, house: House, store: SqlStore) -> None:
        """Whatever the server says to COMMIT, the work is not done a second time here."""
        await store.database.write(
            lambda conn: conn.exec_driver_sql(
                "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE SQLSTATE '40001'; END $$;"
                "CREATE CONSTRAINT TRIGGER no AFTER INSERT ON meta DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION no()"
            )
        )
        runs: list[int] = []

        def work(conn: Connection) -> None:
            runs.append(1)
            conn.execute(text("INSERT INTO meta VALUES ('tried', 'x')"))

        with pytest.raises(StoreUnavailable):
            await store.database.write(work)
        assert len(runs) == 1

    async def test_no_other_error_is(self, store: SqlStore) -> None:
        runs: list[int] = []

        def work(conn: Connection) -> None:
            runs.append(1)
            conn.execute(text("INSERT INTO meta VALUES ('genesis', 'another')"))

        with pytest.raises(InvariantBroken):
            await store.database.write(work)
        assert len(runs) == 1
        assert await store.now_ms() > 0


async def test_what_a_column_cannot_hold_is_a_broken_law(store: SqlStore) -> None:
    with pytest.raises(InvariantBroken):
        await store.pin("name", "a\0b")
    assert await store.now_ms() > 0
