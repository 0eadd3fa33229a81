"""The ops server's API: what it tells of swaps, its streams, and what it lets an operator do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from miner.model import Came, Discovery, Head, Ingest, OperatorRequest, Outcome, Step
from miner.ops import streams
from miner.ops.access import Scope
from miner.ops.routes import ROUTES
from miner.saga import Event
from miner.store import SqlStore
from tests.conformance.ops_house import OPERATE, READ, Served, server
from tests.postgres.house import real_schema, the_server
from tests.unit.cli_world import CANARY, GENESIS, swap_of
from tests.unit.config_files import ALICE, BOB, GOOD

API = "/api/v1"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with server() as found:
        yield found


async def told(served: Served, path: str, status: int = 200, **how: Any) -> Any:
    found, media, text = await served.get(f"{API}{path}", OPERATE, **how)
    assert found == status, text
    assert media == ("application/json" if status < 400 else "application/problem+json")
    return json.loads(text)


async def post(served: Served, path: str, status: int = 200, **body: Any) -> Any:
    return await told(served, path, status, method="POST", json=body)


async def note(store: SqlStore, swap_id: int) -> None:
    saga = await store.saga(swap_id)
    assert saga is not None
    await store.step(saga, Step(event=Event.NOTED))


# what is told


async def test_swaps_come_newest_first_a_page_at_a_time(served: Served) -> None:
    first = await told(served, "/swaps?limit=2")
    assert [row["swap_id"] for row in first["swaps"]] == [3, 2]
    assert (first["next_before"], first["known"]) == (2, 3)
    last = await told(served, f"/swaps?limit=2&before={first['next_before']}")
    assert [row["swap_id"] for row in last["swaps"]] == [1]
    assert last["next_before"] is None


async def test_swaps_are_filtered_by_state_and_miner(served: Served) -> None:
    found = await told(served, "/swaps?state=HELD&state=SIGNED")
    assert [row["swap_id"] for row in found["swaps"]] == [3, 2]
    assert (await told(served, f"/swaps?miner={BOB}"))["swaps"] == []
    assert len((await told(served, f"/swaps?miner={ALICE}"))["swaps"]) == 3


async def test_one_swap_is_told_whole(served: Served) -> None:
    found = await told(served, "/swaps/2")
    assert found["state"] == "SIGNED"
    assert found["payout"]["attempts"][0]["fee"] == "125000"
    assert [entry["event"] for entry in found["journal"]][-1] == "PAYOUT_SIGNED"
    await told(served, "/swaps/99", 404)


async def test_a_journal_is_told_a_page_at_a_time(served: Served) -> None:
    first = await told(served, "/swaps/2/events?limit=2")
    assert [entry["seq"] for entry in first["events"]] == [1, 2]
    rest = await told(served, f"/swaps/2/events?after={first['next_after']}")
    assert [entry["seq"] for entry in rest["events"]] == [3, 4]
    assert rest["next_after"] is None
    await told(served, "/swaps/99/events", 404)


async def test_the_status_tells_how_everything_stands(served: Served) -> None:
    found = await told(served, "/status")
    assert found["counts"] == {"DISCOVERED": 1, "HELD": 1, "SIGNED": 1}
    assert found["needs_operator"] == [3]
    assert found["reasons"] == ["starting"]
    assert [each["url"] for each in found["endpoints"]] == ["wss://one.example", "wss://two.example"]
    assert found["wallets"][0]["spendable"] == "7000000000"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/swaps?limit=0", 422),
        ("/swaps?limit=501", 422),
        ("/swaps?limit=2.0", 422),
        ("/swaps?limit=1&limit=2", 422),
        ("/swaps?state=NOWHERE", 422),
        ("/swaps?colour=red", 422),
        ("/swaps/x", 422),
        ("/swaps/-1", 422),
        (f"/swaps/{2**63}", 422),
        ("/swaps/٣", 422),
        ("/export?what=keys", 422),
        ("/nothing", 404),
    ],
)
async def test_what_does_not_fit_is_a_problem(served: Served, path: str, status: int) -> None:
    assert (await told(served, path, status))["status"] == status


# who may do what


async def test_each_path_asks_for_its_scope(served: Served) -> None:
    for route in ROUTES:
        path = route.path.replace("{swap_id}", "1")
        none, _, _ = await served.tcp(path, method=route.method)
        read, _, _ = await served.tcp("/livez" if route.patient else path, READ, method=route.method)
        if route.scope is Scope.HEALTH:
            assert none in (200, 503), path
            continue
        assert none == 401, path
        assert (route.method == "POST") == (route.scope is Scope.OPERATE), path
        if route.scope is Scope.OPERATE and not route.patient:
            assert read == 403, path
        if route.method == "POST":
            assert (await served.tcp(path, READ, method="POST", json={}))[0] == 403, path
            assert (await served.get(path, method="POST", json={}))[0] == 403, "may read alone"


# streams


@asynccontextmanager
async def listening(served: Served, query: str = "", **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
    headers["Authorization"] = f"Bearer {READ}"
    async with served.http.get(f"http://ops{API}/events{query}", headers=headers) as stream:
        assert stream.status == 200
        assert stream.content_type == "text/event-stream"
        assert await stream.content.readline() == b"retry: 2000\n"
        await stream.content.readline()
        yield stream


async def heard(stream: aiohttp.ClientResponse) -> tuple[int, dict[str, Any]]:
    """The next event: its id and data."""
    async with asyncio.timeout(20):
        lines = [await stream.content.readline() for _ in range(4)]
    assert lines[1] == b"event: journal\n"
    return int(lines[0].removeprefix(b"id: ")), json.loads(lines[2].removeprefix(b"data: "))


async def test_events_are_heard_as_they_happen(served: Served) -> None:
    async with listening(served) as stream:
        await note(served.daemon, 1)
        position, entry = await heard(stream)
        assert position == entry["position"] == await served.daemon.last_position()
        assert (entry["swap_id"], entry["event"]) == (1, "NOTED")


async def test_a_listener_goes_on_after_the_last_event_it_saw(served: Served) -> None:
    last = await served.daemon.last_position()
    async with listening(served, **{"Last-Event-ID": str(last - 2)}) as stream:
        assert [(await heard(stream))[0] for _ in range(2)] == [last - 1, last]
    async with listening(served, f"?after={last - 1}") as stream:
        assert (await heard(stream))[0] == last
    async with listening(served, f"?after={last}", **{"Last-Event-ID": str(last - 1)}) as stream:
        assert (await heard(stream))[0] == last, "the header goes before the query"
    status, _, _ = await served.get(f"{API}/events", READ, headers={"Last-Event-ID": "x"})
    assert status == 422


async def test_a_quiet_feed_says_that_it_is_there(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.0)
    async with listening(served) as stream:
        assert await stream.content.readline() == b": still here\n"


async def test_a_feed_ends_when_the_server_does(served: Served) -> None:
    async with listening(served) as stream:
        served.desk.ending.set()
        async with asyncio.timeout(20):
            assert await stream.content.read() == b""
    assert served.desk.streams == 0


async def test_there_is_an_end_to_the_number_of_streams(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("miner.ops.desk.MOST_STREAMS", 1)
    async with listening(served):
        assert (await served.get(f"{API}/events", READ))[0] == 429
        assert (await served.get(f"{API}/export", READ))[0] == 429


async def test_events_of_another_node_are_heard_on_postgresql() -> None:
    url = real_schema(the_server())
    async with server(url) as served:
        another = SqlStore(url, owner="another")
        await another.open()
        try:
            async with listening(served) as stream:
                await served.daemon.close()  # its leases are given back
                watch = await another.acquire("watch")
                previous = await another.cursor()
                batch = Ingest(previous, (Head(21, "0x" + "21" * 32),), (Discovery(swap_of(9)),))
                await another.ingest(batch, watch)
                _, entry = await heard(stream)
                assert (entry["swap_id"], entry["event"]) == (9, "NOTED")
                assert entry["actor"].endswith(":another")
        finally:
            await another.close()


async def test_the_journal_is_exported_whole(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PIECE", 2)
    status, media, text = await served.get(f"{API}/export", READ)
    assert (status, media) == (200, "application/jsonl")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [each["position"] for each in lines] == list(range(1, await served.daemon.last_position() + 1))
    _, _, text = await served.get(f"{API}/export?after=5", READ)
    assert [json.loads(line)["position"] for line in text.splitlines()] == [6, 7]


async def test_recovery_entries_are_exported(served: Served) -> None:
    _, _, text = await served.get(f"{API}/export?what=recovery", READ)
    (entry,) = [json.loads(line) for line in text.splitlines()]
    assert (entry["swap_id"], entry["cause"]) == (3, "evidence_contradicts")


async def test_an_export_reads_no_further_than_its_reader(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second piece is asked for when the first was handed over, not before."""
    monkeypatch.setattr(streams, "PIECE", 1)
    asked: list[int] = []
    reading = served.desk.store.journal_since
    waiting, taken = asyncio.Event(), asyncio.Event()

    async def counting(position: int, limit: int) -> Any:
        asked.append(position)
        return await reading(position, limit)

    async def slow(out: Any, data: bytes) -> None:
        waiting.set()
        await taken.wait()

    monkeypatch.setattr(served.desk.store, "journal_since", counting)
    monkeypatch.setattr(streams, "_write", slow)
    request = asyncio.create_task(served.get(f"{API}/export", READ))
    await waiting.wait()
    assert asked == [0]
    taken.set()
    await request
    assert len(asked) == 7


