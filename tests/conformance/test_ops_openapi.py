"""The OpenAPI document tells the truth: schemathesis tries every operation on a real server and store."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from miner.model import Came, Outcome
from miner.ops.openapi import document
from miner.ops.routes import ROUTES
from miner.store import SqlStore
from tests.conformance.ops_house import OPERATE, READ, server

EXAMPLES = 5
"""Cases of the fuzzing phase for each operation; the coverage phase brings its own."""


async def answering(store: SqlStore) -> None:
    """A daemon as far as requests go: each is answered in the next turn."""
    while True:
        for request in await store.take_requests():
            swap_id = request.asked.swap_id
            await store.answer(request, Outcome(swap_id=swap_id, came=Came.DONE, text="done"))
        await asyncio.sleep(0.02)


@pytest.mark.timeout(400)
async def test_every_operation_does_what_the_document_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("miner.ops.desk.TURN_S", 0.02)
    async with server() as served:
        served.board.ready(True, "")
        working = asyncio.create_task(answering(served.daemon))
        code, text = await tried(served.url, tmp_path)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert code == 0, text
        assert served.board.is_ready


async def tried(url: str, folder: Path) -> tuple[int | None, str]:
    """Schemathesis over the served document; its exit code and words."""
    (folder / "openapi.json").write_text(json.dumps(document(ROUTES)), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "run", str(folder / "openapi.json"),
        "--url", url, "--header", f"Authorization: Bearer {OPERATE}",
        "--exclude-path", "/api/v1/events",  # it never ends; see test_ops_api
        "--checks", "all", "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES),
        "--workers", "1", "--request-timeout", "20", "--generation-deterministic", "--no-color",
        "--suppress-health-check", "all",
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_the_document_is_served_and_names_every_path() -> None:
    async with server() as served:
        status, media, text = await served.get("/openapi.json", READ)
        assert (status, media) == (200, "application/json")
        told = json.loads(text)
        assert told["openapi"] == "3.1.0"
        assert {(path, method.upper()) for path, each in told["paths"].items() for method in each} == {
            (route.path, route.method) for route in ROUTES
        }
        for path, each in told["paths"].items():
            for operation in each.values():
                assert operation["summary"], path
                assert len(operation["description"]) > 20, path
