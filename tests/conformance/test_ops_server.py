"""The ops server: health, metrics, who may do what, and that what fails in it fails there alone."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from miner.amounts import Chain
from miner.errors import StoreUnavailable
from miner.model import Payment, SagaPatch, Step
from miner.ops import health
from miner.ops.board import Board
from miner.ops.server import _bound, serving
from miner.saga import Event
from miner.tally import REQUESTS, tally
from tests.conformance.ops_house import OPERATE, READ, Served, server
from tests.unit.config_files import ALICE


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with server() as found:
        yield found


def samples(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by metric, and by the values of its labels in the order of their names."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = (
                sample.value
            )
    return found


async def scraped(served: Served) -> dict[str, dict[tuple[str, ...], float]]:
    status, _, text = await served.get("/metrics")
    assert status == 200
    return samples(text)


# health


async def test_it_is_ready_when_the_daemon_says_so_and_tells_why_not(served: Served) -> None:
    status, media, text = await served.tcp("/readyz")
    told = json.loads(text)
    assert (status, media) == (503, "application/problem+json")
    assert told["reasons"] == ["starting"]
    served.board.ready(True, "")
    assert (await served.tcp("/readyz"))[0] == 200
    served.board.ready(False, "no new finalised block in 120 s")
    status, _, text = await served.tcp("/readyz")
    assert status == 503
    assert "no new finalised block in 120 s" in json.loads(text)["detail"]


async def test_it_is_alive_until_no_round_comes_round(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally.beat("rounds")
    assert (await served.tcp("/livez"))[0] == 200
    monkeypatch.setattr(health, "HUNG_S", -1.0)
    status, media, _ = await served.tcp("/livez")
    assert (status, media) == (503, "application/problem+json")


# who may do what


async def test_nothing_but_health_is_told_without_a_token(served: Served) -> None:
    for path in ("/metrics",):
        status, media, _ = await served.tcp(path)
        assert (status, media) == (401, "application/problem+json"), path
        assert (await served.tcp(path, READ))[0] == 200
        assert (await served.tcp(path, OPERATE))[0] == 200
        assert (await served.tcp(path, "x" * 40))[0] == 401
        assert (await served.tcp(path, headers={"Authorization": "Basic " + READ}))[0] == 401


async def test_the_sockets_own_user_may_read(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await served.get("/metrics"))[0] == 200
    assert (await served.get("/metrics", headers={"X-Forwarded-For": "10.0.0.1"}))[0] == 401
    assert (await served.get("/metrics", "x" * 40))[0] == 401
    monkeypatch.setattr("miner.ops.access.os.geteuid", lambda: 4711)
    expected = 200 if os.getuid() == 0 else 401
    assert (await served.get("/metrics"))[0] == expected


async def test_a_token_is_rotated_without_a_restart(served: Served) -> None:
    file = served.folder / "read"
    file.write_text("n" * 40, encoding="utf-8")
    assert (await served.tcp("/metrics", READ))[0] == 401
    assert (await served.tcp("/metrics", "n" * 40))[0] == 200
    file.write_text("short", encoding="utf-8")
    assert (await served.tcp("/metrics", "short"))[0] == 401
    file.write_text(READ, encoding="utf-8")
    file.chmod(0o644)
    assert (await served.tcp("/metrics", READ))[0] == 401, "a file that others can read is no secret"
    file.unlink()
    assert (await served.tcp("/metrics", READ))[0] == 401
    assert (await served.tcp("/metrics", OPERATE))[0] == 200


async def test_a_page_of_somebody_elses_gets_nothing(served: Served) -> None:
    for path in ("/livez", "/metrics"):
        for headers in (
            {"Host": f"evil.example:{served.port}"},
            {"Host": "127.0.0.1.evil.example"},
            {"Host": "[broken"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
        ):
            status, media, _ = await served.tcp(path, OPERATE, headers=headers)
            assert (status, media) == (403, "application/problem+json"), headers
        for host in (f"localhost:{served.port}", f"[::1]:{served.port}"):
            assert (await served.tcp(path, READ, headers={"Host": host}))[0] == 200
        assert (await served.tcp(path, READ, headers={"Origin": served.url}))[0] == 200


async def test_the_socket_is_open_to_its_user_alone(served: Served) -> None:
    assert stat.S_IMODE(served.socket.stat().st_mode) == 0o600


# problems


async def test_what_is_not_there_is_a_problem(served: Served) -> None:
    status, media, text = await served.get("/nothing")
    assert (status, media) == (404, "application/problem+json")
    assert json.loads(text)["title"] == "Not Found"
    status, media, _ = await served.get("/metrics", method="DELETE")
    assert (status, media) == (405, "application/problem+json")


async def raw(served: Served, request: bytes) -> bytes:
    """What comes back for these very bytes, sent to the end."""
    reader, writer = await asyncio.open_unix_connection(str(served.socket))
    writer.write(request)
    await writer.drain()
    found = await reader.read()
    writer.close()
    await writer.wait_closed()
    return found


async def test_a_body_that_is_too_large_is_a_problem(served: Served) -> None:
    head = b"GET /metrics HTTP/1.1\r\nHost: ops\r\nConnection: close\r\nContent-Length: 1100000\r\n\r\n"
    answer = await raw(served, head + b"x" * 1_100_000)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


async def test_what_breaks_in_a_request_breaks_there_alone(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks() -> bytes:
        raise RuntimeError("canary in the words of an error")

    monkeypatch.setattr(served.desk.metrics, "expose", breaks)
    status, media, text = await served.get("/metrics")
    assert (status, media) == (500, "application/problem+json")
    assert "canary" not in text
    assert (await served.get("/livez"))[0] == 200


async def test_a_request_that_takes_too_long_is_cut_off(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never() -> bytes:
        await asyncio.Event().wait()
        return b""

    monkeypatch.setattr(served.desk.metrics, "expose", never)
    monkeypatch.setattr("miner.ops.server.ANSWER_S", 0.05)
    assert (await served.get("/metrics"))[0] == 503


# metrics


async def test_the_metrics_tell_what_the_store_holds(served: Served) -> None:
    found = await scraped(served)
    swaps = {state[0]: number for state, number in found["swap_miner_swaps"].items() if number}
    assert swaps == {"DISCOVERED": 1, "SIGNED": 1, "HELD": 1}
    assert found["swap_miner_blocks_to_deadline"] == {("DISCOVERED",): 81, ("SIGNED",): 82, ("HELD",): 83}
    assert found["swap_miner_finalised_height"][()] == 20
    assert found["swap_miner_journal_entries"][()] == 7
    assert found["swap_miner_recovery_outbox_entries"][()] == 1
    assert found["swap_miner_conditions"] == {("account_stopped",): 1, ("swap_held",): 1}
    assert found["swap_miner_account_stopped"][(ALICE, "tao")] == 1
    assert found["swap_miner_saga_leases"] == {("daemon",): 3}
    ((holder, left),) = found["swap_miner_lease_expires_in_seconds"].items()
    assert holder == ("daemon", "watch")
    assert 0 < left <= 30
    assert 0 <= found["swap_miner_lease_age_seconds"][holder] < 60
    assert found["swap_miner_endpoint_lag_blocks"] == {("wss://one.example",): 0, ("wss://two.example",): 8}
    assert found["swap_miner_wallet_spendable_units"][(ALICE, "tao")] == 7e9
    assert found["swap_miner_wallet_reserved_units"][(ALICE, "tao")] == 3_425_500_000 + 5 * 10**6
    assert found["swap_miner_store_readable"][()] == 1
    assert list(found["swap_miner_build_info"].values()) == [1]


async def test_what_this_node_does_is_counted_once(served: Served) -> None:
    assert "swap_miner_transitions_total" not in await scraped(served), "what was before is no news"
    one = await served.daemon.saga(1)
    assert one is not None
    payment = Payment(Chain.BTC, "cd" * 32, 5, "cd" * 32, 1_000_000, "ef" * 32)
    await served.daemon.step(one, Step(event=Event.SOURCE_VERIFIED, patch=SagaPatch(payment=payment)))
    for _ in range(2):
        found = await scraped(served)
        assert found["swap_miner_transitions_total"] == {("VERIFIED", "DISCOVERED", "SOURCE_VERIFIED"): 1}
    served.board.owner = "another"
    two = await served.daemon.saga(2)
    assert two is not None
    await served.daemon.step(two, Step(event=Event.NOTED))
    assert len((await scraped(served))["swap_miner_transitions_total"]) == 1, "another node's work is its own"


async def test_wallets_are_asked_once_a_minute_at_most(served: Served) -> None:
    for _ in range(3):
        await scraped(served)
    assert served.purse.asked == 1


async def test_requests_are_counted_by_result(served: Served) -> None:
    tally.count(REQUESTS, "tao", "chain_getHeader", "ok")
    found = await scraped(served)
    assert found["swap_miner_rpc_requests_total"][("tao", "chain_getHeader", "ok")] >= 1


async def test_a_store_that_refuses_takes_away_its_own_part_alone(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses() -> Any:
        raise StoreUnavailable("disk is full")

    monkeypatch.setattr(served.desk.store, "count_by_state", refuses)
    found = await scraped(served)
    assert found["swap_miner_store_readable"][()] == 0
    assert found["swap_miner_ready"][()] == 0
    assert "swap_miner_endpoint_lag_blocks" in found


# its sockets


async def test_a_socket_that_a_dead_process_left_is_replaced(served: Served, tmp_path: Path) -> None:
    left = served.folder / "left.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    async with serving(served.desk, left, None):
        assert left.is_socket()
    assert not left.exists()


async def test_a_living_servers_socket_is_left_alone(served: Served) -> None:
    before = served.socket.stat().st_ino
    with pytest.raises(OSError, match="another process serves there"):
        await asyncio.to_thread(_bound, served.socket)
    async with serving(served.desk, served.socket, ("127.0.0.1", served.port)):
        pass
    assert served.socket.stat().st_ino == before
    assert (await served.get("/livez"))[0] == 200


async def test_a_name_that_is_no_socket_is_left_alone(served: Served) -> None:
    file = served.folder / "precious"
    file.write_text("kept", encoding="utf-8")
    async with serving(served.desk, file, None):
        pass
    assert file.read_text(encoding="utf-8") == "kept"


def test_a_board_keeps_since_when() -> None:
    board = Board("one")
    began = board.since_s
    board.ready(False, "another reason")
    assert (board.since_s, board.why) == (began, "another reason")
    board.ready(True, "ignored")
    assert board.since_s >= began
    assert board.why == ""