# what an operator may do


async def test_pause_and_resume_are_the_stores(served: Served) -> None:
    assert await post(served, "/pause", chain="btc") == {
        "what": "btc", "paused": True, "changed": True, "now_paused": ["btc"],
    }  # fmt: skip
    assert set(await served.daemon.paused()) == {"btc"}
    assert not (await post(served, "/pause", chain="btc"))["changed"]
    assert (await post(served, "/resume", chain="btc"))["now_paused"] == []
    assert (await post(served, "/pause"))["what"] == "all"


async def test_a_request_is_a_dry_run_unless_it_says_otherwise(served: Served) -> None:
    found = await post(served, "/swaps/2/release", hold_s=60, actor="alice", reason="later")
    assert (found["outcome"], found["dry_run"]) == ("would", True)
    (asked,) = served.hands.asked
    assert (asked.verb, asked.swap_id, asked.hold_s, asked.actor) == ("release", 2, 60, "operator:alice")
    refused = await post(served, "/swaps/1/quarantine", 409, reason="closed")
    assert (refused["outcome"], refused["at_stake"], refused["next"]) == ("refused", "1 TAO", "x")
    await post(served, "/swaps/99/retry", 404)


async def test_what_is_to_be_done_is_a_row_that_the_daemon_answers(served: Served) -> None:
    async def daemon() -> None:
        found: Sequence[OperatorRequest] = ()
        while not found:
            await served.daemon.changed()
            found = await served.daemon.take_requests()
        (request,) = found
        assert request.asked.txid == "0x" + "5f" * 32
        assert request.asked.block == 21
        came = Outcome(swap_id=3, came=Came.DONE, text="credited", remedy="", stake="")
        await served.daemon.answer(request, came)

    working = asyncio.create_task(daemon())
    found = await post(
        served, "/swaps/3/adopt-payout", txid="0x" + "5f" * 32, block=21, dry_run=False, reason="by hand"
    )
    await working
    assert (found["outcome"], found["text"], found["dry_run"]) == ("done", "credited", False)


