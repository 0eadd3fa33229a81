"""`swap-miner run` as a process: started on a devnet, listened to, killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

from tests.devnet import guard

START_S = 60.0


class Running(Protocol):
    """What of a process is used: `asyncio.subprocess.Process`, or a nursery's."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """What it prints."""

    @property
    def returncode(self) -> int | None:
        """None while it runs."""

    def send_signal(self, signal: int, /) -> None:
        """Send a signal."""

    def kill(self) -> None:
        """SIGKILL."""

    async def wait(self) -> int:
        """Wait for its end; the exit code."""


class Daemon:
    """One process of the daemon, and every line it logged.

    Attributes:
        log: Decoded JSON lines, oldest first; what is no JSON is under `raw`.
    """

    def __init__(self, process: Running) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read(), name="daemon-log")

    @classmethod
    async def start(cls, config: Path, *, environment: Mapping[str, str] | None = None) -> Self:
        """Start it; it ends with this process whatever happens. See `until` for readiness."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            guard.__file__,
            str(os.getpid()),
            sys.executable,
            "-m",
            "miner.cli",
            "run",
            "--config",
            str(config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            limit=2**20,
        )
        return cls(process)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"raw": line.decode(errors="replace").rstrip()}
            async with self._news:
                self.log.append(entry)
                self._news.notify_all()
        async with self._news:
            self.log.append({"event": "process_ended"})
            self._news.notify_all()

    async def until(
        self, wanted: Callable[[dict[str, Any]], bool], *, since: int = 0, timeout_s: float = START_S
    ) -> dict[str, Any]:
        """The first line from `since` on that is wanted.

        Raises:
            AssertionError: It did not come in time, or the process ended; with the last lines.
        """
        seen = since
        try:
            async with asyncio.timeout(timeout_s), self._news:
                while True:
                    for line in self.log[seen:]:
                        if wanted(line):
                            return line
                    if self.log and self.log[-1].get("event") == "process_ended":
                        raise AssertionError(f"the daemon ended:\n{self.tail()}")
                    seen = len(self.log)
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not seen within {timeout_s} s:\n{self.tail()}") from None

    async def event(
        self, name: str, *, since: int = 0, timeout_s: float = START_S, **fields: Any
    ) -> dict[str, Any]:
        """The first line of an event with these fields."""

        def wanted(line: dict[str, Any]) -> bool:
            return line.get("event") == name and all(line.get(k) == v for k, v in fields.items())

        return await self.until(wanted, since=since, timeout_s=timeout_s)

    async def ready(self) -> None:
        """Wait until it has said that it is ready."""
        await self.event("ready")

    async def followed(self, height: int, *, timeout_s: float = START_S) -> None:
        """Wait until a round on a finalised head at least this high has ended."""
        await self.until(
            lambda line: line.get("event") == "round" and line.get("height", -1) >= height,
            timeout_s=timeout_s,
        )

    async def kill(self) -> None:
        """SIGKILL, and wait."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reader

    async def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        code = await self.process.wait()
        await self._reader
        return code

    def tail(self, lines: int = 40) -> str:
        """The last lines, for messages."""
        return "\n".join(json.dumps(line) for line in self.log[-lines:])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.kill()
