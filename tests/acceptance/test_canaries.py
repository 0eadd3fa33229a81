"""Law 11: secrets are planted in a real daemon's settings, and looked for in all that it says and keeps."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import bittensor_core
import pyrage
import pytest

from miner.app import sealed
from miner.ops.routes import ROUTES
from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.unit.receivers import receiving

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

SETTINGS = """
[ops]
read_token_file = "{folder}/ops-read"
operate_token_file = "{folder}/ops-operate"
[[notify]]
name = "hook"
kind = "webhook"
url_file = "{folder}/hook-url"
secret_file = "{folder}/hook-key"
least_severity = "info"
allow_loopback = true
"""


@dataclass
class Planted:
    """Secrets by name; `files` are those that the settings name as files."""

    folder: Path
    secrets: dict[str, str] = field(default_factory=dict)

    def file(self, name: str, text: str) -> str:
        """Plant a secret in a file of its own."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        self.secrets[name] = text
        return text

    def keyfile(self, uri: str) -> str:
        """Plant a hotkey: an encrypted keyfile, its password, what is in it; returns the settings' words."""
        pair = bittensor_core.Keypair.create_from_uri(uri)
        plain = bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair))
        for name, value in json.loads(plain).items():
            if isinstance(value, str) and name.lower().startswith(("private", "secret")) and len(value) > 8:
                self.secrets[f"hotkey {name}"] = value.removeprefix("0x")
        assert any(name.startswith("hotkey") for name in self.secrets), "a keyfile without a secret"
        password = self.file("wallet-password", "canary-wallet-password-5f3a")
        path = self.folder / "hotkey"
        path.write_bytes(bytes(bittensor_core.encrypt_keyfile_data(plain, password)))
        path.chmod(0o600)
        return f'{{ keyfile = "{path}", password_file = "{self.folder}/wallet-password" }}'

    def found_in(self, said: str | bytes) -> list[str]:
        """Names of the secrets that are there, as they are or in another writing."""
        data = said.encode() if isinstance(said, str) else said
        return [name for name, text in self.secrets.items() if any(each in data for each in _writings(text))]