async def test_what_nobody_takes_is_withdrawn(served: Served) -> None:
    found = await post(served, "/swaps/2/retry", 503, dry_run=False, reason="now", wait_s=1)
    assert found["outcome"] == "unknown"
    assert "withdrawn" in found["text"]
    assert await served.daemon.take_requests() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/swaps/2/release", {"dry_run": False}),
        ("/swaps/2/release", {"reason": " "}),
        ("/swaps/2/release", {"reason": "x", "hold_s": "60"}),
        ("/swaps/2/release", {"reason": "x", "hold_s": -1}),
        ("/swaps/2/mark", {"reason": "x"}),
        ("/swaps/2/mark", {"reason": "x", "txid": "5f"}),
        ("/swaps/2/retry", {"wait_s": 601}),
        ("/swaps/2/retry", {"forever": True}),
        ("/swaps/2/retry", {"actor": "a\nb"}),
        ("/swaps/2/retry", {"reason": "x" * 501}),
        ("/swaps/x/retry", {}),
        ("/pause", {"chain": "doge"}),
        ("/validate", {}),
    ],
)
async def test_a_body_that_does_not_fit_is_a_problem(served: Served, path: str, body: dict[str, Any]) -> None:
    found = await told(served, path, 422, method="POST", json=body)
    assert found["errors"]


