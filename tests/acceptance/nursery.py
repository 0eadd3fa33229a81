"""Many processes of one program without its imports each time: forked from one that has done them.

A start of `swap-miner` is mostly a second of imports. Where processes are started by the thousand, they are
forked from one that has imported the same modules and run nothing of them: all from `main()` on is their own,
each is a process that SIGKILL ends, and none shares anything with another.
"""

from __future__ import annotations

import array
import asyncio
import ctypes
import gc
import importlib
import itertools
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any, Final, NoReturn, Self

MODULES: Final = (
    "miner.cli.main", "miner.app.daemon", "miner.app.clearing", "miner.app.operator", "miner.app.requests",
    "miner.app.rebuild", "miner.store.server", "miner.store.listening",
)  # fmt: skip
MOST_BYTES: Final = 2**18
_PR_SET_PDEATHSIG: Final = 1


class Child:
    """A process of a nursery, as `asyncio.subprocess.Process` shows one.

    Attributes:
        pid: Its process id.
        stdout: What it prints, errors included.
        returncode: None while it runs; minus the signal's number where one ended it.
    """

    def __init__(self, nursery: Nursery, number: int, stdout: asyncio.StreamReader) -> None:
        self.pid = 0
        self.stdout = stdout
        self.returncode: int | None = None
        self._nursery = nursery
        self._number = number
        self._born = asyncio.Event()
        self._ended = asyncio.Event()

    async def born(self) -> None:
        """Wait until it is there."""
        await self._born.wait()

    def begin(self, pid: int) -> None:
        """Told by the nursery."""
        self.pid = pid
        self._born.set()

    def end(self, code: int) -> None:
        """Told by the nursery, which alone sees the end."""
        self.returncode = code
        self._born.set()
        self._ended.set()

    async def wait(self) -> int:
        """Wait for its end; the exit code."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing where it has ended."""
        if self.returncode is None:
            self._nursery.ask({"child": self._number, "signal": int(number)})

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def output(self) -> str:
        """Wait for its end; all that it printed."""
        text = await self.stdout.read()
        await self.wait()
        return text.decode()


class Nursery:
    """Starts processes of `swap-miner` by forking; it ends with its maker, and all of them end with it."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self._process = process
        self._channel = channel
        self._numbers = itertools.count()
        self._children: dict[int, Child] = {}
        asyncio.get_running_loop().add_reader(channel, self._hear)

    @classmethod
    async def start(cls, folder: os.PathLike[str]) -> Self:
        """Start the process to fork from.

        Args:
            folder: The working directory of all.
        """
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (here, there):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MOST_BYTES)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, str(os.getpid()), str(there.fileno()),
            cwd=folder, stdin=asyncio.subprocess.DEVNULL, pass_fds=[there.fileno()],
        )  # fmt: skip
        there.close()
        here.setblocking(False)
        return cls(process, here)

    async def run(self, *arguments: str, environment: Mapping[str, str]) -> Child:
        """Start `swap-miner` with these arguments.

        Args:
            arguments: As on its command line.
            environment: Added to this process's own.
        """
        reading, writing = os.pipe()
        stdout = asyncio.StreamReader(limit=2**20)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(reading, "rb")
        )
        number = next(self._numbers)
        child = self._children[number] = Child(self, number, stdout)
        told = {"child": number, "arguments": arguments, "environment": {**os.environ, **environment}}
        try:
            self.ask(told, writing)
        finally:
            os.close(writing)
        await child.born()
        return child

    def ask(self, told: Mapping[str, Any], *files: int) -> None:
        """Tell the process to fork from something, with open files."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        self._channel.sendmsg([json.dumps(told).encode()], ancillary)

    def _hear(self) -> None:
        try:
            said = self._channel.recv(MOST_BYTES)
        except BlockingIOError:
            return
        if not said:
            asyncio.get_running_loop().remove_reader(self._channel)
            for child in self._children.values():
                child.end(-signal.SIGKILL)
            self._children.clear()
            return
        told = json.loads(said)
        if "pid" in told:
            self._children[told["child"]].begin(told["pid"])
        else:
            self._children.pop(told["child"]).end(told["code"])

    async def close(self) -> None:
        """End it, and every process of it."""
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        await self._process.wait()


# the process that is forked from


def _die_with_parent(number: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def _serve(channel: socket.socket) -> None:
    """Fork where asked to, and tell how each child ended, until the other side is gone."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([channel.fileno(), wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _tell_ends(channel, running)
        if channel.fileno() in ready:
            said, files, _, _ = socket.recv_fds(channel, MOST_BYTES, 1)
            if not said:
                break
            told = json.loads(said)
            if "signal" in told:
                _signal(told, running)
            else:
                pid = _fork(told, files[0], (channel.fileno(), wake, woken))
                running[pid] = told["child"]
                channel.send(json.dumps({"child": told["child"], "pid": pid}).encode())
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _tell_ends(channel: socket.socket, running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        end = {"child": running.pop(pid), "code": os.waitstatus_to_exitcode(status)}
        channel.send(json.dumps(end).encode())


def _signal(told: dict[str, Any], running: dict[int, int]) -> None:
    """Send a signal to a child that was not waited for yet: no other process has its id."""
    for pid in [pid for pid, number in running.items() if number == told["child"]]:
        os.kill(pid, told["signal"])


def _fork(told: dict[str, Any], output: int, ours: tuple[int, ...]) -> int:
    pid = os.fork()
    if pid == 0:
        _become(told, output, ours)
    os.close(output)
    return pid


def _become(told: dict[str, Any], output: int, ours: tuple[int, ...]) -> NoReturn:
    """Be a process of its own: nothing of the nursery's is left, and this never returns."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _die_with_parent(signal.SIGTERM)
    for stream in (1, 2):
        os.dup2(output, stream)
    for file in (output, *ours):
        os.close(file)
    os.environ.clear()
    os.environ.update(told["environment"])
    sys.argv = ["swap-miner", *told["arguments"]]
    from miner.cli.main import main

    code = 70
    try:
        code = main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _die_with_parent(signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone already")
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[2])))
