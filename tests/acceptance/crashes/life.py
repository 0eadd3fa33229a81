"""One daemon's life, with the deaths that it is to die: started again after each, until it lives on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from miner.app.crash import VARIABLE
from miner.app.daemon import HELD_BY_ANOTHER
from miner.saga import ENDS, State
from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.acceptance.nursery import Child, Nursery
from tests.devnet.driver import Opened
from tests.devnet.settings import write_config

PATIENCE_S = 300.0
"""How long one round, or one start, may take on a machine that is busy with a dozen daemons."""
KILLED = -signal.SIGKILL
EXTRA = "[retry]\nbase_s = 0.2\ncap_s = 1\nrebroadcast_blocks = 2\n"
RARELY = ("poll_interval_s = 1\n", "poll_interval_s = 5\n")
"""Heads are pushed; asking besides only costs, with a dozen daemons on one machine."""
SWEEP_BLOCKS = 25
LEASE_TTL_S = 2.0


class Life:
    """A daemon for some miners, in a folder of its own.

    Attributes:
        stage: The devnet, its folder, the chains' evidence.
        miners: Indexes of the miners that it serves.
        died: Points at which it has died, in order.
        swaps: What it is to serve.
        failure: What went wrong in it; the other lives go on.
        on_first_death: Awaited once the process has died for the first time, before it is started again.
        said: What its last command printed.
        running: Whether it has been started, and neither stopped nor killed from outside since.
    """

    def __init__(
        self,
        stage: Stage,
        nursery: Nursery,
        miners: Sequence[int],
        deaths: Sequence[str],
        *,
        in_commands: bool = False,
    ) -> None:
        """Nothing is started yet.

        Args:
            stage: The devnet, and a folder of its own.
            nursery: Starts its processes.
            miners: Indexes of the miners that it serves.
            deaths: Points to die at, one after the other: `name`, or `name:n`.
            in_commands: Whether it is the operator's commands that die, and not the daemon.
        """
        self.stage = stage
        self._nursery = nursery
        self.on_first_death: Callable[[], Awaitable[None]] | None = None
        self._in_commands = in_commands
        self.miners = tuple(miners)
        self.died: list[str] = []
        self.swaps: list[Opened] = []
        self.failure = ""
        self.said = ""
        self.running = False
        self._ahead = list(deaths)
        self._daemon: Daemon | None = None
        self._config: Path | None = None

    def configure(self, changes: Sequence[tuple[str, str]] = ()) -> None:
        """Write its config; changes are texts of the usual one, and what stands there instead."""
        path = write_config(
            self.stage.folder,
            self.stage.devnet,
            only=self.miners,
            extra=EXTRA,
            lease_ttl_s=LEASE_TTL_S,
            sweep_blocks=SWEEP_BLOCKS,
            store_url=self.stage.store_url,
        )
        text = path.read_text()
        for old, new in (RARELY, *changes):
            assert old in text, f"nothing to change: {old!r}"
            text = text.replace(old, new, 1)
        path.write_text(text)
        self._config = path

    @property
    def daemon(self) -> Daemon:
        """The process as it is now."""
        assert self._daemon is not None, "it was never started"
        return self._daemon

    @property
    def config(self) -> Path:
        """Its config."""
        assert self._config is not None, "it has no config"
        return self._config

    @property
    def due(self) -> tuple[str, ...]:
        """Deaths still ahead."""
        return tuple(self._ahead)

    async def start(self) -> None:
        """Start the process, which is to die at the next point that is ahead."""
        self._daemon = Daemon(await self._run("run", command=False))
        self.running = True

    async def _run(self, *arguments: str, command: bool) -> Child:
        mortal = self._ahead and command is self._in_commands
        environment = {VARIABLE: self._ahead[0]} if mortal else {}
        return await self._nursery.run(*arguments, "--config", str(self.config), environment=environment)

    async def ready(self) -> None:
        """Wait until it says that it is ready, through any deaths before."""
        await self._until(lambda line: line.get("event") in ("ready", "ready_again"))

    async def followed(self, height: int) -> None:
        """Wait until it has worked on a finalised head at least this high, through any deaths before."""
        await self._until(lambda line: line.get("event") == "round" and line.get("height", -1) >= height)

    async def _until(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        while True:
            line = await self.daemon.until(
                lambda line: wanted(line) or line.get("event") == "process_ended", timeout_s=PATIENCE_S
            )
            if line.get("event") != "process_ended":
                return
            await self._rise()

    async def _rise(self) -> None:
        """The process has ended: as it was to, or else that is a failure. Start it again.

        One that finds an operator's command at work on its store ends with a code of its own.
        """
        code = await self.daemon.process.wait()
        if code == HELD_BY_ANOTHER:
            await self.start()
            return
        assert self._ahead, f"it ended by itself ({code}):\n{self.daemon.tail()}"
        assert code == KILLED, f"it ended with {code}:\n{self.daemon.tail()}"
        self.died.append(self._ahead.pop(0))
        if self.on_first_death is not None and len(self.died) == 1:
            await self.on_first_death()
        await self.start()

    async def revive(self) -> None:
        """Start it again where it has died."""
        if self.running and self.daemon.process.returncode is not None:
            await self._rise()

    async def stop(self) -> None:
        """Ask it to end, once it listens; where it dies over that, start it and ask again."""
        while True:
            await self.ready()
            self.daemon.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self.daemon.process.wait(), PATIENCE_S)
            if await self.daemon.stop() == 0:
                self.running = False
                return
            await self._rise()

    async def kill(self) -> None:
        """SIGKILL, by somebody else."""
        if self._daemon is not None:
            await self._daemon.kill()
        self.running = False

    async def cli(self, *args: str, may_fail: bool = False) -> str:
        """A command of `swap-miner` to its end, given again after each death in it; what it printed.

        One that is given again may find nothing left to do, which its exit code says; `may_fail` where it
        may say so for another reason.
        """
        while True:
            process = await self._run(*args, command=True)
            self.said = out = await self._output_of(process)
            if process.returncode == KILLED and self._in_commands and self._ahead:
                self.died.append(self._ahead.pop(0))
                await asyncio.sleep(LEASE_TTL_S)  # what the dead one held, if anything
                continue
            fine = (0, 1) if self.died or may_fail else (0,)
            assert process.returncode in fine, f"exit code {process.returncode}:\n{out}"
            return out

    async def _output_of(self, command: Child) -> str:
        """Wait for a command's end. It may wait for the daemon, which is started again where that dies."""
        ending = asyncio.create_task(command.output(), name="command")
        try:
            while not ending.done():
                await asyncio.wait({ending}, timeout=0.2)
                await self.revive()
        finally:
            command.kill()
        return await ending

    # what its store says

    def states(self) -> dict[int, State]:
        """State by swap id."""
        return {swap: State(state) for swap, state in self.stage.states().items()}

    def slots(self, purpose: str) -> dict[int, str]:
        """Slot of the open lane of that purpose, by swap id."""
        query = (
            "SELECT swap_id, slot FROM lanes JOIN sagas ON sagas.id = lanes.saga_id "
            f"WHERE purpose = '{purpose}' AND closed = 0"
        )
        return {int(swap): str(slot) for swap, slot in self.stage.rows(query)}

    def in_state(self, *wanted: State) -> bool:
        """Whether each of its swaps has a saga in one of these states."""
        states = self.states()
        return all(states.get(swap.id) in wanted for swap in self.swaps)

    def at_rest(self) -> bool:
        """Whether every saga has ended, no lane is open, and the recovery log is written."""
        states = self.states()
        ended = all(states.get(swap.id) in ENDS for swap in self.swaps)
        return ended and not self.stage.rows(
            "SELECT 1 FROM lanes WHERE closed = 0 "
            "UNION ALL SELECT 1 FROM recovery WHERE written_at_ms IS NULL"
        )

    def journaled(self, event: str) -> bool:
        """Whether this event is in the journal of each of its swaps."""
        found = self.stage.rows(f"SELECT count(DISTINCT saga_id) FROM journal WHERE event = '{event}'")
        return found == [(len(self.swaps),)]