def _writings(secret: str) -> Iterator[bytes]:
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    yield base64.b64encode(raw)[: len(raw) * 4 // 3 - 2]
    try:
        as_bytes = bytes.fromhex(secret)
    except ValueError:
        return
    yield as_bytes
    yield base64.b64encode(as_bytes)[:-2]


def planted_in(stage: Stage, url: str) -> Planted:
    """The stage's settings, with a secret wherever one can be."""
    planted = Planted(stage.folder)
    planted.file("ops-read", "canary-read-token-" + "r" * 32)
    planted.file("ops-operate", "canary-operate-token-" + "o" * 32)
    planted.file("hook-key", "canary-hook-key-88ab")
    planted.file("hook-url", f"{url}/canary-hook-path")
    planted.secrets["hook-url"] = "canary-hook-path"
    config = stage.config(only=[0], extra=SETTINGS.format(folder=stage.folder))
    planted.secrets["bitcoin login"] = (stage.folder / "bitcoin-auth").read_text()
    uri = next(line for line in config.read_text().splitlines() if line.startswith("hotkey = { uri"))
    config.write_text(config.read_text().replace(uri, f"hotkey = {planted.keyfile(uri.split(chr(34))[1])}"))
    return planted


async def test_no_secret_is_in_anything_that_is_said_or_kept(stage: Stage) -> None:
    said: dict[str, str | bytes] = {}
    async with receiving() as hook:
        planted = planted_in(stage, hook.url)
        async with await Daemon.start(stage.folder / "swap-miner.toml") as daemon:
            await daemon.event("ready", timeout_s=300)  # to open a wallet takes seconds of work
            (opened,) = await stage.open(stage.plan(0))
            await stage.completed(daemon, [opened])
            await stage.step(daemon, blocks=2)
            said |= await of_the_api(stage, planted, opened.id)
            said |= await of_the_commands(stage, opened.id)
            said |= await of_a_backup(stage)
            await hook.has(3)
            log = daemon.tail(1_000_000)
            assert await daemon.stop() == 0
        said["log"] = log + daemon.tail(1_000_000)
        said |= await of_the_log(stage, opened.id, log)
        said |= of_the_state(stage)
        said["messages"] = b"".join(got.body for got in hook.got)
        said["headers"] = json.dumps([dict(got.headers) for got in hook.got])
    (stage.folder / "wallet-password").write_text("another-canary-password")
    planted.secrets["wrong password"] = "another-canary-password"
    said["wrong password"] = await wrong(stage)
    for where, what in said.items():
        assert planted.found_in(what) == [], where
    told = "".join(each if isinstance(each, str) else each.decode(errors="replace") for each in said.values())
    for known in ("PAYOUT_SIGNED", "SWAP_COMPLETED", "swap_miner_payouts_total", "/api/v1/pause"):
        assert known in told, f"{known}: it was looked for in nothing"
    assert planted.found_in((stage.folder / "ops-operate").read_bytes()) == ["ops-operate"]
    assert planted.found_in(bytes.fromhex(planted.secrets["hotkey privateKey"])) == ["hotkey privateKey"]


async def of_the_api(stage: Stage, planted: Planted, swap_id: int) -> dict[str, str | bytes]:
    """Each path's answer, with the operate token; and the feed's."""
    said: dict[str, str | bytes] = {}
    connector = aiohttp.UnixConnector(str(stage.folder / "state" / "ops.sock"))
    headers = {"Authorization": f"Bearer {planted.secrets['ops-operate']}"}
    bodies: dict[str, dict[str, Any]] = {
        "adopt-payout": {"txid": "ab" * 32, "reason": "why"}, "mark": {"txid": "ab" * 32, "reason": "why"},
        "deposit": {"amount": "1"}, "withdraw": {"amount": "1"}, "account": {"account": "5nobody"},
        "resolve": {"entry": 1, "reason": "why"},
        "validate": {"config": (stage.folder / "swap-miner.toml").read_text()},
    }  # fmt: skip
    async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
        for route in ROUTES:
            path = route.path.replace("{swap_id}", str(swap_id))
            last = path.rpartition("/")[2]
            body = bodies.get(last, {"reason": "why"} if route.patient and last != "drain" else {})
            how: dict[str, Any] = {"json": body} if route.method == "POST" else {}
            if route.media == "text/event-stream":
                path += "?after=0"
            async with http.request(route.method, f"http://ops{path}", **how) as answer:
                if route.media == "text/event-stream":
                    said[path] = b"".join([await answer.content.readline() for _ in range(20)])
                else:
                    said[path] = await answer.read()
                assert answer.status < 500, said[path]
    return said


async def of_the_commands(stage: Stage, swap_id: int) -> dict[str, str | bytes]:
    """What commands print beside a running daemon."""
    commands = (
        ("status",), ("swaps",), ("show", str(swap_id)), ("evidence", str(swap_id)), ("wallet",), ("check",),
        ("collateral", "view"), ("recovery", "list"), ("notify", "list"), ("notify", "test"),
    )  # fmt: skip
    said: dict[str, str | bytes] = {}
    for words in commands:
        said[" ".join(words)] = await anyhow(stage, *words)
    return said


async def anyhow(stage: Stage, *words: str) -> str:
    """What a command prints, whatever it ends with."""
    try:
        return await stage.cli(*words)
    except AssertionError as ended:
        return str(ended)


async def wrong(stage: Stage) -> str:
    """What is said of a wallet that its password does not open."""
    return await anyhow(stage, "--debug", "wallet")


async def of_a_backup(stage: Stage) -> dict[str, str | bytes]:
    """A backup's file, and what is in it once it is opened."""
    identity = pyrage.x25519.Identity.generate()
    file, work = stage.folder / "backup.age", stage.folder / "opened"
    key = stage.folder / "key.txt"
    key.write_text(f"{identity}\n")
    key.chmod(0o600)
    said = await stage.cli("backup", str(file), "--recipient", str(identity.to_public()))
    work.mkdir()
    sealed.open_sealed(file, work / "packed.tar", sealed.identities_of(key))
    return {
        "backup": said,
        "backup file": file.read_bytes(),
        "backup opened": (work / "packed.tar").read_bytes(),
    }


async def of_the_log(stage: Stage, swap_id: int, log: str) -> dict[str, str | bytes]:
    """The support bundle of the swap, redacted and not."""
    source = stage.folder / "daemon.log"
    source.write_text(log)
    said: dict[str, str | bytes] = {}
    for name, more in (("bundle", ("--redact",)), ("story", ())):
        out = stage.folder / f"{name}.jsonl"
        words = ("logs", "--swap", str(swap_id), "--file", str(source), "--out", str(out), *more)
        said[f"logs {name}"] = await stage.cli(*words)
        said[name] = await asyncio.to_thread(out.read_bytes)
        assert len(out.read_text().splitlines()) > 3
    return said


def of_the_state(stage: Stage) -> dict[str, str | bytes]:
    """Every file of the state folder, and the store as text."""
    said: dict[str, str | bytes] = {}
    for path in (stage.folder / "state").rglob("*"):
        if path.is_file():
            said[str(path.name)] = path.read_bytes()
    store = sqlite3.connect(f"file:{stage.folder / 'state' / 'swap-miner.sqlite'}?mode=ro", uri=True)
    try:
        said["dump"] = "\n".join(store.iterdump())
    finally:
        store.close()
    return said