async def test_a_body_that_is_no_json_is_a_problem(served: Served) -> None:
    await told(served, "/pause", 422, method="POST", data=b"{", headers={"Content-Type": "application/json"})
    await told(
        served, "/pause", 415, method="POST", data=b"chain=btc", headers={"Content-Type": "text/plain"}
    )
    head = (
        f"POST {API}/pause HTTP/1.1\r\nHost: ops\r\nAuthorization: Bearer {OPERATE}\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    reader, writer = await asyncio.open_unix_connection(str(served.socket))
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    writer.write(head + chunk * 17 + b"0\r\n\r\n")
    await writer.drain()
    assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()


async def test_a_row_is_written_anew_under_the_daemons_lease(served: Served) -> None:
    assert (await post(served, "/swaps/2/rebuild"))["agrees"]

    def spoil(conn: Any) -> None:
        conn.exec_driver_sql("UPDATE sagas SET reason = 'spoiled' WHERE swap_id = 2")

    await served.daemon.database.write(spoil)
    found = await post(served, "/swaps/2/rebuild")
    assert (found["written"], found["columns"]["reason"]) == (False, {"row": "spoiled", "journal": ""})
    found = await post(served, "/swaps/2/rebuild", dry_run=False)
    assert found["written"]
    assert (await post(served, "/swaps/2/rebuild"))["agrees"]
    await post(served, "/swaps/99/rebuild", 404)


async def test_without_the_lease_no_row_is_written(served: Served) -> None:
    served.hands._store = served.desk.store  # a daemon that stands by
    await post(served, "/swaps/2/rebuild", 409, dry_run=False)
    await served.daemon.close()  # the other one has given it back
    await post(served, "/swaps/2/rebuild", 409, dry_run=False)
    assert await served.desk.store.leases() == [], "nor is it taken for that"


async def test_settings_are_looked_at_and_nothing_is_told_of_their_secrets(served: Served) -> None:
    found = await post(served, "/validate", config=GOOD, files=False)
    assert found["ok"]
    assert found["checks"]
    bad = GOOD.replace('max_fee = "0.01 TAO"', "max_fee = 1").replace("[store]", "[stroe]")
    found = await post(served, "/validate", config=bad)
    assert not found["ok"]
    assert any("limits.tao.max_fee" in each["name"] for each in found["checks"])
    seed = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
    bad = GOOD + f'\n[miners.hotkey]\nmnemonic_file = "{seed}"\n'
    assert seed not in json.dumps(await post(served, "/validate", config=bad))


# law 11


async def test_signed_bytes_never_leave(served: Served) -> None:
    """They are in the rows and in a spoiled journal payload; no path tells them."""
    said: list[str] = []
    for route in ROUTES:
        for swap_id in ("1", "2", "3"):
            path = route.path.replace("{swap_id}", swap_id)
            if route.media == "text/event-stream":
                continue
            body: dict[str, Any] = {"txid": "ab" * 32} if path.endswith(("mark", "payout")) else {}
            body |= {"reason": "why"} if route.patient else {}
            body |= {"config": GOOD} if path.endswith("validate") else {}
            body |= {"entry": 1, "reason": "why"} if path.endswith("recovery/resolve") else {}
            body |= {"account": ALICE} if path.endswith("resume/account") else {}
            body |= {"amount": "1"} if "/collateral/" in path else {}
            how: dict[str, Any] = {"json": body} if route.method == "POST" else {}
            said.append((await served.get(path, OPERATE, method=route.method, **how))[2])
    async with listening(served, "?after=0") as stream:
        said += [json.dumps((await heard(stream))[1]) for _ in range(7)]
    text = "\n".join(said)
    assert "PAYOUT_SIGNED" in text
    for canary in (CANARY.hex(), CANARY.decode(), CANARY.hex()[:160], OPERATE, READ):
        assert canary not in text
    assert GENESIS in text
