"""Child processes that never outlive the devnet."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

from tests.devnet.errors import DevnetError
from tests.devnet.paths import GUARD

_KEPT_LINES = 200


class Child:
    """A running command; its output is read all along, and its last lines are kept for error messages."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process = process
        self._drain: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        ready: Callable[[str], bool],
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 60,
    ) -> tuple[Self, str]:
        """Starts the command and waits for the line of output that says it is ready.

        Returns:
            The child and that line.

        Raises:
            DevnetError: the command ended, or said nothing in time; with its last words.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-E", str(GUARD), str(os.getpid()), *command,
            stdin=PIPE, stdout=PIPE, stderr=STDOUT, limit=2**20, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        child = cls(name, process)
        try:
            async with asyncio.timeout(timeout_s):
                line = await child._until(ready)
        except BaseException as exc:
            await child.kill()
            if isinstance(exc, TimeoutError):
                raise DevnetError(f"{name} was not ready in {timeout_s} s:\n{child.last_words()}") from exc
            raise
        child._drain = asyncio.create_task(child._read_on(), name=f"devnet-output-{name}")
        return child, line

    @property
    def pid(self) -> int:
        """The command's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the command has not ended."""
        return self._process.returncode is None

    def last_words(self) -> str:
        """The last lines of output."""
        return "\n".join(self.lines)

    async def stop(self, timeout_s: float = 20) -> None:
        """Asks the command to end (SIGTERM), and kills it when it does not."""
        if self.running:
            with suppress(ProcessLookupError):
                self._process.terminate()
        await self.wait(timeout_s)

    async def wait(self, timeout_s: float = 20) -> None:
        """Waits for the command's end; kills it after the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        except TimeoutError:
            pass
        await self.kill()

    async def kill(self) -> None:
        """Ends the command at once (SIGKILL), as a power cut would."""
        if self.running:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._drain is not None:
            await self._drain

    async def _until(self, ready: Callable[[str], bool]) -> str:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            text = line.decode(errors="replace").rstrip()
            self.lines.append(text)
            if ready(text):
                return text
        raise DevnetError(f"{self.name} ended:\n{self.last_words()}")

    async def _read_on(self) -> None:
        assert self._process.stdout is not None
        with suppress(ValueError):  # an over-long line
            while line := await self._process.stdout.readline():
                self.lines.append(line.decode(errors="replace").rstrip())
